"""``status-table.yaml``: the statuses and the sales process as a business writes them down, checked.

In goes the file's content, out comes the process, or :class:`~events.files.yaml_tree.FileError` with everything that is wrong, each
problem with line and column, and what was probably meant.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from events.files.reading import Reader, Written, meant
from events.files.yaml_tree import Entries, FileError, Items, Place, Problem, Tree, parse
from services.lifecycle.domain.process import STATUSES_MAX, Draft, Fault, SalesProcess, faults
from services.lifecycle.domain.table import (
    DURATION_MAX,
    ITEM_MAX,
    ITEMS_MAX,
    NAME_MAX,
    PROSE_MAX,
    STAGES,
    TRIGGERS,
    StatusRow,
    StatusTable,
    Trigger,
)

BUILT_IN: Final = Path(__file__).parent / "defaults" / "status-table.yaml"
"""The table that holds where a company has published none, with the texts of a sales process: to be copied and changed."""

_KEYS: Final = ("comment", "effective_from", "opportunities_enabled", "statuses", "triggers")
_LISTS: Final = ("objectives", "entry_criteria", "exit_criteria", "actions", "tools")
_DURATIONS: Final = ("target_duration", "follow_up")
T = TypeVar("T", bound=str)


@cache
def built_in() -> StatusTable:
    """Version 0, which holds from the beginning."""
    return read_statuses(BUILT_IN.read_bytes(), BUILT_IN.name).content.table(0)


def read_statuses(content: bytes, name: str = "status-table.yaml") -> Written[SalesProcess]:
    """The process in a file. Raises ``FileError`` with every problem, in the order of lines."""
    problems: list[Problem] = []
    tree = parse(content, problems)
    found = None if tree is None else _process(Reader(problems), tree)
    if problems or found is None:
        raise FileError(name, problems)
    return found


def _process(read: Reader, tree: Tree) -> Written[SalesProcess] | None:
    entries = read.entries(tree, _KEYS, required=["statuses", "triggers"])
    if entries is None:
        return None
    said: dict[str, Any] = {}
    if "comment" in entries:
        said["comment"] = read.prose(entries["comment"], PROSE_MAX)
    if "opportunities_enabled" in entries:
        said["opportunities_enabled"] = read.boolean(entries["opportunities_enabled"])
    effective_from = read.instant(entries["effective_from"]) if "effective_from" in entries else None
    rows = [_row(read, item) for item in _listed(read, entries["statuses"])] if "statuses" in entries else []
    triggers = _triggers(read, entries["triggers"]) if "triggers" in entries else {}
    if "statuses" in entries:
        for fault in faults([draft for draft, _ in rows], triggers):
            read.fail(_place(tree, fault.at), fault.message + _hint(fault, [draft.name for draft, _ in rows]))
    if read.problems:
        return None
    statuses = tuple(row for _, row in rows if row is not None)
    return Written(SalesProcess(statuses=statuses, triggers=triggers, **said), effective_from)


def _listed(read: Reader, tree: Tree) -> tuple[Tree, ...]:
    listed = read.items(tree)
    if isinstance(tree, Items) and not 1 <= len(listed) <= STATUSES_MAX:
        read.fail(tree.place, f"a table has 1 to {STATUSES_MAX} statuses")
    return listed[:STATUSES_MAX]


def _row(read: Reader, tree: Tree) -> tuple[Draft, StatusRow | None]:
    """One status as far as it can be read, and whole where nothing is wrong with it."""
    before = len(read.problems)
    required = ("name", "stage", "probability")
    entries = read.entries(tree, (*required, "definition", *_LISTS, *_DURATIONS), required)
    if entries is None:
        return Draft(None, None, None), None
    draft = Draft(
        _name(read, entries["name"]) if "name" in entries else None,
        _word(read.choice(entries["stage"], STAGES), STAGES) if "stage" in entries else None,
        read.integer(entries["probability"], 0, 100) if "probability" in entries else None,
    )
    matrix = _matrix(read, entries)
    if draft.name is None or draft.stage is None or draft.probability is None or len(read.problems) > before:
        return draft, None
    return draft, StatusRow(draft.name, draft.stage, draft.probability, **matrix)


def _name(read: Reader, tree: Tree) -> str | None:
    name = read.text(tree, "the name of a status (text)", NAME_MAX)
    if name is not None and name != name.strip():
        read.fail(tree.place, f"a name does not begin or end with a space: {name!r}")
    return name


def _matrix(read: Reader, entries: Mapping[str, Tree]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if "definition" in entries:
        said["definition"] = read.prose(entries["definition"], PROSE_MAX)
    for key in _LISTS:
        if key in entries:
            listed = read.items(entries[key])
            if len(listed) > ITEMS_MAX:
                read.fail(entries[key].place, f"at most {ITEMS_MAX} entries are expected, not {len(listed)}")
            said[key] = tuple(text for item in listed[:ITEMS_MAX] if (text := read.prose(item, ITEM_MAX)) is not None)
    for key in _DURATIONS:
        if key in entries:
            said[key] = read.duration(entries[key], DURATION_MAX)
    return said


def _triggers(read: Reader, tree: Tree) -> dict[Trigger, str]:
    entries = read.entries(tree, TRIGGERS, required=TRIGGERS) or {}
    names = {
        trigger: read.text(entries[trigger], "the name of a status (text)", NAME_MAX) for trigger in TRIGGERS if trigger in entries
    }
    return {trigger: name for trigger, name in names.items() if name is not None}


def _word(word: str | None, words: tuple[T, ...]) -> T | None:
    """The same word as one of a closed set."""
    return next((each for each in words if each == word), None)


def _hint(fault: Fault, names: list[str | None]) -> str:
    return "" if fault.word is None else meant(fault.word, [name for name in names if name is not None])


def _place(tree: Tree, path: tuple[str | int, ...]) -> Place:
    """Where in the file a value stands."""
    for step in path:
        match tree, step:
            case Entries(entries=entries), str(key):
                tree = entries[key]
            case Items(items=items), int(number):
                tree = items[number]
            case _:
                break
    return tree.place
