"""What the tests of forecast share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forecast.harness import Forecast


@pytest.fixture
def forecast(tmp_path: Path, database: str) -> Iterator[Forecast]:
    """A worker with an empty database of each kind, and its HTTP server."""
    running = Forecast(tmp_path / "forecast.sqlite", database=database)
    yield running
    running.close()
