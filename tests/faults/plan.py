"""Which faults a campaign has, and when each comes: all from one seed.

Out comes a list of faults. About a third of the kills come while the one before has not been got over: the process is starting
(``STARTING``), or was killed a moment ago (``CLOSE``); the others while everything works (``WORKING``).
"""

from collections.abc import Iterator
from enum import StrEnum
from random import Random
from typing import Final, NamedTuple

SERVICES: Final = ("lifecycle", "routing", "forecast")
KAFKA: Final = "kafka"
TARGETS: Final = (*SERVICES, KAFKA)


class Kind(StrEnum):
    """What is done."""

    KILL = "kill -9"
    FREEZE = "freeze"
    """SIGSTOP until the session is over, then SIGCONT: nobody else took over."""
    REPLACE = "replace"
    """SIGSTOP, another worker takes over under the same name and goes on; then SIGCONT."""
    RESTART = "restart"
    """The whole stack, by SIGTERM, and one service is killed while it starts."""
    CRASH = "crash"
    """kill -9 of the whole stack at once, and one service is killed while it starts."""


class When(StrEnum):
    """In which state of the stack."""

    WORKING = "while all work"
    STARTING = "while it starts"
    CLOSE = "a moment later"


class Fault(NamedTuple):
    """``seconds``: how long after the moment that ``when`` means."""

    kind: Kind
    target: str
    when: When = When.WORKING
    seconds: float = 0.0


def plan(seed: int, kills: int) -> list[Fault]:
    """The faults of a campaign with so many kills; in ten kills a freeze, a replacement, a restart or crash of all."""
    chance = Random(f"plan {seed}")
    faults: list[Fault] = []
    others = _others(chance)
    victims = _victims(chance)
    for number in range(kills):
        faults.append(_kill(chance, next(victims), faults[-1] if faults else None))
        if number % 10 in (2, 5, 8):
            faults.append(next(others))
    return faults


def _victims(chance: Random) -> Iterator[str]:
    """Everybody in turn, in an order that changes: nobody so often within a minute that the stack gives it up."""
    while True:
        yield from chance.sample(TARGETS, len(TARGETS))


def _kill(chance: Random, victim: str, before: Fault | None) -> Fault:
    draw = chance.random()
    if before is None or before.kind is not Kind.KILL or draw < 0.6:
        return Fault(Kind.KILL, victim, When.WORKING, chance.uniform(0.0, 0.4))
    if draw < 0.85:
        return Fault(Kind.KILL, before.target, When.STARTING, chance.uniform(0.0, 1.5))
    return Fault(Kind.KILL, victim, When.CLOSE, chance.uniform(0.0, 0.3))


def _others(chance: Random) -> Iterator[Fault]:
    while True:
        replaced = chance.sample(SERVICES, len(SERVICES))
        frozen = chance.sample(SERVICES, len(SERVICES))
        for one, other in zip(replaced, frozen, strict=True):
            yield Fault(Kind.REPLACE, one, seconds=chance.uniform(0.0, 0.3))
            yield Fault(Kind.FREEZE, other, seconds=chance.uniform(0.0, 0.3))
            yield Fault(chance.choice([Kind.RESTART, Kind.CRASH]), chance.choice(SERVICES), seconds=chance.uniform(0.0, 1.5))
