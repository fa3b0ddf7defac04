"""Tables that are made from what is stored: filled anew when the service starts on a database that has none, or older ones."""

from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from events.bus.cursor import Opens

TABLE: Final = "CREATE TABLE IF NOT EXISTS view (name TEXT PRIMARY KEY, version INTEGER NOT NULL)"


class View(Struct, frozen=True):
    """A table, and the version of what its rows say."""

    name: str
    version: int


def filled(begin: Opens, read: Opens, view: View, work: Callable[[], Iterator[int]]) -> Iterator[int]:
    """Do the work that fills a table, where it is not done yet; answers with what that answers, after each step."""
    with read() as cursor:
        cursor.execute("SELECT version FROM view WHERE name = ?", (view.name,))
        if (view.version,) in map(tuple, cursor.fetchall()):
            return
    yield from work()
    with begin() as cursor:
        cursor.execute(
            "INSERT INTO view (name, version) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET version = excluded.version",
            (view.name, view.version),
        )
