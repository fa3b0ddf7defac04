"""File locks between processes: in goes a path, out comes an open descriptor that holds the lock.

`flock` belongs to the open file, not to the process. It is never unlocked by hand: it ends when the last copy of the
descriptor is closed, so a child that inherits it keeps the lock for exactly as long as it lives, however it dies.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_SECONDS = 0.02


class LockedError(Exception):
    """Another process held the lock until the end of the wait."""


@contextmanager
def exclusive(path: Path, wait_seconds: float) -> Iterator[int]:
    """Hold the lock of `path` (made when absent) and give its descriptor.

    Raises `LockedError` when it is not to be had within `wait_seconds`, `OSError` when the file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _acquire(descriptor, time.monotonic() + wait_seconds)
        yield descriptor
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise LockedError from None
            time.sleep(POLL_SECONDS)
        else:
            return
