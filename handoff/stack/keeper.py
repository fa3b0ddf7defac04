"""Keeps one process alive: starts it again when it has died, with pauses, until it dies too often.

In go the process and the time, out come starts and notes for the user, or the :class:`CommandError` that ends the stack: exit
code 2 where the process itself says that its settings are wrong, else 1 with the last lines of its log.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from handoff.errors import NOT_WELL, USAGE, CommandError
from handoff.stack.revival import DEATHS_MAX, WINDOW_SECONDS, Revival

LINES_SHOWN: Final = 8


class Restartable(Protocol):
    """A process as its keeper sees it."""

    @property
    def name(self) -> str: ...
    @property
    def log_file(self) -> Path: ...
    @property
    def running(self) -> bool: ...
    @property
    def code(self) -> int | None: ...

    def start(self) -> None:
        """Start it again."""

    def end(self) -> str:
        """How it ended."""

    def last_lines(self, count: int) -> list[str]:
        """The last lines that it wrote."""


class Keeper:
    """Looks after one process that was started. ``note`` is told what happens to it."""

    def __init__(self, process: Restartable, note: Callable[[str], None]) -> None:
        self._process = process
        self._note = note
        self._revival = Revival()
        self._start_at: float | None = None
        self._proven = False

    def proven(self) -> None:
        """The process has been ready: its settings are right, whatever it dies of later."""
        self._proven = True

    def tend(self, now: float) -> None:
        """Look once; ``now`` in seconds of a steady clock. Raises ``CommandError`` when it is to be given up."""
        if self._process.running:
            return
        if self._start_at is None:
            self._start_at = now + self._mourn(now)
        elif now >= self._start_at:
            self._start_at = None
            self._process.start()

    def _mourn(self, now: float) -> float:
        """The seconds until the next start."""
        process = self._process
        if process.code == USAGE and not self._proven:
            raise CommandError(f"{process.name} {process.end()}")
        pause = self._revival.died(now)
        if pause is None:
            lines = "".join(f"\n  {line}" for line in process.last_lines(LINES_SHOWN))
            raise CommandError(
                f"{process.name} died {DEATHS_MAX} times within {WINDOW_SECONDS:g} s, so everything is stopped. "
                f"It {process.end()}\nThe end of {process.log_file}:{lines}",
                NOT_WELL,
            )
        self._note(f"{process.name} {process.end()}; it is started again")
        return pause
