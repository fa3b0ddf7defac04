"""Putting a backup back: everything is looked at before anything is touched, and what was there is kept.

The restored file of lifecycle is told that it is one, for it may be older than what Kafka has been told
(:mod:`services.lifecycle.catching_up`).
"""

import shutil
import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from handoff.backups.making import checked, flush
from handoff.backups.manifest import Copy, Manifest, digest, file_of
from handoff.errors import CommandError
from handoff.settings import ServiceName
from services.lifecycle import restorations

SUFFIXES: Final = ("", "-wal", "-shm")
_SHARD: Final = "shard_"


def restore(
    folder: Path, manifest: Manifest, data_dir: Path, services: Collection[ServiceName], shards: int, *, aside: str | None
) -> Sequence[Path]:
    """Put the files of some services back. ``aside``: the name of a folder for those that are there, None to refuse then.

    Where there is such a folder already, the new one has a number at its end.
    Answers with the files that were moved there. Raises ``CommandError``, before anything is changed.
    """
    copies = _wanted(manifest, services)
    for service, copy in copies.items():
        _check(folder / copy.file, service, copy, shards)
    there = [file for service in copies if (file := file_of(data_dir, service)).exists()]
    for file in there:
        refuse_in_use(file)
    if there and aside is None:
        named = ", ".join(map(str, there))
        raise CommandError(f"{named} would be replaced: say so with --replace, and what is there is kept in a folder beside")
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        ready = {
            service: _beside(folder / copy.file, file_of(data_dir, service), service, shards) for service, copy in copies.items()
        }
        moved = _set_aside(there, data_dir / aside) if there and aside is not None else ()
        for service, file in ready.items():
            file.rename(file_of(data_dir, service))
    except (OSError, sqlite3.Error) as error:
        for service in copies:
            with suppress(OSError):
                _ready(file_of(data_dir, service)).unlink()
        raise CommandError(f"the backup was not put back ({error}): try again; what was there is kept") from error
    return moved


def _wanted(manifest: Manifest, services: Collection[ServiceName]) -> dict[ServiceName, Copy]:
    missing = [service for service in services if service not in manifest.stores]
    if missing:
        raise CommandError(f"the backup has nothing of {', '.join(missing)}: it has {', '.join(manifest.stores)}")
    return {service: copy for service, copy in manifest.stores.items() if service in services or not services}


def _check(file: Path, service: ServiceName, copy: Copy, shards: int) -> None:
    if "/" in copy.file or not file.is_file():
        raise CommandError(f"{file} is missing: the backup is not whole")
    if file.stat().st_size != copy.bytes or digest(file) != copy.sha256:
        raise CommandError(f"{file} is damaged: it is not the file that the manifest tells of (SHA-256); use another backup")
    try:
        found = checked(file)
    except sqlite3.Error as error:
        raise CommandError(f"{file} is damaged ({error}): use another backup") from error
    if file.name != file_of(Path(), service).name or found.rows != copy.rows:
        raise CommandError(f"{file} is not {service}'s: the backup is not what its manifest says")
    there = sum(name.startswith(_SHARD) for name in copy.rows)
    if service == "lifecycle" and there != shards:
        raise CommandError(f"{file} has {there} shards, and HANDOFF_PARTITIONS is {shards}: set it to what it was")


def refuse_in_use(file: Path) -> None:
    """Raise where somebody has the file open: SQLite lets go of the log beside it for the last one only."""
    try:
        with closing(sqlite3.connect(file, timeout=0)) as database:
            database.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        raise CommandError(f"{file} is in use ({error}): stop the services first") from error
    except sqlite3.DatabaseError:
        return  # it is broken: that is why it is replaced


def _beside(copy: Path, file: Path, service: ServiceName, shards: int) -> Path:
    """The file as it will be, under another name."""
    ready = _ready(file)
    with suppress(FileNotFoundError):
        ready.unlink()
    shutil.copyfile(copy, ready)
    with closing(sqlite3.connect(ready)) as database:
        if service == "lifecycle":
            declare(database, shards)
        database.commit()
    flush(ready)
    return ready


def _ready(file: Path) -> Path:
    return file.with_name(f"{file.name}.restoring")


def declare(database: sqlite3.Connection, shards: int) -> None:
    """Say in lifecycle's file that it was restored, whichever version of Handoff wrote it."""
    cursor = database.cursor()
    for table in restorations.TABLES:
        cursor.execute(table)
    restorations.declare(cursor, range(shards))


def _set_aside(files: Sequence[Path], folder: Path) -> Sequence[Path]:
    folder = _made(folder)
    moved = []
    for file in files:
        for suffix in SUFFIXES:
            old = file.with_name(file.name + suffix)
            if old.exists():
                moved.append(old.rename(folder / old.name))
    return moved


def _made(folder: Path) -> Path:
    """The folder, or one with a number where it is there already: another restore of the same second has made it."""
    fresh, number = folder, 1
    while True:
        try:
            fresh.mkdir()
        except FileExistsError:
            number += 1
            fresh = folder.with_name(f"{folder.name}.{number}")
        else:
            return fresh
