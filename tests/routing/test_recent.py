"""Customers in memory: what is asked for, and what is let go."""

from collections.abc import Collection, Mapping

from services.routing.domain.story import Customer
from services.routing.recent import Recent

LOG = {name: Customer(version=number) for number, name in enumerate("abcde", 1)}


def found(wanted: Collection[str]) -> Mapping[str, Customer]:
    return {name: LOG[name] for name in wanted if name in LOG}


def nothing_is_asked(wanted: Collection[str]) -> Mapping[str, Customer]:
    raise AssertionError(wanted)


def test_what_is_not_at_hand_is_looked_up_and_then_it_is() -> None:
    recent = Recent(2)
    recent.recall(["a", "nobody", "b"], found)
    assert recent == {"a": LOG["a"], "b": LOG["b"]}
    recent.recall(["b", "a"], nothing_is_asked)


def test_those_asked_about_last_stay() -> None:
    recent = Recent(2)
    recent.recall(["a", "b"], found)
    recent.recall(["c", "a"], found)
    recent.trim()
    assert [*recent] == ["a", "c"]


def test_a_batch_may_be_larger_than_what_is_kept() -> None:
    recent = Recent(2)
    recent.recall("abcde", found)
    assert len(recent) == 5
    recent.trim()
    assert [*recent] == ["d", "e"]
