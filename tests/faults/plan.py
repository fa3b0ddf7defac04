"""Which faults a campaign has, and when each comes: all from one seed and a layout.

Out comes a list of faults. About a third of the kills come while the one before has not been got over: the process is starting
(``STARTING``), or was killed a moment ago (``CLOSE``); the others while everything works (``WORKING``). Of several brokers one is
down at a time: that much a cluster promises to stand.
"""

import itertools
from collections.abc import Collection, Iterator
from enum import StrEnum
from random import Random
from typing import Final, NamedTuple

SERVICES: Final = ("lifecycle", "routing", "forecast")
KAFKA: Final = "kafka"
"""The broker that ``handoff up`` starts and keeps itself."""
POSTGRES: Final = "postgres"
BROKERS: Final = ("broker-1", "broker-2", "broker-3")


class Layout(NamedTuple):
    """What a stack stands on. ``servers``: beside the services; ``disks``: whose disks can get full."""

    name: str
    servers: tuple[str, ...]
    disks: tuple[str, ...] = ()

    @property
    def put_back(self) -> tuple[str, ...]:
        """Whose database can be put back: a copy would take a file from a disk of its own."""
        return () if set(SERVICES) & set(self.disks) else SERVICES

    @property
    def spare(self) -> tuple[str, ...]:
        """Without whom for a while everything must work all the same."""
        return tuple(server for server in self.servers if server in BROKERS)

    @property
    def targets(self) -> tuple[str, ...]:
        """Whatever can be killed."""
        return (*SERVICES, *self.servers)


LAYOUTS: Final = (
    Layout("sqlite", (KAFKA,)),
    Layout("postgres", (KAFKA, POSTGRES), (POSTGRES,)),
    Layout("cluster", BROKERS, (*SERVICES, *BROKERS)),
)
"""One machine; the same with PostgreSQL; three brokers that have copies of each other, and services with a disk each."""


class Kind(StrEnum):
    """What is done."""

    KILL = "kill -9"
    FREEZE = "freeze"
    """SIGSTOP until the session is over, and long after it, then SIGCONT: nobody else took over."""
    REPLACE = "replace"
    """SIGSTOP of a service, another worker takes over under the same name and goes on; then SIGCONT."""
    RESTART = "restart"
    """A clean end and a new start."""
    RESTART_ALL = "restart all"
    """The whole stack, by SIGTERM, and one service is killed while it starts."""
    CRASH_ALL = "crash all"
    """kill -9 of everything at once, and one service is killed while it starts."""
    PUT_BACK = "put back"
    """The databases of all services become what they were, that of the target older than the others; then the target is killed
    while it starts."""
    AWAY = "away"
    """kill -9 of one of several, which is not started again for a while: the others do its work."""
    FULL_DISK = "full disk"
    """Nothing can be written to a target's disk for a while."""
    SLOW_DISKS = "slow disks"
    """Each fsync of everybody takes 0.2 to 0.5 s for a while."""


STARTS_ANEW: Final = frozenset({Kind.RESTART_ALL, Kind.CRASH_ALL, Kind.PUT_BACK})
"""Whatever makes the whole stack start again."""


class When(StrEnum):
    """In which state of the stack."""

    WORKING = "while all work"
    STARTING = "while it starts"
    CLOSE = "a moment later"


FREEZE_SECONDS: Final = (11.0, 20.0, 70.0)
"""Longer than the session of all services (10 s), than what is asked of Kafka may take, than a watchdog waits (60 s)."""


class Fault(NamedTuple):
    """``seconds``: how long after the moment that ``when`` means; ``lasts``: how many seconds a freeze takes.

    ``target``: nobody where everybody is hit.
    """

    kind: Kind
    target: str
    when: When = When.WORKING
    seconds: float = 0.0
    lasts: float = 0.0


def plan(seed: int, kills: int, layout: Layout, *, without: Collection[Kind] = ()) -> list[Fault]:
    """The faults of a campaign with so many kills; in ten kills three others, of all kinds but those that are left out."""
    chance = Random(f"plan {seed} {layout.name}")
    faults: list[Fault] = []
    others = _others(chance, layout, without)
    victims = _in_turn(chance, layout.targets)
    for number in range(kills):
        faults.append(_kill(chance, next(victims), faults[-1] if faults else None))
        if number % 10 in (1, 4, 7):
            faults.append(next(others))
    return faults


def _in_turn(chance: Random, names: Collection[str]) -> Iterator[str]:
    """Everybody in turn, in an order that changes: nobody so often within a minute that the stack gives it up."""
    while True:
        yield from chance.sample(sorted(names), len(names))


def _kill(chance: Random, victim: str, before: Fault | None) -> Fault:
    draw = chance.random()
    if before is None or before.kind is not Kind.KILL or draw < 0.6:
        return Fault(Kind.KILL, victim, When.WORKING, chance.uniform(0.0, 0.4))
    if draw < 0.85:
        return Fault(Kind.KILL, before.target, When.STARTING, chance.uniform(0.0, 1.5))
    when = When.WORKING if victim in BROKERS else When.CLOSE
    return Fault(Kind.KILL, victim, when, chance.uniform(0.0, 0.3))


def _others(chance: Random, layout: Layout, without: Collection[Kind]) -> Iterator[Fault]:
    """Kinds in turn, and of each kind the targets in turn."""
    targets = {
        Kind.FREEZE: _in_turn(chance, layout.targets),
        Kind.REPLACE: _in_turn(chance, SERVICES),
        Kind.RESTART: _in_turn(chance, layout.targets),
        Kind.RESTART_ALL: _in_turn(chance, SERVICES),
        Kind.CRASH_ALL: _in_turn(chance, SERVICES),
        Kind.PUT_BACK: _in_turn(chance, layout.put_back),
        Kind.AWAY: _in_turn(chance, layout.spare),
        Kind.FULL_DISK: _in_turn(chance, layout.disks),
        Kind.SLOW_DISKS: _in_turn(chance, ("",)),
    }
    freezes = itertools.cycle(chance.sample(FREEZE_SECONDS, len(FREEZE_SECONDS)))
    for name in _in_turn(chance, kinds_on(layout) - frozenset(without)):
        kind = Kind(name)
        seconds = chance.uniform(0.0, 1.5 if kind in STARTS_ANEW else 0.3)
        yield Fault(kind, next(targets[kind]), seconds=seconds, lasts=next(freezes) if kind is Kind.FREEZE else 0.0)


def kinds_on(layout: Layout) -> frozenset[Kind]:
    """What can be done on a layout besides to kill."""
    nobody = {Kind.AWAY: layout.spare, Kind.FULL_DISK: layout.disks, Kind.PUT_BACK: layout.put_back}
    return frozenset(kind for kind in Kind if kind is not Kind.KILL and nobody.get(kind, True))
