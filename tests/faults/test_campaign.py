"""The fault campaign on a real Kafka and real service processes: ``make faults KILLS=60``. Not part of the ordinary tests."""

import logging
import random
from pathlib import Path

import pytest

from tests.faults.campaign import Campaign

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]


@pytest.fixture
def campaign(tmp_path: Path, pytestconfig: pytest.Config, caplog: pytest.LogCaptureFixture) -> Campaign:
    """The campaign that the options ask for."""
    caplog.set_level(logging.CRITICAL, logger="kafka")  # it logs every attempt to connect
    seed = pytestconfig.getoption("--seed")
    return Campaign(tmp_path / "data", random.randrange(1 << 30) if seed is None else seed, pytestconfig.getoption("--kills"))


def test_whatever_is_killed_every_output_is_what_the_inputs_say(campaign: Campaign, capfd: pytest.CaptureFixture[str]) -> None:
    with capfd.disabled():  # a line per fault, as it happens
        found = campaign.run()
    assert found == [], "\n".join(found[:20])
