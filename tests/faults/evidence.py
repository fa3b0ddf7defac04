"""What the checker looks at: everything that went in, and everything that came out, as plain values.

Whoever ran the services gathers it (:mod:`tests.faults.gathering`, or a test with services of its own); the checks only compare.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from operator import or_, sub
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from events.bus.letters.tables import REPLAY
from events.codec import Fact, decode
from events.record import Message, Record
from events.reference import Version
from services.routing.domain.story import Event
from tests.faults.load import Item

Place = tuple[str, int, int]
"""A record's topic, partition and offset."""
Identity = tuple[str, str, str]
"""A fact's customer, source and id."""
Content = tuple[str, bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]
"""What tells a message from others, wherever it lies."""


class Answer(NamedTuple):
    """What forecast answered to a question. ``ended``: when the answer was there (nanoseconds since 1970), where that is known."""

    path: str
    parameters: Mapping[str, str]
    body: Mapping[str, Any]
    ended: int | None = None


class Accepted(NamedTuple):
    """A fact that lifecycle stored. ``content``: what it says besides its identity."""

    customer: str
    source: str
    id: str
    content: bytes

    @property
    def identity(self) -> Identity:
        """What it is known by."""
        return self.customer, self.source, self.id


class Lost(Struct, frozen=True, kw_only=True):
    """What databases had, and older ones that were put in their place have not: it may be on the topics, and in no database.

    ``notifications``: of lifecycle. ``letters``: by service. ``replays``: topic, partition and name of those that were promised.
    ``batches``: the mass changes.
    """

    notifications: Set[Content] = frozenset()
    letters: Mapping[str, Set[Place]] = {}
    replays: Set[tuple[str, int, str]] = frozenset()
    batches: Set[str] = frozenset()

    def and_also(self, other: "Lost") -> "Lost":
        """All that is in one of the two."""
        return self._with(other, or_)

    def without(self, other: "Lost") -> "Lost":
        """What is not in another one."""
        return self._with(other, sub)

    def _with(self, other: "Lost", what: Callable[[Any, Any], Any]) -> "Lost":
        services = self.letters.keys() | other.letters.keys()
        nothing: Set[Place] = frozenset()
        return Lost(
            notifications=what(self.notifications, other.notifications),
            letters={name: what(self.letters.get(name, nothing), other.letters.get(name, nothing)) for name in services},
            replays=what(self.replays, other.replays),
            batches=what(self.batches, other.batches),
        )


LOST_NOTHING = Lost()


class Evidence(Struct, frozen=True, kw_only=True):
    """``sent``: the inputs that were acknowledged, each as often as it was. ``partitions``: of each topic keyed by customers.

    ``logs``: all topics, each partition in its order. ``accepted``: every fact that lifecycle stored, as often as it did.
    ``records``: the bodies of ``GET /v1/customers``. ``notifications``: what lifecycle's notification log has
    to publish, ``withheld``: what it says that it never publishes. ``decisions``: the desk's log. ``letters``: the dead letters in
    each service's database. ``lost``: what was in databases in whose place older ones were put on the way.
    """

    sent: Sequence[Item]
    partitions: int
    logs: Mapping[str, Sequence[Record]]
    accepted: Sequence[Accepted]
    records: Mapping[str, Mapping[str, Any]]
    notifications: Sequence[Message]
    withheld: Sequence[Message] = ()
    decisions: Sequence[Event] = ()
    letters: Mapping[str, Sequence[Place]] = {}
    answers: Sequence[Answer] = ()
    lost: Lost = LOST_NOTHING

    def facts(self, topic: str) -> list[tuple[Record, Fact]]:
        """The records of a topic that can be read, with what they say, in the order of its partitions."""
        found = [(record, decode(record)) for record in self.logs.get(topic, ())]
        return [(record, fact) for record, fact in found if isinstance(fact, Fact)]


def place_of(record: Record) -> Place:
    """Where a record lies."""
    return record.topic, record.partition, record.offset


def content_of(message: Message | Record) -> Content:
    """What tells a message from others, wherever it lies."""
    return message.topic, message.key, message.value, message.headers


def original_of(message: Message | Record) -> Content:
    """The same of what was replayed, as if it were the first one."""
    return message.topic, message.key, message.value, tuple(each for each in message.headers if each[0] != REPLAY)


def versions_of(evidence: Evidence, topic: str, *, repeats: bool = False) -> list[Version]:
    """The versions on a reference topic, in their order; of those with one number the first, unless ``repeats`` are wanted too."""
    found: list[Version] = []
    for record in evidence.logs.get(topic, ()):
        try:
            found.append(msgspec.json.decode(record.value or b"", type=Version))
        except msgspec.DecodeError:
            continue  # nobody goes by it
    return found if repeats else list({version.version: version for version in reversed(found)}.values())[::-1]
