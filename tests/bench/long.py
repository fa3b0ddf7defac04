"""Long records: what one more fact costs on a record of ten thousand facts. Pure decisions, without a store.

The record is one customer of the load, with a fact every hour; the facts that come are those of another one, about documents
that the record does not have yet. Each comes to the record as it was, so that the order in which they are measured does not matter.
"""

import random
import time
from collections.abc import Iterator, Sequence
from functools import cache
from statistics import mean
from typing import Final
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from events.codec import Fact, decode
from services.lifecycle.domain.events import FactAccepted
from services.lifecycle.domain.record import Record, accept, restore
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import DEFAULT, Tables
from tests.bench.result import Comparison, Goal, Lap, Measure
from tests.bench.timing import settled_heap
from tests.bench.workload import HOUR, as_records, one_customer

POLICY: Final = Policy(Tables((DEFAULT,)), ZoneInfo("UTC"))
FACTS: Final = 10_000
SHORT: Final = 10
NEWER: Final = 400
LATE: Final = 24
DOCUMENTS: Final = ("opportunity_id", "quote_id", "order_id")
SPREAD: Final = 7
"""Nanoseconds after the hour, so that a late fact comes between two others."""


def long_rows(rounds: int, *, facts: int = FACTS, newer: int = NEWER, late: int = LATE) -> Iterator[Comparison | Measure]:
    """A newer fact against the same one on a short record; late facts near the end, in the middle and before all others."""
    history = _history(facts)
    long, short = _record(history), _record(history[:SHORT])
    with settled_heap():
        laps = [_newer_lap(long, short, newer, turn) for turn in range(rounds)]
        yield Comparison(
            name="newer",
            subject=f"lifecycle's decision on a newer fact, record of {facts:,} facts, cpu time",
            floor=f"the same fact on a record of {SHORT}",
            unit="µs/fact",
            laps=tuple(laps),
            goal=Goal(1.5, at_most=True),
        )
        goal, worst = Goal(50, at_most=True), [0.0] * rounds
        for overtaken in (24, 720, facts // 2, facts):
            spent = [_late_ms(long, overtaken, late, turn) for turn in range(rounds)]
            worst = [max(before, *now) for before, now in zip(worst, spent, strict=True)]
            subject = f"a fact that {overtaken:,} of {facts:,} of its record have overtaken, mean over types, cpu time"
            yield Measure(name="late", subject=subject, unit="ms", figures=tuple(mean(each) for each in spent), goal=goal)
        yield Measure(name="late (worst)", subject="the slowest of all these facts", unit="ms", figures=tuple(worst), goal=goal)


@cache
def _history(count: int, seed: int = 1) -> list[Fact]:
    facts = [decode(record) for record in as_records(one_customer(count, seed=seed))]
    return [fact for fact in facts if isinstance(fact, Fact)]


def _record(history: Sequence[Fact]) -> Record:
    """The record of some facts, as it stands after all of them came one by one."""
    record = restore(history[0].customer_id, [FactAccepted(recorded_at=0, fact=history[0], origin=("", 0, 0))], 1, 0, POLICY)
    for number, fact in enumerate(history[1:], start=1):
        record = accept(record, fact, ("", 0, number), POLICY).record
    return record


def _coming(record: Record, count: int, turn: int, overtaken: int) -> list[Fact]:
    """Facts of all types of the load that this many others have overtaken; none where the customer would come from elsewhere."""
    last = record.fold.last
    assert last is not None
    at = last[0] - overtaken * HOUR + SPREAD
    told = random.Random(turn).sample(_history(NEWER * 3, seed=2)[2:], count)  # the first two are a lead, of which it has one
    return [_of_its_own(fact, at + number, f"{turn}-{number}") for number, fact in enumerate(told)]


def _of_its_own(fact: Fact, at: int, name: str) -> Fact:
    """A fact about documents that no record has."""
    documents = {field: f"{said}-new" for field in DOCUMENTS if (said := getattr(fact.data, field, None)) is not None}
    return replace(fact, id=f"coming-{name}", occurred_at=at, recorded_at=at, data=replace(fact.data, **documents))


def _newer_lap(long: Record, short: Record, count: int, turn: int) -> Lap:
    seconds = []
    pairs = [(_coming(record, count, turn, -1), record) for record in (long, short)]
    for facts, record in pairs:
        seconds.append(_seconds(facts, record))
    return Lap(*(each / count * 1e6 for each in seconds))


def _late_ms(record: Record, overtaken: int, count: int, turn: int) -> list[float]:
    """Milliseconds that each of some facts of all types takes."""
    return [_seconds([fact], record) * 1e3 for fact in _coming(record, count, turn, overtaken)]


def _seconds(facts: Sequence[Fact], record: Record) -> float:
    began = time.process_time()
    for fact in facts:
        accept(record, fact, ("", 0, 0), POLICY)
    return time.process_time() - began
