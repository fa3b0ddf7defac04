"""A campaign can be run again from its seed, and does what it says."""

import itertools
from collections import Counter

import pytest

from tests.faults.load import items
from tests.faults.plan import BROKERS, LAYOUTS, Kind, Layout, When, plan

NOON = 1_767_268_800_000_000_000

each_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)


def load(seed: int) -> list[object]:
    return list(itertools.islice(items(seed, lambda: NOON), 500))


@each_layout
def test_the_same_seed_is_the_same_load_and_the_same_plan(layout: Layout) -> None:
    assert load(1) == load(1) != load(2)
    assert plan(1, 60, layout) == plan(1, 60, layout) != plan(2, 60, layout)


@each_layout
def test_it_kills_as_many_as_it_is_told_everybody_in_every_state(layout: Layout) -> None:
    for seed in range(20):
        faults = plan(seed, 67, layout)
        kills = [fault for fault in faults if fault.kind is Kind.KILL]
        assert len(kills) == 67
        assert {fault.target for fault in kills} == set(layout.targets)
        assert {fault.when for fault in kills} == set(When)
        others = Counter(fault.kind for fault in faults)
        without = {kind for kind, some in ((Kind.FULL_DISK, layout.disks), (Kind.PUT_BACK, layout.put_back)) if not some}
        assert set(others) == set(Kind) - without
        assert min(others.values()) >= 2


@each_layout
def test_what_a_machine_cannot_do_is_left_out(layout: Layout) -> None:
    without = {Kind.FULL_DISK, Kind.SLOW_DISKS}
    assert without.isdisjoint(fault.kind for fault in plan(7, 67, layout, without=without))


def test_one_broker_is_down_at_a_time() -> None:
    (layout,) = [layout for layout in LAYOUTS if BROKERS[0] in layout.targets]
    for seed in range(20):
        for before, fault in itertools.pairwise(plan(seed, 200, layout)):
            alone = fault.when is When.WORKING or (fault.when is When.STARTING and fault.target == before.target)
            assert alone or fault.target not in BROKERS
