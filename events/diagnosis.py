"""Everything that is wrong with the data of an event, where the codec stops at the first thing.

In go a type and JSON, out come refusals in the codec's words, each with its path: every field is read by itself, and what is
refused is looked into, part by part. For people who mend an event; whether it is accepted is for :mod:`events.codec` alone to say.
"""

import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache, lru_cache
from itertools import islice
from typing import Annotated, Any, Final, get_args, get_origin

from msgspec import NODEFAULT, Raw, Struct, defstruct
from msgspec.json import Decoder, encode
from msgspec.structs import fields

from events.envelope import Refusal, read_json
from events.facts import Data
from events.values import Money

REFUSALS_MAX: Final = 50
"""How many refusals of one event, or of one list in it, are told."""
IGNORED_MAX: Final = 5
"""How many fields that are ignored are told: one or two are a slip, many are another system's habit."""

_OBJECT: Final = Decoder(dict[str, Raw])
_ARRAY: Final = Decoder(list[Raw])
_INNOCENT: Final[Mapping[str, Raw]] = {"amount": Raw(b'"0"')}
"""What may stand for the broken half of money, so that the other half is looked at too."""


def refusals(kind: type[Struct], value: bytes, root: str = "$") -> list[Refusal]:
    """Everything that is wrong with JSON that should be of a kind; nothing where nothing is. ``root``: the path of the value."""
    try:
        read_json(_decoder(kind), value, root)
    except Refusal as whole:
        return (_within(kind, value, root) or [whole])[:REFUSALS_MAX]
    return []


def ignored(kind: type[Data], value: bytes, root: str = "$") -> list[str]:
    """The fields of an accepted event that the type does not have, each with the one that was probably meant."""
    said = _OBJECT.decode(value)
    unknown = (name for name in said if name not in _names(kind))
    return [f"{_member(root, name)} {_slip(kind, name[:50])}" for name in islice(unknown, IGNORED_MAX)]


@lru_cache
def _slip(kind: type[Data], name: str) -> str:
    meant = get_close_matches(name, sorted(_names(kind)), n=1)
    return "is not a field of this type and is ignored" + (f": did you mean {meant[0]}?" if meant else "")


def _within(kind: Any, value: bytes | Raw, path: str) -> list[Refusal]:
    """What is wrong with the parts of an object or array that is refused; nothing where it has none, or each by itself is right."""
    kind = _bare(kind)
    is_object, is_array = bytes(value).lstrip().startswith(b"{"), bytes(value).lstrip().startswith(b"[")
    try:
        if is_object and isinstance(kind, type) and issubclass(kind, Struct):
            return list(_in_struct(kind, _OBJECT.decode(value), path))
        if is_object and get_origin(kind) is dict:
            return list(islice(_in_dict(kind, _OBJECT.decode(value), path), REFUSALS_MAX))
        if is_array and get_origin(kind) is tuple:
            items = ((f"{path}[{place}]", part) for place, part in enumerate(_ARRAY.decode(value)))
            return list(islice(_each(get_args(kind)[0], items), REFUSALS_MAX))
    except (ValueError, RecursionError):  # not even JSON: the whole has been refused for that
        return []
    return []


def _in_struct(kind: type[Struct], said: Mapping[str, Raw], path: str) -> Iterator[Refusal]:
    sound: dict[str, Raw] = {}
    complete = True
    for name, declared, alone in _fields(kind):
        given = {name: said[name]} if name in said else {}
        try:
            read_json(alone, encode(given), path)
        except Refusal as refusal:
            complete = False
            yield from (_within(declared, said[name], f"{path}.{name}") if given else []) or [refusal]
        else:
            sound |= given
    yield from _own_rules(kind, sound, path, complete)


def _own_rules(kind: type[Struct], sound: dict[str, Raw], path: str, complete: bool) -> Iterator[Refusal]:
    """The rules that a struct checks itself, after its fields: of those fields that are right by themselves."""
    decoder: Decoder[Any] = _decoder(kind)
    if issubclass(kind, Data):
        decoder = _lenient(kind)
    elif not complete:
        if not issubclass(kind, Money):
            return
        sound = {**_INNOCENT, **sound}
    while True:
        try:
            read_json(decoder, encode(sound), path)
        except Refusal as refusal:
            field = refusal.path.removeprefix(f"{path}.")
            if sound.pop(field, None) is None or refusal.reason == "is missing":
                return
            yield refusal
        else:
            return


def _in_dict(kind: Any, said: Mapping[str, Raw], path: str) -> Iterator[Refusal]:
    names: Decoder[Any] = Decoder(dict[get_args(kind)[0], Any])  # type: ignore[misc]
    for name in said:
        try:
            read_json(names, encode({name: None}), path)
        except Refusal as refusal:
            yield refusal
    yield from _each(get_args(kind)[1], ((_member(path, name), value) for name, value in said.items()))


def _each(kind: Any, items: Iterable[tuple[str, Raw]]) -> Iterator[Refusal]:
    """What is wrong with values of a kind, given with their paths."""
    decoder: Decoder[Any] = Decoder(kind)
    for path, value in items:
        try:
            read_json(decoder, bytes(value), path)
        except Refusal as refusal:
            yield from _within(kind, value, path) or [refusal]


def _bare(kind: Any) -> Any:
    """A type without "or null" and annotations."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in (types.UnionType, typing.Union):
        parts = [part for part in get_args(kind) if part is not types.NoneType]
        return _bare(parts[0]) if len(parts) == 1 else kind
    return kind


def _member(path: str, name: str) -> str:
    """The path of an object's member."""
    return f"{path}.{name}" if name.isidentifier() else f"{path}[{name[:100]!r}]"


# ------------------------------------------------------------------- made once, when first asked for


@cache
def _decoder(kind: type[Struct]) -> Decoder[Any]:
    return Decoder(kind)


@cache
def _names(kind: type[Struct]) -> frozenset[str]:
    return frozenset(field.encode_name for field in fields(kind))


@cache
def _fields(kind: type[Struct]) -> list[tuple[str, Any, Decoder[Any]]]:
    """Each field's name and type, and what reads it alone."""
    found = []
    for field in fields(kind):
        required = field.default is NODEFAULT and field.default_factory is NODEFAULT
        definition: Any = (field.name, field.type) if required else (field.name, field.type, None)
        found.append((field.name, field.type, Decoder(defstruct("Alone", [definition]))))
    return found


@cache
def _lenient(kind: type[Data]) -> Decoder[Any]:
    """The same type with nothing required: its own rules are about fields that may be absent."""
    required = [field for field in fields(kind) if field.default is NODEFAULT and field.default_factory is NODEFAULT]
    optional = [(field.name, field.type | None, None) for field in required]
    return Decoder(defstruct("Lenient", optional, bases=(kind,), frozen=True, kw_only=True))
