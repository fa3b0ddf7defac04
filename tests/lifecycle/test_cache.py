"""The records in memory keep to two bounds: how many there are, and how many facts they have together."""

import gc
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from events.codec import Fact
from services.lifecycle.cache import Cache
from services.lifecycle.domain.record import Record, accept
from services.lifecycle.domain.state import Policy
from tests.lifecycle.domain.histories import History, histories
from tests.lifecycle.domain.speech import activity, assigned, unassigned
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


TRACE: dict[str, Any] = {
    "territories": [{"territory": "DACH", "holds": True, "condition": {"test": "in", "operand": ["AT", "DE"], "value": "DE"}}],
    "members": [{"rep_id": "ann", "weight": 3, "pointer": "1"}],
}


@settings(max_examples=20, deadline=None)
@given(histories(size_max=12))
def test_records_in_memory_are_nothing_to_the_garbage_collector(history: History) -> None:
    """A collection goes through everything that is tracked: with a full cache that took 0.4 s, in which nothing else happened."""
    told = [assigned("a9", "ann", day=1, trace=TRACE), unassigned("a9", day=2, reason="rejected", trace=TRACE)]
    facts = [*history.facts, *(replace(fact, customer_id=history.facts[0].customer_id) for fact in told)]
    accept_one_by_one(facts, history.policy)  # what the first one of its kind leaves in memory for all
    cache = Cache(records_max=100, facts_max=10_000)
    gc.freeze()
    try:
        cache.update({str(number): (0, accept_one_by_one(facts, history.policy)) for number in range(20)})
        for _ in range(
            5
        ):  # a tuple is looked at no longer once a collection has seen that nothing within needs it: inner ones first
            gc.collect()
        tracked = Counter(type(each).__name__ for each in gc.get_objects())
    finally:
        gc.unfreeze()
    assert not [name for name, count in tracked.items() if count >= len(cache)], "such an object of each record"


def accept_one_by_one(facts: Sequence[Fact], policy: Policy) -> Record:
    record = Record(facts[0].customer_id, tables=policy.tables.through)
    for fact in facts:
        record = accept(record, fact, ("topic", 0, 0), policy).record
    return record
