"""The data directory of a stack: made when absent, used by one ``handoff up`` at a time, and checked before anything is started.

Two locks. ``up.lock`` is this process's alone and says at once that another stack runs here, or that its files are being replaced
(``handoff restore``). ``processes.lock`` is inherited by the services; those of a stack that was killed may still be ending when
the next one comes, which then waits for the lock.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from handoff.broker.locks import LockedError, exclusive
from handoff.errors import CommandError

PREDECESSOR_SECONDS_MAX: Final = 30.0
"""How long the processes of a stack that was killed may take to end: a clean end of a service takes 5 s at most."""

OWNER: Final = "up.lock"
PROCESSES: Final = "processes.lock"

_CHOOSE: Final = "choose another directory with HANDOFF_DATA_DIR"


@contextmanager
def claim(data_dir: Path) -> Iterator[int]:
    """Have the directory to oneself; gives the descriptor that everything started in it is to keep open."""
    try:
        (data_dir / "logs").mkdir(parents=True, exist_ok=True)
        for name in (OWNER, PROCESSES):
            (data_dir / name).touch()
    except OSError as error:
        place = data_dir if error.filename is None else os.fsdecode(error.filename)
        raise CommandError(
            f"data directory {data_dir} cannot be used ({error.strerror}: {place}): repair it, or {_CHOOSE}"
        ) from error
    with _alone(data_dir) as lock:
        yield lock


@contextmanager
def owned(data_dir: Path) -> Iterator[None]:
    """Have the directory to oneself, which is there, while nothing is started in it. The lock's file is whose the directory is."""
    with ExitStack() as held:
        try:
            own = held.enter_context(exclusive(data_dir / OWNER, 0.0))
        except LockedError:
            process = (data_dir / OWNER).read_text().strip()
            raise CommandError(
                f"data directory {data_dir} is in use by another `handoff up` or `handoff restore` (process {process}):"
                f" stop that one, or {_CHOOSE}"
            ) from None
        os.ftruncate(own, 0)
        os.write(own, f"{os.getpid()}\n".encode())
        give(data_dir / OWNER, data_dir.stat())
        yield


def give(path: Path, like: os.stat_result) -> None:
    """Let a file belong to whom another one does, as far as this user may say so."""
    with suppress(OSError):
        os.chown(path, like.st_uid, like.st_gid)


@contextmanager
def _alone(data_dir: Path) -> Iterator[int]:
    with ExitStack() as held:
        held.enter_context(owned(data_dir))
        try:
            lock = held.enter_context(exclusive(data_dir / PROCESSES, PREDECESSOR_SECONDS_MAX))
        except LockedError:
            raise CommandError(
                f"data directory {data_dir} is still used by services of a `handoff up` that was killed: "
                f"end them (their process ids are in {data_dir}/logs/*.pid), or {_CHOOSE}"
            ) from None
        yield lock


def check_databases(data_dir: Path, services: Sequence[str]) -> None:
    """Find a database that is none before a service does: it would only die of it, again and again."""
    for service in services:
        file = data_dir / f"{service}.sqlite"
        if not file.exists():
            continue
        try:
            with closing(sqlite3.connect(file)) as database:
                database.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.DatabaseError as error:
            raise CommandError(
                f"{service}'s database {file} cannot be read ({error}): restore it from a copy, or {_CHOOSE}"
            ) from error
