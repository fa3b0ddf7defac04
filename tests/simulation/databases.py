"""The databases of a run, by name: opened, copied while they are in use, and put back as operators do it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from events.bus.database import SQLITE, Database, open_database

SUFFIXES: Final = ("", "-wal", "-shm")


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
        copy = self._copy(name)
        copy.unlink(missing_ok=True)
        with closing(sqlite3.connect(self._file(name))) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        return True

    def has(self, name: str) -> bool:
        """Whether there is a file of a database."""
        return self._file(name).exists()

    def has_copy(self, name: str) -> bool:
        """Whether it was copied."""
        return self._copy(name).exists()

    def put_back(self, name: str) -> None:
        """Put the copy of a database in its place, where nothing is."""
        self._file(name).write_bytes(self._copy(name).read_bytes())

    def remove(self, name: str) -> None:
        """Let a database be lost, which nobody may have open."""
        for suffix in SUFFIXES:
            self._folder.joinpath(f"{name}.sqlite{suffix}").unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.sqlite"

    def _copy(self, name: str) -> Path:
        return self._folder / f"{name}.copy"
