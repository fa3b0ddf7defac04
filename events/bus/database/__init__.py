"""Where a service keeps what must not be lost: an SQLite file, or a schema of a PostgreSQL database.

In goes the setting ``HANDOFF_DATABASE``, out comes a :class:`Database`: transactions, and tables of events. SQL is written once, as
SQLite has it; what PostgreSQL calls differently is put into its words in one file (``postgres.py``).
"""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol

from eventsourcing.persistence import InterfaceError, Notification, OperationalError, StoredEvent

from events.bus import loop
from events.bus.cursor import Cursor, Dialect
from events.bus.database.setting import SQLITE, checked

__all__ = ["SQLITE", "TRANSIENT", "CannotOpen", "Database", "EventTable", "checked", "exit_code", "open_database"]

TRANSIENT: Final = (*loop.TRANSIENT, OperationalError, InterfaceError)
"""What a service on such a database tries again without end: the bus or the database does not answer, or cannot do its work now."""


class CannotOpen(OperationalError):  # noqa: N818 - the name says what happened
    """The database cannot be used; the message is one line that says which, why, and what to do.

    ``passes``: that may be over without anybody's doing, such as a server that is still starting.
    """

    def __init__(self, message: str, *, passes: bool = False) -> None:
        super().__init__(message)
        self.passes: Final = passes


def exit_code(error: OperationalError) -> int:
    """How a process ends that cannot start for an error of its database: 1, start it again; 2, somebody must change something."""
    return 2 if isinstance(error, CannotOpen) and not error.passes else 1


class EventTable(Protocol):
    """A table of stored events, which is a notification log too: numbers rise in the order of commits."""

    @property
    def events_table_name(self) -> str: ...

    def append(self, cursor: Cursor, events: Sequence[StoredEvent]) -> Sequence[int]:
        """Write events within a transaction; their numbers. Raises the library's ``IntegrityError`` for a version that exists."""

    def select_events(self, originator_id: str, *, limit: int | None = None) -> Sequence[StoredEvent]:
        """The events of one originator, oldest first."""

    def select_notifications(self, start: int | None, limit: int, *, topics: Sequence[str] = ()) -> Sequence[Notification]:
        """Events from a number on, in order; where topics are named, only theirs."""

    def max_notification_id(self) -> int | None:
        """The number of the newest event."""


class Database(Protocol):
    """One service's database. Thread-safe."""

    dialect: Dialect

    def prepare(self) -> AbstractContextManager[None]:
        """Make tables within: no other worker does meanwhile. Raises ``CannotOpen`` where the database cannot be used."""

    def begin(self) -> AbstractContextManager[Cursor]:
        """A transaction that writes: it commits at its end, or rolls back."""

    def read(self) -> AbstractContextManager[Cursor]:
        """A snapshot: all that is read within is of one moment."""

    def events(self, table: str) -> EventTable:
        """A table of events, made where it does not exist. To be called within ``prepare``."""

    def tables(self) -> Collection[str]:
        """The names of all tables that there are. Raises ``CannotOpen`` where the database cannot be used."""

    def close(self) -> None:
        """Let go of files and connections."""


POSTGRES_WAY_OUT: Final = "pip install 'psycopg[binary,pool]'"


def open_database(setting: str, file: Path | str, *, schema: str) -> Database:
    """What the setting says: a file, or a schema of its own in the PostgreSQL database that a URL names.

    Raises ``CannotOpen``, and ``ValueError`` where the setting is neither.
    """
    if checked(setting) == SQLITE:
        from events.bus.database.sqlite import SQLite  # noqa: PLC0415 - each driver is loaded where it is used

        return SQLite(file)
    try:
        from events.bus.database.postgres import Postgres  # noqa: PLC0415
    except ImportError as error:
        raise CannotOpen(
            f"PostgreSQL (HANDOFF_DATABASE) needs psycopg, which cannot be loaded ({_line(error)}): {POSTGRES_WAY_OUT}"
        ) from error
    return Postgres(setting, schema)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
