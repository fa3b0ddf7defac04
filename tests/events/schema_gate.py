"""Whether a schema breaks what another one promised, and where: the judgement behind test_schema_gate.py.

Events are kept for ever and read by programs that are not updated with ours, so a released schema and the present one must agree in
both directions. *Old data, new readers*: with both schemas closed, everything that the old one allows is allowed by the new one.
*New data, old readers*: with both schemas open, everything that the new one allows is allowed by the old one. jsoncompat decides
both, yes or no, for any part of a schema; this module asks it part by part, so as to name the field. What jsoncompat says nothing
about (format and default; a pattern in its versions before 0.4) must simply stay as it is.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import jsoncompat

from events.releases import Release

Schema = Mapping[str, Any]

WORDS: Final = ("title", "description", "examples", "$id", "$schema")
"""What a schema says to people: free to change."""
UNJUDGED: Final = ("pattern", "format", "default")
SHOWN_MAX: Final = 300


def verdict(working: Mapping[str, Schema], released: Iterable[Release]) -> list[str]:
    """What the working schemas (by type) break of the released ones, one line each: the type, the field, the way out."""
    lines = []
    for name, version, promised in ((each.type, each.version, each.schema) for each in released):
        if name not in working:
            lines.append(f"{name}: is gone, and {version} released it: put it back, what was written must stay readable")
            continue
        stem, _, major = name.rpartition(".v")
        lines += [
            f"{name}: {each.path or 'the whole'} {each.what}, against {version}: {each.way_out}, or start {stem}.v{int(major) + 1}"
            for each in breaks(promised, working[name])
        ]
    return lines


class Break(NamedTuple):
    """One thing that may not be: where, what, and what to do instead of a new major version."""

    path: str
    what: str
    way_out: str


def breaks(old: Schema, new: Schema) -> list[Break]:
    """What the new schema of a type breaks of the old one; empty where it is compatible both ways."""
    found = list(_Walk(old, new).compare(old, new, ""))
    if not found and not compatible(old, new):
        return [Break("", "is not compatible, in a place that this walk does not know", "take the change back")]
    return found


def compatible(old: Schema, new: Schema) -> bool:
    """Jsoncompat's answer, both ways. The schemas are whole documents: their references lead to their own ``$defs``."""
    old_closed, new_closed = (json.dumps(_closed(_rules(each))) for each in (old, new))
    old_open, new_open = (json.dumps(_rules(each)) for each in (old, new))
    reads_old = jsoncompat.check_compat(old_closed, new_closed, "deserializer")
    return reads_old and jsoncompat.check_compat(old_open, new_open, "serializer")


class _Walk:
    """Two schemas, gone through together."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old = old["$defs"]
        self._new = new["$defs"]
        self._open: set[tuple[int, int]] = set()

    def compare(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        """The breaks below a place; where there are none below it, that of the place itself."""
        pair = (id(old), id(new))
        if pair in self._open:  # a condition within a condition: told where it begins
            return
        self._open.add(pair)
        was, now = _alternatives(old, self._old), _alternatives(new, self._new)
        below = list(self._below(was, now, path))
        yield from below or self._here(old, new, path)
        self._open.remove(pair)

    def _here(self, old: Schema, new: Schema, path: str) -> Iterator[Break]:
        was, now = _alternatives(old, self._old), _alternatives(new, self._new)
        if _plain(was) == _plain(now):
            return
        judged = compatible({**old, "$defs": self._old}, {**new, "$defs": self._new})
        if not judged or _unjudged(was) != _unjudged(now):
            yield Break(
                path, f"was {_shown(was, now)} and is {_shown(now, was)}", "take that back, or add an optional field beside it"
            )

    def _below(self, old: list[Schema], new: list[Schema], path: str) -> Iterator[Break]:
        """Objects, arrays and maps, each compared with its counterpart."""
        for keyword, step in (("items", "[]"), ("additionalProperties", ".*")):
            before, after = ([each[keyword] for each in side if isinstance(each.get(keyword), dict)] for side in (old, new))
            for one, other in zip(before, after, strict=False):
                yield from self.compare(one, other, f"{path}{step}")
        before, after = ([each for each in side if "properties" in each] for side in (old, new))
        for one, other in zip(before, after, strict=False):
            yield from self._fields(one, other, f"{path}." if path else "")

    def _fields(self, old: Schema, new: Schema, prefix: str) -> Iterator[Break]:
        was, now = old["properties"], new["properties"]
        must, must_now = set(old.get("required", ())), set(new.get("required", ()))
        for name in was:
            if name not in now:
                yield Break(f"{prefix}{name}", "is gone", "keep it, and say in its description that it is deprecated")
                continue
            if name in must - must_now:
                yield Break(f"{prefix}{name}", "may be absent now", "keep it required: readers count on it")
            if name in must_now - must:
                yield Break(f"{prefix}{name}", "has become required", "make it optional")
            yield from self.compare(was[name], now[name], f"{prefix}{name}")
        for name in sorted(now.keys() - was.keys()):
            if name in must_now:
                yield Break(f"{prefix}{name}", "is new and required", "make it optional")


def _alternatives(node: Schema, definitions: Schema) -> list[Schema]:
    """What a value may be: the node with its references followed, and each branch of its ``anyOf``."""
    own = {key: value for key, value in node.items() if key not in ("$ref", "$defs", "anyOf")}
    found: list[Schema] = [own] if own.keys() - set(WORDS) else []
    if "$ref" in node:
        found += _alternatives(definitions[node["$ref"].removeprefix("#/$defs/")], definitions)
    for branch in node.get("anyOf", ()):
        found += _alternatives(branch, definitions)
    return found


def _unjudged(alternatives: list[Schema]) -> dict[str, list[str]]:
    """What a place says that jsoncompat does not judge."""
    told = {keyword: sorted(json.dumps(each[keyword]) for each in alternatives if keyword in each) for keyword in UNJUDGED}
    return {keyword: values for keyword, values in told.items() if values}


def _closed(node: Any) -> Any:
    """The same, but objects have no other fields than those that are named."""
    if isinstance(node, list):
        return [_closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    made = {key: _closed(value) for key, value in node.items()}
    if node.get("type") == "object" and "properties" in node:
        made.setdefault("additionalProperties", False)
    return made


def _rules(schema: Schema) -> dict[str, Any]:
    """A document without the keys at its root that jsoncompat does not take."""
    return {key: value for key, value in schema.items() if key not in WORDS}


def _plain(node: Any) -> Any:
    """The same without words."""
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if not isinstance(node, dict):
        return node
    made = {key: _plain(value) for key, value in node.items() if key not in (*WORDS, "properties")}
    fields = {name: _plain(field) for name, field in node.get("properties", {}).items()}  # one may be called "title"
    return {**made, "properties": fields} if fields else made


def _shown(alternatives: list[Schema], others: list[Schema]) -> str:
    """Those alternatives that the other side does not have."""
    own, their = _plain(alternatives), _plain(others)
    text = " or ".join(json.dumps(each) for each in own if each not in their) or "nothing else"
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"
