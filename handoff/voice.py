"""Tells about a stack in the foreground, for as long as somebody reads it.

In go steps, notes and lines for the narrator's output. Where nobody reads that any more (``| head``, a terminal that was closed),
that is as good as Ctrl-C: everything is stopped, and whatever is still told goes nowhere instead of being one more failure
in the midst of stopping.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EIO, EPIPE
from typing import Final

from handoff.console import Narrator, say

NOBODY_READS: Final = (EPIPE, EIO)
"""How a write fails when the reader of a pipe, or the terminal, is gone."""


class Voice:
    """A :class:`handoff.stack.Reporter`. Raises ``KeyboardInterrupt`` once, when it finds that nobody reads."""

    def __init__(self, narrator: Narrator) -> None:
        self._narrator = narrator

    def step(self, text: str) -> None:
        """What is being done now."""
        with self.heard():
            self._narrator.step(text)

    def note(self, text: str) -> None:
        """What happened, to be kept."""
        with self.heard():
            self._narrator.note(text)

    def rest(self) -> None:
        """Nothing is being done now."""
        with self.heard():
            self._narrator.rest()

    def say(self, text: str = "", *, style: str = "") -> None:
        """A line of the answer."""
        with self.heard():
            say(text, style=style)

    @contextmanager
    def heard(self) -> Iterator[None]:
        """What is inside writes to standard output, and to nothing else."""
        try:
            yield
        except OSError as error:
            if error.errno not in NOBODY_READS:
                raise
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
            signal.raise_signal(signal.SIGINT)  # changes nothing while everything is being stopped: see ending_by_interrupt
