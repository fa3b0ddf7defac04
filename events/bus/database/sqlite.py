"""SQLite: one file, one writer at a time. Commits are on the disk when they return (WAL, ``synchronous=FULL``)."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from eventsourcing.persistence import IntegrityError, PersistenceError, StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteConnection, SQLiteConnectionPool, SQLiteDatastore

from events.bus.cursor import Cursor, Dialect
from events.bus.database import CannotOpen

LOCK_SECONDS_MAX: Final = 15
"""How long to wait for another writer."""


PAGE_CACHE_KIB: Final = 16 * 1024
"""Of each connection: SQLite's own 2 MiB hold neither the indexes of a big store nor the pages of one large transaction."""
CHECKPOINT_PAGES: Final = 4000
"""So many pages of the write-ahead log (16 MiB) come to the file at once; with SQLite's own 1000 the same ones come more often."""


class _Pool(SQLiteConnectionPool):
    def _create_connection(self) -> SQLiteConnection:
        connection = super()._create_connection()
        with connection.cursor() as cursor:  # SQLite keeps neither setting in the file
            cursor.execute(f"PRAGMA cache_size = -{PAGE_CACHE_KIB}")
            cursor.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        return connection


class SQLiteEvents(SQLiteApplicationRecorder):
    """A table of events (``events.bus.database.EventTable``)."""

    def append(self, cursor: Cursor, events: Sequence[StoredEvent]) -> Sequence[int]:
        rows = [(each.originator_id, each.originator_version, each.topic, each.state) for each in events]
        try:
            cursor.executemany(self.insert_events_statement, rows)
        except sqlite3.IntegrityError as error:
            raise IntegrityError(str(error)) from error
        cursor.execute(self.select_max_notification_id_statement)
        last = cursor.fetchone()[0] or 0  # nobody else writes meanwhile, and a new row's number is the greatest and one
        return range(last - len(rows) + 1, last + 1)


class SQLite:
    """A file (``events.bus.database.Database``)."""

    def __init__(self, file: Path | str) -> None:
        self.dialect = Dialect()
        self._file = file
        self._datastore = SQLiteDatastore(str(file), originator_id_type="text", lock_timeout=LOCK_SECONDS_MAX)
        self._datastore.pool = _Pool(db_name=str(file), lock_timeout=LOCK_SECONDS_MAX)

    @contextmanager
    def prepare(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error, PersistenceError) as error:
            raise CannotOpen(f"the database {self._file} cannot be opened: {error}") from error

    @contextmanager
    def begin(self) -> Iterator[sqlite3.Cursor]:
        with self._datastore.transaction(commit=True) as cursor:
            yield cursor.sqlite_cursor

    @contextmanager
    def read(self) -> Iterator[sqlite3.Cursor]:
        with self._datastore.transaction(commit=False) as cursor:
            yield cursor.sqlite_cursor

    def events(self, table: str) -> SQLiteEvents:
        recorder = SQLiteEvents(self._datastore, events_table_name=table)
        recorder.create_table()
        return recorder

    def close(self) -> None:
        self._datastore.close()
