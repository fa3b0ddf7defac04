"""What is asked of a database, whichever it is: a cursor within a transaction, and what databases do not have in common."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from msgspec import Struct


class Cursor(Protocol):
    """The part of a DB-API cursor that is used."""

    @property
    def rowcount(self) -> int: ...
    def execute(self, sql: str, parameters: Any = ..., /) -> Any: ...
    def executemany(self, sql: str, parameters: Any, /) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def fetchone(self) -> Any: ...


Opens = Callable[[], AbstractContextManager[Cursor]]
"""Opens a transaction that commits at its end, or rolls back; or a snapshot to read from."""


class Dialect(Struct, frozen=True):
    """What databases do not have in common. The defaults are SQLite's, where only one transaction writes at a time."""

    lock: str = ""
    """The statement, with {} for a table, after which no other transaction writes to the table before this one ends."""
    share: str = ""
    """What ends a query whose rows shall stay as they are until the transaction ends."""
    unanswered: tuple[type[Exception], ...] = ()
    """What is raised where the database may have committed, and could not say so."""
    wide_indexes: bool = True
    """Whether an index may hold long texts."""
