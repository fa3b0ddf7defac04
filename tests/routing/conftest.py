"""What the tests of routing share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.routing.harness import Routing


@pytest.fixture
def routing(tmp_path: Path) -> Iterator[Routing]:
    """A process of routing with an empty database."""
    running = Routing(tmp_path)
    yield running
    running.close()
