"""Tables in PostgreSQL: made where they are missing, and looked at where they are not.

``CREATE … IF NOT EXISTS`` needs the right to create although there is nothing to do, and one on the table to make an index of it. A
service may run as a role that has neither, because somebody else made everything: so what exists is not made again, and
whether this role may do with a table what a service does is said when it starts, and not when the first fact comes.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import psycopg
from eventsourcing.persistence import OperationalError

EVENTS: Final = "_events"
"""How the name of a table of events ends: of a table whose rows are appended and read, never changed."""
APPEND: Final = ("SELECT", "INSERT")
WRITE: Final = (*APPEND, "UPDATE", "DELETE")
WAY_OUT: Final = "`handoff database prepare`, run by the owner of the tables, makes what is missing and grants what a role needs"

_CREATE: Final = re.compile(r'CREATE (?:UNIQUE )?(TABLE|INDEX) IF NOT EXISTS (?:"?\w+"?\.)?"?(\w+)"?')
_STANDING: Final = """SELECT ARRAY(SELECT needed FROM unnest(%s::text[]) AS needed WHERE NOT has_table_privilege(oid, needed))
    FROM pg_class WHERE relnamespace = current_setting('search_path')::regnamespace AND relname = %s"""


class NotGranted(OperationalError):  # noqa: N818 - the name says what happened
    """Something is missing, or a role may not do what it must; the message names both, and the way out."""


def rights(table: str) -> tuple[str, ...]:
    """What a service does with a table, in PostgreSQL's words."""
    return APPEND if table.endswith(EVENTS) else WRITE


def create(connection: psycopg.Connection[Any], statement: str) -> bool:
    """Run a ``CREATE … IF NOT EXISTS``, unless there is nothing to do; False for every other statement, and nothing is done.

    Raises ``NotGranted`` where a table or an index is missing and may not be made, or where a table may not be used.
    """
    found = _CREATE.match(statement)
    if found is None:
        return False
    kind, name = found[1], found[2]
    needed = rights(name) if kind == "TABLE" else ()
    row = _one(connection, _STANDING, (list(needed), name))
    if row is None:
        _make(connection, kind.lower(), name, statement)
    elif row[0]:
        raise NotGranted(f"table {name!r}: {', '.join(row[0])} not granted; {WAY_OUT}")
    return True


def _make(connection: psycopg.Connection[Any], kind: str, name: str, statement: str) -> None:
    try:
        connection.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege as error:
        raise NotGranted(f"{kind} {name!r} is missing, and may not be made ({error.diag.message_primary}); {WAY_OUT}") from error


def check_numbers(connection: psycopg.Connection[Any], table: str) -> None:
    """Raises ``NotGranted`` where a role cannot draw the numbers of a table's events."""
    row = _one(connection, "SELECT has_sequence_privilege(pg_get_serial_sequence(%s, 'notification_id'), 'USAGE')", (table,))
    if row != (True,):
        raise NotGranted(f"table {table!r}: USAGE of its sequence not granted; {WAY_OUT}")


def schema_exists(connection: psycopg.Connection[Any], schema: str) -> bool:
    """Whether there is a schema. Raises ``NotGranted`` where this role may not use it."""
    row = _one(connection, "SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = %s", (schema,))
    if row == (False,):
        raise NotGranted(f"schema {schema!r}: USAGE not granted; {WAY_OUT}")
    return row is not None


def _one(connection: psycopg.Connection[Any], query: str, values: Sequence[Any]) -> tuple[Any, ...] | None:
    return connection.cursor(row_factory=psycopg.rows.tuple_row).execute(query.encode(), values).fetchone()
