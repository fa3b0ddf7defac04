"""Publishing many messages: in order, in batches, each acknowledged before the next; goes on where Kafka was away for a while.

Messages are taken as they are made, a batch at a time, so that an import needs no more memory than that. A batch whose answer was
lost is written again. That is harmless: a fact with the same identity is the same fact.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Final

from events.bus import Bus, BusError, Producer
from events.record import Message

BATCH: Final = 1000
DELIVERY_SECONDS_MAX: Final = 10.0
AWAY_SECONDS_MAX: Final = 60.0
"""How long Kafka may be away in a row before publishing is given up."""
PAUSE_SECONDS: Final = 0.25


def publish(
    bus: Bus, messages: Iterable[Message], progress: Callable[[int], None], *, away_seconds: float = AWAY_SECONDS_MAX
) -> int:
    """Write them all; ``progress`` is told how many are acknowledged. Returns how many there were.

    Raises ``BusError`` when Kafka stays away for so long.
    """
    written = 0
    waiting = iter(messages)
    with ExitStack() as stack:
        writer = _Writer(bus, stack, away_seconds)
        while batch := list(islice(waiting, BATCH)):
            writer.write(batch)
            written += len(batch)
            progress(written)
    return written


class _Writer:
    """Writes batches, with a new producer after each failure."""

    def __init__(self, bus: Bus, open_producers: ExitStack, away_seconds: float) -> None:
        self._bus = bus
        self._open_producers = open_producers
        self._away_seconds = away_seconds
        self._producer: Producer | None = None

    def write(self, batch: Sequence[Message]) -> None:
        """Return when Kafka has acknowledged them."""
        deadline = time.monotonic() + self._away_seconds
        while not self._written(batch, deadline):
            time.sleep(PAUSE_SECONDS)

    def _written(self, batch: Sequence[Message], deadline: float) -> bool:
        try:
            if self._producer is None:
                self._producer = self._bus.producer()
                self._open_producers.callback(self._producer.close)
            self._producer.send(batch).wait(DELIVERY_SECONDS_MAX)
            return True
        except BusError:
            self._open_producers.close()
            self._producer = None
            if time.monotonic() > deadline:
                raise
            return False
