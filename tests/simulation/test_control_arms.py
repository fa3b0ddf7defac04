"""Control arms: with one guard given up, the simulation finds it within a few seeds, and its story is short."""

import itertools
from typing import Final

import pytest

from tests.simulation.faulty import FAULTS
from tests.simulation.plan import plan
from tests.simulation.services import Kinds
from tests.simulation.simulation import simulate
from tests.simulation.story import PROMISES, about, told

SEEDS_MAX: Final = 60
STEPS_MAX: Final = 12


@pytest.mark.parametrize("name", FAULTS)
def test_a_guard_that_is_missing_is_found(name: str) -> None:
    kinds = FAULTS[name]
    seed, found = first_failure(kinds)
    print(f"{name}: found by seed {seed}: {found[0]}")
    assert about(found[0]) in PROMISES or "published again" in found[0]


def first_failure(kinds: Kinds) -> tuple[int, list[str]]:
    for seed in itertools.count(1):
        assert seed <= SEEDS_MAX, "not found"
        found = simulate(plan(seed), kinds=kinds)
        if found:
            return seed, found
    raise AssertionError


def test_a_failure_becomes_a_short_story_that_tells_what_broke() -> None:
    kinds = FAULTS["lifecycle keeps what was not committed"]
    seed, found = first_failure(kinds)
    short, story = told(plan(seed), found, kinds=kinds)
    print(story)
    assert len(short.steps) <= STEPS_MAX < len(plan(seed).steps)
    assert simulate(short) == [], "without the fault there is nothing to find"
    for part in (
        f"seed {seed}: ",
        "published to ",
        "is not answered by its database ",
        "from here on nothing fails any more",
        f"broken: {PROMISES[about(found[0])]}",
        f"  {about(found[0])}: ",
        f"make simulate SEED={seed} SEEDS=1",
    ):
        assert part in story
