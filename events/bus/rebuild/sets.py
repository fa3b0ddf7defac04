"""Which of the two sets of a view's tables is live, and whether whoever writes one writes the other, too.

One row for each view. Every transaction that writes a view reads the row and holds it (``Dialect.share``), so that it stays as it
is until the transaction ends; whoever changes it waits for all of them. Whoever reads a view reads the row in the same snapshot. So
a switch is one row that changes: before it everybody reads and writes the one set, after it the other.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from events.bus.cursor import Cursor, Dialect

TABLE: Final = """CREATE TABLE IF NOT EXISTS view_set (
    name TEXT PRIMARY KEY, live INTEGER NOT NULL, doubled INTEGER NOT NULL, generation BIGINT NOT NULL)"""


class Standing(Struct, frozen=True):
    """How a view stands. ``generation``: how often it was made again, so that what was answered before is known to be old."""

    live: int = 0
    doubled: bool = False
    generation: int = 0

    @property
    def other(self) -> int:
        """The set that is not live."""
        return 1 - self.live

    @property
    def written(self) -> tuple[int, ...]:
        """The sets that whoever writes must write, the live one first."""
        return (self.live, self.other) if self.doubled else (self.live,)


def prepare(cursor: Cursor, views: Sequence[str]) -> None:
    """Make the table, and a row for each view that has none."""
    cursor.execute(TABLE)
    cursor.execute("SELECT name FROM view_set")
    known = {name for (name,) in cursor.fetchall()}
    cursor.executemany(
        "INSERT INTO view_set (name, live, doubled, generation) VALUES (?, 0, 0, 0) ON CONFLICT (name) DO NOTHING",
        [(view,) for view in views if view not in known],
    )


def to_write(cursor: Cursor, dialect: Dialect) -> dict[str, Standing]:
    """How all views stand, held until this transaction ends."""
    cursor.execute(f"SELECT name, live, doubled, generation FROM view_set ORDER BY name{dialect.share}")
    return {name: Standing(live, bool(doubled), generation) for name, live, doubled, generation in cursor.fetchall()}


def to_read(cursor: Cursor, view: str) -> Standing:
    """How a view stands, in this snapshot."""
    cursor.execute("SELECT live, doubled, generation FROM view_set WHERE name = ?", (view,))
    live, doubled, generation = cursor.fetchone()
    return Standing(live, bool(doubled), generation)


def hold(cursor: Cursor, view: str) -> Standing:
    """How a view stands, once all transactions that write it have ended; none begins to before this one ends."""
    cursor.execute("UPDATE view_set SET generation = generation WHERE name = ?", (view,))
    return to_read(cursor, view)


def double(cursor: Cursor, view: str, *, doubled: bool) -> Standing:
    """From now on both sets are written, or only the live one. Holds the view, as :func:`hold` does; as it stood before."""
    before = hold(cursor, view)
    cursor.execute("UPDATE view_set SET doubled = ? WHERE name = ?", (int(doubled), view))
    return before


def switch(cursor: Cursor, view: str) -> None:
    """From now on the other set is the live one, and the only one that is written."""
    cursor.execute("UPDATE view_set SET live = 1 - live, doubled = 0, generation = generation + 1 WHERE name = ?", (view,))
