"""The shrinker: what is left fails, and nothing can be taken away from it."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.shrink import Shrinking, minimal
from tests.simulation.steps import Plan, Publish, Shape, Turn


@given(st.lists(st.integers(0, 50), max_size=60), st.sets(st.integers(0, 50), max_size=5))
def test_what_is_left_is_what_it_needs(parts: list[int], needed: set[int]) -> None:
    def fails(some: Sequence[int]) -> bool:
        return needed <= set(some)

    if fails(parts):
        left = minimal(parts, fails)
        assert sorted(left) == sorted(needed)
        assert [part for part in parts if part in left][: len(left)] or not left


def test_steps_inputs_and_shape_become_simple() -> None:
    """It fails while one input is published and lifecycle has a turn after it, whatever else there is."""
    from tests.simulation.plan import plan

    drawn = plan(3)
    number = next(each.number for step in drawn.steps if isinstance(step, Publish) for each in step.inputs)

    def fails(some: Plan) -> bool:
        published = [any(each.number == number for each in getattr(step, "inputs", ())) for step in some.steps]
        worked = [isinstance(step, Turn) and step.service == "lifecycle" for step in some.steps]
        return any(published) and any(worked[published.index(True) :])

    assert fails(drawn)
    shrinking = Shrinking(fails)
    short = shrinking.shortest(drawn)
    published, worked = short.steps
    assert isinstance(published, Publish)
    assert [each.number for each in published.inputs] == [number]
    assert isinstance(worked, Turn)
    assert (worked.seed, worked.times) == (None, 1)
    assert short.shape == Shape()


def test_it_ends_when_it_has_run_enough() -> None:
    from tests.simulation.plan import plan

    shrinking = Shrinking(lambda _: True, runs_max=5)
    shrinking.shortest(plan(3))
    assert shrinking.runs == 5
