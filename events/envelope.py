"""The CloudEvents envelope of a Kafka record: who says what kind of thing happened when, and the bytes that say it.

In: headers and value, in binary mode (``ce_`` headers, the data is the value) or structured mode
(``application/cloudevents+json``). Out: an :class:`Envelope`, or a :class:`Refusal` that names the header or the JSON path.
What the data means is for :mod:`events.codec`. Unknown attributes are ignored; structured mode ignores ``ce_`` headers.
"""

import re
from base64 import b64decode
from functools import cache
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

from msgspec import UNSET, DecodeError, Raw, Struct, UnsetType, ValidationError
from msgspec.json import Decoder
from msgspec.structs import fields

from events.record import Headers
from events.values import FieldError

NAME_MAX: Final = 200
"""Longest ``ce_id`` and ``ce_source`` of a sender, in characters."""
REASON_MAX: Final = 300
"""Longest quotation of a validator's words, in characters."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_JSON_TYPE = re.compile(r"[^/]+/(?:[^/]+\+)?json")
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\s\";]*)")
_WHERE = re.compile(r"(.*) - at (`key` in )?`\$([^`]*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_BYTE = re.compile(r"\(byte (\d+)\)")
_REQUIRED = ("id", "source", "type", "time")
_USUAL = frozenset({"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "content-type"})

T = TypeVar("T")


class Refusal(Exception):  # noqa: N818 - an answer on its way out, not an error of the program
    """A record that is no fact: why, and where (``$.amount.currency``, ``header ce_time``, ``key``, ``value``, ...)."""

    def __init__(self, reason: str, path: str) -> None:
        super().__init__(reason, path)
        self.reason = reason
        self.path = path


class Envelope(Struct):
    """What every event says of itself. ``place`` makes of an attribute's name where it stood, ``root`` is the path of the data."""

    id: str
    source: str
    type: str
    time: str
    data: bytes
    place: str
    root: str


class _Structured(Struct):
    """The JSON of structured mode. What is required is checked later, so that both modes word it alike."""

    specversion: str | None = None
    id: str | None = None
    source: str | None = None
    type: str | None = None
    time: str | None = None
    datacontenttype: str | None = None
    data: Raw | UnsetType = UNSET
    data_base64: str | None = None


def read(headers: Headers, value: bytes, id_max: int = NAME_MAX) -> Envelope:
    """The envelope of a record whose id has ``id_max`` characters at most. Raises :class:`Refusal`."""
    named = _by_name(headers)
    content_type = named.get("content-type")
    structured = content_type is not None and _is_structured(content_type, "header content-type")
    envelope = _structured(value) if structured else _binary(named, value)
    _check_name("id", envelope.id, envelope, id_max)
    _check_name("source", envelope.source, envelope, NAME_MAX)
    if not envelope.type or not envelope.time:
        raise Refusal("is empty", envelope.place % ("time" if envelope.type else "type"))
    return envelope


def identity(headers: Headers, value: bytes) -> tuple[str, str] | None:
    """The source and the id of an event, however wrong the rest of it may be; None where it does not say both."""
    try:
        named = _by_name(headers)
        if _is_structured(named.get("content-type", b"application/json"), ""):
            said = _identity_decoder().decode(value)
            source, id_ = said.source, said.id
        else:
            source, id_ = named["ce_source"].decode(), named["ce_id"].decode()
    except (Refusal, KeyError, ValueError, RecursionError):
        return None
    names = (source, id_)
    return names if all(0 < len(name) <= NAME_MAX and not _CONTROL.search(name) for name in names) else None


def type_of(headers: Headers, value: bytes) -> str | None:
    """The type of an event, however wrong the rest of it may be; None where it says none."""
    try:
        named = _by_name(headers)
        if _is_structured(named.get("content-type", b"application/json"), ""):
            return _structured_decoder().decode(value).type
        return named["ce_type"].decode()
    except (Refusal, KeyError, ValueError, RecursionError):
        return None


def read_json(decoder: Decoder[T], value: bytes, root: str) -> T:
    """The JSON as what the decoder makes of it. Raises :class:`Refusal` with the path from ``root`` on."""
    try:
        return decoder.decode(value)
    except ValidationError as error:
        raise _refusal(error, decoder.type, root) from None
    except DecodeError as error:
        at = _BYTE.search(str(error))
        near = f", near {value[max(0, int(at[1]) - 20) : int(at[1]) + 20].decode(errors='replace')!r}" if at else ""
        raise Refusal(f"{error}{near}", root) from None
    except UnicodeDecodeError as error:
        raise Refusal(f"a string in the JSON is not UTF-8: {error.reason}", root) from None
    except RecursionError:
        raise Refusal("the JSON is nested too deeply", root) from None


def _refusal(error: ValidationError, kind: object, root: str) -> Refusal:
    found = _WHERE.fullmatch(str(error))
    reason, name, path = (found[1], found[2], found[3]) if found else (str(error), None, "")
    if isinstance(error.__cause__, FieldError):
        return Refusal(reason, f"{root}{path}.{error.__cause__.field}")
    missing = _MISSING.fullmatch(reason)
    if missing is not None:
        return Refusal("is missing", f"{root}{path}.{missing[1]}")
    if len(reason) > REASON_MAX:  # it may quote what was sent
        reason = reason[:REASON_MAX] + "..."
    choices = _choices(kind, path[1:])
    return Refusal(("a name: " if name else "") + reason + (f", it is one of {', '.join(choices)}" if choices else ""), root + path)


def _choices(kind: object, name: str) -> list[str]:
    """The values of a field that has a closed list of them."""
    if not (isinstance(kind, type) and issubclass(kind, Struct)):
        return []
    declared = _declared(kind).get(name)
    return [str(value) for part in (declared, *get_args(declared)) if get_origin(part) is Literal for value in get_args(part)]


@cache
def _declared(kind: type[Struct]) -> dict[str, Any]:
    """The types of a struct's fields: to find them out takes longer than to decode the struct."""
    return {field.name: field.type for field in fields(kind)}


def _check_name(name: str, text: str, envelope: Envelope, length_max: int) -> None:
    if not text:
        raise Refusal("is empty", envelope.place % name)
    if len(text) > length_max:
        raise Refusal(f"has {len(text)} characters, at most {length_max} are allowed", envelope.place % name)
    if not text.isprintable() and _CONTROL.search(text) is not None:
        raise Refusal(f"{text!r} has a control character", envelope.place % name)


def _by_name(headers: Headers) -> dict[str, bytes]:
    """The headers by their names in lower case."""
    named = dict(headers)
    if len(named) == len(headers) and (_USUAL.issuperset(named) or "".join(named).islower()):
        return named
    named.clear()
    for name, value in headers:
        lower = name.lower()
        if lower in named and (lower.startswith("ce_") or lower == "content-type"):
            raise Refusal("occurs more than once, and nothing says which one counts: send it once", f"header {lower}")
        named[lower] = value
    return named


def _is_structured(content_type: bytes, place: str) -> bool:
    """Whether a content type means structured mode; else it is JSON, hence binary mode."""
    if content_type == b"application/json":
        return False
    media, _, parameters = content_type.decode("latin-1").lower().partition(";")
    media = media.strip()
    structured = media == "application/cloudevents+json"
    if not structured and (_JSON_TYPE.fullmatch(media) is None or media.startswith("application/cloudevents")):
        raise Refusal(
            f"{media[:100]!r} is not understood: send application/json (binary mode) or application/cloudevents+json"
            " (structured mode), one event per record",
            place,
        )
    charset = _CHARSET.search(parameters)
    if charset is not None and charset[1] not in ("utf-8", "utf8", "us-ascii"):
        raise Refusal(f"the charset {charset[1][:40]!r} is not understood: send UTF-8", place)
    return structured


def _binary(headers: dict[str, bytes], value: bytes) -> Envelope:
    version = headers.get("ce_specversion")
    if version != b"1.0":
        told = None if version is None else version.decode(errors="replace")
        raise Refusal(_wrong_specversion(told), "header ce_specversion")
    try:
        return Envelope(
            headers["ce_id"].decode(),
            headers["ce_source"].decode(),
            headers["ce_type"].decode(),
            headers["ce_time"].decode(),
            value,
            "header ce_%s",
            "$",
        )
    except KeyError as missing:
        raise Refusal("is missing", f"header {missing.args[0]}") from None
    except UnicodeDecodeError:
        raise _not_utf8(headers) from None


def _not_utf8(headers: dict[str, bytes]) -> Refusal:
    """Says which of the required headers is the one."""
    for name in _REQUIRED:
        try:
            headers[f"ce_{name}"].decode()
        except UnicodeDecodeError as error:
            return Refusal(f"is not UTF-8: {error.reason} at byte {error.start}", f"header ce_{name}")
    raise AssertionError("all headers are UTF-8")


class _Identity(Struct):
    id: str
    source: str


@cache
def _identity_decoder() -> Decoder[_Identity]:
    return Decoder(_Identity)


@cache
def _structured_decoder() -> Decoder[_Structured]:
    return Decoder(_Structured)


def _structured(value: bytes) -> Envelope:
    event = read_json(_structured_decoder(), value, "$")
    if event.specversion != "1.0":
        raise Refusal(_wrong_specversion(event.specversion), "$.specversion")
    if event.id is None or event.source is None or event.type is None or event.time is None:
        missing = next(name for name in _REQUIRED if getattr(event, name) is None)
        raise Refusal("is missing", f"$.{missing}")
    if event.datacontenttype is not None and _is_structured(event.datacontenttype.encode(), "$.datacontenttype"):
        raise Refusal("an event inside an event is not understood: send application/json", "$.datacontenttype")
    data, root = _structured_data(event)
    return Envelope(event.id, event.source, event.type, event.time, data, "$.%s", root)


def _structured_data(event: _Structured) -> tuple[bytes, str]:
    if event.data_base64 is None:
        if event.data is UNSET:
            raise Refusal("is missing", "$.data")
        return bytes(event.data), "$.data"
    if event.data is not UNSET:
        raise Refusal("data and data_base64 exclude each other: send one of them", "$.data_base64")
    try:
        return b64decode(event.data_base64, validate=True), "$.data_base64"
    except ValueError as error:
        raise Refusal(f"is not base64: {error}", "$.data_base64") from None


def _wrong_specversion(version: str | None) -> str:
    if version is None:
        return "is missing: send a CloudEvents 1.0 event, in binary mode (ce_ headers) or as application/cloudevents+json"
    return f"is {version[:40]!r}: only CloudEvents 1.0 is understood"
