"""Dead letters as they lie in a service's database (the table is the ledger's): found again, by where their record lay."""

import json
from typing import Any, Protocol

from msgspec import Struct

from events.record import Headers, Record, TopicPartition


class Cursor(Protocol):
    """The part of a DB-API cursor that is used."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Any: ...
    def fetchall(self) -> list[Any]: ...


class Buried(Struct, frozen=True):
    """A dead letter without its bytes. ``resolved``: what was done about it, if anything was."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    error: str
    reason: str
    path: str
    attempts: int
    resolved: str | None


def letters_of(cursor: Cursor, place: TopicPartition, offset: int) -> list[Buried]:
    """The dead letter that a record has become, if it has."""
    cursor.execute(
        "SELECT topic, part, record_offset, timestamp, key, error, reason, path, attempts, resolved FROM dead_letter"
        " WHERE topic = ? AND part = ? AND record_offset = ?",
        (*place, offset),
    )
    return [Buried(*row) for row in cursor.fetchall()]


def letters_after(cursor: Cursor, number: int, limit: int) -> list[tuple[int, Record]]:
    """The records of the dead letters with greater numbers, in order, each with its number."""
    cursor.execute(
        "SELECT number, topic, part, record_offset, timestamp, key, value, headers FROM dead_letter"
        " WHERE number > ? ORDER BY number LIMIT ?",
        (number, limit),
    )
    return [(number, Record(*record, headers_of(headers))) for number, *record, headers in cursor.fetchall()]  # type: ignore[call-arg]


def headers_of(text: str) -> Headers:
    """The headers of a record, as they are kept."""
    return tuple((name, bytes.fromhex(value)) for name, value in json.loads(text))
