"""A hop of routing: the loop that drives a worker, fed by Faust instead of by polling.

Faust hands records over and says which partitions are ours; all else (one transaction per batch, isolation of bugs, retries, the
relay, progress) is :class:`events.bus.loop.Loop`, the same as in the other services. So the loop's bus is the real one but for
its consumer, which is a :class:`Feed`.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from events.bus import Assigned, Bus, Producer, Revoked
from events.bus.claims import starts
from events.bus.loop import Loop, Worker
from events.record import Record, TopicPartition


class Feed:
    """A consumer whose records somebody else has read (``events.bus.Consumer``). Not thread-safe: the hop's lock guards it."""

    def __init__(self, assigned: Assigned, revoked: Revoked) -> None:
        self._assigned = assigned
        self._revoked = revoked
        self._waiting: deque[Record] = deque()
        self._positions: dict[TopicPartition, int] = {}

    def assign(self, places: Collection[TopicPartition]) -> None:
        """Partitions are ours: claim them."""
        self._waiting.clear()
        self._positions = dict(self._assigned(places))

    def revoke(self) -> None:
        """None is ours until the next assignment."""
        self._waiting.clear()
        places, self._positions = list(self._positions), {}
        self._revoked(places)

    def put(self, records: Iterable[Record]) -> None:
        """Records to take in, as far as they are ours and new."""
        self._waiting.extend(record for record in records if record.offset >= self._positions.get(record.place, record.offset + 1))

    def poll(self, seconds: float, records: int) -> Sequence[Record]:
        batch = [self._waiting.popleft() for _ in range(min(records, len(self._waiting)))]
        self._positions.update((record.place, record.offset + 1) for record in batch)
        return batch

    def positions(self) -> Mapping[TopicPartition, int]:
        return dict(self._positions)

    def close(self) -> None:
        self._waiting.clear()


class FedBus:
    """A bus but for its consumers (``events.bus.Bus``)."""

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

    def partitions(self, topic: str) -> int:
        return self._bus.partitions(topic)

    def end_offsets(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return self._bus.end_offsets(places)

    def begin_offsets(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return self._bus.begin_offsets(places)

    def read(self, topic: str, offset: int = 0) -> Sequence[Record]:
        return self._bus.read(topic, offset)

    def identity(self, topic: str) -> str:
        return self._bus.identity(topic)

    def close(self) -> None:
        self._bus.close()


class Hop:
    """One topic and its worker. ``turn`` and what changes ownership are called one at a time, under one lock for all hops."""

    def __init__(self, bus: Bus, worker: Worker, topic: str, transient: tuple[type[Exception], ...]) -> None:
        self.topic: Final = topic
        fed = FedBus(bus)
        self.loop: Final = Loop(fed, worker, group=f"routing: {topic}", topics=[topic], poll_seconds=0, transient=transient)
        self.loop.turn()  # makes the feed
        assert fed.feed is not None
        self._feed = fed.feed
        self._bus = bus

    def assign(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Claim the partitions of this topic; the offsets to read from. Raises ``PositionLost`` where the log does not fit."""
        ours = [place for place in places if place.topic == self.topic]
        self._feed.assign(ours)
        begin, end = self._bus.begin_offsets(ours), self._bus.end_offsets(ours)
        return starts(self._feed.positions(), begin, end)

    def revoke(self) -> None:
        """Let go."""
        self._feed.revoke()

    def put(self, records: Iterable[Record]) -> None:
        """Hand records over; the next turns take them in."""
        self._feed.put(records)
