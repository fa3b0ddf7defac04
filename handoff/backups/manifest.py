"""What a backup says of itself: ``manifest.json``, written last, so that a backup without one is none."""

import hashlib
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from handoff.errors import CommandError
from handoff.settings import SERVICES, ServiceName

FILE: Final = "manifest.json"
FORMAT: Final = 1
"""Raised when an older Handoff could not put a backup back any more."""
_CHUNK_BYTES: Final = 1 << 20


class Read(Struct, frozen=True):
    """How far a log had been read: the next offset, and what the topic was then."""

    topic: str
    partition: int
    next: int
    identity: str


class Copy(Struct, frozen=True):
    """A service's file in the backup: its digest, its rows by table, and how far it had come."""

    file: str
    bytes: int
    sha256: str
    rows: dict[str, int]
    positions: list[Read]


class Manifest(Struct, frozen=True):
    """``format`` and ``handoff``: what can put it back; ``made_at``: RFC 3339."""

    format: int
    handoff: str
    made_at: str
    stores: dict[ServiceName, Copy]


def manifest(made_at: str, stores: dict[ServiceName, Copy]) -> Manifest:
    """The manifest of a backup that this Handoff makes."""
    return Manifest(FORMAT, version("handoff"), made_at, stores)


def read(folder: Path) -> Manifest:
    """The manifest of a backup. Raises ``CommandError`` where it is none, or not for this Handoff."""
    file = folder / FILE
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise CommandError(
            f"{folder} is no backup: it has no {FILE}, which is written last; one that was interrupted has none"
        ) from None
    try:
        said = msgspec.json.decode(content)
        if isinstance(said, dict) and _is_newer(said):
            raise CommandError(
                f"{file}: the backup was made by Handoff {said.get('handoff')}, which is newer: restore it with that"
            )
        return msgspec.convert(said, Manifest)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise CommandError(f"{file} is damaged: {error}") from error


def _is_newer(said: dict[str, Any]) -> bool:
    newer_format = isinstance(said.get("format"), int) and said["format"] > FORMAT
    return newer_format or _release(str(said.get("handoff"))) > _release(version("handoff"))


def _release(name: str) -> tuple[int, ...]:
    """The numbers of a version, for comparison."""
    numbers = re.match(r"\d+(\.\d+)*", name)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()


def digest(file: Path) -> str:
    """The SHA-256 of a file."""
    found = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK_BYTES):
            found.update(chunk)
    return found.hexdigest()


def file_of(data_dir: Path, service: ServiceName) -> Path:
    """Where a service keeps its database."""
    assert service in SERVICES
    return data_dir / f"{service}.sqlite"
