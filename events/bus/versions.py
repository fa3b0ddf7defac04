"""The versions of reference data, as their topics have them: whole, by every process, without a group.

In go the records of a reference topic, out come the newest version and any earlier one by its number. A record that is no valid
version, or gives a number to something else, changes nothing and is remembered as a complaint: whoever wrote it must write another.
So of two writers that took the same number at the same time the first one in the log has it, for every reader. Two who have
the same file mean the same version, whichever instant each of them has put on it.
"""

import threading
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from events.bus import Bus
from events.record import Message, Record
from events.reference import Version
from events.values import parse_instant

C = TypeVar("C", bound=Struct)


MILLISECOND: Final = 1_000_000
"""In nanoseconds."""


class Known(Struct, Generic[C], frozen=True):
    """A version with its content decoded; ``offset`` is its place on the topic, instants are in nanoseconds."""

    version: int
    author: str
    digest: str | None
    content: C
    effective_from: int = 0
    offset: int = 0
    recorded_at: int = 0


class Versions(Generic[C]):
    """What a reference topic holds. Thread-safe."""

    def __init__(self, bus: Bus, topic: str, content: type[C]) -> None:
        self.topic = topic
        self._bus = bus
        self._version = msgspec.json.Decoder(Version)
        self._content = msgspec.json.Decoder(content)
        self._reading = threading.Lock()
        self._lock = threading.Lock()  # never held while the bus is asked
        self._offset = 0
        self._known: dict[int, Known[C]] = {}
        self._complaint: str | None = None

    def refresh(self) -> None:
        """Read what is new. Raises ``BusError``."""
        with self._reading:
            records = self._bus.read(self.topic, self._offset)
            with self._lock:
                for record in records:
                    self._take_in(record)
                    self._offset = record.offset + 1

    @property
    def all(self) -> tuple[Known[C], ...]:
        """All valid versions, in the order in which they were published."""
        with self._lock:
            return tuple(self._known.values())

    @property
    def newest(self) -> Known[C] | None:
        """The last valid version on the topic: the one that holds."""
        with self._lock:
            return next(reversed(self._known.values()), None)

    @property
    def newest_of_file(self) -> Known[C] | None:
        """The last valid version that was read from a file."""
        with self._lock:
            return next((known for known in reversed(self._known.values()) if known.author == FILE), None)

    @property
    def complaint(self) -> str | None:
        """What was wrong with the last record, if something was."""
        return self._complaint

    def get(self, version: int) -> Known[C] | None:
        """A version by its number, among those that were read."""
        with self._lock:
            return self._known.get(version)

    def _take_in(self, record: Record) -> None:
        try:
            version = self._version.decode(record.value or b"")
            content = self._content.decode(version.content)
            begin = parse_instant(version.effective_from)
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            self._complaint = f"{self.topic} at {record.offset} is not a valid version: {error}"
            return
        known = Known(
            version.version, version.author, version.digest, content, begin, record.offset, record.timestamp * MILLISECOND
        )
        first = self._known.setdefault(version.version, known)
        same_file = first.digest is not None and first.digest == version.digest
        if first.content != content or (first.effective_from != begin and not same_file):
            self._complaint = f"{self.topic} at {record.offset} has version {version.version} again: ignored, give it a new number"
            return
        self._complaint = None


FILE = "file"
"""The author of versions that were read from a file."""


def message_of(topic: str, version: Version) -> Message:
    """The record that publishes a version."""
    return Message(
        topic=topic, key=None, value=msgspec.json.encode(version), headers=(("content-type", b"application/json"),), partition=0
    )


def raw(content: Struct) -> Raw:
    """Content as a version carries it."""
    return Raw(msgspec.json.encode(content))
