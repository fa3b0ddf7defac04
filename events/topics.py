"""The topics: who writes them, which types they carry, how they are laid out. The only place that says so.

All customer-keyed topics have the same number of partitions, so that one partition number is one shard of customers.
"""

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

from events import assignments, facts, published, requests
from events.facts import Data

PARTITIONS: Final = 12
"""Partitions of every customer-keyed topic unless HANDOFF_PARTITIONS says otherwise; never changed afterwards."""

DAYS_30: Final = 30 * 24 * 3600 * 1000
VALUE_BYTES_MAX: Final = 256 * 1024
"""Largest value of a fact from outside. A larger one is a dead letter (its bytes are kept there)."""
INPUT_BYTES_MAX: Final = 1024 * 1024
"""Largest record that the broker takes on an input topic, so that a dead letter of it fits below 2 MiB."""
RECORD_BYTES_MAX: Final = 2 * 1024 * 1024
"""Largest record on the topics that Handoff writes; below the broker's message.max.bytes."""

Writer = Literal["producers", "people", "operations", "lifecycle", "routing", "forecast"]


class Topic(Struct, frozen=True, kw_only=True):
    """One topic. ``retention`` in milliseconds, None for ever; ``keyed``: by customer id, in shards; else one partition.

    ``log_time``: the broker stamps the records (``LogAppendTime``); else the writer's own stamp stands. ``bytes_max`` is the
    broker's limit for a record, ``value_max`` what a reader takes in as a fact.
    """

    name: str
    writer: Writer
    purpose: str
    types: Mapping[str, type[Data]] = {}
    keyed: bool = True
    retention: int | None = None
    log_time: bool = False
    bytes_max: int = RECORD_BYTES_MAX
    value_max: int = VALUE_BYTES_MAX

    @property
    def derived(self) -> bool:
        """Whether Handoff itself writes it, with ids that it derives from customer ids: longer than those of senders."""
        return self.writer in ("lifecycle", "routing", "forecast")

    def partitions(self, shards: int) -> int:
        """How many partitions the topic has in a cluster with so many shards."""
        return shards if self.keyed else 1


def _input(name: str, writer: Writer, purpose: str, types: Mapping[str, type[Data]]) -> Topic:
    return Topic(
        name=name,
        writer=writer,
        purpose=purpose,
        types=types,
        retention=DAYS_30,
        log_time=True,
        bytes_max=INPUT_BYTES_MAX,
    )


LEAD: Final = _input(
    "crm.lead.v1",
    "producers",
    "leads, and what becomes of them before there is a deal",
    {
        "crm.lead.created.v1": facts.LeadCreated,
        "crm.lead.updated.v1": facts.LeadUpdated,
        "crm.lead.qualified.v1": facts.LeadQualified,
        "crm.lead.disqualified.v1": facts.LeadDisqualified,
        "crm.lead.recycled.v1": facts.LeadRecycled,
    },
)
OPPORTUNITY: Final = _input(
    "crm.opportunity.v1",
    "producers",
    "opportunities",
    {
        "crm.opportunity.created.v1": facts.OpportunityCreated,
        "crm.opportunity.updated.v1": facts.OpportunityUpdated,
        "crm.opportunity.won.v1": facts.OpportunityWon,
        "crm.opportunity.lost.v1": facts.OpportunityLost,
    },
)
QUOTE: Final = _input(
    "crm.quote.v1",
    "producers",
    "quotes",
    {
        "crm.quote.created.v1": facts.QuoteCreated,
        "crm.quote.updated.v1": facts.QuoteUpdated,
        "crm.quote.sent.v1": facts.QuoteSent,
        "crm.quote.returned.v1": facts.QuoteReturned,
        "crm.quote.accepted.v1": facts.QuoteAccepted,
        "crm.quote.declined.v1": facts.QuoteDeclined,
        "crm.quote.cancelled.v1": facts.QuoteCancelled,
    },
)
ORDER: Final = _input(
    "crm.order.v1",
    "producers",
    "orders and credits",
    {
        "crm.order.placed.v1": facts.OrderPlaced,
        "crm.order.billed.v1": facts.OrderBilled,
        "crm.order.cancelled.v1": facts.OrderCancelled,
    },
)
ACTIVITY: Final = _input(
    "crm.activity.v1",
    "people",
    "what reps did, and their answers to assignments",
    {
        "crm.activity.logged.v1": facts.ActivityLogged,
        "crm.handoff.accepted.v1": facts.HandoffAccepted,
        "crm.handoff.rejected.v1": facts.HandoffRejected,
    },
)
COMMAND: Final = _input(
    "crm.command.v1",
    "people",
    "what people decide about a record",
    {
        "crm.status.set.v1": facts.StatusSet,
        "crm.status.reverted.v1": facts.StatusReverted,
        "crm.customer.converted.v1": facts.CustomerConverted,
        "crm.owner.set.v1": facts.OwnerSet,
    },
)
ASSIGNMENT: Final = Topic(
    name="crm.assignment.v1",
    writer="routing",
    purpose="who has the record, and why",
    types={
        "crm.lead.assigned.v1": assignments.LeadAssigned,
        "crm.lead.unassigned.v1": assignments.LeadUnassigned,
        "crm.handoff.breached.v1": assignments.HandoffBreached,
        "crm.handoff.completed.v1": assignments.HandoffCompleted,
    },
    value_max=RECORD_BYTES_MAX,
)
_INPUTS = (LEAD, OPPORTUNITY, QUOTE, ORDER, ACTIVITY, COMMAND)
TICK_TYPE: Final = "lifecycle.tick.v1"
MOVED: Final = Topic(
    name="lifecycle.moved.v1",
    writer="lifecycle",
    purpose="facts that lay in another partition than their customer's, and ticks of the clock",
    types={
        **{name: data for topic in (*_INPUTS, ASSIGNMENT) for name, data in topic.types.items()},
        TICK_TYPE: facts.LifecycleTick,
    },
    retention=DAYS_30,
)
LIFECYCLE: Final = Topic(
    name="crm.lifecycle.v1",
    writer="lifecycle",
    purpose="the state of customers as it changes",
    types={
        "crm.status.changed.v1": published.StatusChanged,
        "crm.record.changed.v1": published.RecordChanged,
        "crm.deals.changed.v1": published.DealsChanged,
        "crm.handoff.progressed.v1": published.HandoffProgressed,
        "crm.command.refused.v1": published.CommandRefused,
    },
    value_max=RECORD_BYTES_MAX,
)
REQUEST: Final = Topic(
    name="routing.request.v1",
    writer="routing",
    purpose="the one order of all routing decisions",
    types={
        "routing.record.matched.v1": requests.RecordMatched,
        "routing.owner.changed.v1": requests.OwnerChanged,
        "routing.progress.reported.v1": requests.ProgressReported,
    },
    keyed=False,
    value_max=RECORD_BYTES_MAX,
)
DIRECTORY: Final = Topic(name="crm.directory.v1", writer="operations", purpose="the sales force", keyed=False)
RULES: Final = Topic(name="routing.rules.v1", writer="operations", purpose="routing rules", keyed=False)
STATUS_TABLE: Final = Topic(
    name="lifecycle.status-table.v1", writer="operations", purpose="statuses and the sales process", keyed=False
)
PLAN: Final = Topic(name="forecast.plan.v1", writer="operations", purpose="quotas and calendars", keyed=False)


def dead_letters(service: Literal["lifecycle", "routing", "forecast"]) -> Topic:
    """Where a service puts the records that it cannot take in."""
    return Topic(
        name=f"{service}.dead-letter.v1",
        writer=service,
        purpose=f"records that {service} could not take in: original bytes, and why",
        keyed=False,
        retention=DAYS_30,
    )


LIFECYCLE_INPUTS: Final = (*_INPUTS, MOVED, ASSIGNMENT)
"""What lifecycle folds."""

TOPICS: Final = (
    *_INPUTS,
    MOVED,
    LIFECYCLE,
    REQUEST,
    ASSIGNMENT,
    DIRECTORY,
    RULES,
    STATUS_TABLE,
    PLAN,
    dead_letters("lifecycle"),
    dead_letters("routing"),
    dead_letters("forecast"),
)
"""Every topic of Handoff; topics are created from this table and only from it."""
