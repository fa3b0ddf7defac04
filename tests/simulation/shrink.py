"""A plan that fails becomes a short one that fails in the same way: delta debugging (Zeller and Hildebrandt, 2002) over its steps.

First steps are taken away, in halves, quarters and so on down to single ones; then inputs that come together, one by one; then
what is left is made simpler: fewer processes and partitions, no seed. All of it again, until nothing more can be taken away.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from msgspec.structs import replace

from tests.simulation.steps import Plan, Publish, Shape, Turn

RUNS_MAX: Final = 1_500
"""After so many runs the plan is short enough."""

T = TypeVar("T")


class Shrinking:
    """One failure. ``fails``: whether a plan fails in the same way. ``runs``: how many plans were run."""

    def __init__(self, fails: Callable[[Plan], bool], *, runs_max: int = RUNS_MAX) -> None:
        self._fails = fails
        self._runs_max = runs_max
        self.runs = 0

    def shortest(self, plan: Plan) -> Plan:
        """A plan of which no single step can be taken away."""
        while True:
            simpler = plan
            for shape in _simpler_shapes(plan.shape):
                simpler = self._better(simpler, replace(simpler, shape=shape))
            simpler = self._fewer_steps(simpler)
            for place in range(len(simpler.steps)):
                simpler = self._simpler_step(simpler, place)
            if simpler == plan or self.runs >= self._runs_max:
                return simpler
            plan = simpler

    def _fewer_steps(self, plan: Plan) -> Plan:
        steps = minimal(plan.steps, lambda some: self._still(replace(plan, steps=tuple(some))))
        return replace(plan, steps=tuple(steps))

    def _simpler_step(self, plan: Plan, place: int) -> Plan:
        step = plan.steps[place]
        if isinstance(step, Publish):
            inputs = minimal(step.inputs, lambda some: self._still(_with(plan, place, replace(step, inputs=tuple(some)))))
            return _with(plan, place, replace(step, inputs=tuple(inputs)))
        if isinstance(step, Turn):
            plan = self._better(plan, _with(plan, place, replace(step, seed=None)))
            plan = self._better(plan, _with(plan, place, replace(plan.steps[place], times=1)))
        return plan

    def _better(self, plan: Plan, simpler: Plan) -> Plan:
        return simpler if simpler != plan and self._still(simpler) else plan

    def _still(self, plan: Plan) -> bool:
        if self.runs >= self._runs_max:
            return False
        self.runs += 1
        return self._fails(plan)


def minimal(parts: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> Sequence[T]:
    """Some of the parts that fail together, of which none can be taken away. All of them together do fail."""
    size = len(parts)
    while size >= 1:
        start = 0
        while start < len(parts):
            rest = [*parts[:start], *parts[start + size :]]
            if len(rest) < len(parts) and fails(rest):
                parts = rest
            else:
                start += size
        size //= 2
    return parts


def _with(plan: Plan, place: int, step: object) -> Plan:
    return replace(plan, steps=(*plan.steps[:place], step, *plan.steps[place + 1 :]))


def _simpler_shapes(shape: Shape) -> Iterator[Shape]:
    """Shapes with one thing simpler each."""
    for name in ("lifecycle", "routing", "forecast", "shards"):
        if getattr(shape, name) > 1:
            yield replace(shape, **{name: 1})
    if not shape.static:
        yield replace(shape, static=True)
    if shape.records_max < 50:
        yield replace(shape, records_max=50)
