"""PostgreSQL: a schema per service, a connection per thread that needs one, SQLite's words put into PostgreSQL's.

What several workers need is here. A table of events is locked by whoever writes to it, so that its numbers rise in the order of
commits and nobody who reads it in order passes one by. Waiting is bounded: a worker that was frozen within a transaction loses it,
and its locks, after a while. A connection that is lost is an ``OperationalError``, as is a server that is away: try again.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from inspect import unwrap
from typing import Any, Final

import psycopg
from eventsourcing.persistence import IntegrityError, OperationalError, PersistenceError, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder
from psycopg.rows import DictRow, TupleRow, dict_row, tuple_row

from events.bus.database import CannotOpen
from events.bus.database.connections import Connections
from events.bus.ledger import Cursor, Dialect

_TYPES: Final = (
    ("INTEGER PRIMARY KEY AUTOINCREMENT", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
    ("BLOB", "BYTEA"),
    (" TEXT", ' TEXT COLLATE "C"'),  # texts have the order of their bytes, whatever the language of the database
    (" WITHOUT ROWID", ""),  # SQLite's word for a table that is kept in the order of its key
)
_NAMED: Final = re.compile(r":([a-z_]+)")
_INDEXED_BY: Final = re.compile(r" INDEXED BY \w+")  # SQLite is told which index to use; PostgreSQL knows its tables
_DROPS_THE_LOCK: Final = "POSTGRES_ENABLE_DB_FUNCTIONS"


class PostgresCursor:
    """A cursor that is spoken to as SQLite's (``events.bus.ledger.Cursor``)."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection: Final = connection
        self._cursor: Final[psycopg.Cursor[TupleRow]] = connection.cursor(binary=True, row_factory=tuple_row)

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> None:
        self._cursor.execute(_translated(sql), parameters)

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]], /) -> None:
        self._cursor.executemany(_translated(sql), parameters)

    def fetchall(self) -> list[Any]:
        return self._cursor.fetchall()

    def fetchone(self) -> Any:
        return self._cursor.fetchone()


@lru_cache(maxsize=1000)
def _translated(sql: str) -> bytes:
    """SQLite's marks for parameters, its number of a row and, where a table is made, its types. No literal of ours has them."""
    if sql.startswith("CREATE TABLE"):
        for name, name_here in _TYPES:
            sql = sql.replace(name, name_here)
    sql = _INDEXED_BY.sub("", sql.replace("%", "%%")).replace("?", "%s").replace("rowid", "notification_id")
    return _NAMED.sub(r"%(\1)s", sql).encode()


class PostgresEvents(PostgresApplicationRecorder):
    """A table of events (``events.bus.database.EventTable``)."""

    def __init__(self, connections: Connections, *, events_table_name: str) -> None:
        super().__init__(connections, events_table_name=events_table_name)
        del self.lock_table_statements[:-1]  # how long to wait for the lock is said once, when the connection is made
        # The function that writes without this lock shall not even exist.
        del self.sql_create_statements[self.create_insert_function_statement_index]
        if self.stored_event_type_name in connections.psycopg_type_adapters:  # it has no IF NOT EXISTS
            self.sql_create_statements = [each for each in self.sql_create_statements if "CREATE TYPE" not in each.as_string()]

    # The library tries ten times by itself; the loop does that, for longer, and says so.
    select_events = unwrap(PostgresApplicationRecorder.select_events)
    select_notifications = unwrap(PostgresApplicationRecorder.select_notifications)
    max_notification_id = unwrap(PostgresApplicationRecorder.max_notification_id)

    def append(self, cursor: Cursor, events: Sequence[StoredEvent]) -> Sequence[int]:
        assert isinstance(cursor, PostgresCursor)
        if not events:
            return ()
        with cursor.connection.cursor(row_factory=dict_row) as own:
            try:
                self._insert_stored_events(own, events)
            except psycopg.IntegrityError as error:
                raise IntegrityError(str(error)) from error
            return self._fetch_ids_after_insert_events(own, events) or ()

    def _notify_channel(self, curs: psycopg.Cursor[DictRow]) -> None:
        """Tell nobody: nobody listens, and all commits of a database that notify wait for each other."""


class Postgres:
    """A schema of a PostgreSQL database (``events.bus.database.Database``)."""

    def __init__(self, url: str, schema: str) -> None:
        if os.environ.get(_DROPS_THE_LOCK, "").lower() in ("y", "yes", "t", "true", "on", "1"):
            raise CannotOpen(f"{_DROPS_THE_LOCK} drops the lock that keeps events in the order of commits: unset it")
        self.dialect = Dialect(lock="LOCK TABLE {} IN EXCLUSIVE MODE", unanswered=(OperationalError,), wide_indexes=False)
        self._schema = schema
        self._connections = Connections(url, schema)

    @contextmanager
    def prepare(self) -> Iterator[None]:
        try:
            with self._connections.get_connection() as connection:
                # Two workers that start at once: CREATE … IF NOT EXISTS is not made for that.
                connection.execute("SELECT pg_advisory_lock(hashtextextended('handoff ' || %s, 0))", (self._schema,))
                if not self._schema_exists(connection):
                    connection.execute(f'CREATE SCHEMA "{self._schema}"'.encode())
                try:
                    yield
                finally:
                    connection.execute("SELECT pg_advisory_unlock_all()")
        except (psycopg.Error, PersistenceError) as error:
            self.close()
            raise CannotOpen(f"{self._connections.told(error)} (HANDOFF_DATABASE)") from error

    def _schema_exists(self, connection: psycopg.Connection[DictRow]) -> bool:
        row = connection.execute("SELECT to_regnamespace(%s) IS NOT NULL AS found", (self._schema,)).fetchone()
        assert row is not None
        return bool(row["found"])

    @contextmanager
    def begin(self) -> Iterator[PostgresCursor]:
        with self._connections.get_connection() as connection, connection.transaction():
            yield PostgresCursor(connection)

    @contextmanager
    def read(self) -> Iterator[PostgresCursor]:
        with self._connections.get_connection() as connection:
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            try:
                yield PostgresCursor(connection)
            finally:
                connection.rollback()

    def events(self, table: str) -> PostgresEvents:
        recorder = PostgresEvents(self._connections, events_table_name=table)
        recorder.create_table()
        return recorder

    def close(self) -> None:
        self._connections.close()
