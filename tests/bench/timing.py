"""Timing arms against each other: step by step in turn, so that what disturbs the machine disturbs all of them."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

Step = Callable[[], object]


def race(*arms: Sequence[Step], turn: int = 0) -> list[float]:
    """The seconds that each arm takes for all its steps. Arms have equally many; with each step and turn another goes first."""
    seconds = [0.0] * len(arms)
    runners = list(enumerate(arms))
    for number, steps in enumerate(zip(*arms, strict=True)):
        for place, _ in runners if (number + turn) % 2 == 0 else reversed(runners):
            began = time.perf_counter()
            steps[place]()
            seconds[place] += time.perf_counter() - began
    return seconds


@contextmanager
def settled_heap() -> Iterator[None]:
    """What was prepared for a bench is not looked through by the garbage collector while it runs: no service has it."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
