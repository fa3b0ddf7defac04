"""Making a backup while the services write: each file as it is at one moment, checked, and only then called a backup.

SQLite's own online copy takes one snapshot, however much is written meanwhile, and writers do not wait for it. The three moments
may be different ones: positions are in the same file as what they are about, so each service goes on from its own. Everything is
made in a folder beside, which gets its name when it is whole.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import msgspec

from handoff.backups.manifest import FILE, Copy, Manifest, Read, digest, file_of, manifest
from handoff.errors import CommandError
from handoff.settings import SERVICES, ServiceName

Tell = Callable[[str], None]


def make(data_dir: Path, folder: Path, made_at: str, tell: Tell) -> Manifest:
    """Back up every service that has a file. Raises ``CommandError``; what was made until then is taken away."""
    files = {service: file_of(data_dir, service) for service in SERVICES if file_of(data_dir, service).exists()}
    if not files:
        raise CommandError(f"there is nothing to back up in {data_dir}: no service has written to it (HANDOFF_DATA_DIR)")
    if folder.exists():
        raise CommandError(f"{folder} exists: name a folder that does not, one for each backup")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".unfinished", dir=folder.parent))
    except OSError as error:
        raise CommandError(f"{folder.parent} cannot be written to ({error.strerror})") from error
    try:
        made = _fill(beside, files, made_at, tell)
        _name(beside, folder)
    except (OSError, sqlite3.Error) as error:
        raise CommandError(f"the backup was not made ({error}): nothing is left of it") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return made


def _fill(beside: Path, files: Mapping[ServiceName, Path], made_at: str, tell: Tell) -> Manifest:
    copies: dict[ServiceName, Copy] = {}
    for service, file in files.items():
        tell(f"{service}: copying")
        copy = beside / file.name
        _copy(file, copy)
        tell(f"{service}: checking")
        copies[service] = checked(copy)
        flush(copy)
    made = manifest(made_at, copies)
    (beside / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
    flush(beside / FILE)
    flush(beside)
    return made


def _copy(source: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as live,
        closing(sqlite3.connect(target)) as copy,
    ):
        live.backup(copy)  # all pages at once: in steps, every write of the service would begin it anew
        copy.execute("PRAGMA journal_mode = DELETE")  # one file and no others


def checked(file: Path) -> Copy:
    """What is in a copy. Raises ``sqlite3.DatabaseError`` where it is not sound."""
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
        (verdict,) = database.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"{file.name}: {verdict}")
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        rows = {name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables}
        positions = []
        if "position" in rows:
            found = database.execute("SELECT topic, part, next, identity FROM position ORDER BY topic, part")
            positions = [Read(*row) for row in found]
    return Copy(file.name, file.stat().st_size, digest(file), rows, positions)


def flush(path: Path) -> None:
    """Onto the disk, whatever happens to the machine."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _name(beside: Path, folder: Path) -> None:
    """Give the whole its name. Of two that want the same one, the first has it."""
    try:
        beside.rename(folder)
    except OSError as error:
        raise CommandError(f"{folder} exists meanwhile ({error.strerror}): name another folder") from error
    flush(folder.parent)
