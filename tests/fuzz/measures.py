"""Time against size, and memory against the number of inputs: neither may grow faster than what comes in.

Time: a piece is repeated at several places of an input, and the input made four times as long: what then takes much more than four
times as long does not grow in step. Memory: a target is fed a hundred thousand inputs, and what is held is weighed on the way.
"""

import gc
import itertools
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Final, NamedTuple

from tests.fuzz.campaign import inputs
from tests.fuzz.feeding import feed
from tests.fuzz.target import Run, Target

SHORT_BYTES: Final = 6 * 1024
FACTOR: Final = 4
GROWTH_MAX: Final = 9.0
"""Times as long for four times the input: in step it is 4, by the square 16."""
SECONDS_MIN: Final = 0.15
"""What takes less CPU time than this, four times as long, is not looked at: too little to tell."""
PLACES: Final = 3
PIECES: Final = (
    b"[",
    b"{",
    b'{"a":',
    b'"',
    b"'",
    b"\\",
    b"\\\\u0000",
    b",",
    b" ",
    b"\n",
    b"\t",
    b"0",
    b"9",
    b"-",
    b".",
    b"a",
    b"a=1&",
    b"%41",
    b"a,b\n",
)
PIECES_MORE: Final = (
    b"- ",
    b"a: ",
    b"? ",
    b"&a ",
    b"*a ",
    b"!a ",
    b"| ",
    b"# ",
    b"<a>",
    b"<!--",
    b"x: y\n",
    b";q=1,",
    b"\xc3\xa4",
    b"\xff",
    b"/",
    b"+",
)
MEMORY_INPUTS: Final = 100_000
MEMORY_BYTES_MAX: Final = 1024 * 1024
"""What the second half of the inputs may leave behind: caches are full by then."""


class Slow(NamedTuple):
    """A piece whose repetition takes more time than is in step."""

    target: str
    piece: bytes
    place: int
    seconds: tuple[float, float]


def growth(targets: Iterable[Target], seconds_min: float = SECONDS_MIN) -> Iterator[Slow]:
    """The pieces of each target that grow faster than the input."""
    for target in targets:
        base = next(iter(target.corpus()))
        pieces = dict.fromkeys((*PIECES, *PIECES_MORE, *target.words))
        with target.open() as run:
            run(base)
            for piece, place in itertools.product(pieces, range(PLACES + 1)):
                at = len(base) * place // PLACES
                if slow := _slow(run, base, at, piece, seconds_min):
                    yield Slow(target.name, piece, at, slow)


def _slow(run: Run, base: bytes, at: int, piece: bytes, seconds_min: float) -> tuple[float, float] | None:
    """The times of both lengths where they are out of step, measured again before it is said."""
    long = _seconds(run, base, at, piece, FACTOR)
    for _ in range(2):
        short = _seconds(run, base, at, piece, 1)
        if long < seconds_min or long < GROWTH_MAX * short:
            return None
        long = min(long, _seconds(run, base, at, piece, FACTOR))
    return short, long


def _seconds(run: Run, base: bytes, at: int, piece: bytes, factor: int) -> float:
    data = base[:at] + piece * (factor * SHORT_BYTES // len(piece)) + base[at:]
    began = time.process_time()
    feed(run, data, cpu_seconds_max=60)
    return time.process_time() - began


def memory(target: Target, count: int = MEMORY_INPUTS, seed: int = 1) -> tuple[int, int]:
    """What is held after half of so many inputs, and after all of them, in bytes more than at the beginning."""
    weighed = []
    with ExitStack() as opened:
        run = opened.enter_context(target.open())
        fed = inputs(target, seed)
        tracemalloc.start()
        opened.callback(tracemalloc.stop)
        for _ in range(2):
            for data in itertools.islice(fed, count // 2):
                feed(run, data, target.cpu_seconds_max)
            gc.collect()
            weighed.append(tracemalloc.get_traced_memory()[0])
    return weighed[0], weighed[1]
