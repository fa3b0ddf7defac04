"""The customer records, and what a consumer holds who hears everything: both are the plain fold of the facts (I4, I5)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from events.bus.partitioner import murmur2
from events.codec import Fact
from events.facts import Contact, LeadFields, LeadRecycled, LifecycleTick
from events.published import (
    CommandRefused,
    DealChange,
    DealImage,
    DealsChanged,
    HandoffProgressed,
    Profile,
    Published,
    RecordChanged,
    Status,
    StatusChanged,
)
from events.topics import LIFECYCLE, MOVED
from events.values import Money, parse_instant
from tests.faults.evidence import Evidence, content_of, original_of, place_of
from tests.faults.inputs import facts_of, first_occurrences
from tests.lifecycle.reference_fold import Held, Reference
from tests.lifecycle.reference_handoffs import handoffs_of

History = list[tuple[int, Any]]
SAID: Final = Profile.__struct_fields__
"""What leads say and consumers are told."""


def check_records(evidence: Evidence, expected: Mapping[str, Reference], now: int) -> Iterator[str]:
    """``GET /v1/customers``: status and its history, owner, deals, and the number of facts. ``now``: ticks up to then are due."""
    for customer in sorted(expected.keys() ^ evidence.records.keys()):
        yield f"records: {customer} has {'no record' if customer in expected else 'a record, and no fact'}"
    for customer in sorted(expected.keys() & evidence.records.keys()):
        seen, reference = evidence.records[customer], expected[customer]
        for name, value in _record(reference).items():
            if seen[name] != value:
                yield f"records: {customer}.{name} is {seen[name]!r}, by its facts {value!r}"
        shown = [(parse_instant(h["effective_at"]), _status(h["stage"], h["status"], h), h["cause"]["id"]) for h in seen["history"]]
        yield from _same(f"records: {customer}.history", shown, reference.statuses)
        images = reference.images()
        deals = {d["deal_id"]: (parse_instant(d["since"]), _plain(_image(d))) for d in seen["deals"]}
        yield from _same(f"records: {customer}.deals", deals, {n: (h[0][0], _settled(h[-1][1])) for n, h in images.items()})
        wake = reference.records[-1].lead.wake_at
        if wake is not None and wake <= now:
            yield f"records: {customer} was to be woken at {wake}, and no tick came"


def check_consumer(evidence: Evidence, expected: Mapping[str, Reference]) -> Iterator[str]:
    """``crm.lifecycle.v1``: repeats are the same bytes, first occurrences follow the notification log, their fold is the record."""
    heard: defaultdict[str, Consumer] = defaultdict(Consumer)
    firsts: defaultdict[bytes | None, list[tuple[Any, ...]]] = defaultdict(list)
    for found in first_occurrences(evidence.logs[LIFECYCLE.name], LIFECYCLE.name):
        if isinstance(found, str):
            yield found
        else:
            firsts[found.key].append(content_of(found))
    noted: defaultdict[bytes | None, list[tuple[Any, ...]]] = defaultdict(list)
    for message in evidence.notifications:
        if message.topic == LIFECYCLE.name:
            noted[message.key].append(content_of(message))
    for key in sorted(firsts.keys() | noted.keys(), key=repr):
        known = set(noted[key])
        if [each for each in firsts[key] if each in known or each not in evidence.lost.notifications] != noted[key]:
            yield f"published: the messages about {key!r} are not those of the notification log, in their order"
    for _, fact in evidence.facts(LIFECYCLE.name):
        heard[fact.customer_id].hear(fact)
    for customer, reference in sorted(expected.items()):
        yield from heard[customer].against(customer, reference)
    for record in evidence.logs[LIFECYCLE.name]:
        if record.key is not None and murmur2(record.key, evidence.partitions) != record.partition:
            yield f"published: {record.key!r} lies in partition {record.partition}, which is not its home"


def check_withheld(evidence: Evidence) -> Iterator[str]:
    """What is never published lies nowhere, and is of customers of whom a database that is gone has published something else."""
    lying = {content_of(record) for record in evidence.logs[LIFECYCLE.name]}
    others = lying.difference(map(content_of, evidence.notifications)) & evidence.lost.notifications
    overtaken = {key for _, key, _, _ in others}
    for message in evidence.withheld:
        name = dict(message.headers)["ce_id"].decode()
        if content_of(message) in lying:
            yield f"published: {name} is on {LIFECYCLE.name}, and was to be withheld"
        if message.key not in overtaken:
            yield f"published: {name} is withheld, and nothing else was published about {message.key!r}"


def check_moved(evidence: Evidence) -> Iterator[str]:
    """``lifecycle.moved.v1``: what strayed and the ticks, all that the notification log has and nothing else.

    A customer's come from several shards, each with an order of its own: so what is asked is only that they are there.
    """
    moved = {original_of(record) for record in evidence.logs[MOVED.name]}  # what was replayed counts as what it was
    noted = {content_of(message) for message in evidence.notifications if message.topic == MOVED.name}
    for content in sorted((noted - moved) | (moved - noted).difference(evidence.lost.notifications), key=repr):
        place = "not on" if content in noted else "on"
        yield f"published: {content[1]!r} {content[2]!r} is {place} {MOVED.name}, against the notification log"


def check_ticks(evidence: Evidence) -> Iterator[str]:
    """Each tick is of a recycling that was sent, and dated when that ends (FOLD.md 20): both folds take its date as it is."""
    ends: defaultdict[tuple[str, str, str], set[int]] = defaultdict(set)
    for customer, facts in facts_of(evidence).items():
        for fact in facts:
            if isinstance(fact.data, LeadRecycled) and fact.data.until is not None:
                ends[customer, fact.source, fact.id].add(max(begin_of(fact.data.until), fact.occurred_at))
    for record, fact in evidence.facts(MOVED.name):
        if isinstance(fact.data, LifecycleTick):
            recycled = fact.data.recycled
            wanted = ends[fact.customer_id, recycled.source, recycled.id]
            if fact.occurred_at not in wanted:
                ends_at = sorted(wanted)
                yield f"ticks: {place_of(record)} wakes {fact.customer_id} at {fact.occurred_at}, its recycling ends at {ends_at}"


def begin_of(until: str) -> int:
    """When a recycling ends: a date begins at 00:00 UTC, which is the business time of all that is checked here."""
    return parse_instant(until if "T" in until else f"{until}T00:00:00Z")


class Consumer:
    """What one holds of a customer who hears every message and knows nothing else; a version that was heard is a repeat."""

    def __init__(self) -> None:
        self._version = 0
        self._statuses: list[Held] = []
        self._deals: dict[str, History] = {}
        self._owner: tuple[str | None, str | None] = (None, None)
        self._status: Status | None = None
        self._profile = Profile()
        self._contact: Contact | None = None
        self._wrong: list[str] = []
        self._refused: set[tuple[str, str]] = set()
        self._progress: dict[tuple[str, str], int] = {}

    def hear(self, fact: Fact) -> None:
        """One more message."""
        data = fact.data
        assert isinstance(data, Published)
        if data.version <= self._version:
            return
        self._version = data.version
        match data:
            case StatusChanged():
                since = parse_instant(data.since)
                told = [(parse_instant(s.effective_at), (s.stage, s.name, s.probability), s.cause.id) for s in data.states]
                self._statuses = [held for held in self._statuses if held[0] < since] + told
                self._hear_whole(data, data.current, data.previous)
            case RecordChanged():
                self._hear_whole(data, data.status, self._status)
            case DealsChanged():
                assert data.parts == 1, "the load has no deals that are so long"
                for change in data.deals:
                    self._revise(change)
            case CommandRefused(command=command, effective=effective):
                (self._refused.discard if effective else self._refused.add)((command.source, command.id))
            case HandoffProgressed(withdrawn=True):
                self._progress.pop((data.assignment_id, data.progress), None)
            case HandoffProgressed():
                self._progress[data.assignment_id, data.progress] = parse_instant(data.at)

    def _hear_whole(self, data: StatusChanged | RecordChanged, status: Status, previous: Status | None) -> None:
        """What a message says of the record as it is: routing goes by it alone."""
        first, last = (data.part == 1, data.part == data.parts) if isinstance(data, StatusChanged) else (True, True)
        if first and previous != self._status:
            self._wrong.append(f"{data.version} says that the status was {previous}, those before said {self._status}")
        if last and self._statuses[-1:] and self._statuses[-1][1] != astuple(status):
            self._wrong.append(f"{data.version} says that the status is {status}, by the history it is {self._statuses[-1][1]}")
        self._status, self._owner = status, (data.owner, data.assignment_id)
        self._profile, self._contact = data.profile, data.contact

    def _revise(self, change: DealChange) -> None:
        before = self._deals.pop(change.deal_id, [])
        if change.since is not None:
            since = parse_instant(change.since)
            told = [(parse_instant(state.effective_at), _plain(state.image)) for state in change.states]
            self._deals[change.deal_id] = [held for held in before if held[0] < since] + told

    def against(self, customer: str, reference: Reference) -> Iterator[str]:
        """How it differs from the fold of the facts."""
        images = {deal: [(at, _settled(image)) for at, image, _ in held] for deal, held in reference.images().items()}
        refused = {name for name, effective in reference.verdicts.items() if not effective}
        yield from _same(f"published: statuses of {customer}", self._statuses, reference.statuses)
        yield from _same(f"published: deals of {customer}", self._deals, images)
        yield from _same(f"published: owner of {customer}", self._owner, reference.record_owner(len(reference.facts)))
        yield from (f"published: of {customer} message {wrong}" for wrong in self._wrong)
        yield from _same(f"published: status of {customer}", self._status and astuple(self._status), reference.statuses[-1][1])
        profile = {name: getattr(self._profile, name) for name in SAID}
        yield from _same(f"published: profile of {customer}", profile, {name: reference.said(name) for name in SAID})
        if self._contact is not None and not _said_by_leads(self._contact, reference):
            yield f"published: contact of {customer} is {self._contact}, which no lead has said"
        yield from _same(f"published: refused commands of {customer}", self._refused, refused)
        yield from _same(f"published: hand-offs of {customer}", self._progress, progress_of(reference))


def progress_of(reference: Reference) -> dict[tuple[str, str], int]:
    """The first acceptance, rejection and touch after each assignment, by the assigned rep or an unnamed person."""
    steps = ("accepted", "rejected", "touched")
    found = {(assignment, step): getattr(handoff, step) for assignment, handoff in handoffs_of(reference).items() for step in steps}
    return {name: at for name, at in found.items() if at is not None}


def _said_by_leads(contact: Contact, reference: Reference) -> bool:
    """Whether a contact is made of what leads have said; which of it holds is not asked: that it changes is not published."""
    told = [fact.data.contact for fact in reference.facts if isinstance(fact.data, LeadFields) and fact.data.contact is not None]
    parts = zip(astuple(contact), zip(*map(astuple, told), strict=True), strict=True) if told else []
    return bool(told) and all(part is None or part in said for part, said in parts)


# --------------------------------------------------------------------------------- the same words for both


def _record(reference: Reference) -> dict[str, Any]:
    owner, assignment = reference.record_owner(len(reference.facts))
    stage, name, probability = reference.statuses[-1][1]
    return {
        "stage": stage,
        "status": name,
        "probability": probability,
        "owner": owner,
        "assignment_id": assignment,
        "facts": len(reference.facts),
    }


def _status(stage: str, name: str, shown: Mapping[str, Any]) -> tuple[str, str, int]:
    return stage, name, shown["probability"]


def _image(body: Mapping[str, Any]) -> DealImage:
    """A deal of a record's body."""
    return msgspec.convert({name: value for name, value in body.items() if name not in ("deal_id", "since")}, DealImage)


def _plain(image: DealImage) -> dict[str, Any]:
    """A published image in the words of the reference."""
    amounts = image.amounts
    figures = (amounts.amount, amounts.worst, amounts.likely, amounts.upside, amounts.low, amounts.high)
    return {
        "state": image.state,
        "status": image.status,
        "probability": image.probability,
        "closed_at": None if image.closed_at is None else parse_instant(image.closed_at),
        "reason": image.reason,
        "competitor": image.competitor,
        "close_date": image.close_date,
        "figures": tuple(None if figure is None else figure.minor for figure in figures),
        "category": image.category,
        "currency": image.currency,
        "currency_conflicts": image.currency_conflicts,
        "owner": image.owner,
        "splits": image.splits,
        "product": image.product,
        "origin": (image.source, image.source_kind, image.campaign, image.country, image.region),
        "documents": [(d.kind, d.id, d.state, _money(d.amount), d.included, d.replaced_by) for d in image.documents],
    }


def _settled(image: Mapping[str, Any]) -> dict[str, Any]:
    """An image of the reference, with money that compares by its value."""
    return {**image, "documents": [(*d[:3], _money(d[3]), *d[4:]) for d in image["documents"]]}


def _money(money: Money | None) -> tuple[int, str] | None:
    return None if money is None else (money.minor, money.currency)


def _same(what: str, seen: Any, wanted: Any) -> Iterator[str]:
    if seen != wanted:
        yield f"{what}: {_difference(seen, wanted)}"


def _difference(seen: Any, wanted: Any) -> str:
    """The first place where two values differ, so that a finding fits on a line."""
    if isinstance(seen, dict) and isinstance(wanted, dict):
        for name in [*wanted, *(seen.keys() - wanted.keys())]:
            if name not in seen or name not in wanted:
                return f"{name} is {'missing' if name not in seen else 'too much'}"
            if seen[name] != wanted[name]:
                return f"{name}: {_difference(seen[name], wanted[name])}"
    if isinstance(seen, Sequence) and isinstance(wanted, Sequence) and not isinstance(seen, str):
        if len(seen) != len(wanted):
            return f"{len(seen)} entries, by its facts {len(wanted)}"
        for place, (one, other) in enumerate(zip(seen, wanted, strict=True)):
            if one != other:
                return f"[{place}] {_difference(one, other)}"
    return f"{seen!r}, by its facts {wanted!r}"
