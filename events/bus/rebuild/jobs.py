"""Who makes which view, how far that is, and what came of it: a row for each view, which all workers on the database see.

The row names an owner while somebody works. Each transaction of the work changes the row first, and only as its owner: so a
worker that stood still while another one took the work over is refused, and no two make the same view. An owner that gives no sign
of life for ``STALE_SECONDS`` is taken for dead.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from events.bus.cursor import Cursor
from events.values import NANOSECONDS

TABLE: Final = """CREATE TABLE IF NOT EXISTS rebuild (
    name TEXT PRIMARY KEY, owner TEXT NOT NULL, beat BIGINT NOT NULL, cancelled INTEGER NOT NULL, said TEXT NOT NULL)"""
STALE_SECONDS: Final = 30
"""Longer than a transaction may wait for another one."""
_NOBODY: Final = ""

Phase = Literal["clearing", "filling", "comparing", "done"]
Outcome = Literal["switched", "equal", "different", "cancelled", "failed", "abandoned"]


class Difference(Struct, frozen=True, kw_only=True):
    """The first row, in order of keys, that is not the same in both sets. A row that is missing in one has no values there."""

    table: str
    key: dict[str, str | int]
    column: str | None
    live: str | None
    made: str | None


class Rebuild(Struct, frozen=True, kw_only=True):
    """A view that is made again, or was. Instants in nanoseconds since 1970; ``done`` of ``total`` records, rows in a comparison.

    ``check``: it is compared with the live one and thrown away. ``share``: of the time, in percent, that the work takes at most.
    """

    id: str
    check: bool
    actor: str
    worker: str
    begun_at: int
    share: int
    phase: Phase = "clearing"
    phase_at: int = 0
    done: int = 0
    total: int = 0
    ended_at: int | None = None
    outcome: Outcome | None = None
    detail: str = ""
    difference: Difference | None = None


class Job(Struct, frozen=True):
    """A view's row. ``rebuild`` is None where the view was never made again; ``owner`` is empty while nobody works."""

    view: str
    owner: str = _NOBODY
    beat: int = 0
    cancelled: bool = False
    rebuild: Rebuild | None = None

    @property
    def running(self) -> bool:
        """Whether somebody is at work, or was when he died."""
        return self.owner != _NOBODY


class Busy(Exception):  # noqa: N818 - the name says what is the case
    """Somebody makes this view already."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.view)
        self.job = job


class Cancelled(Exception):  # noqa: N818 - the name says what happened
    """Somebody has said that the view is not to be made."""


class Replaced(Exception):  # noqa: N818 - the name says what happened
    """Another worker has taken this one for dead."""


def prepare(cursor: Cursor) -> None:
    """Make the table."""
    cursor.execute(TABLE)


def of_view(cursor: Cursor, view: str) -> Job:
    """A view's row."""
    cursor.execute("SELECT owner, beat, cancelled, said FROM rebuild WHERE name = ?", (view,))
    row = cursor.fetchone()
    if row is None:
        return Job(view)
    owner, beat, cancelled, said = row
    return Job(view, owner, beat, bool(cancelled), msgspec.json.decode(said, type=Rebuild))


def begin(cursor: Cursor, view: str, owner: str, rebuild: Rebuild, now: int) -> None:
    """Take the work. Raises ``Busy`` where somebody has it."""
    cursor.execute(
        "INSERT INTO rebuild (name, owner, beat, cancelled, said) VALUES (?, ?, ?, 0, ?) ON CONFLICT (name) DO UPDATE"
        " SET owner = excluded.owner, beat = excluded.beat, cancelled = 0, said = excluded.said WHERE rebuild.owner = ''",
        (view, owner, now, _said(rebuild)),
    )
    if cursor.rowcount != 1:
        raise Busy(of_view(cursor, view))


def proceed(cursor: Cursor, view: str, owner: str, rebuild: Rebuild, now: int) -> None:
    """Say how far the work is, within a transaction of it. Raises ``Cancelled`` or ``Replaced``: nothing may be done then."""
    cursor.execute(
        "UPDATE rebuild SET beat = ?, said = ? WHERE name = ? AND owner = ? AND cancelled = 0", (now, _said(rebuild), view, owner)
    )
    if cursor.rowcount != 1:
        job = of_view(cursor, view)
        raise Cancelled(view) if job.owner == owner else Replaced(view)


def end(cursor: Cursor, view: str, owner: str, rebuild: Rebuild, now: int) -> None:
    """The work is done, one way or another. Raises ``Replaced``."""
    cursor.execute(
        "UPDATE rebuild SET owner = '', beat = ?, said = ? WHERE name = ? AND owner = ?", (now, _said(rebuild), view, owner)
    )
    if cursor.rowcount != 1:
        raise Replaced(view)


def cancel(cursor: Cursor, view: str) -> bool:
    """Say that the work is to end; whether there is any."""
    cursor.execute("UPDATE rebuild SET cancelled = 1 WHERE name = ? AND owner <> ''", (view,))
    return bool(cursor.rowcount == 1)


def idle(cursor: Cursor, view: str) -> bool:
    """Whether nobody works on a view that was made before; nobody begins to before this transaction ends."""
    cursor.execute("UPDATE rebuild SET owner = owner WHERE name = ? AND owner = ''", (view,))
    return bool(cursor.rowcount == 1)


def dead(job: Job, now: int, *, alone: bool, owners: Sequence[str]) -> bool:
    """Whether whoever works on a view has died. ``alone``: no process but this one, with these ``owners``, uses the database."""
    if not job.running or job.owner in owners:
        return False
    return alone or now - job.beat > STALE_SECONDS * NANOSECONDS


def _said(rebuild: Rebuild) -> str:
    return msgspec.json.encode(rebuild).decode()
