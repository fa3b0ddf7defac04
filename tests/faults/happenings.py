"""What can happen to a customer, and what can go wrong with a message that says it; drawn from a source of chance."""

import json
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final, NamedTuple

from events import facts
from events.assignments import LeadAssigned
from events.facts import Data
from events.record import Message
from events.values import NANOSECONDS, Money, Price, format_instant

Held = Callable[[str], LeadAssigned | None]
Drawn = tuple[str, Data]

REPS: Final = ["anna", "ben", "chiara", "dev", "elena", "frank", "grace", "zoe"]
"""Those of the sample directory, and one whom it does not know."""
STATUSES: Final = ["New", "Qualified", "Dead", "In Discussion", "Proposal", "Purchasing", "Closed Lost", "Closed Won"]
STAGES: Final = ["In Discussion", "Identified Decision Makers", "Closed Lost", "Closed Won", "Budget approved"]


class Draw(NamedTuple):
    """Whose turn it is, and the source of chance."""

    chance: Random
    customer: str
    today: date

    def maybe(self, *values: Any) -> Any:
        """One of the values, or nothing."""
        return self.chance.choice(values) if self.chance.random() < 0.5 else None


def next_of(draw: Draw, *, first: bool, held: Held) -> Drawn:
    """One more thing that happens to a customer; the first one is mostly a lead."""
    if first and draw.chance.random() < 0.8:
        return _lead(draw)
    if draw.chance.random() < 0.05 and (assignment := held(draw.customer)) is not None:
        return _answer(draw.chance, assignment)
    kind = draw.chance.choices(list(KINDS), list(KINDS.values()))[0]
    return kind(draw)


# ---------------------------------------------------------------------------------------------- leads


def _lead(draw: Draw) -> Drawn:
    said = {
        "lead_id": draw.maybe("l1", "l2"),
        "company": f"Company {draw.customer}",
        "country": draw.maybe("DE", "FR", "US", "JP", "ZA"),
        "region": draw.maybe("North", "South"),
        "employees": draw.maybe(10, 5000),
        "source": draw.maybe("fair", "web"),
        "source_kind": draw.maybe("marketing", "sales", "partner"),
        "campaign": draw.maybe("spring"),
        "owner": draw.maybe(*REPS) if draw.chance.random() < 0.2 else None,
    }
    if draw.chance.random() < 0.7:
        return "crm.lead.created.v1", facts.LeadCreated(customer_id=draw.customer, **said)
    return "crm.lead.updated.v1", facts.LeadUpdated(customer_id=draw.customer, **said)


def _fate_of_a_lead(draw: Draw) -> Drawn:
    lead_id = draw.maybe("l1", "l2")
    match draw.chance.randrange(4):
        case 0:
            return "crm.lead.disqualified.v1", facts.LeadDisqualified(
                customer_id=draw.customer, lead_id=lead_id, reason="no budget"
            )
        case 1:
            until = draw.maybe(*(str(draw.today + timedelta(days=days)) for days in (-400, -100, -50, 3000)))
            return "crm.lead.recycled.v1", facts.LeadRecycled(
                customer_id=draw.customer, lead_id=lead_id, reason="not now", until=until
            )
        case _:
            return "crm.lead.qualified.v1", facts.LeadQualified(customer_id=draw.customer, lead_id=lead_id)


# ------------------------------------------------------------------------------------------ documents


def _opportunity(draw: Draw) -> Drawn:
    name = draw.chance.choice(["o1", "o2", "o3"])
    said = {**_offer(draw), "stage": draw.maybe(*STAGES), "product": draw.maybe("GTX", "MG")}
    if draw.chance.random() < 0.6:
        amount = _price(draw)
        return "crm.opportunity.created.v1", facts.OpportunityCreated(
            customer_id=draw.customer, opportunity_id=name, amount=amount, **said
        )
    return "crm.opportunity.updated.v1", facts.OpportunityUpdated(customer_id=draw.customer, opportunity_id=name, **said)


def _end_of_an_opportunity(draw: Draw) -> Drawn:
    name = draw.chance.choice(["o1", "o2", "o3"])
    if draw.chance.random() < 0.5:
        amount = _price(draw) if draw.chance.random() < 0.5 else None
        return "crm.opportunity.won.v1", facts.OpportunityWon(customer_id=draw.customer, opportunity_id=name, amount=amount)
    return "crm.opportunity.lost.v1", facts.OpportunityLost(customer_id=draw.customer, opportunity_id=name, reason="price")


def _quote(draw: Draw) -> Drawn:
    said = {
        **_offer(draw),
        "opportunity_id": draw.maybe("o1", "o2"),
        "replaces": draw.maybe("q1", "q2") if draw.chance.random() < 0.3 else None,
        "include_in_forecast": draw.maybe(True, False),
    }
    name = draw.chance.choice(["q1", "q2", "q3", "q4"])
    if draw.chance.random() < 0.7:
        return "crm.quote.created.v1", facts.QuoteCreated(customer_id=draw.customer, quote_id=name, amount=_price(draw), **said)
    return "crm.quote.updated.v1", facts.QuoteUpdated(customer_id=draw.customer, quote_id=name, **said)


def _course_of_a_quote(draw: Draw) -> Drawn:
    type_, data = draw.chance.choice(
        [
            ("crm.quote.sent.v1", facts.QuoteSent),
            ("crm.quote.returned.v1", facts.QuoteReturned),
            ("crm.quote.accepted.v1", facts.QuoteAccepted),
            ("crm.quote.declined.v1", facts.QuoteDeclined),
            ("crm.quote.cancelled.v1", facts.QuoteCancelled),
        ]
    )
    return type_, data(customer_id=draw.customer, quote_id=draw.chance.choice(["q1", "q2", "q3", "q4"]))


def _order(draw: Draw) -> Drawn:
    name = draw.chance.choice(["p1", "p2", "p3"])
    match draw.chance.randrange(4):
        case 0:
            return "crm.order.cancelled.v1", facts.OrderCancelled(customer_id=draw.customer, order_id=name)
        case 1:
            return "crm.order.billed.v1", facts.OrderBilled(customer_id=draw.customer, order_id=name)
    amount = _money(draw, draw.chance.choice([1, 1, 1, -1]))
    links = {"quote_id": draw.maybe("q1", "q2", "q3"), "opportunity_id": draw.maybe("o1", "o2")}
    owner = draw.maybe(*REPS)
    return "crm.order.placed.v1", facts.OrderPlaced(customer_id=draw.customer, order_id=name, amount=amount, owner=owner, **links)


# ------------------------------------------------------------------------------------------- people


def _activity(draw: Draw) -> Drawn:
    data = facts.ActivityLogged(
        customer_id=draw.customer,
        activity_id=f"a{draw.chance.randrange(10**6)}",
        kind=draw.chance.choice(["call", "email"]),
        direction=draw.chance.choice(["inbound", "outbound"]),
        automatic=draw.chance.random() < 0.2,
        rep_id=draw.maybe(*REPS),
    )
    return "crm.activity.logged.v1", data


def _command(draw: Draw) -> Drawn:
    match draw.chance.randrange(5):
        case 0:
            return "crm.status.set.v1", facts.StatusSet(
                customer_id=draw.customer, status=draw.chance.choice(STATUSES), actor="dana"
            )
        case 1:
            stage = draw.chance.choice(["lead", "prospect"])
            return "crm.status.reverted.v1", facts.StatusReverted(customer_id=draw.customer, stage=stage, actor="dana")
        case 2:
            return "crm.customer.converted.v1", facts.CustomerConverted(customer_id=draw.customer, actor="dana")
        case _:
            return "crm.owner.set.v1", facts.OwnerSet(customer_id=draw.customer, rep_id=draw.chance.choice(REPS), actor="dana")


def _answer(chance: Random, given: LeadAssigned) -> Drawn:
    named = {"customer_id": given.customer_id, "rep_id": given.rep_id, "assignment_id": given.assignment_id}
    if chance.random() < 0.5:
        return "crm.handoff.accepted.v1", facts.HandoffAccepted(**named)
    return "crm.handoff.rejected.v1", facts.HandoffRejected(**named, reason="on holiday")


KINDS: Final[dict[Callable[[Draw], Drawn], float]] = {
    _lead: 2,
    _fate_of_a_lead: 2,
    _opportunity: 4,
    _end_of_an_opportunity: 1,
    _quote: 4,
    _course_of_a_quote: 4,
    _order: 2,
    _activity: 3,
    _command: 2,
}
"""How often each kind of thing happens."""


def _offer(draw: Draw) -> dict[str, Any]:
    """What opportunities and quotes may say alike."""
    day = draw.today + timedelta(days=draw.chance.randrange(-300, 200))
    return {
        "amount_low": _price(draw) if draw.chance.random() < 0.2 else None,
        "amount_high": _price(draw) if draw.chance.random() < 0.2 else None,
        "close_date": draw.maybe(day),
        "probability": draw.maybe(0, 15, 33, 60, 100),
        "category": draw.maybe("worst", "likely", "upside"),
        "owner": draw.maybe(*REPS),
    }


def _price(draw: Draw) -> Price:
    return Price(amount=Decimal(draw.chance.randrange(1, 10**7)).scaleb(-2), currency=_currency(draw))


def _money(draw: Draw, sign: int) -> Money:
    return Money(amount=sign * Decimal(draw.chance.randrange(1, 10**7)).scaleb(-2), currency=_currency(draw))


def _currency(draw: Draw) -> str:
    return draw.chance.choices(["EUR", "USD"], [9, 1])[0]


# ------------------------------------------------------------------------------------------- spoiled


def spoiled(chance: Random, customer: str, number: int, now: int, partition: int) -> Message:
    """A message that is no fact, each in its own way; the number tells it from all others."""
    named = {"specversion": "1.0", "id": f"n{number}", "source": "crm/spoiled", "type": "crm.lead.created.v1"}
    named["time"] = format_instant(now)
    data: dict[str, Any] = {"customer_id": customer, "company": f"Spoiled {number}"}
    value: bytes | None = None
    key = customer.encode()
    topic = "crm.lead.v1"
    match chance.randrange(8):
        case 0:
            value = f'{{"customer_id": "{customer}", "company": {number}'.encode()
        case 1:
            named["type"], topic = "crm.opportunity.created.v1", "crm.opportunity.v1"  # no opportunity_id, no amount
        case 2:
            named["type"] = "crm.lead.created.v9"
        case 3:
            named["time"] = "2026-03-01T09:00:00"
        case 4:
            named["time"] = format_instant(now + 40 * 24 * 3600 * NANOSECONDS)
        case 5:
            key = b"somebody else"
        case 6:
            del named["id"]
        case 7:
            named["type"], topic = "crm.status.set.v1", "crm.command.v1"
            data |= {"status": "Bought Twice", "actor": "dana"}
    headers: Sequence[tuple[str, bytes]] = [(f"ce_{name}", text.encode()) for name, text in named.items()]
    stray = partition if chance.random() < 0.3 else None
    return Message(topic, key, value or json.dumps(data).encode(), tuple(headers), stray)
