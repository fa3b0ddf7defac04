"""Who may do what with a service's schema in PostgreSQL: the service appends events and never changes one, whoever reports reads.

In go a schema whose tables exist and the names of roles, out come the statements that were run, as they can be shown. They may be
run again at any time: what a role had before is taken back first, in the same transaction, so nobody sees it without.
"""

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Composed, Identifier

from events.bus.database.tables import APPEND, EVENTS, WRITE, NotGranted, rights

_TABLES: Final = """SELECT relname FROM pg_class
    WHERE relnamespace = current_setting('search_path')::regnamespace AND relkind IN ('r', 'p') ORDER BY relname"""
_OWNED: Final = """SELECT relname, 'do everything' FROM pg_class
    WHERE relnamespace = current_setting('search_path')::regnamespace AND relkind IN ('r', 'p')
    AND pg_has_role(%s, relowner, 'USAGE') ORDER BY relname LIMIT 1"""
_STILL: Final = """SELECT name, needed FROM unnest(%s::text[]) AS name, unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS needed
    WHERE has_table_privilege(%s, format('%%I.%%I', %s::text, name), needed) LIMIT 1"""


def grant(connection: psycopg.Connection[Any], schema: str, writer: str | None, reader: str | None) -> Sequence[str]:
    """Give a role what a service needs, and another one the right to read, within a transaction.

    Raises ``NotGranted`` where the writer could change events all the same: as their owner, as a superuser, or by another role.
    """
    cursor = connection.cursor(row_factory=tuple_row)
    tables = [name for (name,) in cursor.execute(_TABLES.encode()).fetchall()]
    if writer is not None:  # first: an owner would take its own rights away
        _refuse(schema, writer, cursor.execute(_OWNED.encode(), (writer,)).fetchone())
    done: list[str] = []
    for statement in (*_writing(schema, tables, writer), *_reading(schema, tables, reader)):
        cursor.execute(statement)
        done.append(statement.as_string(connection))
    if writer is not None:
        events = [name for name in tables if name.endswith(EVENTS)]
        _refuse(schema, writer, cursor.execute(_STILL.encode(), (events, writer, schema)).fetchone())
    return done


def _refuse(schema: str, role: str, found: tuple[str, str] | None) -> None:
    if found is not None:
        raise NotGranted(
            f"{role!r} may {found[1]} in {schema}.{found[0]} whatever is granted here: let it be no superuser, not the owner of the"
            " table, and not a member of a role that may"
        )


def _writing(schema: str, tables: Sequence[str], role: str | None) -> Sequence[Composed]:
    if role is None:
        return ()
    apart = {needed: [name for name in tables if rights(name) == needed] for needed in (APPEND, WRITE)}
    return (
        *_nothing(schema, role),
        *(_granted(needed, schema, names, role) for needed, names in apart.items() if names),
        *(
            SQL("GRANT USAGE ON SEQUENCE {} TO {}").format(Identifier(schema, f"{name}_notification_id_seq"), Identifier(role))
            for name in apart[APPEND]
        ),
    )


def _reading(schema: str, tables: Sequence[str], role: str | None) -> Sequence[Composed]:
    """Enough for ``pg_dump``, which reads how far each sequence is."""
    if role is None:
        return ()
    sequences = SQL("GRANT SELECT ON ALL SEQUENCES IN SCHEMA {} TO {}").format(Identifier(schema), Identifier(role))
    return (*_nothing(schema, role), _granted(("SELECT",), schema, tables, role), sequences)


def _nothing(schema: str, role: str) -> Sequence[Composed]:
    """Only the right to look into the schema."""
    names = {"schema": Identifier(schema), "role": Identifier(role)}
    return (
        SQL("REVOKE ALL ON SCHEMA {schema} FROM {role}").format(**names),
        SQL("REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}").format(**names),
        SQL("REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM {role}").format(**names),
        SQL("GRANT USAGE ON SCHEMA {schema} TO {role}").format(**names),
    )


def _granted(needed: Sequence[str], schema: str, tables: Sequence[str], role: str) -> Composed:
    return SQL("GRANT {} ON {} TO {}").format(
        SQL(", ").join(map(SQL, needed)), SQL(", ").join(Identifier(schema, name) for name in tables), Identifier(role)
    )
