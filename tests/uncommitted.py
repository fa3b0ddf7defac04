"""A database that goes away while it commits, once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from eventsourcing.persistence import OperationalError, PersistenceError

from events.bus.ledger import Ledger
from events.bus.rebuild.builder import Builder


@contextmanager
def uncommitted(ledger: Ledger, number: int) -> Iterator[list[int]]:
    """All goes well within the transaction of that number (from 1), and it is not committed; what is given tells those begun."""
    begin, begun = ledger._begin, [0]

    @contextmanager
    def begins() -> Iterator[Any]:
        with begin() as cursor:
            yield cursor
            begun[0] += 1
            if begun[0] == number:
                raise OperationalError("it went away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "_begin", begins)
        yield begun


def stepped(builder: Builder) -> bool:
    """Do the next piece of a rebuild, as its thread does, which goes on when the database answers again; whether there was one."""
    try:
        return builder.step() is not None
    except PersistenceError:
        return True
