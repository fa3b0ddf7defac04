"""What the tests of lifecycle share."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from events.values import Price
from tests.lifecycle.harness import Lifecycle


@pytest.fixture
def lifecycle(tmp_path: Path, database: str) -> Iterator[Lifecycle]:
    """A worker with an empty database of each kind."""
    running = Lifecycle(tmp_path / "lifecycle.sqlite", database=database)
    yield running
    for store in running.stores:
        store.close()


@pytest.fixture
def eur() -> Callable[[str], Price]:
    """Money in euros."""
    return lambda amount: Price(amount=Decimal(amount), currency="EUR")
