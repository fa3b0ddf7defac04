"""Seeds: whatever happens to the three services, every promise holds. More of them: ``make simulate SEEDS=2000``."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Final, get_args

import pytest

from tests.simulation.happenings import happenings
from tests.simulation.plan import VIEWS, plan
from tests.simulation.simulation import simulate
from tests.simulation.steps import SERVICES, DatabasePoint, FrozenPoint, Plan, Point, Rebuild, Shape, Turn, from_json, to_json
from tests.simulation.story import told

SEEDS: Final = 100
TOGETHER: Final = 10
NEVER: Final = (("forecast", "send"), ("forecast", "sent"))
"""Forecast writes dead letters only, and lifecycle writes nothing that it cannot read."""
KINDS: Final = [
    *(f"{service} is killed: {point}" for service in SERVICES for point in get_args(Point) if (service, point) not in NEVER),
    *(f"{service} is not answered by its database: {point}" for service in SERVICES for point in get_args(DatabasePoint)),
    *(
        f"{service} is overtaken: {point}"
        for service in SERVICES
        for point in get_args(FrozenPoint)
        if (service, point) not in NEVER
    ),
    *(f"{service} is refused" for service in SERVICES),
    *(f"the database of {service} is {how}" for service in SERVICES for how in ("lost", "put back as it was copied")),
    *(f"a message is {how}" for how in ("refused", "unanswered")),
    *(f"the view {view} is {how}" for view, _ in VIEWS for how in ("switched", "equal")),
    *(f"a view is {how}" for how in ("cancelled", "abandoned")),
    *(f"a mass change is {how}" for how in ("applied", "applied, which takes back another one", "cancelled")),
    *(f"a dead letter is {how}" for how in ("replayed", "dropped")),
    "a lead is woken by a tick",
]
"""What must have happened in some of the seeds."""
DIGEST: Final = "from tests.simulation.test_simulation import digest; print(digest({seed}))"


@pytest.mark.parametrize("first", range(1, SEEDS + 1, TOGETHER))
def test_every_promise_holds(first: int) -> None:
    for seed in range(first, first + TOGETHER):
        found, _ = ran(seed)
        assert not found, f"\n{told(plan(seed), found)[1]}"


def test_what_can_go_wrong_does() -> None:
    """Or the silence about it would mean nothing: a fault that is planned need not come about."""
    happened = sum((ran(seed)[1] for seed in range(1, SEEDS + 1)), Counter[str]())
    assert not [what for what in KINDS if not happened[what]], f"in {SEEDS} seeds: {sorted(happened.items())}"


@cache
def ran(seed: int) -> tuple[list[str], Counter[str]]:
    """Run the plan of a seed once: what is wrong, and how often what happened."""
    happened: Counter[str] = Counter()
    return simulate(plan(seed), look=lambda world: happened.update(happenings(world))), happened


def test_a_view_that_nobody_has_is_an_error() -> None:
    steps = (Turn(service="lifecycle", number=0), Rebuild(service="lifecycle", number=0, view="leads", what="check"))
    assert simulate(Plan(0, Shape(), steps))[0].startswith("broken off: ValueError: lifecycle has no view 'leads'")


def digest(seed: int) -> str:
    """All that happens in a run, in a few characters."""
    lines: list[str] = []
    found = simulate(plan(seed), tell=lines.append)
    return hashlib.sha256("\n".join([*lines, *found]).encode()).hexdigest()


def test_a_seed_decides_everything() -> None:
    """Also in another process, whose sets have another order."""
    seed = 3
    root = Path(__file__).parent.parent.parent
    again = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DIGEST.format(seed=seed)],
        cwd=root,
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert again.stdout.split() == [digest(seed)]


def test_a_plan_is_kept_as_it_is() -> None:
    drawn = plan(3)
    assert from_json(to_json(drawn)) == drawn
    assert drawn == plan(3) != plan(4)
