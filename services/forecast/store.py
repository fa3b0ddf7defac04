"""The database: its tables, transactions that write, and snapshots to read from.

Both histories are bitemporal. A row says: from ``valid_from`` to ``valid_to`` (business time) it was so, and that is what was
known from ``recorded_from`` to ``recorded_to`` (the log's time). Intervals contain their beginning and not their end, and
``FOREVER`` is the end of what still holds. So one condition, :data:`IN_FORCE`,
answers for now and for any past instant.

There are two sets of these tables (:mod:`events.bus.rebuild`): one is live, in the other the view is made again. What a
set's tables are called ends with its suffix.
"""

from collections.abc import Callable, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final, NamedTuple

from events.bus.cursor import Cursor
from events.bus.database import Database
from events.bus.database.sqlite import SQLite
from events.bus.ledger import Ledger
from events.bus.rebuild import SUFFIXES, Table, jobs, sets
from services.forecast.domain import Deal
from services.forecast.periods import FOREVER, business_day

IN_FORCE: Final = "valid_from <= :as_of AND valid_to > :as_of AND recorded_from <= :known_at AND recorded_to > :known_at"
"""What held at ``as_of``, as it was known at ``known_at`` (both inclusive)."""


class Moment(NamedTuple):
    """Business time and recorded time, both inclusive: what held at ``as_of``, as it was known at ``known_at``."""

    as_of: int
    known_at: int = FOREVER - 1


def slices(table: str, moment: Moment) -> list[str]:
    """All rows of a history of deals that are :data:`IN_FORCE` at a moment, from ``FROM`` to ``WHERE``: in two or three parts.

    An index can be entered at a range of one column only, and gives an order only after columns that have one value. So what is
    known to this day and what was known then are asked for apart: an answer by what is known now reads nothing that was corrected
    since. And what has no end is asked for apart from what has ended since, or will: it comes in the order of the columns
    :data:`GROUPED`, and is added up by them as it is read; sorting it took four times as long as reading.
    """
    rows = f"FROM {table} INDEXED BY {table}_held WHERE"
    # The plus keeps the planner from entering the index at a range of what is asked to be one value.
    endless = f"{rows} {IN_FORCE.replace('valid_to', '+valid_to')} AND recorded_to = {FOREVER} AND valid_to = {FOREVER}"
    ending = f"{rows} {IN_FORCE} AND recorded_to = {FOREVER} AND valid_to < {FOREVER}"
    corrected = f"{rows} {IN_FORCE} AND recorded_to < {FOREVER}"
    return [endless, ending] if moment.known_at >= FOREVER - 1 else [endless, ending, corrected]


SPAN: Final = ("valid_from", "valid_to", "recorded_from", "recorded_to")
DEAL_COLUMNS: Final = (*Deal._fields, "close_date", "closed_at", "image")
STATUS_COLUMNS: Final = ("stage", "name", "probability")

VIEW: Final = "forecast"
"""The name of the view that all these tables are."""
_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS deal_history{set} (
        customer_id TEXT NOT NULL, deal_id TEXT NOT NULL,
        valid_from BIGINT NOT NULL, valid_to BIGINT NOT NULL, recorded_from BIGINT NOT NULL, recorded_to BIGINT NOT NULL,
        state TEXT NOT NULL, status TEXT NOT NULL, probability INTEGER NOT NULL, currency TEXT,
        amount BIGINT, worst BIGINT, likely BIGINT, upside BIGINT, day TEXT,
        owner TEXT, product TEXT, source TEXT, region TEXT, close_date TEXT, closed_at BIGINT, image TEXT NOT NULL,
        PRIMARY KEY (customer_id, deal_id, valid_from, recorded_from))""",
    """CREATE TABLE IF NOT EXISTS status_history{set} (
        customer_id TEXT NOT NULL,
        valid_from BIGINT NOT NULL, valid_to BIGINT NOT NULL, recorded_from BIGINT NOT NULL, recorded_to BIGINT NOT NULL,
        stage TEXT NOT NULL, name TEXT NOT NULL, probability INTEGER NOT NULL,
        PRIMARY KEY (customer_id, valid_from, recorded_from)) WITHOUT ROWID""",
    # Every instant at which a figure may change by the passing of business time alone.
    "CREATE TABLE IF NOT EXISTS boundary{set} (instant BIGINT PRIMARY KEY) WITHOUT ROWID",
    # The last version taken in of every customer; parts: how many parts of an unfinished message are held.
    """CREATE TABLE IF NOT EXISTS customer{set} (
        customer_id TEXT PRIMARY KEY,
        version BIGINT NOT NULL, recorded_at BIGINT NOT NULL, parts INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS held_part{set} (
        customer_id TEXT NOT NULL, part INTEGER NOT NULL, record BLOB NOT NULL, PRIMARY KEY (customer_id, part)) WITHOUT ROWID""",
)
_SETTING: Final = "CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
GROUPED: Final = ("state", "currency", "probability")
"""What all totals are added up by."""
_HELD: Final = ("recorded_to", "valid_to")
_HELD_WIDE: Final = (*_HELD, *GROUPED, "valid_from", "recorded_from", "customer_id", *sorted({*Deal._fields} - {*GROUPED}))
"""All that totals need: where an index can have it, they are read from it alone, past the images."""
_KEY: Final = ("customer_id", "deal_id", "valid_from", "recorded_from")
TABLES: Final[tuple[Table, ...]] = (
    Table("deal_history", _KEY, ("valid_to", "recorded_to", *DEAL_COLUMNS)),
    Table("status_history", ("customer_id", "valid_from", "recorded_from"), ("valid_to", "recorded_to", *STATUS_COLUMNS)),
    Table("boundary", ("instant",), ()),
    Table("customer", ("customer_id",), ("version", "recorded_at", "parts")),
    Table("held_part", ("customer_id", "part"), ("record",)),
)
"""All tables of the view, with all their columns."""
_CLOSED_AFTER: Final = (
    f"SELECT {', '.join(_KEY)}, closed_at FROM deal_history{{set}} WHERE ({', '.join(_KEY)}) > (?, ?, ?, ?)"
    f" AND state <> 'open' AND closed_at IS NOT NULL ORDER BY {', '.join(_KEY)} LIMIT 5000"
)
_SET_DAY: Final = f"UPDATE deal_history{{set}} SET day = ? WHERE {' AND '.join(f'{name} = ?' for name in _KEY)}"


class Store:
    """The projection's tables in a database. A path stands for an SQLite file. Thread-safe.

    ``begin`` opens a transaction that writes, ``snapshot`` one that reads: whatever is written meanwhile, all its answers are of
    one moment. Raises ``CannotOpen`` where the database cannot be used.
    """

    def __init__(self, database: Database | Path | str, *, code_version: str = "", identity: Callable[[str], str] = str) -> None:
        self._database = SQLite(database) if isinstance(database, Path | str) else database
        self.begin: Final = self._database.begin
        self.snapshot: Final = self._database.read
        with self._database.prepare():
            dialect = self._database.dialect
            with self.begin() as cursor:
                cursor.execute(_SETTING)
                for suffix in SUFFIXES:
                    for table in _TABLES:
                        cursor.execute(table.format(set=suffix))
                    for table in ("deal_history", "status_history"):
                        cursor.execute(f"DROP INDEX IF EXISTS {table}{suffix}_slice")  # of older databases
                    columns = _HELD_WIDE if dialect.wide_indexes else (*_HELD, "valid_from", "recorded_from")
                    deals = f"deal_history{suffix}"
                    cursor.execute(f"CREATE INDEX IF NOT EXISTS {deals}_held ON {deals} ({', '.join(columns)})")
                sets.prepare(cursor, [VIEW])
                jobs.prepare(cursor)
            self.ledger: Final = Ledger(
                self.begin, service="forecast", code_version=code_version, identity=identity, dialect=dialect
            )

    def adopt_time_zone(self, zone: tzinfo) -> None:
        """Place every closed deal on the day of this time zone, where the stored days are of another one."""
        with self.begin() as cursor:
            cursor.execute("SELECT value FROM setting WHERE name = 'time_zone'")
            if cursor.fetchone() == (str(zone),):
                return
            for suffix in SUFFIXES:
                _adopt(cursor, suffix, zone)
            cursor.execute(
                "INSERT INTO setting (name, value) VALUES ('time_zone', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (str(zone),),
            )

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def _adopt(cursor: Cursor, suffix: str, zone: tzinfo) -> None:
    place: tuple[Any, ...] = ("", "", 0, 0)
    while rows := _closed_after(cursor, suffix, place):
        cursor.executemany(_SET_DAY.format(set=suffix), [(business_day(closed_at, zone), *key) for *key, closed_at in rows])
        place = rows[-1][:-1]


def _closed_after(cursor: Cursor, suffix: str, place: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Some states in which deals are closed, with their instants, from the one after a place on."""
    cursor.execute(_CLOSED_AFTER.format(set=suffix), place)
    return cursor.fetchall()
