"""What an import does not take over, and why: a part of the other system's data, or a fact that lifecycle would refuse."""

from typing import Final

from msgspec import Struct

from events.codec import Undecodable, decode
from events.record import Message, Record

MILLISECOND: Final = 1_000_000
"""In nanoseconds."""


class Unusable(Exception):  # noqa: N818 - says what is the case
    """A part of the data (a row, a trace) that cannot be taken over: why."""


class Rejected(Struct, frozen=True):
    """A part of the data that was not taken over: where it is (``file.csv:17``), and the reason."""

    place: str
    reason: str


def check(message: Message, now: int) -> None:
    """Read a fact as lifecycle will, at ``now`` (nanoseconds since 1970).

    Raises ``Unusable`` with the reason that its dead letter would have.
    """
    record = Record(message.topic, 0, 0, now // MILLISECOND, message.key, message.value, message.headers)
    fact = decode(record)
    if isinstance(fact, Undecodable):
        raise Unusable(f"{fact.path}: {fact.reason}" if fact.path else fact.reason)
