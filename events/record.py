"""A Kafka record as it was read, and a message as it will be written: bytes and their place, no meaning."""

from typing import NamedTuple

from msgspec import Struct

Headers = tuple[tuple[str, bytes], ...]


class TopicPartition(NamedTuple):
    """One log: a partition of a topic."""

    topic: str
    partition: int


class Record(Struct, frozen=True):
    """A record read from a log. ``timestamp`` is the log's own clock, in milliseconds since 1970 (UTC)."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def place(self) -> TopicPartition:
        """The log that the record lies in."""
        return TopicPartition(self.topic, self.partition)


class Message(Struct, frozen=True):
    """A record to write. Without ``partition`` the key decides (murmur2); ``timestamp`` in milliseconds since 1970."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    timestamp: int | None = None
