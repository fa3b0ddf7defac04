"""Two sets of a table, row by row in the order of keys, a page at a time; and the deletion of a set, some rows at a time."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from events.bus.cursor import Cursor
from events.bus.rebuild import Table
from events.bus.rebuild.jobs import Difference
from events.bus.rebuild.sets import Standing

ROWS: Final = 500
"""So many rows are compared, or deleted, in one step."""
TEXT_MAX: Final = 500
"""Characters of a value that are told."""

Key = tuple[Any, ...]


class Compared(NamedTuple):
    """A page: the key after which the next one begins, if there is one, and what is different, if anything is."""

    rows: int
    after: Key | None
    difference: Difference | None


def compare(cursor: Cursor, table: Table, standing: Standing, after: Key | None) -> Compared:
    """Compare a page, both of one snapshot."""
    live, made = (_page(cursor, table, number, after) for number in (standing.live, standing.other))
    if live == made:
        return Compared(len(live), live[-1][: len(table.key)] if len(live) == ROWS else None, None)
    place = next(
        (place for place, (one, other) in enumerate(zip(live, made, strict=False)) if one != other), min(len(live), len(made))
    )
    return Compared(place, None, _difference(table, live[place : place + 1], made[place : place + 1]))


def count(cursor: Cursor, table: Table, number: int) -> int:
    """How many rows a set has."""
    cursor.execute(f"SELECT count(*) FROM {table.of(number)}")
    return int(cursor.fetchone()[0])


def has_rows(cursor: Cursor, table: Table, number: int) -> bool:
    """Whether a set has any row."""
    cursor.execute(f"SELECT 1 FROM {table.of(number)} LIMIT 1")
    return cursor.fetchone() is not None


def delete(cursor: Cursor, table: Table, number: int) -> int:
    """Delete some rows of a set; how many."""
    name, key = table.of(number), ", ".join(table.key)
    cursor.execute(f"DELETE FROM {name} WHERE ({key}) IN (SELECT {key} FROM {name} ORDER BY {key} LIMIT {ROWS})")
    return cursor.rowcount


def _page(cursor: Cursor, table: Table, number: int, after: Key | None) -> list[Key]:
    name, key = table.of(number), ", ".join(table.key)
    conditions = [table.only.format(table=name)] if table.only else []
    if after is not None:
        conditions.append(f"({key}) > ({', '.join('?' * len(after))})")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    columns = ", ".join((*table.key, *table.columns))
    cursor.execute(f"SELECT {columns} FROM {name}{where} ORDER BY {key} LIMIT {ROWS}", after or ())
    return [tuple(row) for row in cursor.fetchall()]


def _difference(table: Table, live: Sequence[Key], made: Sequence[Key]) -> Difference:
    """Of two rows at the same place: one of them may be missing, or be one that has no like in the other set."""
    keys = [row[0][: len(table.key)] for row in (live, made) if row]
    key = min(keys)
    one, other = (row[0] if row and row[0][: len(table.key)] == key else None for row in (live, made))
    said = dict(zip(table.key, key, strict=True))
    if one is None or other is None:
        missing = ("there is no such row", "there is a row")
        return Difference(table=table.name, key=said, column=None, live=missing[one is not None], made=missing[other is not None])
    names = (*table.key, *table.columns)
    name, held, anew = next((n, a, b) for n, a, b in zip(names, one, other, strict=True) if a != b)
    return Difference(table=table.name, key=said, column=name, live=_text(held), made=_text(anew))


def _text(value: Any) -> str | None:
    if value is None:
        return None
    text = value.hex() if isinstance(value, bytes | memoryview) else str(value)
    return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}... ({len(text) - TEXT_MAX} characters more)"
