"""A YAML file as a tree in which every node knows its place, or the list of what is wrong with it.

Read with ruamel.yaml as YAML 1.2, where ``NO`` is Norway. Nothing is constructed from tags, anchors are refused, and size and
depth are limited: a file that people edit needs none of that, and no file may take the service down.
"""

import re
from codecs import BOM_UTF8
from typing import Any, Final

from msgspec import Struct
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

FILE_BYTES_MAX: Final = 256 * 1024
DEPTH_MAX: Final = 20
PROBLEMS_MAX: Final = 100
"""How many problems of a file are told: one slip on top can make thousands below."""
SHOWN_CHARACTERS_MAX: Final = 200
"""How much of a value is quoted."""

_TAG = "tag:yaml.org,2002:"
_KINDS: Final = {
    "str": "text",
    "int": "a number",
    "float": "a number with a fraction",
    "bool": "yes or no",
    "null": "empty",
    "timestamp": "a time",
}


class Problem(Struct, frozen=True, order=True):
    """What is wrong, and where: line and column count from 1; ``path`` as in ``territories[1].pool``."""

    line: int
    column: int
    path: str
    message: str


class FileError(Exception):
    """A file is wrong. The text has a line for each problem, in the file's order: ``rules.yaml:8:16 territories[1].pool: ...``."""

    def __init__(self, name: str, problems: list[Problem]) -> None:
        self.problems = sorted(problems)[:PROBLEMS_MAX]
        lines = [f"{name}:{p.line}:{p.column} {p.path}{': ' if p.path else ''}{p.message}" for p in self.problems]
        more = len(problems) - len(lines)
        super().__init__("\n".join([*lines, f"{name}: {more} more problems: mend these first"] if more else lines))


class Place(Struct, frozen=True):
    """Where a node begins, and its path."""

    line: int
    column: int
    path: str

    def problem(self, message: str) -> Problem:
        """A problem at this place."""
        return Problem(self.line, self.column, self.path, message)


class Scalar(Struct, frozen=True):
    """A single value as it is written; ``kind`` is what YAML takes it for (a key of the kinds above)."""

    place: Place
    text: str
    kind: str

    def __str__(self) -> str:
        if self.kind == "null":
            return "nothing"
        cut = "" if len(self.text) <= SHOWN_CHARACTERS_MAX else "..."
        return f"{self.text[:SHOWN_CHARACTERS_MAX]!r}{cut} ({_KINDS[self.kind]})"


class Items(Struct, frozen=True):
    """A list."""

    place: Place
    items: tuple["Tree", ...]

    def __str__(self) -> str:
        return "a list"


class Entries(Struct, frozen=True):
    """A mapping; ``keys`` are the places of the keys."""

    place: Place
    entries: dict[str, "Tree"]
    keys: dict[str, Place]

    def __str__(self) -> str:
        return "a mapping (key: value)"


Tree = Scalar | Items | Entries


def parse(content: bytes, problems: list[Problem]) -> Tree | None:
    """The file's tree; None where it cannot be read at all. Whatever is wrong is added to ``problems``."""
    if len(content) > FILE_BYTES_MAX:
        problems.append(Problem(1, 1, "", f"the file has {len(content)} bytes, at most {FILE_BYTES_MAX} are read"))
        return None
    content = content.removeprefix(BOM_UTF8)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        problems.append(_at(content[: error.start].decode(), "this is not UTF-8: save the file in that encoding"))
        return None
    node = _compose(text, problems)
    if node is None:
        if not problems:
            problems.append(Problem(1, 1, "", "the file is empty"))
        return None
    return _tree(node, "", 1, problems)


def _compose(text: str, problems: list[Problem]) -> Node | None:
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False  # every anchor is a problem already
    try:
        node: Node | None = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problems.append(Problem(line, column, "", _explained(error)))
    except ReaderError as error:
        problems.append(_at(text[: error.position], "a control character: remove it"))
    except (YAMLError, ValueError) as error:
        problems.append(Problem(1, 1, "", f"this is not YAML: {error}"))
    except RecursionError:
        problems.append(Problem(1, 1, "", "the file is nested too deeply"))
    else:
        return node
    return None


def _explained(error: MarkedYAMLError) -> str:
    problem = str(error.problem or error)
    if "'\\t'" in problem:
        return "a tab: YAML is indented with spaces"
    if "mapping values are not allowed" in problem:
        return "a second ': ' on this line: put text that contains one in quotes, and check the indentation"
    context = f" ({error.context})" if error.context else ""
    return f"this is not YAML: {problem}{context}"


def _at(before: str, message: str) -> Problem:
    return Problem(before.count("\n") + 1, len(before) - before.rfind("\n"), "", message)


def _tree(node: Node, path: str, depth: int, problems: list[Problem]) -> Tree:
    place = Place(node.start_mark.line + 1, node.start_mark.column + 1, path)
    empty = Scalar(place, "", "null")
    kind = str(node.tag).removeprefix(_TAG)
    if node.anchor is not None:
        problems.append(place.problem("anchors and aliases (& and *) are not supported: write it out"))
        return empty
    if depth > DEPTH_MAX:
        problems.append(place.problem(f"nested too deeply: at most {DEPTH_MAX} levels"))
        return empty
    match node:
        case ScalarNode() if kind in _KINDS:
            return Scalar(place, node.value, kind)
        case SequenceNode() if kind == "seq":
            return Items(
                place, tuple(_tree(child, f"{path}[{number}]", depth + 1, problems) for number, child in enumerate(node.value))
            )
        case MappingNode() if kind == "map":
            return _entries(node, place, depth, problems)
    problems.append(place.problem(f"the tag {node.tag} is not supported"))
    return empty


def _entries(node: Any, place: Place, depth: int, problems: list[Problem]) -> Entries:
    entries: dict[str, Tree] = {}
    keys: dict[str, Place] = {}
    for key_node, value_node in node.value:
        at = Place(key_node.start_mark.line + 1, key_node.start_mark.column + 1, place.path)
        if not isinstance(key_node, ScalarNode):
            problems.append(at.problem("a key must be a single word"))
            continue
        name = str(key_node.value)
        path = f"{place.path}.{_spelled(name)}" if place.path else _spelled(name)
        at = Place(at.line, at.column, path)
        if name in entries:
            problems.append(at.problem(f"this key is there twice: first on line {keys[name].line}"))
            continue
        keys[name] = at
        entries[name] = _tree(value_node, path, depth + 1, problems)
    return Entries(place, entries, keys)


def _spelled(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]{1,60}", name) else repr(name[:60])
