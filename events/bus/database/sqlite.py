"""SQLite: one file, one writer at a time. Commits are on the disk when they return (WAL, ``synchronous=FULL``)."""

import sqlite3
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from eventsourcing.persistence import ConnectionUnavailableError, IntegrityError, PersistenceError, StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteConnection, SQLiteConnectionPool, SQLiteDatastore

from events.bus.cursor import Cursor, Dialect
from events.bus.database import CannotOpen

LOCK_SECONDS_MAX: Final = 15
"""How long to wait for another writer, or for a connection."""
CONNECTIONS_MAX: Final = 10
"""Of one process: the loop's, and those of HTTP requests that read. All are opened at the start, and stay open."""
PAGE_CACHE_KIB: Final = 16 * 1024
"""Of each connection: SQLite's own 2 MiB hold neither the indexes of a big store nor the pages of one large transaction."""
CHECKPOINT_PAGES: Final = 4000
"""So many pages of the write-ahead log (16 MiB) come to the file at once; with SQLite's own 1000 the same ones come more often."""


class _Pool(SQLiteConnectionPool):
    """As many connections as there may be, from the start: a process holds the same files however its requests come.

    SQLite itself keeps the file of a connection that is closed for as long as another one has a lock, which is always.
    """

    def __init__(self, file: Path | str) -> None:
        super().__init__(
            db_name=str(file),
            lock_timeout=LOCK_SECONDS_MAX,
            pool_timeout=LOCK_SECONDS_MAX,
            pool_size=CONNECTIONS_MAX,
            max_overflow=0,
        )

    def open_all(self) -> None:
        """Open those that are not open yet."""
        taken: list[SQLiteConnection] = []
        try:
            while len(taken) < self.pool_size:
                taken.append(self.get_connection())
        finally:
            for connection in taken:
                self.put_connection(connection)

    def get_connection(self, timeout: float | None = None, *, is_writer: bool | None = None) -> SQLiteConnection:
        """A connection; for a writer the lock of writers first, so that whoever waits for it keeps no reader waiting.

        The library takes that lock itself, and keeps it for ever where there is no connection in time.
        """
        if not is_writer:
            return super().get_connection(timeout, is_writer=is_writer)
        timeout = self.pool_timeout if timeout is None else timeout
        began = time.monotonic()
        if not self._writer_lock.acquire(timeout=timeout):
            raise ConnectionUnavailableError("Timed out waiting for return of writer")
        try:
            connection = super().get_connection(max(0.0, timeout - (time.monotonic() - began)))
        except BaseException:
            self._writer_lock.release()
            raise
        connection.is_writer = True
        self._num_writers += 1
        return connection

    def put_connection(self, conn: SQLiteConnection) -> None:
        with self._put_condition:
            super().put_connection(conn)
            self._pool.rotate(1)  # who comes next gets it, with its pages in memory; the others' stay few

    def _create_connection(self) -> SQLiteConnection:
        connection = super()._create_connection()
        with connection.cursor() as cursor:  # SQLite keeps neither setting in the file
            cursor.execute(f"PRAGMA cache_size = -{PAGE_CACHE_KIB}")
            cursor.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            cursor.execute("PRAGMA schema_version")  # whoever reads opens the log: a connection has all its files now
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
        self._pool = _Pool(file)
        self._datastore = SQLiteDatastore(str(file), originator_id_type="text")
        self._datastore.pool = self._pool

    @contextmanager
    def prepare(self) -> Iterator[None]:
        try:
            yield
            self._pool.open_all()
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

    def tables(self) -> Collection[str]:
        with self.prepare(), self.read() as cursor:
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return [name for (name,) in cursor.fetchall()]

    def close(self) -> None:
        self._datastore.close()
