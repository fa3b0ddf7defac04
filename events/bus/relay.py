"""The relay: what a service committed to its outgoing streams goes to the log, after the commit, in order, at least once.

In go the entries of the worker's streams, out go messages and, per stream, the number up to which the log has acknowledged
everything. Deliveries are waited for while the next batch is decided. After any failure the producer is thrown away and everything
after the last acknowledged number is sent again, byte-identical: so the first occurrences are in order per stream, and
consumers ignore the repeats.

All streams share one producer, which one refused message ends for all of them. So the streams that a failure leaves
unacknowledged go apart: each by a producer of its own, a chunk at a time, until it is past what had failed. What the log refuses
again then holds up its own stream only, in ever smaller chunks, so that nothing before it is written again and again.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Final

from events.bus import Bus, BusError
from events.bus.flights import ANSWER_SECONDS_MAX, Chunk, Flight, Flights
from events.bus.ledger import Outgoing
from events.bus.sizes import record_bytes
from events.bus.worker import Outbox

log = logging.getLogger(__name__)

ENTRIES_MAX: Final = 500
"""Entries of one stream that are sent at a time, so that no stream waits long for another."""
ENTRIES_AT_FIRST: Final = 16
"""The same of a stream of which is not yet known how large its entries are, or which goes apart."""
CHUNK_BYTES_MAX: Final = 16 << 20
"""Bytes that are sent at a time: an entry can be a letter of 1 MiB, and there can be thousands."""
BYTES_MAX: Final = 64 << 20
"""On their way: nothing more is read and sent beyond it."""
TURN_SECONDS_MAX: Final = 2.0
"""How long one :meth:`Relay.pump` may take: partitions are lost when a consumer does not poll for long."""
PAUSE_SECONDS_MIN: Final = 0.1
PAUSE_SECONDS_MAX: Final = 5.0
"""Between the tries of a stream that goes apart, the one doubled up to the other."""


class Relay:
    """Sends what the outbox holds. Belongs to the loop's thread."""

    def __init__(
        self, bus: Bus, outbox: Outbox, *, in_flight_max: int = 20_000, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._outbox = outbox
        self._in_flight_max = in_flight_max
        self._monotonic = monotonic
        self._flights = partial(Flights, bus, outbox.acknowledged, monotonic)
        self._shared = self._flights()
        self._apart: dict[str, _Apart] = {}
        self._sent: dict[str, int] | None = None
        self._limits: dict[str, int] = {}
        self.backlog = False
        """Whether the last pump ran out of time or room: there is more to send."""

    @property
    def in_flight(self) -> bool:
        """Whether anything that was sent is not yet acknowledged, and is soon, for all that is known."""
        awaited = [self._shared, *(apart.flights for apart in self._apart.values() if not apart.complaint)]
        return any(any(flights) for flights in awaited)

    @property
    def complaint(self) -> str:
        """What the log has refused of a stream by itself; empty while there is nothing. The other streams go on."""
        return next((apart.complaint for apart in self._apart.values() if apart.complaint), "")

    def forget(self) -> None:
        """The ownership of streams changed: ask the outbox again, and track nothing of what was sent before."""
        self._sent = None
        self._limits.clear()
        self._shared.forget()
        for stream in list(self._apart):
            self._apart.pop(stream).flights.close()

    def pump(self) -> bool:
        """Collect what was acknowledged, send what is new; whether anything was sent.

        Raises ``BusError`` where the producer that the streams share has failed, or none can be made.
        """
        self._collect()
        return self._send_all(self._monotonic() + TURN_SECONDS_MAX)

    def finish(self, seconds: float) -> None:
        """Wait up to so many seconds for what is on its way (before a clean end)."""
        deadline = self._monotonic() + seconds
        for flight in list(self._all()):
            flight.delivery.done(max(0.0, deadline - self._monotonic()))
        self._collect()

    def close(self) -> None:
        """Give up what is on its way, and free the producers."""
        self.forget()
        self._shared.close()

    def _all(self) -> Iterator[Flight]:
        yield from self._shared
        for apart in self._apart.values():
            yield from apart.flights

    # ------------------------------------------------------------------------------------- collecting

    def _collect(self) -> None:
        for stream in list(self._apart):
            self._collect_apart(stream)
        failure = self._shared.collect()
        if failure is not None:
            self._start_over([flight.stream for flight in self._shared])
            raise failure
        if silent := self._shared.silent():
            self._start_over([flight.stream for flight in silent if self._shared.answers(flight)])
            raise _unanswered(silent[0])

    def _collect_apart(self, stream: str) -> None:
        apart = self._apart[stream]
        failure = apart.flights.collect()
        if silent := apart.flights.silent():
            failure = failure or _unanswered(silent[0])
        if failure is not None:
            self._refused(stream, failure)
        elif apart.tried and not any(apart.flights):
            apart.taken()
            if self._sent is not None and self._sent[stream] >= apart.number:
                log.info("%s: goes with the other streams again", stream)
                del self._apart[stream]
                apart.flights.close()

    def _refused(self, stream: str, failure: BusError) -> None:
        apart = self._apart[stream]
        self._back(apart.flights)
        apart.flights.close()
        if not apart.failures:
            log.warning("%s is not taken, and tried again; the other streams go on: %s", stream, failure)
        apart.refused(failure, self._monotonic())
        self._limits[stream] = max(1, self._limits.get(stream, ENTRIES_AT_FIRST) // 2)

    def _start_over(self, suspects: Sequence[str]) -> None:
        assert self._sent is not None
        log.warning("the producer failed: everything after the last acknowledged message of each stream is sent again")
        for stream in suspects:
            self._apart[stream] = _Apart(self._flights(), self._sent[stream])
            self._limits[stream] = ENTRIES_AT_FIRST
        self._back(self._shared)
        self._shared.close()

    def _back(self, flights: Flights) -> None:
        """What is not acknowledged counts as not sent."""
        assert self._sent is not None
        for flight in flights:
            self._sent[flight.stream] = min(self._sent[flight.stream], flight.after)

    # ---------------------------------------------------------------------------------------- sending

    def _send_all(self, deadline: float) -> bool:
        if self._sent is None:
            self._sent = dict(self._outbox.streams())
        self.backlog = False
        sent = False
        waiting = [stream for stream in self._sent if self._may_go(stream)]
        while waiting:  # in rounds, so that a stream with much to send does not hold up the others
            for stream in list(waiting):
                if not self._room(deadline):
                    self.backlog = True
                    return sent
                chunk = self._chunk(stream)
                if chunk is not None:
                    self._send(chunk)
                    sent = True
                if chunk is None or stream in self._apart:
                    waiting.remove(stream)
        return sent

    def _may_go(self, stream: str) -> bool:
        apart = self._apart.get(stream)
        return apart is None or (not any(apart.flights) and self._monotonic() >= apart.not_before)

    def _room(self, deadline: float) -> bool:
        while (self._shared.messages >= self._in_flight_max or self._shared.size >= BYTES_MAX) and (oldest := self._shared.oldest):
            if not oldest.delivery.done(max(0.0, deadline - self._monotonic())):
                return False
            self._collect()
        return self._monotonic() <= deadline

    def _chunk(self, stream: str) -> Chunk | None:
        """The next entries of a stream, as many as may be sent at a time; None when there are none."""
        assert self._sent is not None
        after = self._sent[stream]
        entries = self._outbox.outgoing(stream, after, self._limits.get(stream, ENTRIES_AT_FIRST))
        numbers = [after, *(entry.number for entry in entries)]
        if any(later <= earlier for earlier, later in pairwise(numbers)):
            raise ValueError(f"stream {stream} after {numbers[0]}: its numbers do not rise: {numbers[1:6]}…")
        if not entries:
            return None
        count, size = _portion(entries)
        if stream not in self._apart:
            self._limits[stream] = max(1, min(ENTRIES_MAX, count * CHUNK_BYTES_MAX // max(1, size)))
        messages = [message for entry in entries[:count] for message in entry.messages]
        return Chunk(stream, after, numbers[count], messages, size)

    def _send(self, chunk: Chunk) -> None:
        assert self._sent is not None
        apart = self._apart.get(chunk.stream)
        flights = apart.flights if apart else self._shared
        flights.ready()
        try:
            flights.send(chunk)
        except BusError as error:
            if apart is None:
                self._shared.collect()
                self._start_over([*(flight.stream for flight in self._shared), chunk.stream])
                raise
            self._refused(chunk.stream, error)
            return
        if apart:
            apart.tried = True
        self._sent[chunk.stream] = chunk.number


class _Apart:
    """A stream that goes by itself, until it has come past ``number``."""

    def __init__(self, flights: Flights, number: int) -> None:
        self.flights = flights
        self.number = number
        self.tried = False
        self.failures = 0
        self.not_before = float("-inf")
        self.complaint = ""

    def refused(self, failure: BusError, now: float) -> None:
        """Not now: again after a pause, twice as long each time."""
        self.not_before = now + min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN * 2.0 ** min(self.failures, 16))
        self.failures += 1
        self.tried = False
        self.complaint = str(failure)

    def taken(self) -> None:
        """The log has taken all that was sent of it."""
        self.failures = 0
        self.tried = False
        self.complaint = ""


def _portion(entries: Sequence[Outgoing]) -> tuple[int, int]:
    """How many of the entries are sent at a time, one at least, and the bytes of their messages."""
    total = 0
    for count, entry in enumerate(entries):
        size = sum(map(record_bytes, entry.messages))
        if count and total + size > CHUNK_BYTES_MAX:
            return count, total
        total += size
    return len(entries), total


def _unanswered(flight: Flight) -> BusError:
    return BusError(f"{flight.stream} up to {flight.number}: not answered within {ANSWER_SECONDS_MAX:.0f} s")
