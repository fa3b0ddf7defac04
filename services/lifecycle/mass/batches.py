"""What is kept of batches, and of every record in them: two tables in lifecycle's database, written as the work goes on."""

from collections.abc import Sequence
from typing import Any, Final, Literal

from msgspec import Struct

from events.bus.cursor import Cursor
from events.bus.database import Database
from services.lifecycle.domain.status import Verdict
from services.lifecycle.mass.change import Change, Outlook, Standing, change_from, change_to

State = Literal["previewing", "previewed", "applying", "applied", "cancelled"]
WORKING: Final = ("previewing", "applying")
"""The states in which somebody has to work on a batch."""
_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS mass_change (
        id TEXT PRIMARY KEY, state TEXT NOT NULL, criteria TEXT NOT NULL, change TEXT, actor TEXT NOT NULL, reason TEXT,
        reverts TEXT, selected INTEGER NOT NULL, created_at BIGINT NOT NULL, applied_at BIGINT, ended_at BIGINT)""",
    """CREATE TABLE IF NOT EXISTS mass_change_record (
        batch TEXT NOT NULL, customer_id TEXT NOT NULL, change TEXT, effective INTEGER NOT NULL, rule TEXT NOT NULL,
        explanation TEXT NOT NULL, stage TEXT NOT NULL, status TEXT NOT NULL, owner TEXT,
        next_stage TEXT NOT NULL, next_status TEXT NOT NULL, next_owner TEXT, written INTEGER,
        PRIMARY KEY (batch, customer_id)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS mass_change_by_time ON mass_change (created_at, id)",
    "CREATE INDEX IF NOT EXISTS mass_change_by_origin ON mass_change (reverts)",
)
_BATCH: Final = (
    "id",
    "state",
    "criteria",
    "change",
    "actor",
    "reason",
    "reverts",
    "selected",
    "created_at",
    "applied_at",
    "ended_at",
)
_ENTRY: Final = (
    *("customer_id", "change", "effective", "rule", "explanation", "stage", "status", "owner"),
    *("next_stage", "next_status", "next_owner", "written"),
)
_YES: Final = 1
"""In the column ``written``: the command is in the log. 0 is that there is none."""
_BEGUN: Final = 2
"""It is being written."""


class Batch(Struct, frozen=True, kw_only=True):
    """A batch. Instants in nanoseconds since 1970.

    ``criteria``: which records are meant, as JSON. ``change``: what is wanted of each; of a batch that takes back another one
    (``reverts``) each record has its own. ``selected``: how many were meant when it began. ``applied_at`` is when all its commands
    are said to have happened, however long it takes to write them.
    """

    id: str
    state: State
    criteria: str
    change: Change | None
    actor: str
    reason: str | None
    reverts: str | None
    selected: int
    created_at: int
    applied_at: int | None = None
    ended_at: int | None = None


class Entry(Struct, frozen=True, kw_only=True):
    """A record in a batch: what is wanted of it, and what that does by the last look.

    ``change`` is None where there is nothing to be done. ``written``: whether its command was written; None: not decided yet.
    Not ``acknowledged``: it is being written, so it may be there or not.
    """

    customer_id: str
    change: Change | None
    outlook: Outlook
    written: bool | None = None
    acknowledged: bool = True


class Tally(Struct, frozen=True):
    """How far a batch is: records looked at, those that change, those decided upon, and commands written."""

    seen: int = 0
    changing: int = 0
    decided: int = 0
    written: int = 0


class Batches:
    """The two tables. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._begin, self._read = database.begin, database.read
        with database.prepare(), self._begin() as cursor:
            for statement in _TABLES:
                cursor.execute(statement)

    # ---------------------------------------------------------------------------------------- batches

    def add(self, batch: Batch) -> Batch:
        """Write a new batch; answers with it, or with the one of its id that is there already."""
        values = [_stored(getattr(batch, name)) for name in _BATCH]
        with self._begin() as cursor:
            marks = ", ".join("?" * len(_BATCH))
            cursor.execute(f"INSERT INTO mass_change ({', '.join(_BATCH)}) VALUES ({marks}) ON CONFLICT (id) DO NOTHING", values)
            found = _batch_of(cursor, batch.id)
        assert found is not None
        return found

    def get(self, id: str) -> Batch | None:
        """A batch by its id."""
        with self._read() as cursor:
            return _batch_of(cursor, id)

    def newest(self, limit: int, after: tuple[int, str] | None = None) -> list[Batch]:
        """Batches, newest first; ``after``: when the last one of the page before began, and its id."""
        where, values = ("WHERE (created_at, id) < (?, ?) ", after) if after else ("", ())
        with self._read() as cursor:
            cursor.execute(
                f"SELECT {', '.join(_BATCH)} FROM mass_change {where}ORDER BY created_at DESC, id DESC LIMIT ?", (*values, limit)
            )
            return [_batch(row) for row in cursor.fetchall()]

    def working(self) -> list[Batch]:
        """Batches that somebody has to work on, oldest first."""
        marks = ", ".join("?" * len(WORKING))
        with self._read() as cursor:
            cursor.execute(f"SELECT {', '.join(_BATCH)} FROM mass_change WHERE state IN ({marks}) ORDER BY created_at, id", WORKING)
            return [_batch(row) for row in cursor.fetchall()]

    def reverting(self, id: str) -> Batch | None:
        """The batch that takes another one back, if there is one that was not given up."""
        with self._read() as cursor:
            cursor.execute(
                f"SELECT {', '.join(_BATCH)} FROM mass_change WHERE reverts = ? AND state <> 'cancelled'"
                " ORDER BY created_at LIMIT 1",
                (id,),
            )
            return next((_batch(row) for row in cursor.fetchall()), None)

    def advance(self, id: str, before: Sequence[State], after: State, at: int) -> Batch | None:
        """Let a batch enter a state, where it is in one of those before; answers with the batch as it is then."""
        set_ = {"applying": "applied_at = ?", "applied": "ended_at = ?", "cancelled": "ended_at = ?"}.get(after)
        marks = ", ".join("?" * len(before))
        with self._begin() as cursor:
            cursor.execute(
                f"UPDATE mass_change SET state = ?{f', {set_}' if set_ else ''} WHERE id = ? AND state IN ({marks})",
                (after, *((at,) if set_ else ()), id, *before),
            )
            return _batch_of(cursor, id)

    # ---------------------------------------------------------------------------------------- records

    def tally(self, id: str) -> Tally:
        """How far a batch is."""
        with self._read() as cursor:
            cursor.execute(
                "SELECT count(*), coalesce(sum(effective), 0), count(written), coalesce(sum(CASE WHEN written > 0 THEN 1 END), 0)"
                " FROM mass_change_record WHERE batch = ?",
                (id,),
            )
            return Tally(*map(int, cursor.fetchone()))

    def rules(self, id: str) -> dict[str, int]:
        """How many records stay as they are, by the rule."""
        with self._read() as cursor:
            cursor.execute(
                "SELECT rule, count(*) FROM mass_change_record WHERE batch = ? AND effective = 0 GROUP BY rule ORDER BY rule", (id,)
            )
            return dict(map(tuple, cursor.fetchall()))

    def foresee(self, id: str, entries: Sequence[Entry]) -> None:
        """Write what would happen to records of a batch; what is known of one already stays."""
        self._put(id, entries, "DO NOTHING")

    def decide(self, id: str, entries: Sequence[Entry]) -> None:
        """Write what becomes of records of a batch. A command that is written stays so, whatever another worker has found."""
        values = ", ".join(f"{name} = excluded.{name}" for name in _ENTRY[1:])
        self._put(
            id, entries, f"DO UPDATE SET {values} WHERE coalesce(mass_change_record.written, 0) = 0 OR excluded.written = {_YES}"
        )

    def _put(self, id: str, entries: Sequence[Entry], otherwise: str) -> None:
        columns = ("batch", *_ENTRY)
        sql = (
            f"INSERT INTO mass_change_record ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
            f" ON CONFLICT (batch, customer_id) {otherwise}"
        )
        with self._begin() as cursor:
            cursor.executemany(sql, [(id, *_row(entry)) for entry in entries])

    def forget(self, before: int, at: int) -> None:
        """Give up previews that began before an instant and that nobody has applied, and forget what they said of records."""
        with self._begin() as cursor:
            cursor.execute(
                "UPDATE mass_change SET state = 'cancelled', ended_at = ? WHERE state = 'previewed' AND created_at < ?",
                (at, before),
            )
            cursor.execute(
                "DELETE FROM mass_change_record WHERE batch IN (SELECT id FROM mass_change WHERE state = 'cancelled'"
                " AND applied_at IS NULL AND created_at < ?)",
                (before,),
            )

    def entries(
        self,
        id: str,
        *,
        after: str = "",
        limit: int,
        effective: bool | None = None,
        written: bool = False,
        unfinished: bool = False,
    ) -> list[Entry]:
        """Records of a batch by their ids, after an id: all, or those that are so.

        ``written``: whose command was written, or is being written. ``unfinished``: not decided, or being written.
        """
        where = "" if effective is None else f" AND effective = {int(effective)}"
        where += f" AND written IN ({_YES}, {_BEGUN})" if written else ""
        where += f" AND (written IS NULL OR written = {_BEGUN})" if unfinished else ""
        with self._read() as cursor:
            cursor.execute(
                f"SELECT {', '.join(_ENTRY)} FROM mass_change_record WHERE batch = ? AND customer_id > ?{where}"
                " ORDER BY customer_id LIMIT ?",
                (id, after, limit),
            )
            return [_entry(row) for row in cursor.fetchall()]

    def last(self, id: str) -> str:
        """The id of the last record that was written of a batch; empty where there is none."""
        with self._read() as cursor:
            cursor.execute("SELECT max(customer_id) FROM mass_change_record WHERE batch = ?", (id,))
            return cursor.fetchone()[0] or ""


def _stored(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int) else change_to(value)


def _batch_of(cursor: Cursor, id: str) -> Batch | None:
    cursor.execute(f"SELECT {', '.join(_BATCH)} FROM mass_change WHERE id = ?", (id,))
    return next((_batch(row) for row in cursor.fetchall()), None)


def _batch(row: Sequence[Any]) -> Batch:
    found = dict(zip(_BATCH, row, strict=True))
    return Batch(**{**found, "change": _change(found["change"])})


def _change(text: str | None) -> Change | None:
    return None if text is None else change_from(text)


def _row(entry: Entry) -> tuple[Any, ...]:
    before, after, verdict = entry.outlook.before, entry.outlook.after, entry.outlook.verdict
    return (
        entry.customer_id,
        _stored(entry.change),
        int(verdict.effective),
        verdict.rule,
        verdict.explanation,
        *(before.stage, before.status, before.owner),
        *(after.stage, after.status, after.owner),
        _written(entry),
    )


def _written(entry: Entry) -> int | None:
    if entry.written is None:
        return None
    return int(entry.written) if entry.acknowledged else _BEGUN


def _entry(row: Sequence[Any]) -> Entry:
    customer_id, change, effective, rule, explanation, *standings, written = row
    outlook = Outlook(Standing(*standings[:3]), Standing(*standings[3:]), Verdict(bool(effective), rule, explanation))
    return Entry(
        customer_id=customer_id,
        change=_change(change),
        outlook=outlook,
        written=None if written is None else bool(written),
        acknowledged=written != _BEGUN,
    )
