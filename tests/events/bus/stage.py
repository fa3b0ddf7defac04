"""Loops with a toy on the memory bus: filling it, crashing it, and what must be true afterwards."""

from collections.abc import Callable

from events.bus.loop import Loop
from events.bus.memory import MemoryBus
from events.record import Message
from tests.events.bus.toy import OUT, Toy, by_key, first_occurrences

MakeToy = Callable[..., Toy]


class Crash(BaseException):
    """The process dies here."""


def crash_at(point: str, times: int = 1) -> Callable[[str], None]:
    """Die at the so-manieth passing of a point."""
    left = [times]

    def at(passed: str) -> None:
        if passed == point:
            left[0] -= 1
            if left[0] == 0:
                raise Crash

    return at


def loop_on(bus: MemoryBus, worker: Toy, **options: object) -> Loop:
    return Loop(bus, worker, group="toy", topics=["in", "more"], pause=lambda seconds: None, **options)  # type: ignore[arg-type]


def fill(bus: MemoryBus, count: int, *, topic: str = "in", start: int = 0, keys: int = 7) -> None:
    for n in range(start, start + count):
        bus.append(Message(topic, f"customer-{n % keys}".encode(), f"{topic}-{n}".encode()))


def inputs(bus: MemoryBus) -> dict:
    return by_key([(r.key, r.value) for topic in ("in", "more") for r in bus.records(topic)])


def turn(loop: Loop, times: int) -> None:
    for _ in range(times):
        loop.turn()


def assert_exact(bus: MemoryBus, worker: Toy) -> None:
    """Every input is reflected once, in order per key and topic, and all of it is published in that order."""
    facts = by_key(worker.facts())
    everything = inputs(bus)
    assert {key: sorted(values) for key, values in facts.items()} == {key: sorted(values) for key, values in everything.items()}
    for key, values in everything.items():
        for topic in (b"in-", b"more-"):
            assert [v for v in facts[key] if v.startswith(topic)] == [v for v in values if v.startswith(topic)]
    assert first_occurrences(bus.records(OUT)) == by_key(worker.entries())
