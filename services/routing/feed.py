"""A hop of routing: the loop that drives a worker, fed by Faust instead of by polling.

Faust hands records over and says which partitions are ours; all else (one transaction per batch, isolation of bugs, retries, the
relay, progress) is :class:`events.bus.loop.Loop`, the same as in the other services. So the loop's bus is the real one but for
its consumer, which is a :class:`Feed`.
"""

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from events.bus import Assigned, Bus, Producer, Reader, Revoked
from events.bus.claims import starts
from events.bus.database import TRANSIENT
from events.bus.loop import Loop
from events.bus.worker import Worker
from events.record import Record, TopicPartition

RECORDS_MAX: Final = 2000
"""Most records in one transaction."""


class Feed:
    """A consumer whose records somebody else has read (``events.bus.Consumer``).

    Only what follows is taken in. Faust throws away what it had read when partitions are assigned anew, but not all at once: a
    record from before could come first, and those between it and our position would never be read again. A record that does not
    follow is therefore not believed, but read again: what comes then is all that there is (logs have gaps, where transactions end).
    """

    def __init__(self, assigned: Assigned, revoked: Revoked) -> None:
        self.claim: Final = assigned
        self.release: Final = revoked
        self.patience = 0.0
        """How long the loop would wait for records now, in seconds."""
        self._waiting: deque[Record] = deque()
        self._following: dict[TopicPartition, int] = {}
        self._suspects: dict[TopicPartition, int] = {}
        self._positions: dict[TopicPartition, int] = {}

    @property
    def waiting(self) -> int:
        """How many records are not yet taken in."""
        return len(self._waiting)

    def begin(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Take in records of these partitions and no others, from these offsets on."""
        self._waiting.clear()
        self._suspects.clear()
        self._following = dict(offsets)
        self._positions = dict(offsets)

    def put(self, record: Record) -> int | None:
        """Take in a record, if it follows. The answer is the offset to read on from, where something may be missing before it."""
        following = self._following.get(record.place)
        if following is None or record.offset < following:
            return None
        suspect = self._suspects.get(record.place)
        if record.offset in (following, suspect):
            self._suspects.pop(record.place, None)
            self._following[record.place] = record.offset + 1
            self._waiting.append(record)
            return None
        if suspect is not None and suspect < record.offset:
            return None  # comes again, after the suspect
        self._suspects[record.place] = record.offset
        return following

    def pass_over(self, place: TopicPartition, offset: int) -> None:
        """There is nothing more before this offset, though nothing was read there: the end of a transaction, say."""
        if not self._waiting and place in self._following:
            self._following[place] = self._positions[place] = max(offset, self._following[place])

    def poll(self, seconds: float, records: int) -> Sequence[Record]:
        self.patience = seconds
        batch = [self._waiting.popleft() for _ in range(min(records, len(self._waiting)))]
        self._positions.update((record.place, record.offset + 1) for record in batch)
        return batch

    def positions(self) -> Mapping[TopicPartition, int]:
        return dict(self._positions)

    def close(self) -> None:
        self.begin({})


class FedBus:
    """A bus but for its consumer (``events.bus.Bus``)."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.feed: Feed | None = None

    def consumer(
        self, group: str, topics: Sequence[str], assigned: Assigned, revoked: Revoked, instance: str | None = None
    ) -> Feed:
        self.feed = Feed(assigned, revoked)
        return self.feed

    def producer(self) -> Producer:
        return self._bus.producer()

    def reader(self) -> Reader:
        return self._bus.reader()

    def partitions(self, topic: str) -> int:
        return self._bus.partitions(topic)

    def end_offsets(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return self._bus.end_offsets(places)

    def begin_offsets(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return self._bus.begin_offsets(places)

    def read(self, topic: str, offset: int = 0) -> Sequence[Record]:
        return self._bus.read(topic, offset)

    def scan(self, begins: Mapping[TopicPartition, int]) -> Iterator[Sequence[Record]]:
        return self._bus.scan(begins)

    def identity(self, topic: str) -> str:
        return self._bus.identity(topic)

    def close(self) -> None:
        self._bus.close()


class Hop:
    """One topic, its worker and its loop. What is called here blocks, and is called one at a time.

    ``layout``: topics with the number of partitions that they must have.
    """

    def __init__(self, bus: Bus, worker: Worker, topic: str, layout: Mapping[str, int] = MappingProxyType({})) -> None:
        self.topic: Final = topic
        self._bus = FedBus(bus)
        self.loop: Final = Loop(
            self._bus,
            worker,
            group=f"routing: {topic}",
            topics=[topic],
            records_max=RECORDS_MAX,
            transient=TRANSIENT,
            layout=layout,
        )
        self.loop.turn()  # makes the feed
        assert self._bus.feed is not None
        self.feed: Final = self._bus.feed
        self._owned: list[TopicPartition] = []

    def claim(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Claim the partitions of this topic; the offsets to read from. Raises ``PositionLost`` where the log does not fit."""
        self._owned = [place for place in places if place.topic == self.topic]
        claimed = self.feed.claim(self._owned)
        return starts(claimed, self._bus.begin_offsets(self._owned), self._bus.end_offsets(self._owned))

    def release(self) -> None:
        """Let go of all that was claimed."""
        places, self._owned = self._owned, []
        self.feed.release(places)
