"""A hop of routing: the loop that drives a worker, fed by Faust instead of by polling.

Faust hands records over and says which partitions are ours; all else (one transaction per batch, isolation of bugs, retries, the
relay, progress) is :class:`events.bus.loop.Loop`, the same as in the other services. So the loop's bus is the real one but for
its consumer, which is a :class:`Feed`.
"""

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from events.bus import Assigned, Bus, PositionLost, Producer, Reader, Revoked
from events.bus.claims import starts
from events.bus.database import TRANSIENT
from events.bus.loop import Loop
from events.bus.refusal import refused
from events.bus.worker import Worker
from events.record import Record, TopicPartition

RECORDS_MAX: Final = 2000
"""Most records in one transaction."""


class _Arrival(NamedTuple):
    """Faust has come to an offset of a log; with the record there, if it has handed one over."""

    place: TopicPartition
    offset: int
    record: Record | None


class Feed:
    """A consumer whose records somebody else has read (``events.bus.Consumer``).

    What Faust hands over is in order, but it may have left something out: it throws away what it had read when partitions are
    assigned anew, but not all at once, so that a record from before may come first, and those between it and our position never.
    So where a record does not follow, the log itself is asked what lies before it, by a reader that passes over the ends of
    transactions. What comes both ways is taken in once.
    """

    def __init__(self, assigned: Assigned, revoked: Revoked, reader: Reader) -> None:
        self.claim: Final = assigned
        self.release: Final = revoked
        self.patience = 0.0
        """How long the loop would wait for records now, in seconds."""
        self._reader = reader
        self._waiting: deque[_Arrival] = deque()
        self._following: dict[TopicPartition, int] = {}
        """After what was handed over."""
        self._positions: dict[TopicPartition, int] = {}
        """After what was taken in."""

    @property
    def waiting(self) -> int:
        """How many records are not yet taken in, not counting those that Faust has left out."""
        return len(self._waiting)

    def begin(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Take in records of these partitions and no others, from these offsets on."""
        self._waiting.clear()
        self._following = dict(offsets)
        self._positions = dict(offsets)

    def put(self, record: Record) -> None:
        """Take in a record, unless it is not ours, or there was one further on: then the log is read up to that one anyway."""
        if record.offset >= self._following.get(record.place, record.offset + 1):
            self._waiting.append(_Arrival(record.place, record.offset, record))
            self._following[record.place] = record.offset + 1

    def expect(self, place: TopicPartition, offset: int) -> None:
        """Faust has come to this offset and handed nothing over: see whether anything lies before it."""
        if offset > self._following.get(place, offset):
            self._waiting.append(_Arrival(place, offset, None))
            self._following[place] = offset

    def poll(self, seconds: float, records: int) -> Sequence[Record]:
        """What is there. Where something was left out, what the log has instead: this asks the broker, and may wait for it."""
        self.patience = seconds
        batch: list[Record] = []
        while self._waiting and len(batch) < records:
            place, offset, record = self._waiting[0]
            position = self._positions[place]
            if position < offset:
                if batch:
                    break
                found, self._positions[place] = self._reader.read(place, position, records)
                if found or self._positions[place] == position:
                    return found
                continue
            self._waiting.popleft()
            if record is not None and position == offset:
                batch.append(record)
                self._positions[place] = offset + 1
        return batch

    def positions(self) -> Mapping[TopicPartition, int]:
        return dict(self._positions)

    def close(self) -> None:
        self.begin({})
        self._reader.close()


class FedBus:
    """A bus but for its consumer (``events.bus.Bus``)."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.feed: Feed | None = None

    def consumer(
        self, group: str, topics: Sequence[str], assigned: Assigned, revoked: Revoked, instance: str | None = None
    ) -> Feed:
        self.feed = Feed(assigned, revoked, self._bus.reader())
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

    def refused(self, offsets: Mapping[TopicPartition, int]) -> PositionLost:
        """What is to be raised where the broker does not let anybody read on from these offsets (see ``events.bus.refusal``)."""
        return refused(offsets, self._bus.begin_offsets(offsets), self._bus.end_offsets(offsets))

    def release(self) -> None:
        """Let go of all that was claimed."""
        places, self._owned = self._owned, []
        self.feed.release(places)
