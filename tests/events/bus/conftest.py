"""A memory bus with the toy's topics, and toys on one database."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from events.bus import Bus
from events.bus.memory import MemoryBus
from tests.events.bus.toy import TOPICS, Toy


@pytest.fixture
def bus() -> MemoryBus:
    """A memory bus that reads in plain order."""
    return MemoryBus(TOPICS)


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Callable[..., Toy]]:
    """``toy(bus)`` makes a worker on the test's database; a second one is a second process."""
    made: list[Toy] = []

    def make(bus: Bus, **options: object) -> Toy:
        made.append(Toy(bus, tmp_path / "toy.sqlite", **options))
        return made[-1]

    yield make
    for worker in made:
        worker.database.close()
