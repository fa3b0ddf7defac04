"""Publishing many messages: in order, in batches, each acknowledged before the next; goes on where Kafka was away for a while.

A batch whose answer was lost is written again. That is harmless: a fact with the same identity is the same fact.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final

from events.bus import Bus, BusError, Producer
from events.record import Message

BATCH: Final = 1000
DELIVERY_SECONDS_MAX: Final = 10.0
AWAY_SECONDS_MAX: Final = 60.0
"""How long Kafka may be away in a row before publishing is given up."""
PAUSE_SECONDS: Final = 0.25


def publish(
    bus: Bus, messages: Sequence[Message], progress: Callable[[int], None], *, away_seconds: float = AWAY_SECONDS_MAX
) -> None:
    """Write them all; ``progress`` is told how many are acknowledged. Raises ``BusError`` when Kafka stays away for so long."""
    written = 0
    producer: Producer | None = None
    deadline = time.monotonic() + away_seconds
    with ExitStack() as open_producers:
        while written < len(messages):
            batch = messages[written : written + BATCH]
            try:
                if producer is None:
                    producer = bus.producer()
                    open_producers.callback(producer.close)
                producer.send(batch).wait(DELIVERY_SECONDS_MAX)
            except BusError:
                open_producers.close()
                producer = None
                if time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE_SECONDS)
                continue
            written += len(batch)
            deadline = time.monotonic() + away_seconds
            progress(written)
