"""The databases of a run, by name: opened, copied while they are in use, and put back as operators do it."""

from pathlib import Path

from events.bus.database import SQLITE, Database, open_database
from tests import sqlite_files


class Databases:
    """``setting``: as ``HANDOFF_DATABASE``. Copies are made of SQLite's files only."""

    def __init__(self, folder: Path, setting: str = SQLITE) -> None:
        self._folder = folder
        self._setting = setting

    def open(self, name: str) -> Database:
        """The database of a name, as it is now."""
        return open_database(self._setting, self._file(name), schema=name)

    def back_up(self, name: str) -> bool:
        """Copy a database, which may be in use; whether there is one to be copied. A later copy takes the place of an earlier."""
        if not self.has(name):
            return False
        sqlite_files.back_up(self._file(name), self._copy(name))
        return True

    def has(self, name: str) -> bool:
        """Whether there is a file of a database."""
        return self._file(name).exists()

    def has_copy(self, name: str) -> bool:
        """Whether it was copied."""
        return self._copy(name).exists()

    def put_back(self, name: str) -> None:
        """Put the copy of a database in its place, which nobody may have open."""
        sqlite_files.put_back(self._copy(name), self._file(name))

    def remove(self, name: str) -> None:
        """Let a database be lost, which nobody may have open."""
        sqlite_files.remove(self._file(name))

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.sqlite"

    def _copy(self, name: str) -> Path:
        return self._folder / f"{name}.copy"
