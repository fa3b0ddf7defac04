"""Which dead letters are meant, and what is read of them: pages in the order of numbers, counts, one letter with its bytes."""

from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

from msgspec import Struct

from events.bus.cursor import Cursor
from events.bus.letters.keeping import Act, Seen, State
from events.bus.letters.tables import headers_of, stored_text
from events.record import Record, TopicPartition

By = Literal["reason", "error", "topic", "source", "type", "customer_id", "day", "state"]
"""By what letters are counted. Reasons that differ only in what they quote are one; a day is one of the log's time, in UTC."""
GROUPINGS: Final = get_args(By)
DAY_MS: Final = 24 * 3600 * 1000
_COLUMNS: Final[dict[By, tuple[str, ...]]] = {
    "reason": ("l.error", "l.path", "l.pattern"),
    "day": (f"l.timestamp / {DAY_MS}",),
    **{by: (f"l.{by}",) for by in GROUPINGS if by not in ("reason", "day")},
}
_LINE: Final = (
    "SELECT l.number, l.state, l.changed_at, d.topic, d.part, d.record_offset, d.timestamp, d.key, length(d.value), d.error,"
    " d.reason, d.path, d.attempts, d.code_version, l.source, l.id, l.type, l.customer_id, l.replay_of"
    " FROM letter AS l JOIN dead_letter AS d ON d.number = l.number"
)


class Selection(Struct, frozen=True, kw_only=True):
    """Which letters are meant; of a list any may hold, an empty one means all. Instants in milliseconds, of the log.

    ``since`` is inclusive, ``until`` exclusive. ``again``: only letters that are replays which failed, or only others.
    ``newer_than`` and ``up_to``: letters' numbers, exclusive and inclusive.
    """

    number: Sequence[int] = ()
    state: Sequence[State] = ()
    error: Sequence[str] = ()
    topic: Sequence[str] = ()
    source: Sequence[str] = ()
    type: Sequence[str] = ()
    id: Sequence[str] = ()
    customer_id: Sequence[str] = ()
    partition: int | None = None
    offset: int | None = None
    since: int | None = None
    until: int | None = None
    text: str | None = None
    again: bool | None = None
    newer_than: int | None = None
    up_to: int | None = None


class Line(Struct, frozen=True):
    """A letter without its bytes. ``changed_at``: when something was done about it last, in nanoseconds; 0 while it waits.

    ``size``: of its value; none where there is none. ``replay_of``: the first letter, where this is a replay of it that failed.
    """

    number: int
    state: State
    changed_at: int
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    size: int | None
    error: str
    reason: str
    path: str
    attempts: int
    code_version: str
    source: str | None
    id: str | None
    type: str | None
    customer_id: str | None
    replay_of: int | None

    @property
    def seen(self) -> Seen:
        """The letter as it stands here."""
        return Seen(self.number, self.state, self.changed_at, self.error)


class Done(Struct, frozen=True):
    """What was done about a letter. ``published``: whether the replay is in its log; null of what is not published."""

    act: Act
    at: int
    actor: str
    why: str
    published: bool | None


class Group(Struct, frozen=True):
    """Letters that have something in common: how many, from when to when (milliseconds), and the number of the newest."""

    key: tuple[Any, ...]
    count: int
    first: int
    last: int
    newest: int


class Buried(Struct, frozen=True):
    """What a record has become that was refused. ``resolved``: what was done about it, if anything was."""

    number: int
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    error: str
    reason: str
    path: str
    attempts: int
    source: str | None
    id: str | None
    resolved: str | None


def page(cursor: Cursor, selection: Selection, *, after: int | None = None, limit: int, rising: bool = False) -> list[Line]:
    """Letters in the order of their numbers, rising or falling, that follow a number."""
    where, values = _where(selection)
    if after is not None:
        where.append("l.number > ?" if rising else "l.number < ?")
        values.append(after)
    cursor.execute(f"{_LINE}{_all(where)} ORDER BY l.number {'ASC' if rising else 'DESC'} LIMIT ?", (*values, limit))
    return [Line(*row) for row in cursor.fetchall()]


def total(cursor: Cursor, selection: Selection) -> int:
    """How many letters are meant."""
    where, values = _where(selection)
    cursor.execute(f"SELECT count(*) FROM {_tables(where)}{_all(where)}", values)
    return int(cursor.fetchone()[0])


def groups(cursor: Cursor, selection: Selection, by: By, limit: int) -> list[Group]:
    """How many letters of each kind there are, the most frequent kinds first."""
    columns = ", ".join(_COLUMNS[by])
    where, values = _where(selection)
    cursor.execute(
        f"SELECT count(*), min(l.timestamp), max(l.timestamp), max(l.number), {columns} FROM {_tables(where)}{_all(where)}"
        f" GROUP BY {columns} ORDER BY 1 DESC, 4 DESC LIMIT ?",
        (*values, limit),
    )
    return [Group(tuple(key), *figures) for *figures, key in ((*row[:4], row[4:]) for row in cursor.fetchall())]


def record_of(cursor: Cursor, number: int) -> Record | None:
    """The record that a letter holds, as it was read."""
    cursor.execute("SELECT topic, part, record_offset, timestamp, key, value, headers FROM dead_letter WHERE number = ?", (number,))
    row = cursor.fetchone()
    return None if row is None else Record(row[0], row[1], row[2], row[3], row[4], row[5], headers_of(row[6]))


def acts_of(cursor: Cursor, number: int) -> list[Done]:
    """What was done about a letter, oldest first."""
    cursor.execute(
        "SELECT a.act, a.at, a.actor, a.why, a.number,"
        " (SELECT r.number FROM relay AS r WHERE r.stream = 'replay[' || a.part || ']')"
        " FROM letter_act AS a WHERE a.letter = ? ORDER BY a.number",
        (number,),
    )
    return [
        Done(act, at, actor, why, act_number <= (relayed or 0) if act == "replayed" else None)
        for act, at, actor, why, act_number, relayed in cursor.fetchall()
    ]


def unpublished(cursor: Cursor) -> int:
    """How many replays are noted and not known to be in their logs."""
    cursor.execute(
        "SELECT count(*) FROM letter_act AS a LEFT JOIN relay AS r ON r.stream = 'replay[' || a.part || ']'"
        " WHERE a.act = 'replayed' AND a.number > coalesce(r.number, 0)"
    )
    return int(cursor.fetchone()[0])


def reading(cursor: Cursor) -> dict[TopicPartition, int]:
    """The logs to which letters were replayed, and up to where each has been taken in, whoever reads it."""
    cursor.execute(
        "SELECT l.topic, l.part, coalesce(p.next, 0) FROM (SELECT DISTINCT topic, part FROM letter WHERE state = 'replayed') AS l"
        " LEFT JOIN position AS p ON p.topic = l.topic AND p.part = l.part ORDER BY l.topic, l.part"
    )
    return {TopicPartition(topic, part): following for topic, part, following in cursor.fetchall()}


def replays_of(cursor: Cursor, number: int) -> list[int]:
    """The letters that replays of a letter have become."""
    cursor.execute("SELECT number FROM letter WHERE replay_of = ? ORDER BY number", (number,))
    return [row[0] for row in cursor.fetchall()]


def stamp(cursor: Cursor) -> tuple[int | None, int | None]:
    """The same while nothing has changed: the numbers of the newest letter and of the newest act."""
    cursor.execute("SELECT (SELECT max(number) FROM dead_letter), (SELECT max(number) FROM letter_act)")
    letter, act = cursor.fetchone()
    return letter, act


def letters_of(cursor: Cursor, place: TopicPartition, offset: int) -> list[Buried]:
    """The dead letters that records at a place have become: several only where the topic was made again."""
    cursor.execute(
        "SELECT d.number, d.topic, d.part, d.record_offset, d.timestamp, d.key, d.error, d.reason, d.path, d.attempts, l.source,"
        " l.id, l.state"
        " FROM dead_letter AS d JOIN letter AS l ON l.number = d.number WHERE d.topic = ? AND d.part = ? AND d.record_offset = ?"
        " ORDER BY d.number",
        (*place, offset),
    )
    return [Buried(*row, resolved=None if state == "waiting" else state) for *row, state in cursor.fetchall()]  # type: ignore[misc]


def _where(selection: Selection) -> tuple[list[str], list[Any]]:
    where: list[str] = []
    values: list[Any] = []
    for name in ("number", "state", "error", "topic", "source", "type", "id", "customer_id"):
        if some := getattr(selection, name):
            where.append(f"l.{name} IN ({','.join('?' * len(some))})")
            values += [stored_text(value) if isinstance(value, str) else value for value in some]
    for condition, value in (
        ("l.part = ?", selection.partition),
        ("d.record_offset = ?", selection.offset),
        ("l.timestamp >= ?", selection.since),
        ("l.timestamp < ?", selection.until),
        ("l.number > ?", selection.newer_than),
        ("l.number <= ?", selection.up_to),
    ):
        if value is not None:
            where.append(condition)
            values.append(value)
    if selection.text is not None:
        where.append("(lower(d.reason) LIKE ? ESCAPE '!' OR lower(d.path) LIKE ? ESCAPE '!')")
        values += [_like(selection.text)] * 2
    if selection.again is not None:
        where.append(f"l.replay_of IS {'NOT ' if selection.again else ''}NULL")
    return where, values


def _like(text: str) -> str:
    for special in "!%_":
        text = text.replace(special, f"!{special}")
    return f"%{stored_text(text).lower()}%"


def _all(where: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(where)}" if where else ""


def _tables(where: Sequence[str]) -> str:
    """Lines alone where they suffice: what the letters hold may be long."""
    joined = " JOIN dead_letter AS d ON d.number = l.number" if any("d." in condition for condition in where) else ""
    return f"letter AS l{joined}"
