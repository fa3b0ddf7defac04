"""Seeds: whatever happens to the three services, every promise holds. More of them: ``make simulate SEEDS=2000``."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.simulation.plan import plan
from tests.simulation.simulation import simulate
from tests.simulation.steps import from_json, to_json
from tests.simulation.story import failure

SEEDS: Final = 100
TOGETHER: Final = 10
DIGEST: Final = "from tests.simulation.test_simulation import digest; print(digest({seed}))"


@pytest.mark.parametrize("first", range(1, SEEDS + 1, TOGETHER))
def test_every_promise_holds(first: int) -> None:
    for seed in range(first, first + TOGETHER):
        story = failure(seed)
        assert story is None, f"\n{story}"


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
