"""Watches what the services make of it: assignments, which the reps answer, and dead letters.

In come records of ``crm.assignment.v1`` and of the dead-letter topics; out goes the last of each, as people want to see them.
"""

import re
import uuid
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from heapq import heappop, heappush
from threading import Event, Lock
from typing import Any, Final, NamedTuple

from msgspec import Struct

from events.assignments import LeadAssigned
from events.bus import Bus, BusError
from events.codec import Fact, decode
from events.record import Record, TopicPartition
from events.topics import ASSIGNMENT, dead_letters
from handoff.settings import SERVICES

POLL_SECONDS: Final = 0.25
RECORDS_MAX: Final = 500
MONEY: Final = re.compile(r"(\d+)\.\d+ ([A-Z]{3})")
"""How a trace writes an amount."""
KEPT: Final = 100
"""So many assignments are kept; hardly a screen shows more."""
TELLING_KEPT: Final = 20
"""So many of those whose traces tell most are kept besides: of some the decision will not be the newest when the year is over."""


class Assignment(Struct, frozen=True):
    """Who was given a record when (nanoseconds), and in short why."""

    at: int
    customer_id: str
    rep_id: str
    reason: str


class Telling(NamedTuple):
    """An assignment whose trace tells something: ``score`` says how much. ``excluded``: who was left out, and why."""

    score: int
    customer_id: str
    assignment_id: str
    rep_id: str
    excluded: tuple[tuple[str, str], ...]


class Letter(Struct, frozen=True):
    """Why a service could not take a record in."""

    service: str
    reason: str


class Seen(Struct, frozen=True):
    """``assigned`` counts all, ``buried`` by service; the newest of them are listed, newest last."""

    assigned: int = 0
    assignments: tuple[Assignment, ...] = ()
    buried: Mapping[str, int] = {}
    letters: tuple[Letter, ...] = ()
    telling: tuple[Telling, ...] = ()
    """The assignments that tell most, these first."""


class Watcher:
    """``answer`` is told of every assignment, once. ``run`` has a thread of its own."""

    def __init__(self, bus: Bus, answer: Callable[[LeadAssigned, int], None]) -> None:
        self._bus = bus
        self._answer = answer
        self._lock = Lock()
        self._services = {dead_letters(service).name: service for service in SERVICES}
        self._known: set[str] = set()
        self._assignments: deque[Assignment] = deque(maxlen=KEPT)
        self._letters: deque[Letter] = deque(maxlen=KEPT)
        self._buried: Counter[str] = Counter()
        self._telling: list[Telling] = []

    def seen(self) -> Seen:
        """What was seen so far. From any thread."""
        with self._lock:
            telling = tuple(sorted(self._telling, reverse=True))
            return Seen(len(self._known), tuple(self._assignments), dict(self._buried), tuple(self._letters), telling)

    def run(self, stop: Event) -> None:
        """Watch until it is told to stop."""
        consumer = self._bus.consumer(
            f"handoff-demo-{uuid.uuid4()}", [ASSIGNMENT.name, *self._services], self._begin, lambda places: None
        )
        try:
            while not stop.is_set():
                try:
                    self.take_in(consumer.poll(POLL_SECONDS, RECORDS_MAX))
                except BusError:
                    stop.wait(POLL_SECONDS)  # Kafka is away; who keeps the stack sees to it
        finally:
            consumer.close()

    def take_in(self, records: Sequence[Record]) -> None:
        """Look at records. The relay may repeat some; an assignment is one by its id."""
        for record in records:
            if record.topic != ASSIGNMENT.name:
                self._bury(record)
                continue
            fact = decode(record)
            if isinstance(fact, Fact) and isinstance(fact.data, LeadAssigned) and fact.data.assignment_id not in self._known:
                self._assigned(fact.data, fact.occurred_at)

    def _begin(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return self._bus.begin_offsets(places)

    def _assigned(self, assigned: LeadAssigned, at: int) -> None:
        with self._lock:
            self._known.add(assigned.assignment_id)
            self._assignments.append(Assignment(at, assigned.customer_id, assigned.rep_id, reason_of(assigned)))
            heappush(self._telling, telling(assigned))
            if len(self._telling) > TELLING_KEPT:
                heappop(self._telling)
        self._answer(assigned, at)

    def _bury(self, record: Record) -> None:
        said = {name: value.decode(errors="replace") for name, value in record.headers}
        path = f"{said['dl_path']}: " if said.get("dl_path") else ""
        service = self._services[record.topic]
        with self._lock:
            self._buried[service] += 1
            self._letters.append(Letter(service, f"{path}{said.get('dl_reason', 'no reason given')}"))


def reason_of(assigned: LeadAssigned) -> str:
    """Why this rep, in a few words: the territory, what the record has that it asks for, and how the rep was picked."""
    trace = assigned.trace or {}
    taken = next((tried for tried in trace.get("territories", ()) if tried["holds"]), None)
    facts = list(dict.fromkeys(_facts(taken.get("condition")))) if taken else []
    because = f" ({', '.join(facts)})" if facts else ""
    how = (assigned.strategy or "").replace("_", " ")
    where = assigned.territory if taken else "no territory"
    return f"{where}{because}: {how}" + (f" in {assigned.pool}" if assigned.pool else "")


def telling(assigned: LeadAssigned) -> Telling:
    """How much the trace tells: who was left out counts for more than how many territories were tried."""
    trace = assigned.trace or {}
    members = trace.get("members", ())
    excluded = tuple((member["rep_id"], member["excluded"]) for member in members if member.get("excluded"))
    score = 100 * min(len(excluded), 1) + 10 * len(trace.get("territories", ())) + len(members)
    return Telling(score, assigned.customer_id, assigned.assignment_id, assigned.rep_id, excluded)


def _facts(condition: Mapping[str, Any] | None) -> list[str]:
    """What made a condition hold: the values, and where they do not say it themselves, of which fields."""
    if not condition or not condition["holds"]:
        return []
    if parts := condition.get("of"):
        return [fact for part in parts for fact in _facts(part)]
    value = condition.get("value")
    if value is None:
        return []
    field = condition["field"].replace("_", " ")
    match value:
        case bool() | list():
            return [f"{field} {value}"]
        case int():
            return [f"{value:,} {field}"]
        case _ if money := MONEY.fullmatch(value):
            return [f"{field} {int(money[1]):,} {money[2]}"]
        case _:
            return [str(value)]
