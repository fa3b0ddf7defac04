"""A producer on Kafka: kafka-python's idempotent one, kept away from what it does not survive.

Measured on 3.0.12: after one expired delivery, or one message that the broker refuses, the producer is dead for all partitions, and
what is sent to it fails through the futures only. Hence: deliveries never expire, sizes are checked before, every future is looked
at, and after any failure the producer takes nothing more. Whoever uses it closes it then and makes another.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from kafka import KafkaProducer
from kafka.errors import KafkaError

from events.bus import BusError
from events.bus.kafka.clients import REQUEST_MS, answers, connect
from events.bus.kafka.cluster import Cluster
from events.bus.partitioner import murmur2
from events.bus.sizes import check_size
from events.record import Message
from events.topics import RECORD_BYTES_MAX

CLOSE_SECONDS: Final = 2.0
SETTINGS: Final[Mapping[str, Any]] = {
    "acks": "all",
    "enable_idempotence": True,
    "delivery_timeout_ms": 86_400_000,  # an expired delivery kills the producer
    "linger_ms": 5,  # what one turn of a service sends goes out in one request, and wakes whoever reads it once (DECISIONS 68)
    "batch_size": 256 * 1024,
    "max_request_size": RECORD_BYTES_MAX,
    "max_block_ms": REQUEST_MS,
    "allow_auto_create_topics": False,
    "metrics_enabled": False,
}


class KafkaDelivery:
    """The futures of the messages of one send."""

    def __init__(self, producer: "IdempotentProducer", futures: Sequence[Any]) -> None:
        self._producer = producer
        self._futures = futures
        self._answered = 0

    def done(self, timeout: float = 0.0) -> bool:
        deadline = time.monotonic() + timeout
        while self._answered < len(self._futures):
            future = self._futures[self._answered]
            if not future.is_done:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                with suppress(KafkaError):  # a timeout, or the failure that is looked at below
                    future.get(left)
                continue
            if future.failed():
                self._producer.failed(future.exception)
                return True
            self._answered += 1
        return True

    def wait(self, timeout: float) -> None:
        if not self.done(timeout):
            raise BusError(f"{len(self._futures) - self._answered} messages are not acknowledged within {timeout:g} s")
        if self._answered < len(self._futures):
            error = self._futures[self._answered].exception
            raise BusError(f"a message was not written: {type(error).__name__}: {error}") from error


class IdempotentProducer:
    """Belongs to one thread."""

    def __init__(self, cluster: Cluster, bootstrap: str, settings: Mapping[str, Any]) -> None:
        self._cluster = cluster
        self._partitions: dict[str, int] = {}
        self._error = ""
        self._client: Any = connect(KafkaProducer, bootstrap, {**SETTINGS, **settings})

    def send(self, messages: Sequence[Message]) -> KafkaDelivery:
        if self._error:
            raise BusError(self._error)
        for message in messages:
            check_size(message)
        try:
            with answers("send"):
                return KafkaDelivery(self, [self._send(message) for message in messages])
        except BusError as error:
            self._error = str(error)
            raise

    def failed(self, error: BaseException) -> None:
        """A delivery failed: nothing can be sent any more."""
        self._error = self._error or f"the producer is dead: {type(error).__name__}: {error}"

    def close(self) -> None:
        """Give up what is on its way: whoever wants it delivered has waited for it."""
        self._error = self._error or "the producer is closed"
        self._client._sender.force_close()  # `close` alone waits for what may never come, and leaves its thread behind
        with suppress(KafkaError):
            self._client.close(timeout=CLOSE_SECONDS)

    def _send(self, message: Message) -> Any:
        if message.topic not in self._partitions:
            self._partitions[message.topic] = self._cluster.describe(message.topic).partitions
        partition = message.partition
        if partition is None and message.key is not None:
            partition = murmur2(message.key, self._partitions[message.topic])
        return self._client.send(
            message.topic,
            value=message.value,
            key=message.key,
            headers=list(message.headers),
            partition=partition,
            timestamp_ms=message.timestamp,
        )
