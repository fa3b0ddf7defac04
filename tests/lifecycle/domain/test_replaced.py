"""FOLD 2, for those who listen: a fact that takes the place of another one of its identity takes back what was told of it."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from events.codec import Fact, content
from services.lifecycle.domain.record import Record, accept_all
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import DEFAULT, Tables
from tests.lifecycle.domain.consumer import Consumer
from tests.lifecycle.domain.speech import (
    CUSTOMER,
    lead_created,
    lead_qualified,
    lead_recycled,
    lead_updated,
    reverted,
    status_set,
)
from tests.lifecycle.domain.test_properties import assert_holds

POLICY = Policy(Tables((DEFAULT,)), ZoneInfo("UTC"))


def in_place_of(other: Fact, say: Callable[..., Fact], *said: Any, day: float) -> Fact:
    """A fact that takes another's place: a few nanoseconds are sought that make its digest the smaller one."""
    tried = (say(*said, day=day, nanos=nanos, id=other.id) for nanos in count())
    return next(fact for fact in tried if _digest(fact) < _digest(other))


def _digest(fact: Fact) -> bytes:
    return sha256(content(fact)).digest()


def hear(*batches: Sequence[Fact]) -> Consumer:
    """What a consumer knows in the end; after every batch it is what the record says."""
    record, consumer = Record(CUSTOMER), Consumer()
    for batch in batches:
        accepted = accept_all(record, [(fact, ("topic", 0, 0)) for fact in batch], POLICY)
        record = accepted.record
        for event in accepted.events:
            consumer.hear(event)
        assert_holds(consumer, record.fold)
    return consumer


def test_where_others_take_the_place_of_every_later_fact_it_is_told_from_their_instants_on() -> None:
    """Nothing that was folded is folded again then, and yet it is no step at the end."""
    one, two = lead_recycled(day=1), lead_created(day=2)
    instead = in_place_of(one, lead_recycled, day=1.5), in_place_of(two, lead_qualified, day=1)
    consumer = hear([one, two], [lead_qualified(day=1), *instead])
    assert [held.what.name for held in consumer.statuses] == ["Qualified", "Recycled"]


@pytest.mark.parametrize(("status", "refused"), [("Dead", False), ("New", True)])
def test_a_refused_command_that_gave_way_to_a_fact_is_judged_anew_when_a_command_is_back(status: str, refused: bool) -> None:
    """That fact said nothing of a command; so what was told of the first one stands until something is told of the second."""
    first = reverted("lead", day=1)
    second = in_place_of(first, lead_updated, day=1)
    third = in_place_of(second, status_set, status, day=2)
    consumer = hear([first], [second], [third])
    assert bool(consumer.refused) is refused
