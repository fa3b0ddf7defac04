"""Every story is told four times: in order, backwards, shuffled, and with each fact twice. The record must not care."""

import random

import pytest

from tests.lifecycle.domain.story import Arrival, Telling, as_told, backwards, shuffled, twice

ARRIVALS: dict[str, Arrival] = {"as told": as_told, "backwards": backwards, "twice": twice}


@pytest.fixture(params=["as told", "backwards", "shuffled", "twice"])
def given(request: pytest.FixtureRequest) -> Telling:
    """``given(facts…)``: a record of which these facts are known, in whatever order they arrived."""
    if request.param == "shuffled":
        return Telling(shuffled(random.Random(request.node.name)))  # the seed is the test's name
    return Telling(ARRIVALS[request.param])
