"""Any order of crashes, rebalances, outages and failed sends: every input once, everything published in order, nothing else.

Two workers on one database and one memory bus, driven step by step. What hypothesis finds is printed as the list of steps.
"""

import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from events.bus.ledger import Fenced, Ledger
from events.bus.loop import Loop
from events.bus.memory import MemoryBus, drain
from events.record import Message
from tests.events.bus.stage import Crash
from tests.events.bus.toy import LETTERS, OUT, TOPICS, Toy, by_key, first_occurrences

POINTS = ["begin", "written", "committed", "acknowledged", "settle"]
WORKERS = st.sampled_from([0, 1])
ROUND = st.tuples(st.just("rounds"), st.integers(1, 3))
STEPS = st.one_of(
    ROUND,
    ROUND,
    ROUND,
    st.tuples(st.just("write"), st.integers(1, 30)),
    st.tuples(st.just("turn"), WORKERS, st.integers(1, 4)),
    st.tuples(st.just("crash"), WORKERS, st.sampled_from(POINTS)),
    st.tuples(st.just("locked"), WORKERS, st.sampled_from(["begin", "written", "settle"])),
    st.tuples(st.just("expire"), WORKERS),
    st.tuples(st.just("close"), WORKERS),
    st.tuples(st.just("replace"), WORKERS),
    st.tuples(st.just("away"), st.booleans()),
    st.tuples(st.just("slow"), st.booleans()),
    st.tuples(st.just("fault"), st.sampled_from(["refused", "unanswered"]), st.integers(0, 40)),
)


class Simulation:
    """Two places for workers. A static member keeps its name over crashes; a replaced one goes on as a zombie."""

    def __init__(self, folder: Path, seed: int | None, *, static: bool, ledger: type[Ledger] = Ledger) -> None:
        self.bus = MemoryBus(TOPICS, seed=seed)
        self._folder = folder
        self._static = static
        self._ledger = ledger
        self._written = 0
        self._all: list[Toy] = []
        self._zombies: list[tuple[Loop, Toy]] = []
        self._workers = [self._start(0), self._start(1)]

    def _start(self, number: int) -> tuple[Loop, Toy]:
        worker = Toy(self.bus, self._folder / "toy.sqlite", ledger=self._ledger)
        self._all.append(worker)
        instance = f"worker-{number}" if self._static else None
        return Loop(self.bus, worker, group="toy", topics=["in", "more"], instance=instance, records_max=10), worker

    def step(self, name: str, *arguments: Any) -> None:
        getattr(self, name)(*arguments)

    def write(self, count: int) -> None:
        for n in range(self._written, self._written + count):
            kind = "bug" if n % 41 == 40 else "poison" if n % 37 == 36 else "fine"
            self.bus.append(Message("more" if n % 3 == 0 else "in", f"customer-{n % 6}".encode(), f"{kind}-{n}".encode()))
        self._written += count

    def turn(self, number: int, times: int) -> None:
        for _ in range(times):
            try:
                self._workers[number][0].turn()
            except Crash:
                event("crash")
                self._workers[number] = self._start(number)
            except Fenced:
                event("fenced")
                self._workers[number][0].close()
                self._workers[number] = self._start(number)
            for loop, _ in list(self._zombies):
                try:
                    loop.turn()
                except (Fenced, Crash):
                    event("zombie ended")
                    self._zombies = [pair for pair in self._zombies if pair[0] is not loop]

    def rounds(self, times: int) -> None:
        for _ in range(times):
            self.turn(0, 1)
            self.turn(1, 1)

    def crash(self, number: int, point: str) -> None:
        self._fail_at(number, point, Crash())

    def locked(self, number: int, point: str) -> None:
        self._fail_at(number, point, sqlite3.OperationalError("database is locked"))

    def _fail_at(self, number: int, point: str, failure: BaseException) -> None:
        worker = self._workers[number][1]

        def at(passed: str) -> None:
            if passed == point:
                worker.at = lambda _: None
                raise failure

        worker.at = at

    def expire(self, number: int) -> None:
        members = self.bus.members("toy")
        if number < len(members):
            self.bus.expire("toy", members[number])

    def close(self, number: int) -> None:
        self._workers[number][0].close()
        self._workers[number] = self._start(number)

    def replace(self, number: int) -> None:
        self._zombies.append(self._workers[number])
        self._workers[number] = self._start(number)

    def away(self, value: bool) -> None:
        self.bus.away = value

    def slow(self, value: bool) -> None:
        self.bus.slow = value

    def fault(self, kind: str, after: int) -> None:
        left = [after]

        def once(_: Message) -> Any:
            left[0] -= 1
            return kind if left[0] == -1 else None

        self.bus.fault = once

    def heal(self) -> None:
        """Everything works again; sessions of the dead expire, zombies are gone; two fresh workers finish."""
        self.bus.away = self.bus.slow = False
        self.bus.fault = None
        for member in self.bus.members("toy"):
            self.bus.expire("toy", member)
        self._zombies.clear()
        self._workers = [self._start(0), self._start(1)]
        drain([loop for loop, _ in self._workers], turns_max=500)

    def check(self) -> None:
        worker = self._workers[0][1]
        given = [(r.key, r.value) for topic in ("in", "more") for r in self.bus.records(topic)]
        facts = worker.facts()
        assert sorted(facts) == sorted(pair for pair in given if pair[1].startswith(b"fine"))
        assert sorted(worker.letters()) == sorted(
            (value, "Bug", 3) if value.startswith(b"bug") else (value, "Undecodable", 1)
            for _, value in given
            if not value.startswith(b"fine")
        )
        for topic in ("in", "more"):
            taken = by_key(
                [pair for pair in facts if int(pair[1].split(b"-")[1]) % 3 == (0 if topic == "more" else 1) or topic == "in"]
            )
            for key, values in by_key([(r.key, r.value) for r in self.bus.records(topic) if r.value.startswith(b"fine")]).items():
                own = set(values)
                assert [value for value in taken.get(key, []) if value in own] == values
        assert first_occurrences(self.bus.records(OUT)) == by_key(worker.entries())
        assert sorted({r.value for r in self.bus.records(LETTERS)}) == sorted(value for value, _, _ in worker.letters())

    def end(self) -> None:
        for worker in self._all:
            worker.database.close()


def run(steps: list[tuple[Any, ...]], seed: int | None, *, static: bool, ledger: type[Ledger] = Ledger) -> None:
    with tempfile.TemporaryDirectory() as folder:
        simulation = Simulation(Path(folder), seed, static=static, ledger=ledger)
        try:
            for step in steps:
                simulation.step(*step)
            simulation.heal()
            simulation.check()
        finally:
            simulation.end()


OVERLAP: list[tuple[Any, ...]] = [
    ("write", 30),
    ("rounds", 2),
    ("replace", 0),
    ("write", 5),
    ("rounds", 4),
]
"""A static member is replaced and goes on: its batches overlap with its heir's."""


@settings(max_examples=120)
@given(st.lists(STEPS, min_size=20, max_size=80), st.none() | st.integers(0, 5), st.booleans())
@example(OVERLAP, None, True)
def test_nothing_is_lost_doubled_or_reordered(steps: list[tuple[Any, ...]], seed: int | None, static: bool) -> None:
    run(steps, seed, static=static)


def test_without_the_fence_the_same_steps_double_records() -> None:
    """The control arm: the simulation does find what the fence prevents."""

    class Unfenced(Ledger):
        def _move(self, cursor, moves):  # type: ignore[no-untyped-def]
            for place, following in moves.items():
                cursor.execute("UPDATE position SET next = ? WHERE topic = ? AND part = ?", (following, *place))

    with pytest.raises(AssertionError):
        run(OVERLAP, None, static=True, ledger=Unfenced)
