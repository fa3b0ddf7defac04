"""How records travel: what a service may ask of a bus, whichever bus it is.

Two implementations: :mod:`events.bus.kafka` (kafka-python) and :mod:`events.bus.memory` (the deterministic twin for tests and
simulations). :mod:`events.bus.loop` drives a service over either. Nothing here knows a service.

Progress is not kept by the bus: the service's database says how far it has come (:mod:`events.bus.ledger`), and whoever is given
a partition answers with the offset to read next.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol

from events.record import Message, Record, TopicPartition

Assigned = Callable[[Collection[TopicPartition]], Mapping[TopicPartition, int]]
"""Called with the partitions that a consumer was given; answers with the next offset of each."""
Revoked = Callable[[Collection[TopicPartition]], None]
"""Called with the partitions that a consumer no longer has (given back, or lost)."""


class BusError(Exception):
    """The bus does not answer now, or refused: transient, to be tried again (a new producer where one was used)."""


class PositionLost(Exception):  # noqa: N818 - the name says what happened
    """A stored position does not fit the log (expired, or the topic was recreated): an operator must decide."""


class Delivery(Protocol):
    """Messages on their way."""

    def done(self, timeout: float = 0.0) -> bool:
        """Whether every one of them has been answered, acknowledged or failed, waiting up to so many seconds for it."""

    def wait(self, timeout: float) -> None:
        """Return when the log has acknowledged every one of them; raise ``BusError`` otherwise (timeout in seconds)."""


class Producer(Protocol):
    """Writes messages: in order per partition, each acknowledged by all replicas, not doubled by retries of its own."""

    def send(self, messages: Sequence[Message]) -> Delivery:
        """Hand messages over. After a ``BusError`` the producer is dead: close it and make another."""

    def close(self) -> None:
        """Give up what is on its way and free everything."""


class Consumer(Protocol):
    """Reads the partitions that its group assigns to it, committed records only, in order per partition."""

    def poll(self, seconds: float, records: int) -> Sequence[Record]:
        """Up to ``records`` records, waiting up to ``seconds`` for the first; empty when none came."""

    def positions(self) -> Mapping[TopicPartition, int]:
        """The next offset of every assigned partition (transaction markers and gaps are passed over)."""

    def close(self) -> None:
        """Leave the group and free everything."""


class Reader(Protocol):
    """Reads logs without a group, from wherever it is told, committed records only. Belongs to one thread."""

    def read(self, place: TopicPartition, offset: int, records: int) -> tuple[Sequence[Record], int]:
        """Up to so many records of a log from an offset on, and the offset to go on from (markers and gaps are passed over).

        Fast where it goes on from there; nothing, and the same offset, where nothing more came within a moment. Raises
        ``PositionLost`` where the log does not reach from the offset on.
        """

    def close(self) -> None:
        """Free everything."""


class Bus(Protocol):
    """A cluster of logs."""

    def consumer(
        self, group: str, topics: Sequence[str], assigned: Assigned, revoked: Revoked, instance: str | None = None
    ) -> Consumer:
        """A member of ``group``; the same partition number of all ``topics`` goes to the same member.

        ``instance`` is the member's static name: a restart under it takes its partitions over at once. Both callbacks come from
        within ``poll`` and ``close``, on the caller's thread; what ``assigned`` raises comes out of ``poll``, and the next ``poll``
        asks it again. Raises ``LookupError`` where a topic does not exist, ``poll`` raises ``PositionLost`` (see ``claims``).
        """

    def producer(self) -> Producer:
        """A new producer."""

    def reader(self) -> Reader:
        """A new reader. Connects when it is first asked."""

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has; ``LookupError`` where it does not exist."""

    def end_offsets(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offset after the last record of each log."""

    def begin_offsets(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offset of the first record still kept of each log."""

    def read(self, topic: str, offset: int = 0) -> Sequence[Record]:
        """Every record of a one-partition topic from ``offset`` to its present end, without a group (reference topics)."""

    def scan(self, begins: Mapping[TopicPartition, int]) -> Iterator[Sequence[Record]]:
        """Every record of some logs from these offsets to their present ends, without a group: piece by piece, in order per log."""

    def identity(self, topic: str) -> str:
        """What the topic is, besides its name: changes when it is deleted and made again (cluster id and topic id)."""

    def close(self) -> None:
        """Free what the bus itself holds."""
