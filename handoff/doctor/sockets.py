"""Who listens on a port of this machine, as far as this user may know. Linux tells it in /proc; elsewhere nobody is named."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

PROC: Final = Path("/proc")
LISTENING: Final = "0A"
WORDS_MAX: Final = 60


class Owner(Struct, frozen=True):
    """A process, and how it was called."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"{self.command!r}, process {self.pid}"


def listener(port: int) -> Owner | None:
    """The process that listens on a TCP port; None where there is none, or where it cannot be told."""
    inodes = {f"socket:[{inode}]" for inode in _inodes(port)}
    if not inodes:
        return None
    for process in PROC.iterdir():
        if process.name.isdigit() and _holds(process, inodes):
            return Owner(int(process.name), _command(process))
    return None


def _inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (PROC / "net" / table).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                    yield columns[9]


def _holds(process: Path, inodes: set[str]) -> bool:
    with suppress(OSError):  # of another user, or just gone
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                if os.readlink(descriptor) in inodes:
                    return True
    return False


def _command(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "?"
    text = " ".join([Path(words[0]).name, *words[1:]]).strip()
    return text if len(text) <= WORDS_MAX else f"{text[:WORDS_MAX]}…"
