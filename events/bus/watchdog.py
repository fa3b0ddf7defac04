"""The watchdog: ends a process whose consumer is alive but no longer moves.

Clients of Kafka are known to hang without an error after restarts of brokers and rebalances. In goes the loop's progress, out comes
the end of the process, so that its supervisor starts it again. Waiting for something that is known to be away is not hanging, and
neither is standing still with the whole process, as while its machine or container is frozen: that ends with it. One log of many
may have to wait for its turn, but not for ever.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Final

from events.bus.progress import Progress
from events.record import TopicPartition

log = logging.getLogger(__name__)

EXIT_CODE: Final = 70
"""EX_SOFTWARE of sysexits.h."""
LOOK_SECONDS: Final = 5.0
"""Between two looks."""
ONE_TIMES: Final = 10
"""So many times as long one log may stand still while others move: with much to do, each has a megabyte taken in at a time."""


class Watchdog:
    """Watches from its own thread between ``start`` and ``stop``. ``seconds``: how long nothing may move while there is lag.

    ``done``: something else that changes whenever work is done, for a turn of the loop may do much before its progress shows it.
    """

    def __init__(
        self,
        progress: Callable[[], Progress],
        seconds: float,
        *,
        done: Callable[[], object] = lambda: None,
        end: Callable[[int], object] = os._exit,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._progress = progress
        self._seconds = seconds
        self._done = done
        self._end = end
        self._monotonic = monotonic
        self._look_seconds = min(LOOK_SECONDS, seconds / 4)
        self._seen: object = None
        self._waiting: dict[TopicPartition, tuple[int, float]] = {}
        """The position of each log in which there is something to take in, and for how long it has been there."""
        self._looked = monotonic()
        self._still = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def check(self) -> str:
        """Look once: what has stood still for too long; nothing where all is well.

        Time counts while somebody looks: so a process that was frozen, this watchdog with it, has time to move again.
        """
        progress = self._progress()
        now = self._monotonic()
        passed = min(now - self._looked, 2 * self._look_seconds)
        self._looked = now
        rests = (progress.lag == 0 and progress.state != "starting") or progress.state in ("retrying", "stopped")
        seen = (progress.state, progress.pending, dict(progress.positions), self._done())
        moved = rests or seen != self._seen
        self._seen, self._still = seen, 0.0 if moved else self._still + passed
        self._waiting = {} if rests else {place: self._waited(place, progress, passed) for place in progress.unread}
        if self._still > self._seconds:
            return f"nothing has moved for {self._still:.0f} s although there is lag"
        for place, (_, still) in self._waiting.items():
            if still > ONE_TIMES * self._seconds:
                return f"{place.topic}[{place.partition}] has not moved for {still:.0f} s although there is lag, and others have"
        return ""

    def _waited(self, place: TopicPartition, progress: Progress, passed: float) -> tuple[int, float]:
        """Where a log is, and for how long it has been there."""
        before, still = self._waiting.get(place, (-1, 0.0))
        position = progress.positions[place]
        return position, still + passed if position == before else 0.0

    def _watch(self) -> None:
        while not self._stopped.wait(self._look_seconds):
            failure: Exception | None = None
            try:
                stuck = self.check()
            except Exception as error:  # whatever it is: who cannot tell may stand still, too
                stuck, failure = "the progress cannot be told", error
            if stuck:
                log.critical("%s: ending the process", stuck, exc_info=failure)
                self._end(EXIT_CODE)
                return
