"""How large a message may be, checked before it is handed to a client.

A broker that refuses a message leaves an idempotent producer unusable, and what was sent after it is lost without an error: so a
message that is too large must never get that far.
"""

from collections.abc import Mapping
from typing import Final

from events.record import Message
from events.topics import RECORD_BYTES_MAX, TOPICS

BATCH_OVERHEAD: Final = 61 + 30
"""Header of a record batch, and the lengths and deltas of one record (format 2, upper bound)."""
HEADER_OVERHEAD: Final = 10
"""The two lengths of one header (upper bound)."""
BYTES_MAX: Final[Mapping[str, int]] = {topic.name: topic.bytes_max for topic in TOPICS}


def record_bytes(message: Message) -> int:
    """The size of a message as a batch of its own, at most."""
    headers = sum(len(name.encode()) + len(value) + HEADER_OVERHEAD for name, value in message.headers)
    return BATCH_OVERHEAD + len(message.key or b"") + len(message.value or b"") + headers


def check_size(message: Message) -> None:
    """Raise ``ValueError`` for a message that its topic does not take."""
    size, most = record_bytes(message), BYTES_MAX.get(message.topic, RECORD_BYTES_MAX)
    if size > most:
        raise ValueError(f"a message of {size} bytes for {message.topic} with key {message.key!r}: the topic takes {most}")
