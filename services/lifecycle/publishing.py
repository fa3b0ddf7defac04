"""What lifecycle writes to the input topics for others: HTTP senders, people's commands, changes of many records.

In come messages from any thread; an answer comes when Kafka has acknowledged every one of them, or cannot. One thread owns the
producer. It takes whatever is queued, sends it, waits for the acknowledgements and takes what was queued meanwhile: while nothing
is on its way nobody waits, and under load many share one round trip. The queue is bounded. After a failure the producer is made
anew; whoever waited then is told, and nothing is tried again behind a sender's back: events have an identity, so sending them again
is safe, and only the sender knows whether anybody still wants to.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

from msgspec import Struct

from events.bus import Bus, BusError, Delivery, Producer
from events.bus.sizes import check_size, record_bytes
from events.record import Message

log = logging.getLogger("lifecycle")

MESSAGES_MAX: Final = 10_000
"""How many messages may wait."""
BYTES_MAX: Final = 64 * 1024 * 1024
"""How many bytes may wait."""
ANSWER_SECONDS: Final = 10.0
"""How long Kafka may take to acknowledge: long enough for another broker to take over, short enough for somebody who waits."""
CLOSE_SECONDS: Final = 15.0


class Full(Exception):  # noqa: N818 - the name says what is the case
    """Too much waits to be written: send again soon, and less at once."""


class _Order(Struct, eq=False):
    """Messages that somebody waits for. ``answer``: nothing when all are acknowledged, else the error."""

    messages: Sequence[Message]
    size: int
    answer: Future[None]


class Publisher:
    """Writes messages to a bus for many threads. ``start`` and ``close`` belong to whoever made it."""

    def __init__(
        self, bus: Bus, *, messages_max: int = MESSAGES_MAX, bytes_max: int = BYTES_MAX, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        self._bus = bus
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._answer_seconds = answer_seconds
        self._changed = threading.Condition()
        self._queue: deque[_Order] = deque()
        self._messages = 0
        self._bytes = 0
        self._closing = False
        self._producer: Producer | None = None
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write what waits, take nothing more, and free the producer."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def submit(self, messages: Sequence[Message]) -> Future[None]:
        """Queue messages. The future ends when all of them are acknowledged, or with the error that says why they may not be.

        Raises ``Full`` where too much waits, ``BusError`` after ``close``, and ``ValueError`` for a message that its topic does not
        take; nothing is queued then. A future that is cancelled before its turn is not written.
        """
        for message in messages:
            check_size(message)
        order = _Order(messages, sum(map(record_bytes, messages)), Future())
        with self._changed:
            if self._closing:
                raise BusError("the service is shutting down")
            if self._messages + len(messages) > self._messages_max or self._bytes + order.size > self._bytes_max:
                raise Full(f"{self._messages} messages wait to be written ({self._bytes} bytes): there is no room for more")
            self._queue.append(order)
            self._messages += len(messages)
            self._bytes += order.size
            self._changed.notify()
        return order.answer

    def publish(self, messages: Sequence[Message]) -> None:
        """Write messages and return when all of them are acknowledged. Raises what :meth:`submit` and its future raise."""
        self.submit(messages).result()

    # ------------------------------------------------------------------------------ the publisher's thread

    def _run(self) -> None:
        while orders := self._take():
            self._write([order for order in orders if order.answer.set_running_or_notify_cancel()])
        self._drop_producer()

    def _take(self) -> list[_Order]:
        """All that is queued; waits for something, and answers with nothing when there is an end to it."""
        with self._changed:
            while not (self._queue or self._closing):
                self._changed.wait()
            orders = list(self._queue)
            self._queue.clear()
            self._messages = self._bytes = 0
        return orders

    def _write(self, orders: Sequence[_Order]) -> None:
        """Send everything, then wait for everything: each order has its own answer, so that one cannot spoil another."""
        sent: list[tuple[_Order, Delivery]] = []
        try:
            for order in orders:
                try:
                    sent.append((order, self._send(order.messages)))
                except BusError:
                    raise
                except Exception as error:  # of this order alone: a topic that does not exist, a right that is missing
                    order.answer.set_exception(error)
            for order, delivery in sent:
                delivery.wait(self._answer_seconds)
                order.answer.set_result(None)
        except Exception as error:  # to be told to whoever waits: nobody else does
            log.warning("what was to be written may not be: %s", error)
            self._drop_producer()
            for order in orders:
                if not order.answer.done():
                    order.answer.set_exception(error)

    def _send(self, messages: Sequence[Message]) -> Delivery:
        if self._producer is None:
            self._producer = self._bus.producer()
        return self._producer.send(messages)

    def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(BusError):
                producer.close()
