"""What the tests of routing share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.routing.harness import Routing


@pytest.fixture
def routing(tmp_path: Path, database: str) -> Iterator[Routing]:
    """A process of routing with an empty database of each kind."""
    running = Routing(tmp_path, database=database)
    yield running
    running.close()
