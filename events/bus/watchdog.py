"""The watchdog: ends a process whose consumer is alive but no longer moves.

Clients of Kafka are known to hang without an error after restarts of brokers and rebalances. In goes the loop's progress, out comes
the end of the process, so that its supervisor starts it again. Waiting for something that is known to be away is not hanging, and
neither is standing still with the whole process, as while its machine or container is frozen: that ends with it.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Final

from events.bus.progress import Progress

log = logging.getLogger(__name__)

EXIT_CODE: Final = 70
"""EX_SOFTWARE of sysexits.h."""
LOOK_SECONDS: Final = 5.0
"""Between two looks."""


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

    def check(self) -> bool:
        """Look once: whether it has stood still for too long.

        Time counts while somebody looks: so a process that was frozen, this watchdog with it, has time to move again.
        """
        progress = self._progress()
        now = self._monotonic()
        self._still += min(now - self._looked, 2 * self._look_seconds)
        self._looked = now
        idle = progress.lag == 0 and progress.state != "starting"
        seen = (progress.state, progress.pending, dict(progress.positions), self._done())
        if idle or progress.state in ("retrying", "stopped") or seen != self._seen:
            self._seen, self._still = seen, 0.0
        return self._still > self._seconds

    def _watch(self) -> None:
        while not self._stopped.wait(self._look_seconds):
            try:
                stuck = self.check()
            except Exception:
                log.critical("the progress cannot be told: ending the process", exc_info=True)
                stuck = True
            else:
                if stuck:
                    log.critical("nothing has moved for %.0f s although there is lag: ending the process", self._seconds)
            if stuck:
                self._end(EXIT_CODE)
                return
