"""A story: ``given(facts…).then(claims…)`` for what a record comes to, ``given(facts…).when(fact).then(claims…)`` for what one
more fact changes. Claims are in :mod:`tests.lifecycle.domain.claims`.
"""

import random
from collections.abc import Callable, Sequence
from datetime import tzinfo
from zoneinfo import ZoneInfo

from events.codec import Fact
from services.lifecycle.domain.events import AnyEvent
from services.lifecycle.domain.known import Known
from services.lifecycle.domain.record import Record, accept
from services.lifecycle.domain.state import Policy, State
from services.lifecycle.domain.table import DEFAULT, StatusTable, Tables
from tests.lifecycle.domain.speech import CUSTOMER

Arrival = Callable[[Sequence[Fact]], Sequence[Fact]]
"""The order in which facts arrive."""

UTC = ZoneInfo("UTC")


def as_told(facts: Sequence[Fact]) -> Sequence[Fact]:
    """In the order of the story."""
    return facts


def backwards(facts: Sequence[Fact]) -> Sequence[Fact]:
    """The last one first."""
    return facts[::-1]


def twice(facts: Sequence[Fact]) -> Sequence[Fact]:
    """Each one twice, the repetitions backwards."""
    return [*facts, *facts[::-1]]


def shuffled(seed: random.Random) -> Arrival:
    """In any order."""
    return lambda facts: seed.sample(facts, len(facts))


class Story:
    """A record, the events of the last fact, and the facts that were refused because another had their identity."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.record = Record(CUSTOMER)
        self.events: Sequence[AnyEvent] = ()
        self.refused: list[Known] = []

    @property
    def state(self) -> State:
        """The state after all facts."""
        assert self.record.fold.state is not None, "nothing was told"
        return self.record.fold.state

    def hear(self, facts: Sequence[Fact]) -> "Story":
        """Facts arrive."""
        for number, fact in enumerate(facts):
            accepted = accept(self.record, fact, ("topic", 0, number), self.policy)
            self.record, self.events = accepted.record, accepted.events
            self.refused += accepted.refused
        return self

    def when(self, fact: Fact) -> "Story":
        """One more fact arrives, after all others."""
        return self.hear([fact])

    def then(self, *claims: "Claim") -> None:
        """What is so now."""
        assert claims
        for claim in claims:
            claim(self)


Claim = Callable[[Story], None]


class Telling:
    """How stories begin: with facts that arrive in some order."""

    def __init__(self, arrival: Arrival) -> None:
        self.arrival = arrival

    def __call__(self, *facts: Fact, tables: Sequence[StatusTable] = (DEFAULT,), zone: tzinfo = UTC) -> Story:
        return Story(Policy(Tables(tuple(tables)), zone)).hear(self.arrival(facts))
