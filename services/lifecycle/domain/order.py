"""The order of facts (FOLD.md 1): by time, then by rank of the type, then by source and id as bytes."""

from typing import Final

from events.codec import Fact
from events.topics import TICK_TYPE

Key = tuple[int, int, bytes, bytes]
"""A fact's place in fold order; ``key[0]`` is its instant. *Last*, *later*, *since* compare keys; *dated* compares instants."""

RANKS: Final = {
    "crm.lead.created.v1": 10,
    "crm.lead.updated.v1": 11,
    "crm.lead.qualified.v1": 12,
    "crm.lead.recycled.v1": 13,
    "crm.lead.disqualified.v1": 14,
    "crm.opportunity.created.v1": 20,
    "crm.opportunity.updated.v1": 21,
    "crm.quote.created.v1": 30,
    "crm.quote.updated.v1": 31,
    "crm.quote.sent.v1": 32,
    "crm.quote.returned.v1": 33,
    "crm.quote.accepted.v1": 34,
    "crm.quote.declined.v1": 35,
    "crm.quote.cancelled.v1": 36,
    "crm.order.placed.v1": 40,
    "crm.order.billed.v1": 41,
    "crm.order.cancelled.v1": 42,
    "crm.opportunity.lost.v1": 50,
    "crm.opportunity.won.v1": 51,
    "crm.activity.logged.v1": 60,
    "crm.handoff.accepted.v1": 60,
    "crm.handoff.rejected.v1": 60,
    "crm.lead.unassigned.v1": 70,
    "crm.lead.assigned.v1": 71,
    "crm.handoff.breached.v1": 72,
    "crm.handoff.completed.v1": 72,
    TICK_TYPE: 75,
    "crm.status.set.v1": 80,
    "crm.status.reverted.v1": 80,
    "crm.customer.converted.v1": 80,
    "crm.owner.set.v1": 80,
}
"""Which of several facts of one instant comes first. Every type that lifecycle folds has a rank."""


def key_of(fact: Fact) -> Key:
    """Where the fact stands in the order of its customer's facts."""
    return (fact.occurred_at, RANKS[fact.type], fact.source.encode(), fact.id.encode())
