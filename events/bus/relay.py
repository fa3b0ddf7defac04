"""The relay: what a service committed to its outgoing streams goes to the log, after the commit, in order, at least once.

In go the entries of the worker's streams, out go messages and, per stream, the number up to which the log has acknowledged
everything. Deliveries are waited for while the next batch is decided. After any failure the producer is thrown away and everything
after the last acknowledged number is sent again, byte-identical: so the first occurrences are in order per stream, and
consumers ignore the repeats.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Final, NamedTuple

from events.bus import Bus, BusError, Delivery, Producer
from events.bus.ledger import Outgoing
from events.bus.worker import Outbox
from events.record import Message

log = logging.getLogger(__name__)

ENTRIES_MAX: Final = 500
"""Entries of one stream that are sent at a time, so that no stream waits long for another."""
TURN_SECONDS_MAX: Final = 2.0
"""How long one :meth:`Relay.pump` may take: partitions are lost when a consumer does not poll for long."""
ANSWER_SECONDS_MAX: Final = 60.0
"""A producer that has not answered for so long is taken for dead."""


class _Flight(NamedTuple):
    stream: str
    number: int
    messages: int
    delivery: Delivery
    since: float


class Relay:
    """Sends what the outbox holds. Belongs to the loop's thread."""

    def __init__(
        self, bus: Bus, outbox: Outbox, *, in_flight_max: int = 20_000, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._bus = bus
        self._outbox = outbox
        self._in_flight_max = in_flight_max
        self._monotonic = monotonic
        self._producer: Producer | None = None
        self._sent: dict[str, int] | None = None
        self._flights: deque[_Flight] = deque()
        self._messages = 0
        self.backlog = False
        """Whether the last pump ran out of time or room: there is more to send."""

    @property
    def in_flight(self) -> bool:
        """Whether anything that was sent is not yet acknowledged."""
        return bool(self._flights)

    def forget(self) -> None:
        """The ownership of streams changed: ask the outbox again, and track nothing of what was sent before."""
        self._sent = None
        self._flights.clear()
        self._messages = 0

    def pump(self) -> bool:
        """Collect what was acknowledged, send what is new; whether anything was sent. Raises ``BusError`` after a failure."""
        try:
            self._collect()
            return self._send_all(self._monotonic() + TURN_SECONDS_MAX)
        except BusError:
            self._start_over()
            raise

    def finish(self, seconds: float) -> None:
        """Wait up to so many seconds for what is on its way (before a clean end)."""
        deadline = self._monotonic() + seconds
        while self._flights and self._flights[0].delivery.done(max(0.0, deadline - self._monotonic())):
            self._collect()

    def close(self) -> None:
        """Give up what is on its way, and free the producer."""
        self.forget()
        if self._producer is not None:
            producer, self._producer = self._producer, None
            producer.close()

    def _collect(self) -> None:
        while self._flights:
            flight = self._flights[0]
            if not flight.delivery.done():
                if self._monotonic() - flight.since > ANSWER_SECONDS_MAX:
                    raise BusError(f"{flight.stream} up to {flight.number}: not answered within {ANSWER_SECONDS_MAX:.0f} s")
                return
            flight.delivery.wait(0)
            self._outbox.acknowledged(flight.stream, flight.number)
            self._flights.popleft()
            self._messages -= flight.messages

    def _send_all(self, deadline: float) -> bool:
        if self._sent is None:
            self._sent = dict(self._outbox.streams())
        self.backlog = False
        sent = False
        waiting = list(self._sent)
        while waiting:  # in rounds, so that a stream with much to send does not hold up the others
            for stream in list(waiting):
                if not self._room(deadline):
                    self.backlog = True
                    return sent
                entries = self._outbox.outgoing(stream, self._sent[stream], ENTRIES_MAX)
                if entries:
                    self._send(stream, entries)
                    sent = True
                else:
                    waiting.remove(stream)
        return sent

    def _room(self, deadline: float) -> bool:
        while self._messages >= self._in_flight_max:
            if not self._flights[0].delivery.done(max(0.0, deadline - self._monotonic())):
                return False
            self._collect()
        return self._monotonic() <= deadline

    def _send(self, stream: str, entries: Sequence[Outgoing]) -> None:
        assert self._sent is not None
        numbers = [self._sent[stream], *(entry.number for entry in entries)]
        if any(later <= earlier for earlier, later in pairwise(numbers)):
            raise ValueError(f"stream {stream} after {numbers[0]}: its numbers do not rise: {numbers[1:6]}…")
        messages = [message for entry in entries for message in entry.messages]
        delivery = self._deliver(messages) if messages else _NOTHING
        self._sent[stream] = numbers[-1]
        self._flights.append(_Flight(stream, numbers[-1], len(messages), delivery, self._monotonic()))
        self._messages += len(messages)

    def _deliver(self, messages: Sequence[Message]) -> Delivery:
        if self._producer is None:
            self._producer = self._bus.producer()
        return self._producer.send(messages)

    def _start_over(self) -> None:
        with suppress(BusError):
            self._collect()  # what was acknowledged before the failure need not be sent again
        log.warning("the producer failed: everything after the last acknowledged message is sent again")
        self.close()


class _Nothing:
    """The delivery of entries that publish nothing."""

    def done(self, timeout: float = 0.0) -> bool:
        return True

    def wait(self, timeout: float) -> None:
        return


_NOTHING: Final = _Nothing()
