"""How facts arrive: each by the habits of the system that tells it, some late, some twice, some in the wrong partition.

In go facts as they happened, out come messages with their instant of arrival, which is their timestamp. Pure; the dice are the
caller's.
"""

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

from events.bus.partitioner import crc32
from events.codec import encode
from events.facts import Data, LifecycleTick
from events.record import Message
from events.topics import LIFECYCLE_INPUTS, MOVED
from events.values import NANOSECONDS
from handoff.demo.company import ACCOUNTING, MAILING, PARTNERS, PHONES, WEBINARS
from handoff.demo.story import Happening
from handoff.demo.worktime import DAY, HOUR, MINUTE, span

LATE: Final = 0.03
"""Of all facts so many arrive days after they happened."""
LATE_DAYS_MAX: Final = 9
TWICE: Final = 0.025
"""So many are sent again, a moment or a day later: the sender saw no answer."""

KINDS: Final[Mapping[type[Data], tuple[str, str]]] = {
    data: (topic.name, name) for topic in reversed(LIFECYCLE_INPUTS) for name, data in topic.types.items() if topic is not MOVED
} | {LifecycleTick: (MOVED.name, "lifecycle.tick.v1")}
"""Topic and type of every fact."""


class Arrival(NamedTuple):
    """A message, and when it comes into the log (nanoseconds). ``sent_once``: the same does not come again.

    ``happening``: what it tells for the first time; None where it is sent again, or is nobody's fact.
    """

    at: int
    message: Message
    sent_once: bool = True
    happening: Happening | None = None


def arrivals(rng: Random, happening: Happening, shards: int, since: int) -> Iterator[Arrival]:
    """The ways in which a fact arrives: at least one. What happened before ``since`` comes then, or later."""
    if isinstance(happening.data, LifecycleTick):  # the clock is always on time
        at = max(happening.at, since)
        yield Arrival(at, message_of(happening, at, shards))
        return
    at = happening.at + DELAYS.get(happening.source, _soon)(rng)
    if rng.random() < LATE:
        at = happening.at + span(0.2 + rng.random() * LATE_DAYS_MAX, DAY)
    at = max(at, since)
    twice = rng.random() < TWICE
    yield Arrival(at, message_of(happening, at, shards), not twice, happening)
    if twice:
        at += NANOSECONDS + span(rng.random() ** 4 * 2, DAY)
        yield Arrival(at, message_of(happening, at, shards), False)


def message_of(happening: Happening, at: int, shards: int) -> Message:
    """The message as its system writes it."""
    topic, type_ = KINDS[type(happening.data)]
    message = encode(
        topic,
        type_,
        happening.data,
        source=happening.source,
        id=happening.id,
        occurred_at=happening.at,
        recorded_at=at,
    )
    match happening.source:
        case s if s == WEBINARS:
            return _structured(message)
        case s if s == PARTNERS and message.key is not None:
            return msgspec.structs.replace(message, partition=crc32(message.key, shards))
    return message


def _structured(message: Message) -> Message:
    """The same event in CloudEvents' structured mode: everything in the value."""
    attributes = {name.removeprefix("ce_"): value.decode() for name, value in message.headers if name.startswith("ce_")}
    value = msgspec.json.encode({**attributes, "datacontenttype": "application/json", "data": Raw(message.value or b"")})
    return msgspec.structs.replace(message, value=value, headers=(("content-type", b"application/cloudevents+json"),))


# -------------------------------------------------------------------------------- the senders' habits


def _soon(rng: Random) -> int:
    return span(0.05 + rng.random() * 4, NANOSECONDS)


def _when_online(rng: Random) -> int:
    """Telephones are without a network at times."""
    return span(rng.random() * 9, HOUR) if rng.random() < 0.3 else _soon(rng)


def _every_quarter_of_an_hour(rng: Random) -> int:
    return span(rng.random() * 15, MINUTE)


def _at_night(rng: Random) -> int:
    return span(4 + rng.random() * 10, HOUR)


DELAYS: Final[Mapping[str, Callable[[Random], int]]] = {
    PHONES: _when_online,
    PARTNERS: _every_quarter_of_an_hour,
    ACCOUNTING: _at_night,
    MAILING: _every_quarter_of_an_hour,
}
"""How long the systems take; those that are not named take seconds."""
