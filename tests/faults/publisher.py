"""Publishes the load beside the faults as a system outside would: in bursts, each acknowledged, again where it was not.

It keeps pace with the campaign (``allow``), so that there is work whenever something is killed, and keeps what was acknowledged.
"""

import threading
from collections.abc import Iterator
from random import Random
from typing import Final

from events.bus import BusError
from events.bus.kafka import KafkaBus
from handoff.importing.publish import publish
from tests.faults.load import Item

BURST_MAX: Final = 60
PAUSE_SECONDS_MAX: Final = 0.3
AWAY_SECONDS: Final = 120.0


class Publisher:
    """A thread that publishes items up to the number that is allowed."""

    def __init__(self, bootstrap: str, items: Iterator[Item], seed: int) -> None:
        self.sent: list[Item] = []
        """What was acknowledged, in order."""
        self._bus = KafkaBus(bootstrap, "load")
        self._items = items
        self._chance = Random(seed)
        self._allowed = 0
        self._publishing = False
        self._changed = threading.Condition()
        self._ended = False
        self._error: BusError | None = None
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def allow(self, more: int) -> None:
        """Let so many more items be published."""
        with self._changed:
            self._allowed += more
            self._changed.notify_all()

    def keep(self, coming: int) -> None:
        """See to it that so many items are still to be published."""
        with self._changed:
            self._allowed = max(self._allowed, len(self.sent) + coming)
            self._changed.notify_all()

    @property
    def publishing(self) -> bool:
        """Whether a burst is on its way."""
        return self._publishing

    def await_burst(self, seconds: float) -> bool:
        """Return when a burst was acknowledged that was on its way or is still to come; False when none was within the time."""
        with self._changed:
            self._raise()
            before = len(self.sent)
            return self._changed.wait_for(lambda: len(self.sent) > before or self._error is not None, seconds)

    def finish(self, seconds: float) -> None:
        """Publish what is allowed, and end."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.sent) >= self._allowed or self._error is not None, seconds)
            self._raise()
            assert len(self.sent) >= self._allowed, f"{len(self.sent)} of {self._allowed} facts are written after {seconds:g} s"
            self._ended = True
            self._changed.notify_all()
        self._thread.join(seconds)
        self._bus.close()

    def close(self) -> None:
        """Give up (a campaign that failed)."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or len(self.sent) < self._allowed)
                if self._ended:
                    return
                count = min(self._chance.randint(1, BURST_MAX), self._allowed - len(self.sent))
                pause = self._chance.random() * PAUSE_SECONDS_MAX
            burst = [next(self._items) for _ in range(count)]
            self._publishing = True
            try:
                publish(self._bus, [item.message for item in burst], lambda _: None, away_seconds=AWAY_SECONDS)
            except BusError as error:
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return
            with self._changed:
                self._publishing = False
                self.sent += burst
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._ended, pause)
