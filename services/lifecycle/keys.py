"""When a command was given under a key (``Idempotency-Key``), and which: so that every worker, and every restart, knows it again.

A plain command has the time of the server, and the same command with another time would be another fact of the same identity. So
the first time under a key counts, and it is written down before the command is sent. Once it is taken in, it is known from what is
stored; what no topic holds any more needs no key.
"""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from msgspec.structs import replace

from events.bus.ledger import Cursor
from events.codec import Fact, content
from events.values import NANOSECONDS

TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS command_key (
        customer_id TEXT NOT NULL, id TEXT NOT NULL, at BIGINT NOT NULL, said TEXT NOT NULL,
        PRIMARY KEY (customer_id, id)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS command_key_by_time ON command_key (at)",
)
KEPT: Final = 30 * 24 * 3600 * NANOSECONDS
"""As long as the topic keeps a command."""


class Taken(Exception):  # noqa: N818 - the name says what is the case
    """Another command was given under the key."""


class Keys:
    """The table. Thread-safe."""

    def __init__(self, begin: Callable[[], AbstractContextManager[Cursor]]) -> None:
        self._begin = begin

    def first(self, fact: Fact) -> Fact:
        """A command with the time that it got first under its id. Raises ``Taken``."""
        said = hashlib.sha256(content(replace(fact, occurred_at=0))).hexdigest()
        with self._begin() as cursor:
            cursor.execute("DELETE FROM command_key WHERE at < ?", (fact.occurred_at - KEPT,))
            cursor.execute(
                "INSERT INTO command_key (customer_id, id, at, said) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (fact.customer_id, fact.id, fact.occurred_at, said),
            )
            cursor.execute("SELECT at, said FROM command_key WHERE customer_id = ? AND id = ?", (fact.customer_id, fact.id))
            at, first = cursor.fetchone()
        if first != said:
            raise Taken
        return replace(fact, occurred_at=at)
