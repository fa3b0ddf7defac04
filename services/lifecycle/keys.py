"""When a plain command was given under its id (`Idempotency-Key`), and which, for every worker and after every restart.

A plain command has the time of the server, and the same command with another time would be another fact of the same identity. So
the first time under an id counts, and it is written down before the command is sent. Once it is taken in, it is known from what is
stored; what no topic holds any more is forgotten.
"""

import hashlib
from typing import Final

from msgspec.structs import replace

from events.bus.cursor import Opens
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
    """Another command was given under the id."""


class Keys:
    """The table. Thread-safe."""

    def __init__(self, begin: Opens, read: Opens) -> None:
        self._begin = begin
        self._read = read

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

    def given(self, id_: str, customer_id: str | None) -> bool:
        """Whether a command of that id was given: of one customer, or of any."""
        if "\0" in f"{id_}{customer_id}":  # PostgreSQL cannot be asked that, no id has it
            return False
        whose, values = ("", ()) if customer_id is None else (" AND customer_id = ?", (customer_id,))
        with self._read() as cursor:
            cursor.execute(f"SELECT 1 FROM command_key WHERE id = ?{whose} LIMIT 1", (id_, *values))
            return cursor.fetchone() is not None
