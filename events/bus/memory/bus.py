"""The bus itself: logs by place, groups by name."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from random import Random

from events.bus import Assigned, BusError, Revoked
from events.bus.claims import starts
from events.bus.memory.consumer import MemoryConsumer
from events.bus.memory.group import Group
from events.bus.memory.log import Log
from events.bus.memory.producer import Fault, MemoryProducer, Transaction
from events.bus.partitioner import Partitioner, murmur2
from events.record import Message, Record, TopicPartition

_FIRST_TIMESTAMP = 1_767_225_600_000
"""2026-01-01T00:00:00Z: where time begins when no clock is given; it then passes by a millisecond per record."""


class MemoryBus:
    """Topics in memory. Deterministic: the same calls give the same records in the same order.

    ``topics``: name to number of partitions. ``seed``: polls take random amounts from the partitions in random order (None: as many
    as asked for, in order). ``clock``: the log's own clock, milliseconds since 1970. ``log_time``: topics whose records it stamps,
    whatever their writer said; on the others the writer's timestamp stands where there is one.

    To be set by tests: ``away`` (nothing answers), ``slow`` (what producers send stays on its way), ``fault`` (what becomes of a
    message that a producer sends).
    """

    def __init__(
        self,
        topics: Mapping[str, int],
        *,
        seed: int | None = None,
        clock: Callable[[], int] | None = None,
        log_time: Collection[str] = (),
    ) -> None:
        self.away = False
        self.slow = False
        self.fault: Callable[[Message], Fault | None] | None = None
        self._clock = clock or self._tick
        self._ticks = _FIRST_TIMESTAMP
        self._log_time = frozenset(log_time)
        self.random: Random | None = None
        """Decides in which order, and how much of it, polls take what is there."""
        self.reseed(seed)
        self._logs: dict[str, list[Log]] = {}
        self._made: dict[str, int] = {}
        self._groups: dict[str, Group] = {}
        self._transactions = 0
        self._keyless = 0
        for name, partitions in topics.items():
            self.create(name, partitions)

    # ---------------------------------------------------------------------------- what every bus does

    def consumer(
        self, group: str, topics: Sequence[str], assigned: Assigned, revoked: Revoked, instance: str | None = None
    ) -> MemoryConsumer:
        self.answer()
        for topic in topics:
            self.partitions(topic)
        members = self._groups.setdefault(group, Group(self.partitions))
        return MemoryConsumer(self, members, topics, assigned=assigned, revoked=revoked, instance=instance)

    def producer(self, partitioner: Partitioner = murmur2) -> MemoryProducer:
        self.answer()
        return MemoryProducer(self, partitioner)

    def reader(self) -> "MemoryReader":
        return MemoryReader(self)

    def partitions(self, topic: str) -> int:
        if topic not in self._logs:
            raise LookupError(f"topic {topic} does not exist: create the topics with `handoff topics create`")
        return len(self._logs[topic])

    def end_offsets(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        self.answer()
        return {place: self.log(place).stable for place in places}

    def begin_offsets(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        self.answer()
        return {place: self.log(place).begin for place in places}

    def read(self, topic: str, offset: int = 0) -> Sequence[Record]:
        self.answer()
        if (partitions := self.partitions(topic)) != 1:
            raise ValueError(f"{topic} has {partitions} partitions: only a topic with one can be read as a whole")
        log = self.log(TopicPartition(topic, 0))
        return log.read(max(offset, log.begin), log.end)[0]

    def scan(self, begins: Mapping[TopicPartition, int]) -> Iterator[Sequence[Record]]:
        self.answer()
        for place, begin in sorted(begins.items()):
            log = self.log(place)
            if found := log.read(max(begin, log.begin), log.end)[0]:
                yield found

    def identity(self, topic: str) -> str:
        self.answer()
        self.partitions(topic)
        return f"memory/{topic}-{self._made[topic]}"

    def close(self) -> None:
        return

    # ------------------------------------------------------------------------ what tests do with it

    def create(self, topic: str, partitions: int) -> None:
        """Make a topic; after ``delete``, another one of the same name."""
        if topic in self._logs:
            raise ValueError(f"topic {topic} exists")
        self._logs[topic] = [Log(TopicPartition(topic, number)) for number in range(partitions)]
        self._made[topic] = self._made.get(topic, 0) + 1

    def grow(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions; groups notice, and share them out."""
        logs = self._logs[topic]
        logs.extend(Log(TopicPartition(topic, number)) for number in range(len(logs), partitions))
        for group in self._groups.values():
            if group.reads(topic):
                group.rebalance()

    def delete(self, topic: str) -> None:
        """Delete a topic with all that lies in it."""
        del self._logs[topic]

    def append(self, message: Message, *, partitioner: Partitioner = murmur2, transaction: int | None = None) -> Record:
        """Write a message without a producer, and answer with the record."""
        partitions = self.partitions(message.topic)
        partition = message.partition
        if partition is None and message.key is not None:
            partition = partitioner(message.key, partitions)
        if partition is None:
            partition = self._keyless % partitions
            self._keyless += 1
        timestamp = message.timestamp
        if timestamp is None or message.topic in self._log_time:
            timestamp = self._clock()
        return self.log(TopicPartition(message.topic, partition)).append(message, timestamp, transaction)

    def transaction(self, partitioner: Partitioner = murmur2) -> Transaction:
        """A producer's transaction: send, then commit or abort."""
        self._transactions += 1
        return Transaction(self, self._transactions, partitioner)

    def records(self, topic: str) -> list[Record]:
        """All that readers see in a topic, by partition and offset."""
        return [record for log in self._logs[topic] for record in log.read(log.begin, log.end)[0]]

    def log(self, place: TopicPartition) -> Log:
        """One log: for gaps, retention, and lost tails."""
        if place.partition >= self.partitions(place.topic):
            raise LookupError(f"{place.topic} has no partition {place.partition}")
        return self._logs[place.topic][place.partition]

    def last_offsets(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The end of each log, open transactions included."""
        return {place: self.log(place).end for place in places}

    def members(self, group: str) -> list[str]:
        """The members of a group: static names, or ``member-0001`` and so on in the order of joining."""
        return self._groups[group].members if group in self._groups else []

    def expire(self, group: str, member: str) -> None:
        """Let a member's session expire, as when its process was killed or frozen: the others take its partitions over."""
        self._groups[group].leave(member)

    def reseed(self, seed: int | None) -> None:
        """Draw from another seed from here on, so that a step of a simulation does not depend on how much was drawn before it."""
        self.random = None if seed is None else Random(seed)  # noqa: S311 - reproducible, not secret

    def answer(self) -> None:
        """Raises ``BusError`` while nothing answers."""
        if self.away:
            raise BusError("the memory bus is away")

    def _tick(self) -> int:
        self._ticks += 1
        return self._ticks


class MemoryReader:
    """Reads any log (``events.bus.Reader``)."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus

    def read(self, place: TopicPartition, offset: int, records: int) -> tuple[Sequence[Record], int]:
        self._bus.answer()
        log = self._bus.log(place)
        starts({place: offset}, {place: log.begin}, {place: log.end})
        return log.read(offset, records)

    def close(self) -> None:
        return
