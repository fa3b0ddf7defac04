"""What the services have written beside their data: positions and dead letters, read from their databases.

Read only, and whether or not the services run: one that stopped because of its position does not answer any more.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from eventsourcing.persistence import PersistenceError
from msgspec import Struct

from events.bus.cursor import Cursor
from events.bus.database import open_database
from events.record import TopicPartition
from handoff.doctor.databases import Databases, Files

LOCK_SECONDS_MAX: Final = 1.0
_TABLES: Final = {"position", "letter"}
_TABLES_OF_POSTGRES: Final = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
_TABLES_OF_SQLITE: Final = "SELECT name FROM sqlite_master WHERE type = 'table'"


class Noted(Struct, frozen=True):
    """How far a log was read: the next offset, and what the topic was then."""

    next: int
    identity: str


class Letters(Struct, frozen=True):
    """Dead letters of one error class that wait for somebody: how many, the newest with place and reason (empty: not known)."""

    count: int
    place: str
    reason: str


class Stored(Struct, frozen=True, kw_only=True):
    """The facts in one service's database. ``problem``: why it cannot be read."""

    positions: Mapping[TopicPartition, Noted] = {}
    letters: Mapping[str, Letters] = {}
    problem: str | None = None


def read(databases: Databases, service: str) -> Stored | None:
    """Read a service's database; None where there is none yet."""
    return _in_file(databases.file(service)) if isinstance(databases, Files) else _in_database(databases.url, service)


def _in_file(file: Path) -> Stored | None:
    if not file.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=LOCK_SECONDS_MAX)) as database:
            return _read(database.cursor(), _TABLES_OF_SQLITE)
    except sqlite3.Error as error:
        return Stored(problem=str(error))


def _in_database(url: str, service: str) -> Stored | None:
    try:
        with closing(open_database(url, "", schema=service)) as database, database.read() as cursor:
            return _read(cursor, _TABLES_OF_POSTGRES)
    except PersistenceError as error:
        return Stored(problem=" ".join(str(error).split()))


def _read(cursor: Cursor, tables: str) -> Stored | None:
    cursor.execute(tables)
    if not {name for (name,) in cursor.fetchall()} >= _TABLES:
        return None  # made a moment ago
    cursor.execute("SELECT topic, part, next, identity FROM position")
    positions = {TopicPartition(topic, part): Noted(following, identity) for topic, part, following, identity in cursor.fetchall()}
    cursor.execute(
        "SELECT d.error, w.waiting, d.topic, d.part, d.record_offset, d.reason FROM dead_letter AS d JOIN"
        " (SELECT max(number) AS last, count(*) AS waiting FROM letter WHERE state = 'waiting' GROUP BY error) AS w"
        " ON d.number = w.last"
    )
    letters = {
        error: Letters(count, f"{topic}[{part}] at {offset}", reason)
        for error, count, topic, part, offset, reason in cursor.fetchall()
    }
    return Stored(positions=positions, letters=letters)
