"""The record's stage and status (FOLD.md 19-23): lead facts, promotion, the prospect's deals, and what people set by hand."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import tzinfo
from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace
from rpds import HashTrieMap

from events.business_time import begin_of
from events.codec import Fact
from events.facts import (
    ActivityLogged,
    CustomerConverted,
    Data,
    FactRef,
    LeadCreated,
    LeadDisqualified,
    LeadFields,
    LeadQualified,
    LeadRecycled,
    LifecycleTick,
    OpportunityCreated,
    OpportunityFields,
    OpportunityLost,
    OpportunityWon,
    OrderPlaced,
    OwnerSet,
    QuoteAccepted,
    QuoteCreated,
    QuoteFact,
    QuoteFields,
    QuoteSent,
    Stage,
    StatusReverted,
    StatusSet,
)
from services.lifecycle.domain.deals import Deal
from services.lifecycle.domain.figures import Documents
from services.lifecycle.domain.order import Key
from services.lifecycle.domain.table import STAGES, StatusTable

Deals: TypeAlias = "HashTrieMap[str, Deal]"
"""A record's deals by their ids."""
LeadTrigger = Literal["new", "qualified", "disqualified", "recycled"]


class Lead(Struct, frozen=True, gc=False):
    """What lead facts have come to, whatever the stage: the status that the last of them set, and the recycling that stands.

    ``wake_at`` (nanoseconds) is when a recycled lead comes back by itself.
    """

    trigger: LeadTrigger
    name: str
    by: Key
    lead_id: str | None = None
    recycling: FactRef | None = None
    wake_at: int | None = None


def lead_after(lead: Lead, fact: Fact, key: Key, by_hand: str | None, table: StatusTable, zone: tzinfo) -> Lead:
    """Rules 19 and 20 after one more fact; ``by_hand`` is what a person has set the lead to, while it holds."""
    data = fact.data
    identifier = data.lead_id if isinstance(data, LeadFields | LeadQualified) else None
    if identifier is not None and identifier != lead.lead_id:
        lead = replace(lead, lead_id=identifier)
    trigger = _lead_trigger(lead, data, key, by_hand in taken_back(table))
    if trigger is None:
        return lead
    if not isinstance(data, LeadRecycled):
        return Lead(trigger, table.triggers[trigger], key, lead.lead_id)
    recycling = FactRef(source=fact.source, id=fact.id)
    return Lead(trigger, table.triggers[trigger], key, lead.lead_id, recycling, _wake_at(data, key, zone))


def taken_back(table: StatusTable) -> tuple[str, str]:
    """The statuses that a new lead takes back."""
    return table.triggers["disqualified"], table.triggers["recycled"]


def _lead_trigger(lead: Lead, data: Data, key: Key, dead_by_hand: bool) -> LeadTrigger | None:
    match data:
        case LeadCreated() if dead_by_hand or lead.trigger in ("disqualified", "recycled"):
            return "new"
        case LeadQualified():
            return "qualified"
        case LeadDisqualified() | LeadRecycled() if data.lead_id is None or lead.lead_id in (None, data.lead_id):
            return "recycled" if isinstance(data, LeadRecycled) else "disqualified"
        case ActivityLogged(direction="inbound", automatic=False) if lead.recycling is not None and key[0] > lead.by[0]:
            return "new"
        case LifecycleTick(recycled=recycled) if recycled == lead.recycling:
            return "new"
    return None


def _wake_at(data: LeadRecycled, key: Key, zone: tzinfo) -> int | None:
    if data.until is None:
        return None
    return max(begin_of(data.until, zone), key[0])


# ----------------------------------------------------------------------------------------- promotion


def promoted(stage: Stage, fact: Fact, key: Key, reverted_at: int | None, touched: Collection[Deal], table: StatusTable) -> Stage:
    """Rule 21, and 23 after a revert: the stage after a fact that is no command. Never lower than ``stage``."""
    if reverted_at is None:
        reached = _reached(fact.data, touched, table)
    elif key[0] > reverted_at:
        reached = _reached_again(fact.data, key, touched, table)
    else:
        reached = "lead"
    return max(stage, reached, key=STAGES.index)


def _reached(data: Data, touched: Collection[Deal], table: StatusTable) -> Stage:
    if any(Documents(deal.documents).sold or (deal.state == "won" and _is_won(deal, table)) for deal in touched):
        return "customer"
    if isinstance(data, QuoteFields | QuoteFact):
        return "prospect"
    opportunity = isinstance(data, OpportunityFields | OpportunityWon | OpportunityLost)
    return "prospect" if opportunity and table.opportunities_enabled else "lead"


def _reached_again(data: Data, key: Key, touched: Collection[Deal], table: StatusTable) -> Stage:
    if any(_is_won(deal, table) and deal.mark is not None and deal.mark.by == key for deal in touched):
        return "customer"
    match data:
        case OrderPlaced() if data.amount.amount >= 0:
            live = any(order.id == data.order_id for deal in touched for order in Documents(deal.documents).live_orders)
            return "customer" if live else "lead"
        case OpportunityCreated() if table.opportunities_enabled:
            return "prospect"
        case QuoteCreated() | QuoteSent() | QuoteAccepted():
            return "prospect"
    return "lead"


def _is_won(deal: Deal, table: StatusTable) -> bool:
    """Whether the last thing said of a deal is that it is won, in a way that makes a customer."""
    mark = deal.mark
    return mark is not None and mark.state == "won" and (mark.by_stage or table.opportunities_enabled)


class Prospects(Struct, frozen=True, gc=False):
    """What a prospect's status rests on, kept from fact to fact, so that no fact has to look at every deal.

    ``open`` counts open deals by probability and status; ``lost`` is the lost deal whose last fact is the latest.
    """

    open: HashTrieMap[tuple[int, str], int] = HashTrieMap()
    lost: str | None = None


def prospects_after(prospects: Prospects, touched: Iterable[str], before: Deals, after: Deals) -> Prospects:
    """The same after a fact that touched some deals."""
    openly, lost = prospects.open, prospects.lost
    for name in touched:
        was, now = before.get(name), after[name]
        if was is not None and was.state == "open":
            place = (was.probability, was.status)
            openly = openly.insert(place, openly[place] - 1) if openly[place] > 1 else openly.remove(place)
        if now.state == "open":
            place = (now.probability, now.status)
            openly = openly.insert(place, openly.get(place, 0) + 1)
        if now.state == "lost":
            lost = name if lost is None or now.last > after[lost].last else lost
        elif lost == name:
            lost = max((n for n, deal in after.items() if deal.state == "lost"), key=lambda n: after[n].last, default=None)
    return Prospects(openly, lost)


def name_of(stage: Stage, lead: Lead, prospects: Prospects, deals: Deals, table: StatusTable) -> str:
    """The status that the stage's own rule gives: 19 for a lead, 22 for a prospect and a customer."""
    if stage == "lead":
        return lead.name
    if stage == "customer":
        return table.triggers["sale"]
    if prospects.open:
        return max(prospects.open, key=lambda place: (place[0], table.place(place[1]), place[1]))[1]
    return deals[prospects.lost].status if prospects.lost is not None else table.triggers["converted"]


# ------------------------------------------------------------------------------------------ commands


class Verdict(Struct, frozen=True, gc=False):
    """Whether a command has effect at its place, or by which rule it has none."""

    effective: bool
    rule: str = ""
    explanation: str = ""


EFFECTIVE: Final = Verdict(True)


def judge(data: Data, stage: Stage, status: str, owner: str | None, table: StatusTable) -> Verdict:
    """Rule 23: what a command comes to at its place, where the record has this stage, status and owner."""
    match data:
        case StatusSet(status=wanted):
            if table.row(wanted) is None:
                known = ", ".join(row.name for row in table.rows)
                return Verdict(False, "status-not-in-table", f"the table in force then has no status {wanted!r}, only {known}")
            if wanted == status:
                return Verdict(False, "status-is-set", f"the record is {status} already: any other status can be set")
        case StatusReverted(stage=wanted):
            if STAGES.index(wanted) >= STAGES.index(stage):
                below = " or ".join(STAGES[: STAGES.index(stage)])
                way_out = f"a revert can go to {below}" if below else "that is the lowest stage, and nothing can be reverted"
                return Verdict(False, "not-below", f"the record is a {stage}: {way_out}")
        case CustomerConverted():
            if stage != "lead":
                return Verdict(
                    False, "not-a-lead", f"the record is a {stage}: only a lead can be converted, or what was reverted to one"
                )
        case OwnerSet(rep_id=wanted):
            if wanted == owner:
                return Verdict(False, "owner-is-set", f"{wanted} owns the record already: any other rep can be named")
    return EFFECTIVE
