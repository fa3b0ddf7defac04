"""The schemas as they were released: ``python -m events.releases 0.2`` freezes those of :mod:`events.schema` under that version.

``schemas/<type>.json`` follows the types and may be made anew at any time. ``schemas/released/<version>/<type>.json`` is what
senders and readers were promised: it is written once and never again, and holds the types that are new in that version or differ
from their last release. ``released/SHA256SUMS`` says what each file was when it was written, so that an edit or a loss is noticed.
A test compares what the types say now with every one of them (tests/events/test_schema_gate.py), whatever was made anew since.
"""

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from events import schema

FOLDER: Final = schema.FOLDER / "released"
SUMS: Final = "SHA256SUMS"

_VERSION = re.compile(r"[0-9]+\.[0-9]+")


class Release(NamedTuple):
    """The schema of a type as one version released it."""

    version: str
    type: str
    text: str

    @property
    def schema(self) -> dict[str, Any]:
        """The document."""
        found: dict[str, Any] = json.loads(self.text)
        return found


def releases(folder: Path = FOLDER) -> list[Release]:
    """Everything that was released, oldest version first."""
    return list(_read(folder))


def release(version: str, folder: Path = FOLDER) -> list[str]:
    """Freeze what the types say now; the types whose schema is new or changed. Raises ``ValueError`` where that must not be.

    Whether the changes are compatible is not judged here but by the gate, which compares with all releases, this one included.
    """
    if not _VERSION.fullmatch(version):
        raise ValueError(f"{version!r} is not a version such as 0.2")
    frozen = releases(folder)
    if frozen and _order(version) <= (newest := max(_order(each.version) for each in frozen)):
        raise ValueError(
            f"{version} is not newer than {'.'.join(map(str, newest))}: a release is never changed, choose a later version"
        )
    last = {each.type: each.text for each in frozen}
    made = {name: schema.text(name) for name in schema.types()}
    fresh = sorted(name for name, text in made.items() if last.get(name) != text)
    if fresh:
        (folder / version).mkdir(parents=True)
        for name in fresh:
            (folder / version / f"{name}.json").write_text(made[name], encoding="utf-8")
        with (folder / SUMS).open("a", encoding="utf-8") as sums:
            sums.writelines(f"{_digest(folder / version / f'{name}.json')}  {version}/{name}.json\n" for name in fresh)
    return fresh


def tampered(folder: Path = FOLDER) -> list[str]:
    """The files that are not what was released: edited, lost or put there by hand."""
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    wanted = {file: digest for digest, file in (line.split("  ") for line in lines)}
    there = {path.relative_to(folder).as_posix(): _digest(path) for path in _files(folder)}
    return sorted(file for file in wanted.keys() | there.keys() if wanted.get(file) != there.get(file))


def _read(folder: Path) -> Iterator[Release]:
    for path in sorted(_files(folder), key=lambda path: (_order(path.parent.name), path.name)):
        yield Release(path.parent.name, path.stem, path.read_text(encoding="utf-8"))


def _files(folder: Path) -> Iterator[Path]:
    return folder.glob("*/*.json")


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(arguments: list[str]) -> int:
    """``VERSION``: freeze the schemas, say which."""
    if len(arguments) != 1:
        print("usage: python -m events.releases VERSION (such as 0.2)", file=sys.stderr)  # noqa: T201
        return 2
    try:
        fresh = release(arguments[0])
    except ValueError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    for name in fresh:
        print(name)  # noqa: T201
    print(f"{arguments[0]}: {len(fresh)} schemas were released" if fresh else "no schema has changed: nothing to release")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
