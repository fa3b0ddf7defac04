"""Timing arms against each other: step by step in turn, so that what disturbs the machine disturbs all of them."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

Step = Callable[[], object]


def race(*arms: Sequence[Step], turn: int = 0) -> list[float]:
    """The seconds that each arm takes for all its steps. Arms have equally many; with each step and turn another goes first."""
    return race_by((time.perf_counter,), *arms, turn=turn)[0]


def race_by(clocks: Sequence[Callable[[], float]], *arms: Sequence[Step], turn: int = 0) -> list[list[float]]:
    """The same by several clocks: for each of them the seconds of each arm."""
    seconds = [[0.0] * len(arms) for _ in clocks]
    runners = range(len(arms))
    for number, steps in enumerate(zip(*arms, strict=True)):
        for place in runners if (number + turn) % 2 == 0 else reversed(runners):
            began = [clock() for clock in clocks]
            steps[place]()
            for spent, clock, start in zip(seconds, clocks, began, strict=True):
                spent[place] += clock() - start
    return seconds


@contextmanager
def no_collector() -> Iterator[None]:
    """Without the garbage collector: where arms live in one heap, it would look through all of it at the cost of one of them."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def settled_heap() -> Iterator[None]:
    """What was prepared for a bench is not looked through by the garbage collector while it runs: no service has it."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
