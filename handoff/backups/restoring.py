"""Putting a backup back: everything is looked at before anything is touched, and what was there is kept.

A database is its file with the logs beside it (:data:`SUFFIXES`). SQLite takes a log that was left behind for the new file's own
and applies it, so one without a file is moved away as well, and logs before their file.

The restored file of lifecycle is told that it is one, for it may be older than what Kafka has been told
(:mod:`services.lifecycle.catching_up`).
"""

import shutil
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from handoff.backups.making import checked, flush
from handoff.backups.manifest import Copy, Manifest, digest, file_of
from handoff.errors import CommandError
from handoff.settings import ServiceName
from handoff.stack.folder import give, owned
from services.lifecycle import restorations
from services.lifecycle.shards import counted

SUFFIXES: Final = ("-wal", "-shm", "")


def restore(
    folder: Path, manifest: Manifest, data_dir: Path, services: Collection[ServiceName], shards: int, *, aside: str | None
) -> Sequence[Path]:
    """Put the files of some services back. ``aside``: the name of a folder for those that are there, None to refuse then.

    Where there is such a folder already, the new one has a number at its end.
    Answers with the files that were moved there. Raises ``CommandError``, before anything is changed; where the disk fails while
    files are renamed, it says which services are put back. Of two at once, or beside ``handoff up``, one is refused.
    """
    copies = _wanted(manifest, services)
    for service, copy in copies.items():
        _check(folder / copy.file, service, copy, shards)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with owned(data_dir):
            return _replace(folder, copies, data_dir, shards, aside)
    except OSError as error:
        raise _unchanged(error) from error


def _replace(folder: Path, copies: Mapping[ServiceName, Copy], data_dir: Path, shards: int, aside: str | None) -> Sequence[Path]:
    """The same for files that were looked at, in a directory that nobody else has."""
    there = [part for service in copies for part in _parts(file_of(data_dir, service))]
    for file in (file_of(data_dir, service) for service in copies):
        if file.exists():
            refuse_in_use(file)  # which may do away with the logs beside it
    if there and aside is None:
        named = ", ".join(map(str, there))
        raise CommandError(f"{named} would be replaced: say so with --replace, and what is there is kept in a folder beside")
    try:
        ready = {
            service: _beside(folder / copy.file, file_of(data_dir, service), service, copy, shards)
            for service, copy in copies.items()
        }
        kept = _made(data_dir / aside) if there and aside is not None else data_dir
    except (OSError, sqlite3.Error) as error:
        _clean(data_dir, copies)
        raise _unchanged(error) from error
    moved, restored = [], []
    try:
        for service, file in ready.items():
            name = file_of(data_dir, service)
            moved += [part.rename(kept / part.name) for part in _parts(name)]
            file.rename(name)
            restored.append(service)
        for each in (kept, data_dir):
            flush(each)
    except OSError as error:
        _clean(data_dir, copies)
        named = ", ".join(restored) or "no service"
        raise CommandError(f"the backup was put back for {named} only ({error}): what was there is in {kept}; try again") from error
    return moved


def _unchanged(error: Exception) -> CommandError:
    return CommandError(f"the backup was not put back ({error}): nothing was changed; try again")


def _parts(file: Path) -> Sequence[Path]:
    """What there is of a database's files."""
    return [part for suffix in SUFFIXES if (part := file.with_name(file.name + suffix)).exists()]


def _clean(data_dir: Path, services: Collection[ServiceName]) -> None:
    for service in services:
        with suppress(OSError):
            _ready(file_of(data_dir, service)).unlink()


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
    there = counted(copy.rows)
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


def _beside(copy: Path, file: Path, service: ServiceName, told: Copy, shards: int) -> Path:
    """The file as it will be, under another name. Raises ``sqlite3.Error`` where it has not become what the manifest tells of."""
    ready = _ready(file)
    with suppress(FileNotFoundError):
        ready.unlink()
    shutil.copyfile(copy, ready)
    with closing(sqlite3.connect(f"{ready.resolve().as_uri()}?mode=rw", uri=True)) as database:
        if service == "lifecycle":
            declare(database, shards)
        database.commit()
    _compare(checked(ready), told)
    _dress(ready, file)
    flush(ready)
    return ready


def _compare(found: Copy, told: Copy) -> None:
    """Raise where a file is not what was told of it, but for what :func:`declare` has written."""
    wrong = [name for name, rows in told.rows.items() if found.rows.get(name, -1) < rows]
    if wrong or found.positions != told.positions:
        raise sqlite3.DatabaseError(f"{found.file} is not what was copied: {', '.join(wrong) or 'its positions'}")


def _dress(ready: Path, file: Path) -> None:
    """Owner and mode of the file that is replaced, as far as this user may give them; where there is none, the folder's owner."""
    if file.exists():
        with suppress(OSError):
            shutil.copymode(file, ready)
        give(ready, file.stat())
    else:
        give(ready, file.parent.stat())


def _ready(file: Path) -> Path:
    return file.with_name(f"{file.name}.restoring")


def declare(database: sqlite3.Connection, shards: int) -> None:
    """Say in lifecycle's file that it was restored, whichever version of Handoff wrote it."""
    cursor = database.cursor()
    for table in restorations.TABLES:
        cursor.execute(table)
    restorations.declare(cursor, range(shards))


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
