"""An event as somebody typed it, checked before it is published: everything that is wrong with it, at once.

In go a type and JSON, out comes the message; or a :class:`CommandError` with a line for each problem. What is accepted is what
lifecycle accepts, for the last word is the codec's.
"""

import json
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

import msgspec
from msgspec import NODEFAULT, Raw
from msgspec.structs import fields

from events.codec import Undecodable, decode, encode
from events.envelope import Refusal, read_json
from events.facts import Data
from events.record import Message, Record
from events.topics import MOVED, TOPICS, Topic
from events.values import format_instant, parse_instant
from handoff.errors import CommandError

WRITERS: Final = ("producers", "people")
"""Whose topics may be written to from outside; every other topic has its one writer."""
MILLISECOND: Final = 1_000_000


class Draft(msgspec.Struct, frozen=True):
    """An event that has not been published. ``notes``: what is not wrong, but perhaps not meant."""

    message: Message
    customer_id: str
    notes: tuple[str, ...]


def draft(type_: str, text: str, *, source: str, id: str, time: str | None, now: int) -> Draft:
    """Check an event. ``time``: when it happened (RFC 3339), else it happens at ``now`` (nanoseconds since 1970)."""
    topic, data_type = home(type_)
    value = text.encode()
    said = _fields(value)
    problems = [*_time_problems(time), *_problems(data_type, said)]
    if problems:
        raise CommandError("\n".join(problems))
    occurred_at = now if time is None else parse_instant(time)
    # Built by hand: the data has to be read, and reading it whole is the check.
    envelope = {"specversion": "1.0", "id": id, "source": source, "type": type_, "time": format_instant(occurred_at)}
    headers = tuple((f"ce_{name}", text.encode()) for name, text in envelope.items())
    key = json.loads(bytes(said["customer_id"])).encode()
    fact = decode(Record(topic.name, 0, 0, now // MILLISECOND, key, value, headers))
    if isinstance(fact, Undecodable):
        raise CommandError(f"{fact.path}: {fact.reason}" if fact.path else fact.reason)
    message = encode(topic.name, type_, fact.data, source=source, id=id, occurred_at=occurred_at)
    return Draft(message, fact.customer_id, tuple(_unknown(data_type, said)))


def home(type_: str) -> tuple[Topic, type[Data]]:
    """The topic of a type, and its data. Raises ``CommandError`` for a type that nobody outside may publish."""
    open_topics = [topic for topic in TOPICS if topic.writer in WRITERS]
    for topic in open_topics:
        if type_ in topic.types:
            return topic, topic.types[type_]
    for topic in TOPICS:
        if type_ in topic.types and topic is not MOVED:
            raise CommandError(f"{type_} is written by {topic.writer} alone")
    known = [name for topic in open_topics for name in topic.types]
    meant = get_close_matches(type_, known, n=1, cutoff=0.4)
    hint = f"did you mean {meant[0]}?" if meant else f"use one of {', '.join(known)}"
    raise CommandError(f"there is no type {type_!r}: {hint}")


def _fields(value: bytes) -> dict[str, Raw]:
    try:
        return msgspec.json.decode(value, type=dict[str, Raw])
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise CommandError(f"the data must be one JSON object: {error}") from None


def _problems(data_type: type[Data], said: dict[str, Raw]) -> Iterator[str]:
    """What is wrong with each field, in the codec's words; rules that concern the event as a whole are the codec's own."""
    for field in fields(data_type):
        required = field.default is NODEFAULT and field.default_factory is NODEFAULT
        given = {name: value for name, value in said.items() if name == field.encode_name}
        if not given and not required:
            continue
        alone = msgspec.defstruct(field.name, [(field.name, field.type)])
        try:
            read_json(msgspec.json.Decoder(alone), msgspec.json.encode(given), "$")
        except Refusal as refusal:
            yield f"{refusal.path}: {refusal.reason}"


def _time_problems(time: str | None) -> Iterator[str]:
    if time is not None:
        try:
            parse_instant(time)
        except ValueError as error:
            yield f"--time: {error}"


def _unknown(data_type: type[Data], said: dict[str, Raw]) -> Iterator[str]:
    known = [field.encode_name for field in fields(data_type)]
    for name in said:
        if name not in known:
            meant = get_close_matches(name, known, n=1)
            yield f"$.{name} is not a field of this type and is ignored" + (f": did you mean {meant[0]}?" if meant else "")
