"""Every story is told four times: in order, backwards, shuffled, and with each fact twice. The record must not care."""

import random
from typing import Any

import pytest

from tests.lifecycle.domain.story import Arrival, Telling, as_told, backwards, shuffled, twice

ARRIVALS: dict[str, Arrival] = {"as told": as_told, "backwards": backwards, "twice": twice}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("properties")
    group.addoption("--histories", type=int, default=100_000, help="how many random histories `make properties` tells")
    group.addoption("--first-seed", type=int, default=1, help="the seed of the first of its shares; each has the next one")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say how much was told, and how to tell it again."""
    said = [item for report in terminalreporter.stats.get("passed", ()) for item in report.user_properties]
    histories, facts = (sum(count for name, count in said if name == what) for what in ("histories", "facts"))
    if histories:
        seed = config.getoption("--first-seed")
        terminalreporter.write_line(f"{histories:,} histories of {facts:,} facts without a counter-example (SEED={seed})")


@pytest.fixture(params=["as told", "backwards", "shuffled", "twice"])
def given(request: pytest.FixtureRequest) -> Telling:
    """``given(facts…)``: a record of which these facts are known, in whatever order they arrived."""
    if request.param == "shuffled":
        return Telling(shuffled(random.Random(request.node.name)))  # the seed is the test's name
    return Telling(ARRIVALS[request.param])
