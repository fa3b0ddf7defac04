"""Views made again beside the live ones: what a service says of a view, and what it is told by.

A *view* is tables that are made from something that is kept for ever. Each has two sets of them (:mod:`.sets`): one is live, which
means that it is read, and in the other the view is made again by :mod:`.builder`, step by step, each a transaction of its own. When
that one has all that the live one has, everybody who writes goes on to write both. Then either the two are compared, row by row
and byte by byte (:mod:`.comparison`), or the other one becomes the live one, by one row that changes. Who makes which view, how far
that is and what came of it is in :mod:`.jobs`, for all workers on the database.

Nothing is made or dropped that only the owner of tables may: both sets are there from the beginning, and rows are deleted.
"""

from typing import Protocol

from msgspec import Struct

from events.bus.cursor import Cursor, Opens


class Broken(Exception):  # noqa: N818 - the name says what is the case
    """A view cannot be made: what it is made from is not whole, or the code fails at it. The message says where."""


class Table(Struct, frozen=True):
    """A table of a view, by its name in the first set. ``key``: the columns of its primary key, none of them null.

    ``only``: a condition, for a table of which not all rows can be made again; it may name the table as ``{table}``.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    only: str = ""

    def of(self, number: int) -> str:
        """Its name in a set."""
        return f"{self.name}{SUFFIXES[number]}"


SUFFIXES = ("", "_2")
"""What the names of tables end with, in the one set and in the other."""


class Filling(Protocol):
    """A view that is being made. After an error the same is tried again: so a step that is done twice changes nothing more."""

    done: int
    total: int
    """How much of how much is done, in records; ``total`` may grow."""

    def step(self, write: Opens) -> bool:
        """Do a bounded piece, in a transaction or several; whether there is more to do. Raises ``Broken``."""

    def last(self, cursor: Cursor) -> bool:
        """Do what is left, while nobody else writes; False where that is too much, and nothing is done. Raises ``Broken``."""

    def close(self) -> None:
        """Free everything."""


class View(Protocol):
    """What a service says of a view. ``name``: also what operators call it; never changed.

    ``doubled``: whether those who write can write both sets from the beginning, and not only when the other one has all before.
    """

    @property
    def name(self) -> str: ...
    @property
    def tables(self) -> tuple[Table, ...]: ...
    @property
    def doubled(self) -> bool: ...

    def filling(self, into: int) -> Filling:
        """Begin to make it, in an empty set."""
