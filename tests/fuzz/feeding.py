"""One input into a target, within its time; and of one that fails the shortest that fails alike."""

import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final, NamedTuple

from tests.fuzz.target import Run

SHRINK_SECONDS_MAX: Final = 20.0


class Hangs(BaseException):  # not an Exception: nobody on the way may take it for one
    """It takes too long."""


class Failure(NamedTuple):
    """``mark``: what failures of one kind have in common: the error, and the line of code where it came from."""

    mark: str
    told: str


@contextmanager
def no_longer_than(cpu_seconds: float) -> Iterator[None]:
    """Raise ``Hangs`` when this takes more CPU time. In the main thread only."""

    def hangs(*_: object) -> None:
        raise Hangs(f"more than {cpu_seconds:g} s of CPU")

    before = signal.signal(signal.SIGPROF, hangs)
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def feed(run: Run, data: bytes, cpu_seconds_max: float) -> Failure | None:
    """What is wrong with how a target takes an input; None where nothing is."""
    try:
        with no_longer_than(cpu_seconds_max):
            run(data)
    except (Exception, Hangs) as error:  # whatever it is, it is what is looked for
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = "" if isinstance(error, Hangs) else f" at {last.filename.rpartition('/')[2]}:{last.lineno}"
        return Failure(f"{type(error).__name__}{place}", "".join(traceback.format_exception(error, limit=-8)))
    return None


def shortened(run: Run, data: bytes, mark: str, cpu_seconds_max: float) -> bytes:
    """A shorter input that fails alike: pieces are taken away, ever smaller ones, for as long as it still does."""
    deadline = monotonic() + SHRINK_SECONDS_MAX
    size = max(1, len(data) // 2)
    while True:
        at = 0
        while at < len(data):
            if monotonic() > deadline:
                return data
            without = data[:at] + data[at + size :]
            failure = feed(run, without, cpu_seconds_max)
            if failure is not None and failure.mark == mark:
                data = without
            else:
                at += size
        if size == 1:
            return data
        size //= 2
