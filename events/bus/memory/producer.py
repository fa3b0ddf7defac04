"""Producers on the memory bus: the idempotent one, with failures on demand, and a transactional one."""

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from events.bus import BusError
from events.bus.partitioner import Partitioner
from events.bus.sizes import check_size
from events.record import Message, TopicPartition

if TYPE_CHECKING:
    from events.bus.memory.bus import MemoryBus

Fault = Literal["refused", "unanswered"]
"""``refused``: the message is not written. ``unanswered``: it is, but the producer is told that it failed."""


class MemoryDelivery:
    """Messages handed to a producer; written as soon as the bus is there."""

    def __init__(self, producer: "MemoryProducer", messages: int) -> None:
        self._producer = producer
        self.missing = messages
        self.error = ""

    def done(self, timeout: float = 0.0) -> bool:
        self._producer.flush()
        return self.missing == 0 or bool(self.error)

    def wait(self, timeout: float) -> None:
        if not self.done(timeout):
            raise BusError(f"{self.missing} messages are not acknowledged")
        if self.error:
            raise BusError(self.error)


class MemoryProducer:
    """Writes in order. After a failure it takes nothing any more, as the real one."""

    def __init__(self, bus: "MemoryBus", partitioner: Partitioner) -> None:
        self._bus = bus
        self._partitioner = partitioner
        self._queue: deque[tuple[Message, MemoryDelivery]] = deque()
        self._error = ""

    @property
    def queued(self) -> int:
        """How many messages are on their way."""
        return len(self._queue)

    def send(self, messages: Sequence[Message]) -> MemoryDelivery:
        if self._error:
            raise BusError(self._error)
        for message in messages:
            check_size(message)
            self._bus.partitions(message.topic)
        delivery = MemoryDelivery(self, len(messages))
        self._queue.extend((message, delivery) for message in messages)
        self.flush()
        return delivery

    def flush(self) -> None:
        """Write what is queued, unless the bus is away or slow."""
        while self._queue and not (self._bus.away or self._bus.slow):
            message, delivery = self._queue[0]
            fault = self._bus.fault(message) if self._bus.fault else None
            if fault != "refused":
                self._bus.append(message, partitioner=self._partitioner)
            if fault is not None:
                self._fail(f"{message.topic}: {fault}")
                return
            delivery.missing -= 1
            self._queue.popleft()

    def close(self) -> None:
        self._fail("the producer is closed")

    def _fail(self, error: str) -> None:
        self._error = self._error or error
        while self._queue:
            self._queue.popleft()[1].error = error


class Transaction:
    """Messages that appear together, or never."""

    def __init__(self, bus: "MemoryBus", number: int, partitioner: Partitioner) -> None:
        self._bus = bus
        self._number = number
        self._partitioner = partitioner
        self._written: dict[TopicPartition, list[int]] = {}

    def send(self, messages: Sequence[Message]) -> None:
        """Write into the logs; nobody who reads committed records sees it yet."""
        for message in messages:
            record = self._bus.append(message, partitioner=self._partitioner, transaction=self._number)
            self._written.setdefault(record.place, []).append(record.offset)

    def commit(self) -> None:
        """Let them appear."""
        self._conclude(abort=False)

    def abort(self) -> None:
        """They never were, but for their offsets."""
        self._conclude(abort=True)

    def _conclude(self, *, abort: bool) -> None:
        for place, offsets in self._written.items():
            self._bus.log(place).conclude(self._number, offsets, abort=abort)
        self._written.clear()
