"""What the tests of forecast share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forecast.harness import Forecast


@pytest.fixture
def forecast(tmp_path: Path) -> Iterator[Forecast]:
    """A worker with an empty database, and its HTTP server."""
    running = Forecast(tmp_path / "forecast.sqlite")
    yield running
    running.close()
