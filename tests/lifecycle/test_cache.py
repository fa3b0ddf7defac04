"""The records in memory keep to two bounds: how many there are, and how many facts they have together."""

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.lifecycle.cache import Cache
from services.lifecycle.domain.record import Record
from tests.lifecycle.domain.speech import (
    activity,
    lead_created,
    opportunity_created,
    order_placed,
    quote_accepted,
    quote_created,
    quote_sent,
)
from tests.lifecycle.domain.test_long_records import POLICY, restored

RECORDS = {count: restored([activity(day=1, nanos=n, id=f"a{n}") for n in range(count)], POLICY) for count in range(1, 6)}
"""Records by how many facts they have."""


def cached(cache: Cache) -> list[str]:
    return list(cache)


def test_what_was_used_longest_ago_goes_first() -> None:
    cache = Cache(records_max=2, facts_max=100)
    cache.update(dict.fromkeys("abc", (0, RECORDS[1])))
    cache.used(["a"])
    cache.trim()
    assert cached(cache) == ["c", "a"]


def test_long_records_take_the_room_of_many_short_ones() -> None:
    cache = Cache(records_max=100, facts_max=10)
    cache.update(dict.fromkeys("abcdefgh", (0, RECORDS[1])))
    cache.trim()
    assert len(cache) == 8
    cache["long"] = (0, RECORDS[5])
    cache.trim()
    assert cached(cache) == ["d", "e", "f", "g", "h", "long"]


def test_a_record_that_is_longer_than_all_may_be_is_not_kept() -> None:
    cache = Cache(records_max=100, facts_max=4)
    cache.update({"short": (0, RECORDS[1]), "long": (0, RECORDS[5])})
    cache.trim()
    assert cached(cache) == []


def test_nothing_is_kept_of_shards_that_are_gone() -> None:
    cache = Cache(records_max=100, facts_max=10)
    cache.update({"a": (0, RECORDS[4]), "b": (1, RECORDS[4]), "c": (2, RECORDS[2])})
    cache.forget({0, 1})
    cache["d"] = (2, RECORDS[5])
    cache.trim()
    assert cached(cache) == ["c", "d"], "their facts count no longer"


@pytest.mark.parametrize(("records_max", "facts_max"), [(3, 8), (0, 8), (3, 0)])
@given(steps=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 5))))
def test_the_bounds_hold_whatever_happens(records_max: int, facts_max: int, steps: list[tuple[str, int]]) -> None:
    cache = Cache(records_max=records_max, facts_max=facts_max)
    for name, facts in steps:
        if facts:
            cache[name] = (0, RECORDS[facts])
        else:
            cache.pop(name, None)
        cache.trim()
        held: list[Record] = [record for _, record in cache.values()]
        assert len(held) <= records_max
        assert sum(len(record.known) for record in held) <= facts_max


def test_records_in_memory_are_nothing_to_the_garbage_collector() -> None:
    """A collection goes through everything that is tracked: with a full cache that took seconds, in which nothing else happened."""
    story = [lead_created(day=1), opportunity_created("o", 100, day=2), quote_created("q", 90, day=3, opportunity="o")]
    story += [quote_sent("q", day=4), quote_accepted("q", day=5), order_placed("p", 90, day=6, quote="q")]
    story += [activity(day=7, nanos=n, id=f"a{n}") for n in range(10)]
    gc.collect()
    before = len(gc.get_objects())
    cache = Cache(records_max=100, facts_max=10_000)
    cache.update({str(number): (0, restored(story, POLICY)) for number in range(50)})
    gc.collect()
    tracked = len(gc.get_objects()) - before
    facts = len(cache) * len(story)
    assert tracked < facts, f"{tracked} objects for {facts} facts"
