"""A simulated year of a small company, in the order in which its messages arrive. Pure: a seed gives the same year, for ever.

Customers' stories are told when their first lead comes, and wait in a heap for the instants at which their facts arrive; so what
is held at a time is what is still to come of the stories that have begun. What happened before the year began arrives at its
first instant, as when a sales system is connected and tells what it knows.
"""

import heapq
from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Final

from events.topics import PARTITIONS
from handoff.demo.arrival import Arrival, arrivals
from handoff.demo.sale import sell
from handoff.demo.spoiling import Spoiler
from handoff.demo.story import story
from handoff.demo.worktime import Year

LEADS: Final = 2_000
SEED: Final = 7

Waiting = tuple[int, int, Arrival]


def simulate(seed: int, year: Year, *, leads: int = LEADS, shards: int = PARTITIONS) -> Iterator[Arrival]:
    """The messages of the year, by arrival: of about so many leads. ``shards``: partitions of the topics."""
    rng = Random(f"{seed}/spoiling")  # noqa: S311 - a simulation
    spoiler = Spoiler(rng, year)
    for arrival in _in_order(seed, year, leads, shards):
        yield arrival
        if (spoiled := spoiler.after(arrival)) is not None:
            yield spoiled


def _in_order(seed: int, year: Year, leads: int, shards: int) -> Iterator[Arrival]:
    waiting: list[Waiting] = []
    order = count()
    for number, born in enumerate(year.leads(Random(f"{seed}/leads"), leads)):  # noqa: S311
        yield from _due(waiting, born)
        rng = Random(f"{seed}/{number}")  # noqa: S311
        for happening in story(rng, number, born, year.end, sell):
            for arrival in arrivals(rng, happening, shards, year.begin):
                heapq.heappush(waiting, (arrival.at, next(order), arrival))
    yield from _due(waiting, year.end)


def _due(waiting: list[Waiting], instant: int) -> Iterator[Arrival]:
    """Take out what has arrived before an instant."""
    while waiting and waiting[0][0] < instant:
        yield heapq.heappop(waiting)[2]
