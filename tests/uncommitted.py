"""A database that goes away while it commits, once."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from eventsourcing.persistence import OperationalError, PersistenceError

from events.bus.ledger import Ledger
from events.bus.rebuild.builder import Builder


@contextmanager
def uncommitted(ledger: Ledger, number: int) -> Iterator[list[int]]:
    """All goes well within the transaction of that number (from 1), and it is not committed; what is given counts them."""
    begin, count = ledger._begin, [0]

    @contextmanager
    def begins() -> Iterator[Any]:
        with begin() as cursor:
            yield cursor
            count[0] += 1
            if count[0] == number:
                raise OperationalError("it went away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "_begin", begins)
        yield count


def work(builder: Builder) -> None:
    """Do all that there is of a rebuild, as its thread does: where the database went away, it goes on when it answers again."""
    working = True
    while working:
        with suppress(PersistenceError):
            working = builder.step() is not None
