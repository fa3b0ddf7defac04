"""The shrinker: what is left fails, and nothing can be taken away from it."""

import itertools
from collections.abc import Sequence
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.plan import plan
from tests.simulation.shrink import Shrinking, minimal
from tests.simulation.steps import Plan, Publish, Shape, Turn


@given(st.lists(st.integers(0, 50), max_size=60), st.sets(st.integers(0, 50), max_size=5))
def test_what_is_left_is_what_it_needs(parts: list[int], needed: set[int]) -> None:
    def lack_nothing(some: Sequence[int]) -> bool:
        return needed <= set(some)

    if lack_nothing(parts):
        left = minimal(parts, lack_nothing)
        assert sorted(left) == sorted(needed)


def fails(some: Plan) -> bool:
    """While input 2 is published and lifecycle has a turn after it, whatever else there is."""
    published = [any(each.number == 2 for each in getattr(step, "inputs", ())) for step in some.steps]
    worked = [isinstance(step, Turn) and step.service == "lifecycle" for step in some.steps]
    return any(published) and any(worked[published.index(True) :])


DRAWN: Final = next(drawn for drawn in map(plan, itertools.count(1)) if fails(drawn) and len(drawn.steps) > 50)


def test_steps_inputs_and_shape_become_simple() -> None:
    published, worked = (short := Shrinking(fails).shortest(DRAWN)).steps
    assert isinstance(published, Publish)
    assert [each.number for each in published.inputs] == [2]
    assert isinstance(worked, Turn)
    assert (worked.seed, worked.times) == (None, 1)
    assert short.shape == Shape()


def test_it_ends_when_it_has_run_enough() -> None:
    shrinking = Shrinking(lambda some: len(some.steps) >= len(DRAWN.steps) - 10, runs_max=5)
    shrinking.shortest(DRAWN)
    assert shrinking.runs == 5
