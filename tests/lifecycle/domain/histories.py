"""Random histories of one customer, made to be interesting: few names, few instants, many ties, links that cross and turn round.

A history has a theme, so that facts meet: everything together, deals, links, leads, owners. Some facts come with the identity of
another one and other content; ticks name recycled leads that exist, or do not. Half of them have a checkpoint at every instant,
where a fold goes back to and leaps over, which only records of hundreds of facts have otherwise.
"""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from events.codec import Fact
from events.facts import Contact, Split
from services.lifecycle.domain.fold import is_checkpoint
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import StatusRow, StatusTable, Tables
from tests.lifecycle.domain import speech
from tests.lifecycle.domain.speech import DAY, on, usd
from tests.lifecycle.reference_facts import DEFAULT, Table

SHARES = (Split(rep_id="ann", percent=60), Split(rep_id="bob", percent=40))
RENAMED = {"New": "Fresh", "Opportunity Identified": "Identified", "Closed Won": "Customer", "Closed Lost": "Lost", "Dead": "Gone"}
TABLES = {
    "default": DEFAULT,
    "renamed": DEFAULT._replace(
        rows=[(RENAMED.get(name, name), stage, percent - 5 * (0 < percent < 100)) for name, stage, percent in DEFAULT.rows],
        triggers={trigger: RENAMED.get(name, name) for trigger, name in DEFAULT.triggers.items()},
    ),
    "short": DEFAULT._replace(rows=[row for row in DEFAULT.rows if row[0] not in ("In Discussion", "Identified Decision Makers")]),
    "quotes only": DEFAULT._replace(opportunities_enabled=False),
    "reordered": DEFAULT._replace(rows=[*DEFAULT.rows[4::-1], *(DEFAULT.rows[place] for place in (11, 5, 7, 8, 6, 10, 9, 12))]),
    "merged": DEFAULT._replace(
        rows=[row for row in DEFAULT.rows if row[0] not in ("Qualified", "Recycled", "In Negotiation", "Purchasing")],
        triggers={**DEFAULT.triggers, "qualified": "New", "recycled": "Dead", "returned": "Proposal", "accepted": "Proposal"},
    ),
}
STATUSES = sorted({row[0] for table in TABLES.values() for row in table.rows})
STAGES = [*STATUSES, "Budget approved"]  # the last is no status: it does not count


class History(NamedTuple):
    """Facts in the order in which they were made up, and what the fold is given besides."""

    facts: list[Fact]
    versions: list[Table]
    zone: ZoneInfo

    @property
    def policy(self) -> Policy:
        """The same for the domain."""
        first, *others = [domain_table(table, number) for number, table in enumerate(self.versions)]
        return Policy(Tables.of(first, others), self.zone)


def domain_table(table: Table, number: int) -> StatusTable:
    """The domain's table that says the same: the first one is built in, the others were published in order of their numbers."""
    rows = tuple(StatusRow(*row) for row in table.rows)
    return StatusTable(rows, table.triggers, table.opportunities_enabled, number, table.since, offset=number - 1)


Draw = Callable[[st.SearchStrategy[Any]], Any]
OPPORTUNITY, QUOTE, ORDER = st.sampled_from(["o1", "o2"]), st.sampled_from(["q1", "q2", "q3", "q4"]), st.sampled_from(["p1", "p2"])
REP, LEAD, ASSIGNMENT = st.sampled_from(["ann", "bob", "cy"]), st.sampled_from(["l1", "l2"]), st.sampled_from(["a1", "a2"])
ATTRIBUTES = st.sampled_from([{"fleet": 40}, {"fleet": 7, "vip": True}, {"vip": False}])
CONTACT = st.builds(Contact, name=st.none() | st.sampled_from(["Ann", "Bob"]), email=st.none() | st.just("ann@acme.example"))
PRICE = st.sampled_from([100, 200, 200, 300, usd(150)])
CREDIT_OR_PRICE = st.sampled_from([100, 250, -50, -50, usd(70)])
UNTIL = st.sampled_from(["2026-01-02", "2026-01-04", "2026-01-03T12:00:00Z", "2025-12-01"])


def _some(draw: Draw, **fields: st.SearchStrategy[Any]) -> dict[str, Any]:
    """Some of the fields."""
    said = draw(st.sets(st.sampled_from(sorted(fields)), max_size=3))
    return {name: draw(fields[name]) for name in sorted(said)}


def _lead(draw: Draw, say: Callable[..., Fact]) -> Fact:
    fields = {"country": st.sampled_from(["DE", "AT"]), "lead_source": st.sampled_from(["fair", "web"]), "owner": REP}
    more = {"source_kind": st.sampled_from(["marketing", "sales"]), "campaign": st.just("spring"), "company": st.just("Acme")}
    rest = {"score": st.integers(0, 3), "attributes": ATTRIBUTES, "contact": CONTACT}
    return say(draw(st.none() | LEAD), day=1, **_some(draw, **fields, **more, **rest))


def _lead_fact(draw: Draw, say: Callable[..., Fact]) -> Fact:
    return say(draw(st.none() | LEAD), day=1)


def _recycled(draw: Draw) -> Fact:
    source, until = draw(st.sampled_from(["crm", "erp"])), draw(st.none() | UNTIL)
    return speech.lead_recycled(draw(st.none() | LEAD), day=1, id="recycled", source=source, until=until)


def _tick(draw: Draw) -> Fact:
    return speech.tick(speech.lead_recycled(day=1, id="recycled", source=draw(st.sampled_from(["crm", "erp"]))), day=1)


def _activity(draw: Draw) -> Fact:
    direction = draw(st.sampled_from(["inbound", "outbound", None]))
    return speech.activity(day=1, direction=direction, automatic=draw(st.booleans()), rep_id=draw(st.none() | REP))


AMOUNTS = {"amount": PRICE, "amount_low": PRICE, "amount_high": PRICE}
COMMON = {
    "close_date": st.sampled_from(["2026-03-31", "2026-06-30"]),
    "probability": st.sampled_from([0, 15, 60, 100]),
    "category": st.sampled_from(["worst", "likely", "upside"]),
    "owner": REP,
}


def _opportunity(draw: Draw, say: Callable[..., Fact]) -> Fact:
    fields = {"stage": st.sampled_from(STAGES), "product": st.just("GTX"), "splits": st.just(SHARES)}
    said = _some(draw, **AMOUNTS, **COMMON, **fields)
    if say is speech.opportunity_created:
        return say(draw(OPPORTUNITY), said.pop("amount", 100), day=1, **said)
    return say(draw(OPPORTUNITY), day=1, **said)


def _quote(draw: Draw, say: Callable[..., Fact]) -> Fact:
    fields = {"include_in_forecast": st.booleans(), "opportunity": OPPORTUNITY, "replaces": QUOTE}
    said = _some(draw, **AMOUNTS, **COMMON, **fields)
    if say is speech.quote_created:
        return say(draw(QUOTE), said.pop("amount", 100), day=1, **said)
    return say(draw(QUOTE), day=1, **said)


def _linked_quote(draw: Draw, say: Callable[..., Fact]) -> Fact:
    return say(draw(QUOTE), day=1, **_some(draw, opportunity=OPPORTUNITY, replaces=QUOTE))


def _order(draw: Draw) -> Fact:
    said = _some(draw, quote=QUOTE, opportunity=OPPORTUNITY, owner=REP)
    return speech.order_placed(draw(ORDER), draw(CREDIT_OR_PRICE), day=1, **said)


def _of(say: Callable[..., Fact], *names: st.SearchStrategy[str]) -> Callable[[Draw], Fact]:
    return lambda draw: say(*[draw(name) for name in names], day=1)


def _with(make: Callable[[Draw, Callable[..., Fact]], Fact], say: Callable[..., Fact]) -> Callable[[Draw], Fact]:
    return lambda draw: make(draw, say)


Maker = Callable[[Draw], Fact]
LEADS: list[Maker] = [
    _with(_lead, speech.lead_created),
    _with(_lead, speech.lead_updated),
    _with(_lead_fact, speech.lead_qualified),
    _with(_lead_fact, speech.lead_disqualified),
    _recycled,
    _tick,
    _activity,
]
OPPORTUNITIES: list[Maker] = [
    _with(_opportunity, speech.opportunity_created),
    _with(_opportunity, speech.opportunity_updated),
    lambda draw: speech.opportunity_won(draw(OPPORTUNITY), draw(st.none() | PRICE), day=1),
    lambda draw: speech.opportunity_lost(draw(OPPORTUNITY), day=1, competitor=draw(st.none() | st.just("Umbrella"))),
]
QUOTES: list[Maker] = [
    _with(_quote, speech.quote_created),
    _with(_quote, speech.quote_updated),
    _of(speech.quote_sent, QUOTE),
    _of(speech.quote_returned, QUOTE),
    _of(speech.quote_accepted, QUOTE),
    _of(speech.quote_declined, QUOTE),
    _of(speech.quote_cancelled, QUOTE),
]
ORDERS: list[Maker] = [_order, _order, _of(speech.order_billed, ORDER), _of(speech.order_cancelled, ORDER)]
LINKS: list[Maker] = [
    lambda draw: speech.quote_created(draw(QUOTE), 100, day=1, **_some(draw, opportunity=OPPORTUNITY, replaces=QUOTE)),
    _with(_linked_quote, speech.quote_updated),
    _with(_linked_quote, speech.quote_updated),
    _order,
]
TWO_QUOTES, ONE_OPPORTUNITY = st.sampled_from(["q1", "q2"]), st.just("o1")
CIRCLES: list[Maker] = [
    lambda draw: speech.quote_created(draw(TWO_QUOTES), draw(PRICE), day=1, opportunity="o1"),
    lambda draw: speech.quote_updated(
        draw(TWO_QUOTES), day=1, opportunity=draw(st.none() | ONE_OPPORTUNITY), replaces=draw(TWO_QUOTES)
    ),
    lambda draw: speech.quote_updated(draw(TWO_QUOTES), day=1, replaces=draw(QUOTE)),
]
COMMANDS: list[Maker] = [
    _of(speech.status_set, st.sampled_from(STATUSES)),
    _of(speech.reverted, st.sampled_from(["lead", "prospect"])),
    _of(speech.converted),
    _of(speech.owner_set, REP),
]
REASON = st.sampled_from(["late", "superseded"])
ASSIGNMENTS: list[Maker] = [
    lambda draw: speech.assigned(draw(ASSIGNMENT), draw(REP), day=1, **_some(draw, team=st.just("north"), previous_rep=REP)),
    lambda draw: speech.unassigned(draw(st.none() | ASSIGNMENT), day=1, reason=draw(REASON)),
    _of(speech.handoff_accepted, ASSIGNMENT, REP),
    _of(speech.handoff_rejected, ASSIGNMENT, REP),
    _of(speech.breached, ASSIGNMENT, REP),
    _of(speech.completed, ASSIGNMENT, REP),
]
THEMES: dict[str, list[Maker]] = {
    "everything": [*LEADS, *OPPORTUNITIES, *QUOTES, *ORDERS, *COMMANDS, *ASSIGNMENTS],
    "deals": [*OPPORTUNITIES, *QUOTES, *ORDERS],
    "links": [*LINKS, *LINKS, *QUOTES[2:], *ORDERS, *OPPORTUNITIES],
    "circles": CIRCLES,
    "leads": [*LEADS, *COMMANDS, OPPORTUNITIES[0], QUOTES[0]],
    "profiles": [*LEADS[:2], *LEADS[:2], _activity, OPPORTUNITIES[0]],
    "owners": [*LEADS[:2], *ASSIGNMENTS, COMMANDS[3], _activity, *OPPORTUNITIES, QUOTES[0], *ORDERS],
    "handoffs": [*ASSIGNMENTS, ASSIGNMENTS[0], _recycled, _activity, _activity, COMMANDS[3], _with(_lead, speech.lead_updated)],
    "commands": [*COMMANDS, *LEADS[2:5], *OPPORTUNITIES, QUOTES[0], QUOTES[4], ORDERS[0], ORDERS[3]],
}


@st.composite
def histories(draw: Draw, *, size_max: int = 14, versions_min: int = 1) -> History:
    """A history of up to so many facts, with at least so many versions of the status table."""
    makers = THEMES[draw(st.sampled_from(sorted(THEMES)))]
    step = draw(st.sampled_from([DAY // 2, DAY, 1]))
    slots = draw(st.integers(1, 8))
    name = draw(st.sampled_from([_plain, _checkpointed]))
    told: list[Fact] = []
    for number in range(draw(st.integers(1, size_max))):
        told.append(_placed(draw, draw(st.sampled_from(makers))(draw), number, told, step, slots, name))
    versions = draw(_versions(step, slots, versions_min))
    return History(told, versions, ZoneInfo(draw(st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]))))


Name = Callable[[str, str], str]
"""How an id is made of a source and of what tells it from others."""


def _plain(_source: str, id: str) -> str:
    return id


def _checkpointed(source: str, id: str) -> str:
    """The first name of this beginning that a checkpoint follows."""
    return next(name for tried in count() if is_checkpoint((0, 0, source.encode(), (name := f"{id}-{tried}").encode())))


def _placed(draw: Draw, said: Fact, number: int, told: Sequence[Fact], step: int, slots: int, name: Name) -> Fact:
    """A fact with a time and an id; now and then with the identity of another one."""
    at = on(1) + draw(st.integers(0, slots)) * step
    source, id = said.source, said.id
    if said.id != "recycled" and said.source != "lifecycle":  # a tick and what it wakes are found by their names
        source = draw(st.sampled_from(["crm", "erp"]))
        id = name(source, f"{draw(st.sampled_from('abc'))}{number}")
        if told and draw(st.integers(0, 15)) == 15:
            other = draw(st.sampled_from(told))
            source, id = other.source, other.id
    return Fact(said.customer_id, source, id, said.type, at, at, said.data)


@st.composite
def _versions(draw: Draw, step: int, slots: int, least: int) -> list[Table]:
    some = st.lists(st.sampled_from(sorted(TABLES)), min_size=least, max_size=max(3, least))
    names = draw(some if least > 1 else st.just(["default"]) | some)
    begins = sorted(draw(st.lists(st.integers(-1, slots), min_size=len(names), max_size=len(names))))
    return [TABLES[name]._replace(since=on(1) + begin * step) for name, begin in zip(names, begins, strict=True)]
