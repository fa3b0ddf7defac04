"""JSON Schema in a few words, for a cell of a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from docs.generator.markdown import code, json_code

Name = Callable[[str], str]
"""Makes of the name of a definition what is to be written for it: a link, say."""

_NAMES: Final = {"integer": "whole number", "boolean": "true or false", "array": "list", "null": "null"}
_FORMATS: Final = {"date": "date", "date-time": "instant (RFC 3339)"}


def words(schema: Mapping[str, Any], name: Name) -> str:
    """What a value must be. That it may be null is not said: a field that is null says nothing."""
    if "$ref" in schema:
        return name(str(schema["$ref"]).rpartition("/")[2])
    if "const" in schema:
        return json_code(schema["const"])
    if "enum" in schema:
        return ", ".join(code(value) for value in schema["enum"])
    alternatives = [each for key in ("anyOf", "allOf") for each in schema.get(key, ()) if each.get("type") != "null"]
    if alternatives:
        return " or ".join(dict.fromkeys(words(each, name) for each in alternatives))
    kinds = schema.get("type", "anything")
    if not isinstance(kinds, str):
        return " or ".join(words({**schema, "type": kind}, name) for kind in kinds if kind != "null")
    match kinds:
        case "array":
            return f"list of {words(schema.get('items', {}), name)}"
        case "object" if schema.get("additionalProperties"):
            inner = schema["additionalProperties"]
            return "object" if inner is True else f"object of {words(inner, name)}"
        case "string":
            return _text(schema)
        case _:
            return _NAMES.get(kinds, kinds) + _range(schema)


def _text(schema: Mapping[str, Any]) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    if schema.get("pattern") in ("^[A-Z]{2}$", "^[A-Z]{3}$"):
        return f"{schema['pattern'][-3]} letters A to Z"
    if "minimum" in schema or "exclusiveMaximum" in schema:
        return "decimal string"
    least, most = schema.get("minLength"), schema.get("maxLength")
    if most is None:
        return "text"
    return f"text, {f'{least} to' if least else 'up to'} {most} characters"


def _range(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    bounds: Sequence[str] = [
        f"from {least}" if least is not None and abs(least) < 2**31 - 1 else "",
        f"to {most}" if most is not None and abs(most) < 2**31 - 1 else "",
    ]
    said = " ".join(bound for bound in bounds if bound)
    return f" {said}" if said else ""
