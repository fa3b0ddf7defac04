"""A campaign can be run again from its seed, and does what it says."""

import itertools
from collections import Counter

import pytest

from tests.faults.load import items
from tests.faults.plan import BROKERS, FREEZE_SECONDS, LAYOUTS, Kind, Layout, When, kinds_on, plan

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
        assert set(others) == {Kind.KILL, *kinds_on(layout)}
        assert min(others.values()) >= 2
        freezes = [fault.lasts for fault in faults if fault.kind is Kind.FREEZE]
        assert len(set(freezes)) == min(len(freezes), len(FREEZE_SECONDS)), "long ones, too"


@each_layout
def test_what_a_machine_cannot_do_is_left_out(layout: Layout) -> None:
    assert Kind.AWAY in kinds_on(layout) or layout.name != "cluster"
    without = {Kind.FULL_DISK, Kind.SLOW_DISKS}
    assert without.isdisjoint(fault.kind for fault in plan(7, 67, layout, without=without))


def test_one_broker_is_down_at_a_time() -> None:
    (layout,) = [layout for layout in LAYOUTS if BROKERS[0] in layout.targets]
    for seed in range(20):
        for before, fault in itertools.pairwise(plan(seed, 200, layout)):
            alone = fault.when is When.WORKING or (fault.when is When.STARTING and fault.target == before.target)
            assert alone or fault.target not in BROKERS
