"""How tests say facts: ``quote_created("q1", 1000, opportunity="o1", day=3)`` is the fact that a quote of 1000 euros was written
on day 3 (3 January 2026, 00:00 UTC; ``day=3.5`` is noon, ``nanos`` are added).

A fact's id is made from what it says, unless it is told: the same sentence is the same fact. All are of one customer.
"""

from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import Any, TypeVar

import msgspec

from events import assignments, facts
from events.codec import Fact
from events.facts import Data, FactRef
from events.topics import TOPICS
from events.values import NANOSECONDS, Money, Price, day_start

CUSTOMER = "acme"
TYPES = {data: name for topic in TOPICS for name, data in topic.types.items()}
"""The CloudEvents type of each kind of data."""

NEW_YEAR = day_start(date(2026, 1, 1))
DAY = 24 * 3600 * NANOSECONDS
M = TypeVar("M", Money, Price)


def on(day: float, nanos: int = 0) -> int:
    """The instant at which a day of the story begins."""
    return NEW_YEAR + int((day - 1) * DAY) + nanos


def usd(amount: float) -> Price:
    """Money in dollars."""
    return Price(amount=Decimal(str(amount)), currency="USD")


def fact(data: Data, day: float, *, nanos: int = 0, id: str | None = None, source: str = "crm") -> Fact:
    """Data as a fact, recorded when it occurred."""
    at = on(day, nanos)
    name = id or f"{data.__class__.__name__}-{sha256(msgspec.json.encode((data, at))).hexdigest()[:8]}"
    return Fact(data.customer_id, source, name, TYPES[data.__class__], at, at, data)


def _say(data: type[Data], day: float, said: dict[str, Any], money: type[Money] = Price) -> Fact:
    """A fact of some data. Numbers are euros, texts in place of dates are ISO dates."""
    envelope = {name: said.pop(name) for name in ("nanos", "id", "source") if name in said}
    for field in ("amount", "amount_low", "amount_high", "annual_revenue", "expected_amount"):
        if isinstance(said.get(field), int | float):
            said[field] = money(amount=Decimal(str(said[field])), currency="EUR")
    if "close_date" in said:
        said["close_date"] = date.fromisoformat(said["close_date"])
    if "lead_source" in said:  # ``source`` is the sender's
        said["source"] = said.pop("lead_source")
    return fact(data(customer_id=CUSTOMER, **said), day, **envelope)


# ---------------------------------------------------------------------------------------------- leads


def lead_created(lead_id: str | None = None, *, day: float, **said: Any) -> Fact:
    return _say(facts.LeadCreated, day, {"lead_id": lead_id, **said})


def lead_updated(lead_id: str | None = None, *, day: float, **said: Any) -> Fact:
    return _say(facts.LeadUpdated, day, {"lead_id": lead_id, **said})


def lead_qualified(lead_id: str | None = None, *, day: float, **said: Any) -> Fact:
    return _say(facts.LeadQualified, day, {"lead_id": lead_id, **said})


def lead_disqualified(lead_id: str | None = None, *, day: float, **said: Any) -> Fact:
    return _say(facts.LeadDisqualified, day, {"lead_id": lead_id, "reason": "no budget", **said})


def lead_recycled(lead_id: str | None = None, *, day: float, **said: Any) -> Fact:
    return _say(facts.LeadRecycled, day, {"lead_id": lead_id, "reason": "not now", **said})


def tick(recycled: Fact, *, day: float, **said: Any) -> Fact:
    """The tick that wakes a recycled lead, named as lifecycle names it."""
    name = f"{CUSTOMER}/wake/{recycled.source}/{recycled.id}"
    ref = FactRef(source=recycled.source, id=recycled.id)
    return _say(facts.LifecycleTick, day, {"recycled": ref, "id": name, "source": "lifecycle", **said})


def activity(*, day: float, **said: Any) -> Fact:
    return _say(facts.ActivityLogged, day, {"activity_id": "a", **said})


# ------------------------------------------------------------------------------------------ documents


def opportunity_created(name: str, amount: Any, *, day: float, **said: Any) -> Fact:
    return _say(facts.OpportunityCreated, day, {"opportunity_id": name, "amount": amount, **said})


def opportunity_updated(name: str, *, day: float, **said: Any) -> Fact:
    return _say(facts.OpportunityUpdated, day, {"opportunity_id": name, **said})


def opportunity_won(name: str, amount: Any = None, *, day: float, **said: Any) -> Fact:
    return _say(facts.OpportunityWon, day, {"opportunity_id": name, "amount": amount, **said})


def opportunity_lost(name: str, reason: str = "price", *, day: float, **said: Any) -> Fact:
    return _say(facts.OpportunityLost, day, {"opportunity_id": name, "reason": reason, **said})


def quote_created(name: str, amount: Any, *, day: float, opportunity: str | None = None, **said: Any) -> Fact:
    return _say(facts.QuoteCreated, day, {"quote_id": name, "amount": amount, "opportunity_id": opportunity, **said})


def quote_updated(name: str, *, day: float, opportunity: str | None = None, **said: Any) -> Fact:
    return _say(facts.QuoteUpdated, day, {"quote_id": name, "opportunity_id": opportunity, **said})


def quote_sent(name: str, *, day: float, **said: Any) -> Fact:
    return _say(facts.QuoteSent, day, {"quote_id": name, **said})


def quote_returned(name: str, *, day: float, **said: Any) -> Fact:
    return _say(facts.QuoteReturned, day, {"quote_id": name, **said})


def quote_accepted(name: str, *, day: float, **said: Any) -> Fact:
    return _say(facts.QuoteAccepted, day, {"quote_id": name, **said})


def quote_declined(name: str, *, day: float, **said: Any) -> Fact:
    return _say(facts.QuoteDeclined, day, {"quote_id": name, **said})


def quote_cancelled(name: str, *, day: float, **said: Any) -> Fact:
    return _say(facts.QuoteCancelled, day, {"quote_id": name, **said})


def order_placed(
    name: str, amount: Any, *, day: float, quote: str | None = None, opportunity: str | None = None, **said: Any
) -> Fact:
    links = {"quote_id": quote, "opportunity_id": opportunity}
    return _say(facts.OrderPlaced, day, {"order_id": name, "amount": amount, **links, **said}, Money)


def order_billed(name: str, *, day: float, **said: Any) -> Fact:
    return _say(facts.OrderBilled, day, {"order_id": name, **said})


def order_cancelled(name: str, *, day: float, **said: Any) -> Fact:
    return _say(facts.OrderCancelled, day, {"order_id": name, **said})


# ------------------------------------------------------------------------------- assignments, commands


def assigned(assignment: str, rep: str, *, day: float, **said: Any) -> Fact:
    return _say(assignments.LeadAssigned, day, {"assignment_id": assignment, "rep_id": rep, "source": "routing", **said})


def unassigned(assignment: str | None = None, *, day: float, **said: Any) -> Fact:
    return _say(assignments.LeadUnassigned, day, {"assignment_id": assignment, "reason": "late", "source": "routing", **said})


def breached(assignment: str, rep: str, *, day: float, **said: Any) -> Fact:
    return _say(assignments.HandoffBreached, day, {"assignment_id": assignment, "rep_id": rep, "source": "routing", **said})


def completed(assignment: str, rep: str, *, day: float, **said: Any) -> Fact:
    return _say(assignments.HandoffCompleted, day, {"assignment_id": assignment, "rep_id": rep, "source": "routing", **said})


def handoff_accepted(assignment: str, rep: str, *, day: float, **said: Any) -> Fact:
    return _say(facts.HandoffAccepted, day, {"assignment_id": assignment, "rep_id": rep, **said})


def handoff_rejected(assignment: str, rep: str, *, day: float, reason: str = "busy", **said: Any) -> Fact:
    return _say(facts.HandoffRejected, day, {"assignment_id": assignment, "rep_id": rep, "reason": reason, **said})


def status_set(status: str, *, day: float, **said: Any) -> Fact:
    return _say(facts.StatusSet, day, {"status": status, "actor": "eva", **said})


def reverted(stage: str, *, day: float, **said: Any) -> Fact:
    return _say(facts.StatusReverted, day, {"stage": stage, "actor": "eva", **said})


def converted(*, day: float, **said: Any) -> Fact:
    return _say(facts.CustomerConverted, day, {"actor": "eva", **said})


def owner_set(rep: str, *, day: float, **said: Any) -> Fact:
    return _say(facts.OwnerSet, day, {"rep_id": rep, "actor": "eva", **said})
