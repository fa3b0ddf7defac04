"""Connections to PostgreSQL, lent to one thread at a time.

In goes a URL, out come connections that are set up alike, and errors of two kinds: ``OperationalError`` where it may work the next
time, the driver's own where it will not. The library's pool is not used: it connects in the background, with pauses that grow while
the server is away, and would still be pausing when it is back; whoever asks here is told at once, and the loop decides when to try.
"""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import psycopg
from eventsourcing.persistence import IntegrityError, OperationalError
from eventsourcing.postgres import PostgresDatastore
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row

from events.bus.database.tables import WAY_OUT

CONNECTIONS_MAX: Final = 10
"""Of one process: the loop's, and those of HTTP requests that read."""
WAIT_SECONDS_MAX: Final = 15
"""How long to wait for a lock, for a connection, and for the next word within a transaction: longer, and the worker is frozen."""
_DEFAULTS: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds; without these, a server that vanishes is waited for for hours
}
_PASSING: Final = ("08", "53300", "55P03", "57P01", "57P02", "57P03")
"""What is over by itself: no connection, too many, a lock of another who starts, a server that ends, has crashed, is starting."""
_PASSING_WORDS: Final = ("starting up", "shutting down", "in recovery", "too many clients", "remaining connection slots")
"""How a server says the same to who connects: of that the driver has the words only."""
_OF_THE_DATA: Final = ("22", "23", "54")
"""The classes of errors that what is written has itself: a value that cannot be, a key that exists, a key too long for an index."""


class Connections(PostgresDatastore):
    """The library's datastore on connections of our own. Nothing connects before it is asked."""

    def __init__(self, url: str, schema: str) -> None:
        super().__init__("", "", "", "", "", schema=schema, originator_id_type="text")
        self._url = url
        self._idle: queue.LifoQueue[psycopg.Connection[DictRow]] = queue.LifoQueue()
        self._free = threading.BoundedSemaphore(CONNECTIONS_MAX)

    @contextmanager
    def get_connection(self) -> Iterator[psycopg.Connection[DictRow]]:
        if not self._free.acquire(timeout=WAIT_SECONDS_MAX):
            raise OperationalError(f"all {CONNECTIONS_MAX} connections to PostgreSQL have been busy for {WAIT_SECONDS_MAX} s")
        connection: psycopg.Connection[DictRow] | None = None
        try:
            connection = self._take()
            yield connection
        except psycopg.errors.InsufficientPrivilege as error:
            role = "" if connection is None else connection.info.user
            raise OperationalError(f"{line_of(error)} (role {role!r}); {WAY_OUT}") from error
        except psycopg.Error as error:
            if connection is None or connection.closed:
                self._discard_idle()  # those that wait are no newer than the one that was lost
            if _may_pass(error, connection):
                raise OperationalError(line_of(error)) from error
            if isinstance(error, psycopg.IntegrityError):
                raise IntegrityError(line_of(error)) from error
            raise
        finally:
            if connection is not None:
                self._give_back(connection)
            self._free.release()

    def _take(self) -> psycopg.Connection[DictRow]:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return self._connect()

    def _connect(self) -> psycopg.Connection[DictRow]:
        parameters = {**_DEFAULTS, "application_name": f"handoff {self.schema}", **self._parameters()}
        connection = psycopg.connect(**parameters, autocommit=True, row_factory=dict_row)
        try:
            connection.execute(
                "SELECT set_config('search_path', quote_ident(%s), false), set_config('lock_timeout', %s, false),"
                " set_config('idle_in_transaction_session_timeout', %s, false)",
                (self.schema, f"{WAIT_SECONDS_MAX}s", f"{WAIT_SECONDS_MAX}s"),
            )
        except BaseException:
            connection.close()
            raise
        return connection

    def _parameters(self) -> dict[str, Any]:
        """The parts of the URL. Raises ``OperationalError``: the driver's message may quote any part of it."""
        try:
            return conninfo_to_dict(self._url)
        except psycopg.ProgrammingError:
            raise OperationalError("the URL of PostgreSQL has a part that is not known") from None

    def _give_back(self, connection: psycopg.Connection[DictRow]) -> None:
        if connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            self._idle.put(connection)
        else:
            connection.close()

    def _discard_idle(self) -> None:
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def register_type_adapters(self) -> None:
        """There are none: events are not written as rows of a type of their own."""

    def close(self) -> None:
        with suppress(AttributeError):  # the library closes in __del__ too, whatever became of __init__
            self._discard_idle()

    def told(self, error: Exception) -> str:
        """What happened where, in one line and without the password."""
        line = line_of(error)
        try:
            parameters = self._parameters()
        except OperationalError as unknown:
            return str(unknown)
        secret = str(parameters.get("password") or "")
        if secret and secret in line:
            line = line.replace(secret, "***")
        host, port = parameters.get("host") or "localhost", parameters.get("port") or 5432
        user, name = parameters.get("user") or "", parameters.get("dbname") or ""
        return f"PostgreSQL at {host}:{port}, database {name!r}, cannot be used by {user!r}: {line}"


def line_of(error: Exception) -> str:
    """What an error says, in one line."""
    said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return " ".join((said or str(error)).split()) or type(error).__name__


def passes(error: BaseException | None) -> bool:
    """Whether what kept a service from opening its database is over by itself, and not for somebody to mend.

    What the server says to who connects begins with FATAL; all else that has no code is that nobody was there to say something.
    """
    while error is not None and not isinstance(error, psycopg.Error):
        error = error.__cause__
    if not isinstance(error, psycopg.OperationalError):
        return False
    if error.sqlstate is not None:
        return error.sqlstate.startswith(_PASSING)
    said = str(error)
    return "FATAL" not in said or any(words in said for words in _PASSING_WORDS)


def _may_pass(error: psycopg.Error, connection: psycopg.Connection[Any] | None) -> bool:
    """Whether the same may work the next time: the server is away, busy, became a standby, lacks a table or a right.

    It calls that by many names, so it is told by what it is not: the fault of what is written, or of the code that calls it.
    """
    if connection is None or connection.closed:
        return True
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return not error.sqlstate.startswith(_OF_THE_DATA)
