"""A database in an SQLite file, copied while it is in use, lost, and put back as operators do it."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

SUFFIXES: Final = ("", "-wal", "-shm")


def back_up(file: Path, copy: Path) -> None:
    """Copy a database, which may be in use. A later copy takes the place of an earlier one."""
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def put_back(copy: Path, file: Path) -> None:
    """Put a copy in the place of a database, which nobody may have open."""
    remove(file)
    shutil.copyfile(copy, file)


def remove(file: Path) -> None:
    """Let a database be lost, which nobody may have open."""
    for suffix in SUFFIXES:
        file.with_name(file.name + suffix).unlink(missing_ok=True)
