"""A producer with what it has on its way, of several streams: what was acknowledged is known for each of them.

In go chunks of a stream, in order; out come, per stream, the numbers up to which the log has acknowledged everything, and the
failure of the producer, if it failed. Then it is of no use any more, and the streams that still have something on their way begin
anew after the last acknowledged number of each.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from events.bus import Bus, BusError, Delivery, Producer
from events.record import Message

ANSWER_SECONDS_MAX: Final = 60.0
"""A producer that has not answered for so long is taken for dead."""


class Chunk(NamedTuple):
    """Entries of a stream from after one number up to another, as the messages that they publish, and the bytes of these."""

    stream: str
    after: int
    number: int
    messages: Sequence[Message]
    size: int


class Flight(NamedTuple):
    """A chunk on its way; ``since`` when, on a steady clock. The messages are the producer's now."""

    stream: str
    after: int
    number: int
    messages: int
    size: int
    delivery: Delivery
    since: float


class Flights:
    """One producer, made when it is needed. ``acknowledged`` is told the stream and the number."""

    def __init__(self, bus: Bus, acknowledged: Callable[[str, int], None], monotonic: Callable[[], float]) -> None:
        self._bus = bus
        self._acknowledged = acknowledged
        self._monotonic = monotonic
        self._producer: Producer | None = None
        self._streams: dict[str, deque[Flight]] = {}
        self._answered = 0.0
        self.messages = 0
        self.size = 0
        """Messages that are on their way, and bytes of them."""

    def __iter__(self) -> Iterator[Flight]:
        """What is on its way, in order per stream."""
        return (flight for flights in self._streams.values() for flight in flights)

    @property
    def oldest(self) -> Flight | None:
        """The one that has been on its way for longest."""
        return min((flights[0] for flights in self._streams.values()), key=lambda flight: flight.since, default=None)

    def ready(self) -> Producer:
        """The producer. Raises ``BusError`` where none can be made now."""
        if self._producer is None:
            self._producer = self._bus.producer()
        return self._producer

    def send(self, chunk: Chunk) -> None:
        """Hand a chunk over. Raises ``BusError`` where the producer is dead."""
        delivery = self.ready().send(chunk.messages) if chunk.messages else _NOTHING
        flight = Flight(chunk.stream, chunk.after, chunk.number, len(chunk.messages), chunk.size, delivery, self._monotonic())
        self._streams.setdefault(chunk.stream, deque()).append(flight)
        self.messages += flight.messages
        self.size += flight.size

    def collect(self) -> BusError | None:
        """Note what was acknowledged; answers with the failure of a delivery, if one failed."""
        failure = None
        for stream in list(self._streams):
            try:
                self._collect(stream)
            except BusError as error:
                failure = failure or error
        return failure

    def silent(self) -> list[Flight]:
        """The first flight of each stream that has waited for an answer for too long."""
        now = self._monotonic()
        return [flights[0] for flights in self._streams.values() if now - flights[0].since > ANSWER_SECONDS_MAX]

    def answers(self, flight: Flight) -> bool:
        """Whether anything was acknowledged since this one was sent: then it is the log of that stream that does not answer."""
        return self._answered > flight.since

    def forget(self) -> None:
        """Track nothing of what was sent before; the producer still sends it."""
        self._streams.clear()
        self.messages = self.size = 0

    def close(self) -> None:
        """Give up what is on its way, and free the producer."""
        self.forget()
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()

    def _collect(self, stream: str) -> None:
        flights = self._streams[stream]
        while flights and flights[0].delivery.done():
            flight = flights[0]
            flight.delivery.wait(0)
            self._acknowledged(stream, flight.number)
            flights.popleft()
            self.messages -= flight.messages
            self.size -= flight.size
            if flight.messages:
                self._answered = self._monotonic()
        if not flights:
            del self._streams[stream]


class _Nothing:
    """The delivery of entries that publish nothing."""

    def done(self, timeout: float = 0.0) -> bool:
        return True

    def wait(self, timeout: float) -> None:
        return


_NOTHING: Final = _Nothing()
