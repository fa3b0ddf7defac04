"""Plays a simulated year on a bus: within a few minutes of real time, or as fast as it goes.

In go arrivals in order, and what the reps answer meanwhile; out go messages in small batches, each acknowledged before the next. No
more is held than one batch and the answers that are not due. Where Kafka is away, the batch is written again when it is
back: the same facts again are the same facts.
"""

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import count
from threading import Event, Lock
from typing import Final, NamedTuple

from events.bus import Bus, BusError, Producer
from events.record import Message
from handoff.demo.arrival import Arrival, message_of
from handoff.demo.story import Happening
from handoff.demo.worktime import MILLISECOND, Year

BATCH: Final = 500
TURN_SECONDS: Final = 0.05
DELIVERY_SECONDS_MAX: Final = 10.0
AWAY_SECONDS_MAX: Final = 60.0
RATE_SECONDS: Final = 3.0
"""Over so long the rate is measured; after so long without a batch it is 0."""


class Played(NamedTuple):
    """How far it is. ``now``: the simulated instant; ``rate``: messages a second; ``waiting``: answers of reps not yet written."""

    now: int
    published: int
    rate: float
    waiting: int
    over: bool


class Player:
    """Plays once. ``seconds`` of the clock: how long the year takes; 0 as fast as it goes. ``run`` has a thread of its own."""

    def __init__(
        self,
        bus: Bus,
        year: Year,
        arrivals: Iterator[Arrival],
        *,
        seconds: float,
        shards: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus = bus
        self._year = year
        self._arrivals = arrivals
        self._next = next(arrivals, None)
        self._seconds = seconds
        self._shards = shards
        self._clock = clock
        self._lock = Lock()
        self._order = count()
        self._answers: list[tuple[int, int, Happening]] = []
        self._samples = deque([(clock(), 0)])
        self._now = year.begin
        self._published = 0

    def answer(self, happenings: Sequence[Happening]) -> None:
        """Take what reps say; it is written when its time has come, or at once where it has passed. From any thread."""
        with self._lock:
            for happening in happenings:
                if happening.at < self._year.end:
                    heapq.heappush(self._answers, (happening.at, next(self._order), happening))

    def played(self) -> Played:
        """How far it is. From any thread."""
        now = self._clock()
        with self._lock:
            (since, before), (until, after) = self._samples[0], self._samples[-1]
            stands_still = now - until > RATE_SECONDS  # Kafka takes nothing
            rate = (after - before) / (until - since) if until > since and not stands_still else 0.0
            return Played(self._now, self._published, rate, len(self._answers), self._now == self._year.end)

    def run(self, stop: Event) -> None:
        """Play until it is told to stop; after the last day only answers are still written. Raises ``BusError``."""
        began = self._clock()
        with ExitStack() as producers:
            writer = _Writer(self._bus, producers, stop)
            while not stop.is_set():
                batch, now = self._batch(self._clock() - began)
                writer.write(batch)
                with self._lock:
                    self._now = now
                    self._published += len(batch)
                    self._sample()
                if len(batch) < BATCH:
                    stop.wait(TURN_SECONDS)

    def _batch(self, elapsed: float) -> tuple[list[Message], int]:
        """What is due, and the simulated instant until when everything is."""
        due = self._year.end
        if self._seconds:
            due = min(due, self._year.begin + int(elapsed / self._seconds * (self._year.end - self._year.begin)))
        batch: list[Message] = []
        while self._next is not None and self._next.at <= due and len(batch) < BATCH:
            batch.append(self._next.message)
            self._next = next(self._arrivals, None)
        if self._next is not None and self._next.at < due:  # there is more than a batch
            due = self._next.at
        with self._lock:
            while self._answers and self._answers[0][0] <= due and len(batch) < BATCH:
                _, _, happening = heapq.heappop(self._answers)
                batch.append(message_of(happening, max(happening.at, min(due, self._year.end - MILLISECOND)), self._shards))
        return batch, due

    def _sample(self) -> None:
        now = self._clock()
        self._samples.append((now, self._published))
        while len(self._samples) > 2 and self._samples[0][0] < now - RATE_SECONDS:
            self._samples.popleft()


class _Writer:
    """A producer, and another one after a failure."""

    def __init__(self, bus: Bus, producers: ExitStack, stop: Event) -> None:
        self._bus = bus
        self._producers = producers
        self._stop = stop
        self._producer: Producer | None = None

    def write(self, batch: Sequence[Message]) -> None:
        """Return when the batch is in the log, or when it is time to stop. Raises ``BusError`` when Kafka stays away."""
        deadline = time.monotonic() + AWAY_SECONDS_MAX
        while batch and not self._stop.is_set():
            try:
                if self._producer is None:
                    self._producer = self._bus.producer()
                    self._producers.callback(self._producer.close)
                self._producer.send(batch).wait(DELIVERY_SECONDS_MAX)
                return
            except BusError:
                self._producers.close()
                self._producer = None
                if time.monotonic() > deadline:
                    raise
                self._stop.wait(10 * TURN_SECONDS)
