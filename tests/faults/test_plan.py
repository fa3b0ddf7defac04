"""A campaign can be run again from its seed, and does what it says."""

import itertools
from collections import Counter

from tests.faults.load import items
from tests.faults.plan import TARGETS, Kind, When, plan

NOON = 1_767_268_800_000_000_000


def load(seed: int) -> list[object]:
    return list(itertools.islice(items(seed, lambda: NOON), 500))


def test_the_same_seed_is_the_same_load_and_the_same_plan() -> None:
    assert load(1) == load(1) != load(2)
    assert plan(1, 60) == plan(1, 60) != plan(2, 60)


def test_it_kills_as_many_as_it_is_told_everybody_in_every_state() -> None:
    for seed in range(20):
        faults = plan(seed, 60)
        kills = [fault for fault in faults if fault.kind is Kind.KILL]
        assert len(kills) == 60
        assert {fault.target for fault in kills} == set(TARGETS)
        assert {fault.when for fault in kills} == set(When)
        assert min(Counter(fault.kind for fault in faults).get(kind, 0) for kind in (Kind.FREEZE, Kind.REPLACE)) == 6
        assert any(fault.kind in (Kind.RESTART, Kind.CRASH) for fault in faults)


def test_twenty_kills_have_one_of_everything() -> None:
    kinds = Counter(fault.kind for fault in plan(7, 20))
    assert kinds[Kind.FREEZE] == kinds[Kind.REPLACE] == kinds[Kind.RESTART] + kinds[Kind.CRASH] == 2
