"""The table of customers: one line for each record, written in the transaction that changed the record; lists are read from it.

In go lines (:class:`~services.lifecycle.domain.summary.Summary`) and what a list is asked for, out come pages. It is one table for
all shards, so that they are read as one, whoever owns them. Of the table there are two (:mod:`events.bus.rebuild`): one is live.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import astuple

from events.bus.cursor import Cursor
from events.bus.rebuild import SUFFIXES, Table, sets
from services.lifecycle.domain.summary import Summary

VIEW: Final = "customers"
"""The name of the view that the table is."""
_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS customer{set} (
        customer_id TEXT PRIMARY KEY, shard INTEGER NOT NULL, version BIGINT NOT NULL,
        stage TEXT NOT NULL, status TEXT NOT NULL, probability INTEGER NOT NULL, since BIGINT NOT NULL, owner TEXT,
        company TEXT, country TEXT, source TEXT, source_kind TEXT, score INTEGER,
        began_at BIGINT NOT NULL, active_at BIGINT NOT NULL, touched_at BIGINT, searched TEXT) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS customer{set}_by_status ON customer{set} (status, since)",
    "CREATE INDEX IF NOT EXISTS customer{set}_owned ON customer{set} (owner) WHERE owner IS NOT NULL",
)
"""A new customer is owned by nobody first, so the index of owners is left alone until somebody does."""
TABLES: Final = (
    "DROP INDEX IF EXISTS customer_by_owner",  # of older databases: it had the customers whom nobody owns, too
    *(table.format(set=suffix) for suffix in SUFFIXES for table in _TABLES),
)
_SUMMARY: Final = Summary.__struct_fields__
_COLUMNS: Final = ("customer_id", "shard", "version", *_SUMMARY, "searched")
INDEXES: Final = (("status", "since"), ("owner",))
"""The columns of each index. They are set only where they change: a line comes with every fact, and SQLite writes an index, which
lies elsewhere on the disk, where any of its columns is set."""
_INDEXED: Final = tuple(name for columns in INDEXES for name in columns)
_PLAIN: Final = tuple(name for name in _COLUMNS[1:] if name not in _INDEXED)
TABLE: Final = Table("customer", ("customer_id",), _COLUMNS[1:])
_WRITE: Final = (
    f"INSERT INTO {{table}} ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
    f" ON CONFLICT (customer_id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[1:])}"
    " WHERE excluded.version >= {table}.version"
)
_NEVER: Final = "1 = 0"
_ASKED_MAX: Final = 500

Sort = Literal["customer_id", "since", "began_at", "active_at"]
"""The columns by which a list can be sorted."""


class Line(Struct, frozen=True):
    """A record's line, as of its version."""

    customer_id: str
    shard: int
    version: int
    summary: Summary


class Reached(Struct, frozen=True):
    """By status, an instant that must have been reached: records of other statuses have not. Not ``wanted``: the others."""

    at_most: tuple[tuple[str, int], ...]
    wanted: bool = True


class Selection(Struct, frozen=True, kw_only=True):
    """Which records. Everything that is said must hold; of several values one. Instants in nanoseconds since 1970.

    ``owner``: ids of reps, and None for nobody. ``began_from`` to ``began_to``: its first fact, both inclusive. ``idle_since``:
    nothing happened at that instant or later. ``overdue``: when the status began, at the latest. ``follow_up``: the same for the
    later of that and of when somebody last spoke with the customer. ``text``: a part of the company's name or the beginning of
    the id, in whatever case.
    """

    customer_id: Collection[str] | None = None
    stage: Collection[str] | None = None
    status: Collection[str] | None = None
    owner: Collection[str | None] | None = None
    country: Collection[str] | None = None
    source: Collection[str] | None = None
    began_from: int | None = None
    began_to: int | None = None
    score_min: int | None = None
    score_max: int | None = None
    idle_since: int | None = None
    overdue: Reached | None = None
    follow_up: Reached | None = None
    text: str | None = None


def write(cursor: Cursor, table: str, lines: Sequence[Line]) -> None:
    """Write lines, within a transaction. A line of an older version than the one that is there changes nothing."""
    there = _indexed(cursor, table, [line.customer_id for line in lines])
    new: list[tuple[Any, ...]] = []
    changed: defaultdict[tuple[str, ...], list[tuple[Any, ...]]] = defaultdict(list)
    for line in lines:
        held = there.get(line.customer_id)
        if held is None:
            new.append(_row(line))
        else:
            changed[_moved(line.summary, held)].append(_row(line))
    cursor.executemany(_WRITE.format(table=table), new)
    for moved, rows in changed.items():
        statement, parameters = update(table, moved)
        cursor.executemany(statement, [parameters(row) for row in rows])


@cache
def update(table: str, moved: tuple[str, ...]) -> tuple[str, Callable[[tuple[Any, ...]], tuple[Any, ...]]]:
    """The statement for a line of which these indexed columns have changed, and what takes its parameters out of a row."""
    columns = (*_PLAIN, *moved)
    statement = f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in columns)} WHERE customer_id = ? AND version <= ?"
    return statement, itemgetter(*(_COLUMNS.index(name) for name in (*columns, "customer_id", "version")))


def _indexed(cursor: Cursor, table: str, customers: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """What the indexes hold of those customers that have a line."""
    found: dict[str, Mapping[str, Any]] = {}
    for start in range(0, len(customers), _ASKED_MAX):
        some = customers[start : start + _ASKED_MAX]
        marks = ", ".join("?" * len(some))
        cursor.execute(f"SELECT customer_id, {', '.join(_INDEXED)} FROM {table} WHERE customer_id IN ({marks})", some)
        found.update((customer, dict(zip(_INDEXED, values, strict=True))) for customer, *values in cursor.fetchall())
    return found


def _moved(summary: Summary, held: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of the indexes in which something is another than what they hold."""
    return tuple(name for columns in INDEXES if any(getattr(summary, each) != held[each] for each in columns) for name in columns)


def _row(line: Line) -> tuple[Any, ...]:
    searched = f"{line.customer_id}\n{line.summary.company or ''}".casefold()
    return (line.customer_id, line.shard, line.version, *astuple(line.summary), searched)


def live(cursor: Cursor) -> str:
    """The table that is read, in this snapshot."""
    return TABLE.of(sets.to_read(cursor, VIEW).live)


def count(cursor: Cursor, selection: Selection) -> int:
    """How many records are meant."""
    where, values = _where(selection)
    cursor.execute(f"SELECT count(*) FROM {live(cursor)} WHERE {where}", values)
    return int(cursor.fetchone()[0])


def page(
    cursor: Cursor,
    selection: Selection,
    *,
    sort: Sort = "customer_id",
    descending: bool = False,
    after: tuple[Any, str] | None = None,
    limit: int,
) -> list[Line]:
    """A page of the records that are meant. ``after``: the last one's value in the column of ``sort``, and its id."""
    where, values = _where(selection)
    direction, further = ("DESC", "<") if descending else ("ASC", ">")
    order = "customer_id" if sort == "customer_id" else f"{sort} {direction}, customer_id"
    if after is not None:
        value, customer = after
        if sort == "customer_id":
            where, values = f"{where} AND customer_id {further} ?", [*values, customer]
        else:
            where = f"{where} AND ({sort}, customer_id) {further} (?, ?)"
            values = [*values, value, customer]
    cursor.execute(
        f"SELECT customer_id, shard, version, {', '.join(_SUMMARY)} FROM {live(cursor)} WHERE {where}"
        f" ORDER BY {order} {direction} LIMIT ?",
        [*values, limit],
    )
    return [_line(row) for row in cursor.fetchall()]


def _line(row: Sequence[Any]) -> Line:
    customer_id, shard, version, *values = row
    return Line(customer_id, shard, version, Summary(**dict(zip(_SUMMARY, values, strict=True))))


# ------------------------------------------------------------------------------------------ selecting


def _where(selection: Selection) -> tuple[str, list[Any]]:
    """The condition in SQL, and its values."""
    parts: list[tuple[str, Sequence[Any]]] = []
    for column in ("customer_id", "stage", "status", "country", "source"):
        wanted = getattr(selection, column)
        if wanted is not None:
            parts.append(_among(column, wanted))
    if selection.owner is not None:
        parts.append(_owned(selection.owner))
    for condition, value in (
        ("began_at >= ?", selection.began_from),
        ("began_at <= ?", selection.began_to),
        ("score >= ?", selection.score_min),
        ("score <= ?", selection.score_max),
        ("active_at < ?", selection.idle_since),
    ):
        if value is not None:
            parts.append((condition, (value,)))
    if selection.overdue is not None:
        parts.append(_reached(selection.overdue, "since <= ?"))
    if selection.follow_up is not None:
        parts.append(_reached(selection.follow_up, "since <= ? AND coalesce(touched_at, since) <= ?"))
    if selection.text is not None:
        text = _escaped(selection.text.casefold())
        parts.append(("(searched LIKE ? ESCAPE '\\' OR searched LIKE ? ESCAPE '\\')", (f"{text}%", f"%\n%{text}%")))
    if not parts:
        return "1 = 1", []
    return " AND ".join(condition for condition, _ in parts), [value for _, values in parts for value in values]


def _among(column: str, wanted: Collection[str]) -> tuple[str, Sequence[str]]:
    return (f"{column} IN ({', '.join('?' * len(wanted))})", [*wanted]) if wanted else (_NEVER, ())


def _owned(owners: Collection[str | None]) -> tuple[str, Sequence[str]]:
    condition, values = _among("owner", [owner for owner in owners if owner is not None])
    return (f"({condition} OR owner IS NULL)" if None in owners else condition), values


def _reached(reached: Reached, condition: str) -> tuple[str, Sequence[Any]]:
    parts = " OR ".join(f"(status = ? AND {condition})" for _ in reached.at_most) or _NEVER
    values = [value for status, instant in reached.at_most for value in (status, *(instant,) * condition.count("?"))]
    return (f"({parts})" if reached.wanted else f"NOT ({parts})"), values


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
