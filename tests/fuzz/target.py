"""What is fuzzed: something that takes bytes, and promises to come to an end with an answer, whatever they are."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Final, NamedTuple

INPUT_BYTES_MAX: Final = 64 * 1024
"""How long the inputs are that are made up: what grows faster than its input is found by doubling (``growth.py``)."""

Run = Callable[[bytes], object]
"""What is fed. It raises where a promise is broken."""


class Target(NamedTuple):
    """``open`` lends what is fed. ``corpus``: inputs to begin with.

    ``words``: what is put into inputs besides bytes. ``cpu_seconds_max``: for one input.
    """

    name: str
    open: Callable[[], AbstractContextManager[Run]]
    corpus: Callable[[], Iterable[bytes]]
    words: tuple[bytes, ...] = ()
    cpu_seconds_max: float = 5.0


def always(run: Run) -> Callable[[], AbstractContextManager[Run]]:
    """A function that needs nothing to be opened."""
    return lambda: nullcontext(run)
