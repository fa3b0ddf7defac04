"""``directory.yaml``: the sales force as operations write it down, checked.

In goes the file's content, out comes the directory, or :class:`~events.files.yaml_tree.FileError` with all that is wrong.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final
from zoneinfo import available_timezones

from events.files.reading import Reader, Written
from events.files.yaml_tree import FileError, Problem, Tree, parse
from events.reference import Directory, Rep

REPS_MAX: Final = 10_000

_KEYS: Final = ("effective_from", "comment", "reps")
_REP_KEYS: Final = Rep.__struct_fields__


def read_directory(content: bytes, name: str = "directory.yaml") -> Written[Directory]:
    """The directory in a file. Raises ``FileError`` with every problem, in the order of lines."""
    problems: list[Problem] = []
    tree = parse(content, problems)
    found = None if tree is None else _directory(Reader(problems), tree)
    if problems or found is None:
        raise FileError(name, problems)
    return found


def _directory(read: Reader, tree: Tree) -> Written[Directory] | None:
    entries = read.entries(tree, _KEYS, required=["reps"])
    if entries is None or "reps" not in entries:
        return None
    if "comment" in entries:
        read.text(entries["comment"])
    effective_from = read.instant(entries["effective_from"]) if "effective_from" in entries else None
    listed = read.items(entries["reps"])
    if not listed or len(listed) > REPS_MAX:
        read.fail(entries["reps"].place, f"a directory has 1 to {REPS_MAX} reps")
    first: dict[str, int] = {}
    reps = [rep for item in listed if (rep := _rep(read, item, first)) is not None]
    return Written(Directory(reps=tuple(reps)), effective_from)


def _rep(read: Reader, tree: Tree, first: dict[str, int]) -> Rep | None:
    entries = read.entries(tree, _REP_KEYS, required=["rep_id"])
    if entries is None or "rep_id" not in entries:
        return None
    rep_id = read.text(entries["rep_id"], "an id (text)")
    if rep_id is None:
        return None
    if rep_id in first:
        read.fail(entries["rep_id"].place, f"{rep_id!r} is there twice: first on line {first[rep_id]}")
    first.setdefault(rep_id, tree.place.line)
    said: dict[str, Any] = {key: read.text(entries[key]) for key in ("name", "team", "region") if key in entries}
    if "email" in entries:
        said["email"] = _email(read, entries["email"])
    if "time_zone" in entries:
        said["time_zone"] = _time_zone(read, entries["time_zone"])
    if "skills" in entries:
        said["skills"] = tuple(skill for item in read.items(entries["skills"]) if (skill := read.text(item)) is not None)
    if "active" in entries:
        said["active"] = read.boolean(entries["active"]) is not False
    if "attributes" in entries:
        said["attributes"] = _attributes(read, read.entries(entries["attributes"], known=None) or {})
    return Rep(rep_id=rep_id, **said)


def _email(read: Reader, tree: Tree) -> str | None:
    text = read.text(tree)
    if text is not None and ("@" not in text[1:-1] or " " in text):
        read.fail(tree.place, f"{text!r} is not an e-mail address")
    return text


def _time_zone(read: Reader, tree: Tree) -> str | None:
    text = read.text(tree)
    if text is not None and text not in _zones():
        read.fail(tree.place, f"{text!r} is not a time zone such as Europe/Berlin{read.meant(text, _zones())}")
    return text


@cache
def _zones() -> frozenset[str]:
    """The zones that this machine knows: they are files, and looking for them takes a tenth of a second."""
    return frozenset(available_timezones())


def _attributes(read: Reader, entries: Mapping[str, Tree]) -> dict[str, str | int | bool]:
    read_values = {name: read.scalar(tree) for name, tree in entries.items()}
    return {name: value for name, value in read_values.items() if value is not None}
