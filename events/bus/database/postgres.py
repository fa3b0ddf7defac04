"""PostgreSQL: a schema per service, a connection per thread that needs one, SQLite's words put into PostgreSQL's.

What several workers need is here. A table of events is held by whoever writes to it, so that its numbers rise in the order of
commits and nobody who reads it in order passes one by. Waiting is bounded: a worker that was frozen within a transaction loses it,
and its locks, after a while. A connection that is lost is an ``OperationalError``, as is a server that is away: try again.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from inspect import unwrap
from typing import Any, Final

import psycopg
from eventsourcing.persistence import IntegrityError, OperationalError, PersistenceError, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder
from psycopg.rows import TupleRow, tuple_row
from psycopg.sql import SQL, Identifier, Literal

from events.bus.cursor import Cursor, Dialect
from events.bus.database import CannotOpen
from events.bus.database.connections import Connections, passes
from events.bus.database.grants import grant
from events.bus.database.tables import EVENTS, check_numbers, create, schema_exists

_TYPES: Final = (
    ("INTEGER PRIMARY KEY AUTOINCREMENT", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"),
    ("BLOB", "BYTEA"),
    (" TEXT", ' TEXT COLLATE "C"'),  # texts have the order of their bytes, whatever the language of the database
    (" WITHOUT ROWID", ""),  # SQLite's word for a table that is kept in the order of its key
)
_NAMED: Final = re.compile(r":([a-z_]+)")
_INDEXED_BY: Final = re.compile(r" INDEXED BY \w+")  # SQLite is told which index to use; PostgreSQL knows its tables


class PostgresCursor:
    """A cursor that is spoken to as SQLite's (``events.bus.cursor.Cursor``)."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection: Final = connection
        self._cursor: Final[psycopg.Cursor[TupleRow]] = connection.cursor(binary=True, row_factory=tuple_row)

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> None:
        statement = _translated(sql)
        if not create(self.connection, statement):
            self._cursor.execute(statement.encode(), parameters)

    def executemany(self, sql: str, parameters: Sequence[Sequence[Any]], /) -> None:
        self._cursor.executemany(_translated(sql).encode(), parameters)

    def fetchall(self) -> list[Any]:
        return self._cursor.fetchall()

    def fetchone(self) -> Any:
        return self._cursor.fetchone()


@lru_cache(maxsize=1000)
def _translated(sql: str) -> str:
    """SQLite's marks for parameters, its number of a row and, where a table is made, its types. No literal of ours has them."""
    if sql.startswith("CREATE TABLE"):
        for name, name_here in _TYPES:
            sql = sql.replace(name, name_here)
    sql = _INDEXED_BY.sub("", sql.replace("%", "%%")).replace("?", "%s").replace("rowid", "notification_id")
    return _NAMED.sub(r"%(\1)s", sql)


class PostgresEvents(PostgresApplicationRecorder):
    """A table of events (``events.bus.database.EventTable``): made and read by the library, written here.

    Events go in as arrays of columns, in the server's own format, and their numbers come back: one round trip. The statement takes
    the lock before it draws a number. It is a lock of the application ("advisory"), because one of the table is for those only
    who may change what is in it (DECISIONS.md, 50 and 51).
    """

    def __init__(self, connections: Connections, *, events_table_name: str) -> None:
        assert events_table_name.endswith(EVENTS), "grants are told by the name"
        super().__init__(connections, events_table_name=events_table_name)
        self._append = SQL(
            "WITH held AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtextextended({name}, 0)))"
            " INSERT INTO {schema}.{table} (originator_id, originator_version, topic, state)"
            " SELECT event.* FROM held, unnest(%b::text[], %b::bigint[], %b::text[], %b::bytea[]) AS event"
            " RETURNING notification_id"
        ).format(
            name=Literal(f"handoff {connections.schema}.{events_table_name}"),
            schema=Identifier(connections.schema),
            table=Identifier(events_table_name),
        )

    # The library tries ten times by itself; the loop does that, for longer, and says so.
    select_events = unwrap(PostgresApplicationRecorder.select_events)
    select_notifications = unwrap(PostgresApplicationRecorder.select_notifications)
    max_notification_id = unwrap(PostgresApplicationRecorder.max_notification_id)

    def create_table(self) -> None:
        with self.datastore.get_connection() as connection, connection.transaction():
            for statement in self.sql_create_statements:
                # The others are a type that nothing is written as, and a function that writes without the lock.
                create(connection, statement.as_string())
            check_numbers(connection, self.events_table_name)

    def append(self, cursor: Cursor, events: Sequence[StoredEvent]) -> Sequence[int]:
        assert isinstance(cursor, PostgresCursor)
        if not events:
            return ()
        columns = (
            [event.originator_id for event in events],
            [event.originator_version for event in events],
            [event.topic for event in events],
            [event.state for event in events],
        )
        try:
            numbers = cursor.connection.cursor(binary=True, row_factory=tuple_row).execute(self._append, columns)
        except psycopg.IntegrityError as error:
            raise IntegrityError(str(error)) from error
        return [number for (number,) in numbers]


class Postgres:
    """A schema of a PostgreSQL database (``events.bus.database.Database``)."""

    def __init__(self, url: str, schema: str) -> None:
        self.dialect = Dialect(
            lock="LOCK TABLE {} IN EXCLUSIVE MODE", share=" FOR SHARE", unanswered=(OperationalError,), wide_indexes=False
        )
        self._schema = schema
        self._connections = Connections(url, schema)

    @contextmanager
    def prepare(self) -> Iterator[None]:
        try:
            with self._connections.get_connection() as connection:
                # Two workers that start at once: CREATE … IF NOT EXISTS is not made for that.
                connection.execute("SELECT pg_advisory_lock(hashtextextended('handoff ' || %s, 0))", (self._schema,))
                if not schema_exists(connection, self._schema):
                    connection.execute(f'CREATE SCHEMA "{self._schema}"'.encode())
                try:
                    yield
                finally:
                    connection.execute("SELECT pg_advisory_unlock_all()")
        except (psycopg.Error, PersistenceError) as error:
            self.close()
            raise CannotOpen(f"{self._connections.told(error)} (HANDOFF_DATABASE)", passes=passes(error)) from error

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

    def grant(self, writer: str | None, reader: str | None) -> Sequence[str]:
        """Give a role what a service needs of this schema, and a role the right to read it; the statements that did it.

        Raises ``CannotOpen``.
        """
        with self.prepare(), self._connections.get_connection() as connection, connection.transaction():
            return grant(connection, self._schema, writer, reader)

    def tables(self) -> Collection[str]:
        try:
            with self.read() as cursor:
                cursor.execute("SELECT CAST(tablename AS text) FROM pg_tables WHERE schemaname = ?", (self._schema,))
                return [name for (name,) in cursor.fetchall()]
        except (psycopg.Error, PersistenceError) as error:
            raise CannotOpen(f"{self._connections.told(error)} (HANDOFF_DATABASE)") from error

    def close(self) -> None:
        self._connections.close()
