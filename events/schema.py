"""The JSON Schemas of the contract, made of the types and their docstrings: ``python -m events.schema`` writes them.

One file per CloudEvents type in ``events/schemas/``, JSON Schema 2020-12, for the ``data`` of the event. A test compares them with
what is made here, so that no change of a type goes unnoticed. Which changes may be: :mod:`events.releases` keeps what was promised.

A field's description and example are read from the ``Attributes:`` of its struct or of one that the struct derives from
(``name: Meaning. Example: <JSON>``).
"""

import json
import re
from collections.abc import Iterator, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, inspect

from events.facts import Data
from events.topics import TOPICS

FOLDER: Final = Path(__file__).parent / "schemas"

_SECTION = "\n\nAttributes:\n"
_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)


def types() -> Mapping[str, type[Data]]:
    """Every CloudEvents type that a topic carries, and its data."""
    return {name: data for topic in TOPICS for name, data in topic.types.items()}


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a type's data."""
    data = types()[name]
    made = msgspec.json.schema(data)
    definitions = made["$defs"]
    for struct in _structs(inspect.type_info(data), set()):
        _document(definitions[struct.__name__], struct)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:handoff:{name}",
        "title": name,
        "$ref": made["$ref"],
        "$defs": _portable(dict(sorted(definitions.items()))),
    }


def text(name: str) -> str:
    """The JSON Schema of a type's data as its file has it."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"


def path(name: str) -> Path:
    """The file of a type's JSON Schema."""
    return FOLDER / f"{name}.json"


def write() -> None:
    """Write the file of every type."""
    FOLDER.mkdir(exist_ok=True)
    for name in types():
        path(name).write_text(text(name), encoding="utf-8")


def attributes(struct: type[Struct]) -> dict[str, tuple[str, Any]]:
    """Description and example (``UNSET`` where there is none) of every field that the struct or its bases document."""
    found: dict[str, tuple[str, Any]] = {}
    for base in reversed(struct.__mro__):
        _, _, section = cleandoc(base.__doc__ or "").partition(_SECTION)
        for name, words in _ATTRIBUTE.findall(section):
            meaning, _, example = re.sub(r"\s+", " ", words).partition(" Example: ")
            found[name] = (meaning, json.loads(example) if example else msgspec.UNSET)
    return found


def _document(definition: dict[str, Any], struct: type[Struct]) -> None:
    definition["description"] = cleandoc(struct.__doc__ or "").partition(_SECTION)[0]
    told = attributes(struct)
    for name, field in definition["properties"].items():
        meaning, example = told.get(name, ("", msgspec.UNSET))
        rest = {key: value for key, value in field.items() if key not in ("description", "examples")}
        field.clear()
        field.update({"description": meaning} if meaning else {})
        field.update({} if example is msgspec.UNSET else {"examples": [example]})
        field.update(rest)


def _portable(node: Any) -> Any:
    """The same for validators in any language: amounts may be numbers, and no pattern needs look-ahead."""
    if isinstance(node, list):
        return [_portable(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: _portable(value) for key, value in node.items()}
    if made.get("format") == "decimal":
        del made["format"]
        made["type"] = ["string", "number"]
    if isinstance(made.get("pattern"), str):
        made["pattern"] = made["pattern"].removesuffix(r"(?!\n)")
    return made


def _structs(info: inspect.Type, seen: set[type[Struct]]) -> Iterator[type[Struct]]:
    """Every struct that a type is made of."""
    if isinstance(info, inspect.StructType):
        if info.cls in seen:
            return
        seen.add(info.cls)
        yield info.cls
        parts = [field.type for field in info.fields]
    elif isinstance(info, inspect.UnionType):
        parts = list(info.types)
    elif isinstance(info, inspect.VarTupleType):
        parts = [info.item_type]
    elif isinstance(info, inspect.DictType):
        parts = [info.value_type]
    elif isinstance(info, inspect.Metadata):
        parts = [info.type]
    else:
        parts = []
    for part in parts:
        yield from _structs(part, seen)


if __name__ == "__main__":
    write()
