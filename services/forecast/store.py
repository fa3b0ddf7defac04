"""The database file: its tables, the one connection that writes, and the ones that read.

Both histories are bitemporal. A row says: from ``valid_from`` to ``valid_to`` (business time) it was so, and that is what was
known from ``recorded_from`` to ``recorded_to`` (the log's time). Intervals contain their beginning and not their end, and
``FOREVER`` is the end of what still holds. So one condition, :data:`IN_FORCE`,
answers for now and for any past instant.
"""

import queue
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path
from typing import Final, NamedTuple

from services.forecast.domain import Deal
from services.forecast.periods import FOREVER, business_day

IN_FORCE: Final = "valid_from <= :as_of AND valid_to > :as_of AND recorded_from <= :known_at AND recorded_to > :known_at"
"""What held at ``as_of``, as it was known at ``known_at`` (both inclusive)."""


class Moment(NamedTuple):
    """Business time and recorded time, both inclusive: what held at ``as_of``, as it was known at ``known_at``."""

    as_of: int
    known_at: int = FOREVER - 1


def sliced(table: str, columns: str, moment: Moment) -> str:
    """All rows of a history that are :data:`IN_FORCE` at a moment, by the index ``<table>_slice``.

    What is known to this day and what was known then are asked for in two steps, because an index can be entered at a range of one
    column only: so an answer by what is known now reads what holds to this day, and nothing that was corrected since.
    """
    rows = f"SELECT {columns} FROM {table} INDEXED BY {table}_slice WHERE {IN_FORCE}"
    known_now = f"{rows} AND recorded_to = {FOREVER}"
    if moment.known_at >= FOREVER - 1:
        return f"({known_now})"
    return f"({known_now} UNION ALL {rows} AND recorded_to < {FOREVER})"


SPAN: Final = ("valid_from", "valid_to", "recorded_from", "recorded_to")
DEAL_COLUMNS: Final = (*Deal._fields, "close_date", "closed_at", "image")
STATUS_COLUMNS: Final = ("stage", "name", "probability")

_TABLES: Final = f"""
CREATE TABLE IF NOT EXISTS deal_history (
    customer_id TEXT NOT NULL, deal_id TEXT NOT NULL,
    valid_from INTEGER NOT NULL, valid_to INTEGER NOT NULL, recorded_from INTEGER NOT NULL, recorded_to INTEGER NOT NULL,
    state TEXT NOT NULL, status TEXT NOT NULL, probability INTEGER NOT NULL, currency TEXT,
    amount INTEGER, worst INTEGER, likely INTEGER, upside INTEGER, day TEXT,
    owner TEXT, product TEXT, source TEXT, region TEXT, close_date TEXT, closed_at INTEGER, image TEXT NOT NULL,
    PRIMARY KEY (customer_id, deal_id, valid_from, recorded_from));
-- All that totals need, so that they are read from this index alone, past the images.
CREATE INDEX IF NOT EXISTS deal_history_slice ON deal_history (
    recorded_to, valid_to, valid_from, recorded_from, customer_id, {", ".join(Deal._fields)});
CREATE TABLE IF NOT EXISTS status_history (
    customer_id TEXT NOT NULL,
    valid_from INTEGER NOT NULL, valid_to INTEGER NOT NULL, recorded_from INTEGER NOT NULL, recorded_to INTEGER NOT NULL,
    stage TEXT NOT NULL, name TEXT NOT NULL, probability INTEGER NOT NULL,
    PRIMARY KEY (customer_id, valid_from, recorded_from)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS status_history_slice ON status_history (recorded_to, valid_to, valid_from, recorded_from, stage);
-- Every instant at which a figure may change by the passing of business time alone.
CREATE TABLE IF NOT EXISTS boundary (instant INTEGER PRIMARY KEY);
-- The last version taken in of every customer; parts: how many parts of an unfinished message are held.
CREATE TABLE IF NOT EXISTS customer (
    customer_id TEXT PRIMARY KEY, version INTEGER NOT NULL, recorded_at INTEGER NOT NULL, parts INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS held_part (
    customer_id TEXT NOT NULL, part INTEGER NOT NULL, record BLOB NOT NULL, PRIMARY KEY (customer_id, part)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class Store:
    """The writer's connection. Not thread-safe by itself: the ledger's lock is held around every transaction."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        # FULL: what is committed survives a power cut, for the positions are the truth of progress.
        self._connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;" + _TABLES
        )

    @contextmanager
    def begin(self) -> Iterator[sqlite3.Cursor]:
        """A transaction: committed at its end, rolled back where it raises."""
        cursor = self._connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        try:
            yield cursor
            cursor.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                cursor.execute("ROLLBACK")
            raise
        finally:
            cursor.close()

    def adopt_time_zone(self, zone: tzinfo) -> None:
        """Place every closed deal on the day of this time zone, where the stored days are of another one."""
        with self.begin() as cursor:
            cursor.execute("SELECT value FROM setting WHERE name = 'time_zone'")
            if cursor.fetchone() == (str(zone),):
                return
            self._connection.create_function("business_day", 1, lambda instant: business_day(instant, zone), deterministic=True)
            cursor.execute("UPDATE deal_history SET day = business_day(closed_at) WHERE state <> 'open' AND closed_at IS NOT NULL")
            cursor.execute("INSERT OR REPLACE INTO setting (name, value) VALUES ('time_zone', ?)", (str(zone),))

    def close(self) -> None:
        """Free the file."""
        self._connection.close()


class Readers:
    """Connections that only read, lent to one thread at a time; each loan is one snapshot of the database."""

    def __init__(self, path: Path) -> None:
        self._uri = f"{path.resolve().as_uri()}?mode=ro"
        # Last in, first out: the connection that was used last has the warmest cache.
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """A connection within a read transaction: whatever is written meanwhile, all its answers are of one moment."""
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = sqlite3.connect(self._uri, uri=True, isolation_level=None, check_same_thread=False, timeout=10)
            connection.execute("PRAGMA cache_size = -16384")
        try:
            connection.execute("BEGIN")
            yield connection
        finally:
            connection.rollback()
            self._idle.put(connection)

    def close(self) -> None:
        """Close what is not lent out."""
        while not self._idle.empty():
            self._idle.get_nowait().close()
