"""At every border of every service, one after the other: killed there, overtaken there, not answered there. No chance in it.

A story of a few inputs is run once without trouble, and what each process passes is counted; then it is run again for each
passage, with one thing going wrong at just that one.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

import pytest

from tests.faults.load import Odds, items
from tests.simulation.databases import Databases
from tests.simulation.reference import BEGIN
from tests.simulation.simulation import room, simulate
from tests.simulation.steps import (
    SERVICES,
    AnyStep,
    DatabasePoint,
    Die,
    Fail,
    FrozenPoint,
    Input,
    Overtake,
    Plan,
    Point,
    Publish,
    Service,
    Shape,
    Turn,
)
from tests.simulation.story import told
from tests.simulation.world import World

pytestmark = pytest.mark.long

INPUTS: Final = 8
ODDS: Final = Odds(twice=0.2, late=0.2, other_content=0.1, stray=0.2, malformed=0.1, now=0.3)
NEVER: Final = (("forecast", "read"), ("forecast", "send"), ("forecast", "sent"))
"""Forecast writes dead letters only, and reads, but within its transactions, what a view is made again from."""
EVERYBODY: Final[tuple[AnyStep, ...]] = (
    Turn(service="lifecycle", number=0, times=2),
    Turn(service="routing", number=0, which=0),
    Turn(service="routing", number=0, which=1),
    Turn(service="forecast", number=0),
)


def story(*trouble: AnyStep) -> Plan:
    """Inputs in three parts; everybody works after each. Trouble is on its way from the begin."""
    drawn = items(2, lambda: BEGIN * 1_000_000, shards=2, at_a_time=2, odds=ODDS, later_max=5)
    inputs = [Input(item.number, item.message, item.malformed) for item in itertools.islice(drawn, INPUTS)]
    parts = [inputs[:3], inputs[3:5], inputs[5:]]
    steps = [
        step for n, part in enumerate(parts) for step in (Publish(at=BEGIN + n * 1000, inputs=tuple(part)), *EVERYBODY, *EVERYBODY)
    ]
    return Plan(0, Shape(shards=2, records_max=5), (*trouble, *steps))


def passages(service: Service) -> dict[Point, int]:
    """How often the story leads past each point of a service."""
    with room() as folder:
        world = World(story(), Databases(Path(folder)))
        try:
            for step in world.plan.steps:
                world.do(step)
            return world.passages(service)
        finally:
            world.close()


def troubles(service: Service, point: Point, times: int) -> Iterator[AnyStep]:
    """All that can go wrong at a point, at each passage."""
    for nth in range(1, times + 1):
        yield Die(service=service, number=0, point=point, nth=nth)
        for where in get_args(DatabasePoint):
            if where == point:
                yield Fail(service=service, number=0, point=where, nth=nth)
        for where in get_args(FrozenPoint):
            if where == point:
                yield Overtake(service=service, number=0, point=where, nth=nth, turns=3)


@pytest.mark.parametrize("point", get_args(Point))
@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_lost_or_doubled_wherever_it_happens(service: Service, point: Point) -> None:
    times = passages(service)[point]
    assert times or (service, point) in NEVER, "the story leads nowhere near it"
    for trouble in troubles(service, point, times):
        running = [Turn(service=service, number=0)] if isinstance(trouble, Overtake) else []  # or it meets it as it starts
        plan = story(*running, trouble)
        found = simulate(plan)
        assert not found, f"{trouble}\n{told(plan, found)[1]}"
