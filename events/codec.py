"""A record in, a fact or the reason why not out; and a fact out as a message.

Whatever bytes come, :func:`decode` answers with a :class:`Fact` or an :class:`Undecodable`, never with an exception: a
poisonous record must end as one dead letter that tells its producer what to do, and never stop the log behind it.
Writing is CloudEvents binary mode, byte-identical for equal input, so that what is published again is recognised.

Of a JSON key that occurs twice the last one counts; unknown fields are ignored. A number with a fraction is read exactly
where an amount is due and refused everywhere else, ``attributes`` included: there it would have to be a float.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import Final

from msgspec import Struct
from msgspec.json import Decoder, Encoder

from events.envelope import NAME_MAX, Envelope, Refusal, read, read_json
from events.facts import Data
from events.record import Headers, Message, Record
from events.topics import MOVED, TOPICS, VALUE_BYTES_MAX, Topic
from events.values import DERIVED_ID_MAX, INSTANT_MAX, NANOSECONDS, format_instant, parse_instant

SKEW: Final = 3600 * NANOSECONDS
"""How much later than its record's own timestamp a fact may be dated; more is a wrong clock or a wrong offset."""

_MILLISECOND: Final = 1_000_000
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_MAJOR = re.compile(r"(.*)\.v(\d+)")


class Fact(Struct, frozen=True, gc=False):
    """An accepted input. (``customer_id``, ``source``, ``id``) is its identity; instants are nanoseconds since 1970 (UTC).

    ``occurred_at`` is when it happened by its sender's clock, ``recorded_at`` when it came into the log by the log's.
    """

    customer_id: str
    source: str
    id: str
    type: str
    occurred_at: int
    recorded_at: int
    data: Data


class Undecodable(Struct, frozen=True):
    """Why a record is no fact. ``path``: a JSON path (``$.amount.currency``), ``header ce_time``, ``key``, ``value``, ..."""

    reason: str
    path: str = ""


def decode(record: Record, types: Mapping[str, type[Data]] | None = None) -> Fact | Undecodable:
    """What a record says. ``types`` are those that are understood: all that its topic carries, unless told."""
    try:
        fact = read_fact(record.topic, record.headers, record.value, record.timestamp, types)
        if record.key != fact.customer_id.encode():
            raise Refusal(_wrong_key(record.key, fact.customer_id), "key")
        return fact
    except Refusal as refusal:
        return Undecodable(refusal.reason, refusal.path)


def encode(topic: str, type: str, data: Data, *, source: str, id: str, occurred_at: int, recorded_at: int | None = None) -> Message:
    """The message that says it, in binary mode, keyed by its customer. Instants in nanoseconds since 1970 (UTC).

    ``recorded_at`` becomes the message's timestamp (cut to milliseconds); without it the log or the sender's clock stamps.
    Raises ``ValueError`` where the topic does not carry the type, or the type has other data: a fault of the caller.
    """
    expected = types_of(topic).get(type)
    if expected is not data.__class__:
        carried = "is not carried by" if expected is None else f"has {expected.__name__}, not {data.__class__.__name__}, on"
        raise ValueError(f"{type} {carried} {topic}")
    customer = data.customer_id.encode()
    return Message(
        topic=topic,
        key=customer,
        value=_encoder().encode(data),
        headers=(
            ("ce_specversion", b"1.0"),
            ("ce_id", id.encode()),
            ("ce_source", source.encode()),
            ("ce_type", type.encode()),
            ("ce_time", format_instant(occurred_at).encode()),
            ("ce_subject", customer),
            ("content-type", b"application/json"),
        ),
        timestamp=None if recorded_at is None else recorded_at // _MILLISECOND,
    )


def content(fact: Fact) -> bytes:
    """What a fact says besides its identity: type, time and data. Equal bytes where and only where these are equal.

    The SHA-256 of it decides which of two facts with the same identity stands (FOLD.md, rule 2). It is of the decoded
    data: spelling (100.0 or 100.00), the order of fields, unknown fields and absent or null make no difference.
    """
    return _canonical().encode((fact.type, fact.occurred_at, fact.data))


def types_of(topic: str) -> Mapping[str, type[Data]]:
    """The types that a topic carries; none where the table of topics does not know it."""
    known = _topics().get(topic)
    return {} if known is None else known.types


# ------------------------------------------------------------------------------------------- reading


def read_fact(
    topic: str, headers: Headers, value: bytes | None, timestamp: int, types: Mapping[str, type[Data]] | None = None
) -> Fact:
    """What :func:`decode` makes of a record, whatever its key. Raises :class:`events.envelope.Refusal`."""
    known = _topics().get(topic)
    if types is None:
        types = {} if known is None else known.types
    if not value:
        raise Refusal("is missing: a fact is not deleted, another one corrects it", "value")
    limit = VALUE_BYTES_MAX if known is None else known.value_max
    if len(value) > limit:
        raise Refusal(f"has {len(value)} bytes, at most {limit} are taken in", "value")
    envelope = read(headers, value, DERIVED_ID_MAX if known is not None and known.derived else NAME_MAX)
    data_type = types.get(envelope.type)
    if data_type is None:
        raise Refusal(_unknown(envelope.type, topic, types), envelope.place % "type")
    recorded_at = timestamp * _MILLISECOND
    occurred_at = read_time(envelope, recorded_at)
    data = read_json(_decoder(data_type), envelope.data, envelope.root)
    refuse_odd_text(envelope)
    refuse_no_utf8(value)
    return Fact(data.customer_id, envelope.source, envelope.id, envelope.type, occurred_at, recorded_at, data)


def refuse_no_utf8(value: bytes) -> None:
    """Raise :class:`events.envelope.Refusal` for bytes that are no text: the decoder does not look into what it ignores."""
    try:
        if not value.isascii():
            value.decode()
    except UnicodeDecodeError as error:
        raise Refusal(f"is not UTF-8, as JSON is: {error.reason} at byte {error.start}", "value") from None


def refuse_odd_text(envelope: Envelope) -> None:
    """Raise :class:`events.envelope.Refusal` where the data is no text, or a text in it has a NUL character."""
    try:
        refuse_no_utf8(envelope.data)
    except Refusal as refusal:
        raise Refusal(refusal.reason, envelope.root) from None
    if b"\\u0000" in envelope.data and _NUL.search(envelope.data):
        raise Refusal("a text has a NUL character (\\u0000), which databases do not keep: leave it out", envelope.root)


def read_time(envelope: Envelope, recorded_at: int) -> int:
    """When an event says that it happened, held against when it was recorded (nanoseconds since 1970). Raises ``Refusal``."""
    if not 0 <= recorded_at <= INSTANT_MAX:
        raise Refusal("is no time: the log must stamp the record, in milliseconds since 1970", "timestamp")
    try:
        occurred_at = parse_instant(envelope.time)
    except ValueError as error:
        raise Refusal(str(error), envelope.place % "time") from None
    if occurred_at > recorded_at + SKEW:
        raise Refusal(
            f"{format_instant(occurred_at)} is more than {SKEW // NANOSECONDS // 60} minutes after the record was written"
            f" ({format_instant(recorded_at)}): check the sender's clock and offset, or send it when it has happened",
            envelope.place % "time",
        )
    return occurred_at


def _wrong_key(key: bytes | None, customer_id: str) -> str:
    wanted = f"the key of a record is its customer_id, here {customer_id!r}, in UTF-8"
    return f"is missing: {wanted}" if key is None else f"is {key[:200].decode(errors='backslashreplace')!r}: {wanted}"


def _unknown(type: str, topic: str, types: Mapping[str, type[Data]]) -> str:
    """Why a type is not understood on a topic, and what was probably meant."""
    if type in types_of(topic):
        return f"{type} is not understood by this reader, only {', '.join(types)}"
    homes = [home for home in TOPICS if type in home.types]
    if homes:
        home = next((home for home in homes if home is not MOVED), MOVED)
        return f"{type} belongs on {home.name}, this is {topic}"
    if not types:
        return f"{topic} carries no facts"
    known = sorted({*types, *(name for known in TOPICS for name in known.types)})
    major = _MAJOR.fullmatch(type)
    versions = [name for name in known if major and name.startswith(f"{major[1]}.v")]
    if versions:
        return f"{type[:200]!r} is a version that is not known here, only {' and '.join(versions)}"
    meant = get_close_matches(type[:200], known, n=1)
    return f"{type[:200]!r} is not known" + (f": did you mean {meant[0]}?" if meant else f"; {topic} carries {', '.join(types)}")


# ------------------------------------------------------------------- made once, when first asked for


@cache
def _topics() -> Mapping[str, Topic]:
    return {topic.name: topic for topic in TOPICS}


@cache
def _decoder(data_type: type[Data]) -> Decoder[Data]:
    return Decoder(data_type)


@cache
def _encoder() -> Encoder:
    return Encoder(order="deterministic")


@cache
def _canonical() -> Encoder:
    return Encoder(order="sorted")
