"""What a service's transactions wrote, and the raw writer that writes the same: the floor of everything durable.

In go a service's database file and a cursor of the connection that it writes with. Out come its tables and indexes, its settings of
journal and fsync, and, transaction by transaction, the rows that came, changed and went. :class:`RawWriter` repeats just
that on a file of its own: one ``executemany`` per table and kind of change, in transactions of the same sizes. So a floor has
the rows, bytes, tables, indexes and fsyncs of its subject by construction, and none of its thoughts.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec import Struct

from events.bus.cursor import Cursor

_PRAGMAS = ("page_size", "journal_mode", "synchronous", "cache_size", "wal_autocheckpoint", "temp_store", "mmap_size")
Row = tuple[Any, ...]


class Table(Struct, frozen=True):
    """A table: how its rows are told apart, and in which order they came where it tells."""

    name: str
    columns: tuple[str, ...]
    key: tuple[int, ...]
    order: str


class Statement(Struct, frozen=True):
    """One ``executemany``."""

    sql: str
    parameters: list[Row]


Transaction = tuple[Statement, ...]


class Blueprint(Struct, frozen=True):
    """A database without its rows: settings of the connection, and the statements that make tables and indexes."""

    settings: tuple[tuple[str, Any], ...]
    schema: tuple[str, ...]

    @classmethod
    def of(cls, cursor: Cursor) -> "Blueprint":
        """That of the connection that a cursor belongs to."""
        settings = []
        for name in _PRAGMAS:
            cursor.execute(f"PRAGMA {name}")
            settings.append((name, cursor.fetchone()[0]))
        cursor.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid")
        return cls(tuple(settings), tuple(row[0] for row in cursor.fetchall()))

    def described(self) -> dict[str, Any]:
        """The settings by name."""
        return dict(self.settings)


class Watcher:
    """Tells after each transaction of somebody else's what it did to the tables whose names begin as told."""

    def __init__(self, path: Path, *prefixes: str) -> None:
        self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        self._tables = [table for table in _tables(self._connection) if table.name.startswith(prefixes)]
        self._known: dict[str, dict[Row, Row]] = {table.name: {} for table in self._tables}

    def look(self) -> Transaction:
        """What has changed since the last look."""
        return tuple(statement for table in self._tables for statement in self._changes(table))

    def close(self) -> None:
        self._connection.close()

    def _changes(self, table: Table) -> list[Statement]:
        rows = self._connection.execute(f"SELECT * FROM {table.name} {table.order}").fetchall()
        before, now = self._known[table.name], {tuple(row[place] for place in table.key): row for row in rows}
        self._known[table.name] = now
        marks = ", ".join("?" * len(table.columns))
        found = [Statement(f"INSERT INTO {table.name} VALUES ({marks})", [row for key, row in now.items() if key not in before])]
        found += _updates(table, [(key, before[key], row) for key, row in now.items() if key in before and before[key] != row])
        found.append(Statement(f"DELETE FROM {table.name} WHERE {_where(table)}", [key for key in before if key not in now]))
        return [statement for statement in found if statement.parameters]


class RawWriter:
    """A database that is written without a thought."""

    def __init__(self, path: Path, blueprint: Blueprint) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for name, value in blueprint.settings:
            self._connection.execute(f"PRAGMA {name} = {value}").fetchall()
        for statement in blueprint.schema:
            self._connection.execute(statement)

    def write(self, transaction: Transaction) -> None:
        """Commit one transaction."""
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        for statement in transaction:
            self._connection.executemany(statement.sql, statement.parameters)
        execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


def rows_of(transactions: Sequence[Transaction]) -> int:
    """How many rows some transactions insert, change and delete."""
    return sum(len(statement.parameters) for transaction in transactions for statement in transaction)


def digest(path: Path, *prefixes: str) -> str:
    """One number for all rows of some tables: equal where the rows are, byte for byte."""
    found = sha256()
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        for table in _tables(connection):
            if table.name.startswith(prefixes):
                order = ", ".join(table.columns[place] for place in table.key)
                for row in connection.execute(f"SELECT * FROM {table.name} ORDER BY {order}"):
                    found.update(repr(row).encode())
    return found.hexdigest()


def _tables(connection: sqlite3.Connection) -> list[Table]:
    made = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
    )
    found = []
    for name, sql in made.fetchall():
        columns = connection.execute(f"PRAGMA table_info({name})").fetchall()
        key = tuple(place for place, column in enumerate(columns) if column[5])
        order = "" if "WITHOUT ROWID" in sql else "ORDER BY rowid"  # as they came, where the table knows it
        found.append(Table(name, tuple(column[1] for column in columns), key, order))
    return found


def _updates(table: Table, changed: Sequence[tuple[Row, Row, Row]]) -> list[Statement]:
    """The rows that changed, by the columns that did: nothing else of them is written."""
    by_columns: defaultdict[tuple[int, ...], list[Row]] = defaultdict(list)
    for key, before, row in changed:
        places = tuple(place for place, value in enumerate(row) if value != before[place])
        by_columns[places].append((*(row[place] for place in places), *key))
    return [
        Statement(f"UPDATE {table.name} SET {', '.join(f'{table.columns[p]} = ?' for p in places)} WHERE {_where(table)}", rows)
        for places, rows in by_columns.items()
    ]


def _where(table: Table) -> str:
    return " AND ".join(f"{table.columns[place]} = ?" for place in table.key)
