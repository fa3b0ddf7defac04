"""Forgets dead letters that were dealt with long ago. Nobody waits for it, so it is a thread of its own that looks now and then."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from events.bus.letters.keeping import ACTS_AT_ONCE_MAX, Letters
from events.values import NANOSECONDS

log = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 600.0
DAY: Final = 24 * 3600 * NANOSECONDS


class Forgetting(threading.Thread):
    """Deletes what was replayed or dropped more than ``days`` ago, in steps. ``transient``: what is tried again the next time."""

    def __init__(
        self,
        letters: Letters,
        days: int,
        *,
        transient: tuple[type[Exception], ...],
        now: Callable[[], int] = time.time_ns,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        super().__init__(name="forgetting", daemon=True)
        self._letters = letters
        self._days = days
        self._transient = transient
        self._now = now
        self._pause_seconds = pause_seconds
        self._ending = threading.Event()

    def run(self) -> None:
        while True:
            try:
                self.look()
            except self._transient as error:
                log.warning("dead letters are not forgotten now, and will be later: %s", error)
            if self._ending.wait(self._pause_seconds):
                return

    def look(self) -> int:
        """Forget what is to be forgotten now; how many letters."""
        forgotten = 0
        while not self._ending.is_set():
            now = self._now()
            some = self._letters.prune(now - self._days * DAY, at=now)
            forgotten += some
            if some < ACTS_AT_ONCE_MAX:
                break
        if forgotten:
            log.info("%d dead letters that were dealt with are forgotten", forgotten)
        return forgotten

    def stop(self) -> None:
        """End after the present step."""
        self._ending.set()
        if self.is_alive():
            self.join(timeout=5)
