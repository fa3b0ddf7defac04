"""An event as somebody typed it, checked before it is published: everything that is wrong with it, at once.

In go a type and JSON, out comes the message; or a :class:`CommandError` with a line for each problem. What is accepted is what
lifecycle accepts (:mod:`events.submission`).
"""

from typing import Final

import msgspec

from events.codec import Undecodable, encode
from events.record import Message
from events.submission import Refused, examine
from events.values import format_instant
from handoff.errors import CommandError

_PLACES: Final = {
    "header ce_type": "TYPE",
    "header ce_id": "--id",
    "header ce_source": "--source",
    "header ce_time": "--time",
    "value": "the data",
    "$": "the data",
}
"""What was typed, by the place where the codec finds it."""


class Draft(msgspec.Struct, frozen=True):
    """An event that has not been published. ``notes``: what is not wrong, but perhaps not meant."""

    message: Message
    customer_id: str
    notes: tuple[str, ...]


def draft(type_: str, text: str, *, source: str, id: str, time: str | None, now: int) -> Draft:
    """Check an event. ``time``: when it happened (RFC 3339), else it happens at ``now`` (nanoseconds since 1970)."""
    when = format_instant(now) if time is None else time
    envelope = {"specversion": "1.0", "id": id, "source": source, "type": type_, "time": when}
    headers = tuple((f"ce_{name}", attribute.encode()) for name, attribute in envelope.items())
    found = examine(headers, text.encode(), now)
    if isinstance(found, Refused):
        raise CommandError("\n".join(map(_line, found.reasons)))
    fact = found.fact
    message = encode(found.message.topic, type_, fact.data, source=source, id=id, occurred_at=fact.occurred_at)
    return Draft(message, fact.customer_id, found.ignored)


def _line(problem: Undecodable) -> str:
    return f"{_PLACES.get(problem.path, problem.path)}: {problem.reason}"
