"""An event from outside on its way into a topic: which topic that is, or everything that is wrong with the event.

In come the headers and the value that a record would have, in either mode of CloudEvents (:mod:`events.envelope`). Whether it is
accepted is the codec's word: what is accepted here is taken in by whoever reads the topic, and the reverse. Where the codec stops
at the first thing that is wrong, all of them are gathered: the envelope is mended where it was refused and read again, and the data
is looked into field by field (:mod:`events.diagnosis`).
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

from msgspec import Raw, Struct
from msgspec.json import Decoder, encode

from events.codec import Fact, Undecodable, read_fact, read_time, refuse_odd_text
from events.diagnosis import ignored, refusals
from events.envelope import Envelope, Refusal, read, read_json
from events.record import Headers, Message
from events.topics import MOVED, TOPICS, VALUE_BYTES_MAX, Topic

WRITERS: Final = ("producers", "people")
"""Whose topics may be written to from outside; every other topic has its one writer."""

OPEN: Final = {name: topic for topic in TOPICS if topic.writer in WRITERS for name in topic.types}
"""The types that may be sent from outside, each with its topic."""

_MILLISECOND: Final = 1_000_000
_ATTRIBUTE: Final = re.compile(r"(?:\$\.|header ce_|header )([a-z0-9_-]+)")
_INNOCENT: Final[Mapping[str, str]] = {
    "specversion": "1.0",
    "id": "x",
    "source": "x",
    "type": "x",
    "time": "2026-01-01T00:00:00Z",
}
"""What may stand for an attribute that was refused, so that the rest is looked at too."""
_EVENT: Final = Decoder(dict[str, Raw])


class Submission(Struct, frozen=True):
    """An event that may be published, and what it says. ``root``: the path of its data.

    ``ignored``: what is not wrong with it, but perhaps not meant.
    """

    message: Message
    fact: Fact
    root: str
    ignored: tuple[str, ...] = ()


class Refused(Struct, frozen=True):
    """An event that may not be published, and why. ``id``, ``source`` and ``type`` where it says them."""

    reasons: tuple[Undecodable, ...]
    id: str | None = None
    source: str | None = None
    type: str | None = None


def examine(headers: Headers, value: bytes, now: int) -> Submission | Refused:
    """What becomes of an event that arrives at an instant (nanoseconds since 1970)."""
    try:
        envelope = read(headers, value)
        topic = home(envelope)
        fact = read_fact(topic.name, headers, value, now // _MILLISECOND)
    except Refusal as first:
        return _refused(headers, value, now, first)
    message = Message(topic.name, fact.customer_id.encode(), value, headers)
    return Submission(message, fact, envelope.root, tuple(ignored(type(fact.data), envelope.data, envelope.root)))


def home(envelope: Envelope) -> Topic:
    """The topic of an event. Raises ``Refusal`` for a type that nobody outside may write, and for one that does not exist."""
    if topic := OPEN.get(envelope.type):
        return topic
    raise Refusal(_homeless(envelope.type[:200]), envelope.place % "type")


@lru_cache
def _homeless(type_: str) -> str:
    writers = [topic.writer for topic in TOPICS if topic is not MOVED and type_ in topic.types]
    if writers or type_ in MOVED.types:
        return f"{type_} is written by {(*writers, MOVED.writer)[0]} alone"
    meant = get_close_matches(type_, OPEN, n=1, cutoff=0.4)
    return f"there is no type {type_!r}: " + (f"did you mean {meant[0]}?" if meant else f"use one of {', '.join(OPEN)}")


# --------------------------------------------------------------------------------- all that is wrong


def _refused(headers: Headers, value: bytes, now: int, first: Refusal) -> Refused:
    if len(value) > VALUE_BYTES_MAX:
        first = Refusal(f"has {len(value)} bytes, at most {VALUE_BYTES_MAX} are taken in", "value")
    if first.path == "value":
        return Refused((_told(first),))
    envelope, found, mended = _envelope(headers, value)
    if envelope is None:
        return Refused(tuple(map(_told, found)))
    found += _contents(envelope, mended, now)
    said = {name: getattr(envelope, name) for name in ("id", "source", "type") if name not in mended}
    return Refused(tuple(map(_told, found or [first])), **said)


def _told(refusal: Refusal) -> Undecodable:
    return Undecodable(refusal.reason, refusal.path)


def _envelope(headers: Headers, value: bytes) -> tuple[Envelope | None, list[Refusal], set[str]]:
    """The envelope with what was refused mended, the refusals, and the names of what was mended; none where it cannot be."""
    found: list[Refusal] = []
    mended: set[str] = set()
    while True:
        try:
            return read(headers, value), found, mended
        except Refusal as refusal:
            found.append(refusal)
            attribute = _ATTRIBUTE.fullmatch(refusal.path)
            if attribute is None or attribute[1] in mended:
                return None, found, mended
            mended.add(attribute[1])
            if refusal.path.startswith("$"):
                try:
                    value = _mended_value(value, attribute[1])
                except Refusal as broken:  # the JSON ends, or goes wrong, after what was refused
                    return None, [*found, broken], mended
            else:
                headers = _mended_headers(headers, refusal.path.removeprefix("header "), attribute[1])


def _mended_value(value: bytes, name: str) -> bytes:
    event = read_json(_EVENT, value, "$")
    event.pop(name, None)
    if name in _INNOCENT:
        event[name] = Raw(encode(_INNOCENT[name]))
    elif name == "data":
        event[name] = Raw(b"{}")
    return encode(event)


def _mended_headers(headers: Headers, header: str, name: str) -> Headers:
    others = tuple(each for each in headers if each[0].lower() != header)
    return (*others, (header, _INNOCENT[name].encode())) if name in _INNOCENT else others


def _contents(envelope: Envelope, mended: set[str], now: int) -> list[Refusal]:
    """What is wrong with what the envelope says, as far as it says it."""
    found: list[Refusal] = []
    topic: Topic | None = None
    try:
        topic = home(envelope) if "type" not in mended else None
    except Refusal as refusal:
        found.append(refusal)
    try:
        if "time" not in mended:
            read_time(envelope, now)
    except Refusal as refusal:
        found.append(refusal)
    try:
        if "data" not in mended:
            found += refusals(topic.types[envelope.type], envelope.data, envelope.root) if topic is not None else []
            refuse_odd_text(envelope)
    except Refusal as refusal:
        found += [refusal] if refusal.path not in [each.path for each in found] else []  # it is not told twice
    return found
