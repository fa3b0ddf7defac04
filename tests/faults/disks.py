"""Disks that get full and disks that are slow, for real: what is written fails, and what is to be kept takes its time.

A small disk is a file system in memory of limited size, filled up with ballast. It is mounted where only this process and its
children see it, by root, or by anybody in a user namespace of one's own, so it is gone with them. A slow disk is a library of a few
lines (``slow_disk.c``) that programs load before the others, and in which ``fsync`` waits. Where a machine does not allow one of
them, the reason is said.
"""

import ctypes
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOSPC
from functools import cache
from pathlib import Path
from typing import Final

DISK_BYTES: Final = 512 << 20
SOURCE: Final = Path(__file__).with_name("slow_disk.c")

_NEWNS, _NEWUSER = 0x00020000, 0x10000000
_REC, _PRIVATE = 0x4000, 0x40000
_CONTROL: Final = struct.Struct("iii")
"""What processes map: the least and the most milliseconds of a wait, and how many waits there were."""
_FILL_SECONDS_MAX: Final = 60.0
_REFILL_SECONDS: Final = 0.02
_PIECES: Final = (1 << 20, 1 << 12, 1)


class NotHere(Exception):  # noqa: N818 - the name says what is the case
    """This machine cannot do it; the message says why not."""


class Ground:
    """A folder that everybody may enter (PostgreSQL does not run as root), for disks and for the library (:func:`ground`)."""

    def __init__(self) -> None:
        self.folder: Final = Path(tempfile.mkdtemp(prefix="handoff-disks-"))
        self.folder.chmod(0o755)

    def disk(self, name: str) -> "SmallDisk":
        """A small disk. Raises ``NotHere``."""
        folder = self.folder / name
        folder.mkdir()
        mount(folder, DISK_BYTES)
        return SmallDisk(folder)

    def slow(self) -> "SlowDisks":
        """The library, and what tells it how slow disks are. Raises ``NotHere``."""
        return SlowDisks(self.folder)

    def close(self) -> None:
        """Leave nothing behind."""
        for folder in self.folder.iterdir():
            if folder.is_mount():
                _libc().umount2(os.fsencode(folder), 2)  # lazily: whoever still ends may do so
        shutil.rmtree(self.folder)


# ------------------------------------------------------------------------------------------- full


class SmallDisk:
    """A file system of limited size."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder

    @contextmanager
    def full(self) -> Iterator[None]:
        """Nothing more can be written within: what is freed meanwhile is taken at once."""
        filled, ended = threading.Event(), threading.Event()
        ballast = self.folder / "ballast"

        def fill() -> None:
            with ballast.open("ab", buffering=0) as file:
                while True:
                    for piece in _PIECES:
                        _write_all(file.fileno(), bytes(piece))
                    filled.set()
                    if ended.wait(_REFILL_SECONDS):
                        return

        filling = threading.Thread(target=fill, name="ballast")
        filling.start()
        filled.wait(_FILL_SECONDS_MAX)
        try:
            yield
        finally:
            ended.set()
            filling.join()
            ballast.unlink()


def _write_all(file: int, piece: bytes) -> None:
    """Write a piece again and again, until it does not fit any more."""
    try:
        while os.write(file, piece) == len(piece):
            pass
    except OSError as error:
        if error.errno != ENOSPC:
            raise


def mount(folder: Path, size: int) -> None:
    """Mount a file system in memory, for this process and its children only. Raises ``NotHere``."""
    separate()
    options = f"size={size},mode=755".encode()
    if _libc().mount(b"handoff", os.fsencode(folder), b"tmpfs", 0, options):
        raise NotHere(f"a file system in memory cannot be mounted: {os.strerror(ctypes.get_errno())}")


@cache
def separate() -> None:
    """Let mounts of this process be seen by nobody else; who is not root becomes the ruler of a user namespace for that.

    That needs a process without other threads, so it comes before everything else. Raises ``NotHere``.
    """
    if not sys.platform.startswith("linux"):
        raise NotHere(f"{sys.platform} has no mount namespaces")
    user, group = os.geteuid(), os.getegid()
    if _libc().unshare(_NEWNS if user == 0 else _NEWNS | _NEWUSER):
        raise NotHere(f"no mount namespace of one's own: {os.strerror(ctypes.get_errno())}")
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _libc().mount(None, b"/", None, _REC | _PRIVATE, None)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


# ------------------------------------------------------------------------------------------- slow


class SlowDisks:
    """Every program that is started in ``environment`` waits in ``fsync`` when disks are slow. At first they are not."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            raise NotHere("there is no C compiler (cc)")
        if not sys.platform.startswith("linux"):
            raise NotHere(f"{sys.platform} does not load libraries before those of a program as Linux does")
        library, self._control = folder / "slow_disk.so", folder / "slow_disk"
        command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(SOURCE), "-ldl"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotHere(f"{SOURCE.name} cannot be compiled: {done.stderr.strip()[:300]}")
        self._control.write_bytes(_CONTROL.pack(0, 0, 0))
        self._control.chmod(0o666)  # PostgreSQL is somebody else
        self.environment: Final = {"LD_PRELOAD": str(library), "SLOW_DISK": str(self._control)}

    @contextmanager
    def slow(self, milliseconds_min: int, milliseconds_max: int) -> Iterator[None]:
        """Each ``fsync`` takes so long at least."""
        self._set(milliseconds_min, milliseconds_max)
        try:
            yield
        finally:
            self._set(0, 0)

    @property
    def waits(self) -> int:
        """How often somebody has waited so far."""
        count: int = _CONTROL.unpack(self._control.read_bytes())[2]
        return count

    def _set(self, least: int, most: int) -> None:
        with self._control.open("r+b") as file:  # in place: whoever runs has mapped it
            file.write(struct.pack("ii", least, most))


@contextmanager
def ground() -> Iterator[Ground]:
    """A ground that is left clean."""
    made = Ground()
    try:
        yield made
    finally:
        made.close()
