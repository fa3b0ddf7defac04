"""The process map again, from its definitions alone and as plainly as can be: what the real one must agree with.

Traces are lists of (instant, stage, status). Nothing of the code under test is used but the table's rows.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby, pairwise
from statistics import median, quantiles
from typing import Any

Visit = tuple[int, str, str]
STAGES = ("lead", "prospect", "customer")
SECOND = 10**9


def times(durations: Sequence[int]) -> tuple[int, int | None, int | None]:
    """Count, median and 90th percentile of some times, in whole seconds."""
    if not durations:
        return 0, None, None
    exact = [Fraction(duration) for duration in durations]
    p90 = quantiles(exact, n=10, method="inclusive")[-1] if len(exact) > 1 else exact[0]
    return len(exact), median(exact) // SECOND, p90 // SECOND


def visits(trace: Sequence[Visit], end: int, of: slice) -> list[tuple[Any, int, int, bool]]:
    """What, from when, until when, and whether it is over: of statuses (1:3) or of stages (1:2)."""
    runs = [next(run) for _, run in groupby(trace, key=lambda visit: visit[of])]
    over = [(run[of], run[0], later[0], True) for run, later in pairwise(runs)]
    return [*over, (runs[-1][of], runs[-1][0], end, False)]


def naive(traces: Sequence[Sequence[Visit]], rows: Sequence[tuple[str, str, int | None]], path: Sequence[str], end: int) -> Any:
    """The figures of a map. ``rows``: stage, name and target of each status in order; ``path``: those that lead to a sale."""
    traces = [trace for trace in traces if trace]
    order = {(stage, name): number for number, (stage, name, _) in enumerate(rows)}
    on_path = {(stage, name): path.index(name) for stage, name, _ in rows if name in path}
    stays = [visits(trace, end, slice(1, 3)) for trace in traces]
    stages = [visits(trace, end, slice(1, 2)) for trace in traces]
    ways = [[what for what, *_ in stay] for stay in stays]
    every = [stay for each in stays for stay in each]

    def back(before: Any, after: Any) -> bool:
        if before in order and after in order:
            return order[after] < order[before]
        return STAGES.index(after[0]) < STAGES.index(before[0])

    def rework(way: Any) -> int:
        return sum(way[n] in way[:n] or back(way[n - 1], way[n]) for n in range(1, len(way)))

    def skips(way: Any) -> int:
        return sum(a in on_path and b in on_path and on_path[b] - on_path[a] > 1 for a, b in pairwise(way))

    def when(stay: Any, step: int) -> int | None:
        return next((since - stay[0][1] for what, since, *_ in stay if on_path.get(what, -1) >= step), None)

    def status(place: Any) -> Any:
        done = [until - since for what, since, until, over in every if what == place and over]
        still = [until - since for what, since, until, over in every if what == place and not over]
        target = next((target for stage, name, target in rows if (stage, name) == place), None)
        return {
            "visits": len(done) + len(still),
            "cases": sum(place in way for way in ways),
            "started": sum(way[0] == place for way in ways),
            "now": sum(way[-1] == place for way in ways),
            "completed": times(done),
            "open": times(still),
            "over_target": None if target is None else sum(time > target for time in done),
            "open_over_target": None if target is None else sum(time > target for time in still),
        }

    def stage(name: str) -> Any:
        own = [stay for each in stages for stay in each if stay[0] == (name,)]
        return {
            "visits": len(own),
            "cases": sum(any(what == (name,) for what, *_ in each) for each in stages),
            "reached": sum(any(STAGES.index(what[0]) >= STAGES.index(name) for what, *_ in each) for each in stages),
            "completed": times([until - since for _, since, until, over in own if over]),
            "open": times([until - since for _, since, until, over in own if not over]),
        }

    pairs = {pair for way in ways for pair in pairwise(way)}
    return {
        "cases": len(traces),
        "statuses": {place: status(place) for place in {*order, *(place for way in ways for place in way)}},
        "stages": {name: stage(name) for name in {stage for stage, *_ in [*rows, *(visit[1:] for t in traces for visit in t)]}},
        "path": [times([time for stay in stays if (time := when(stay, step)) is not None]) for step in range(len(path))],
        "transitions": {
            pair: {
                "count": sum(way_pair == pair for way in ways for way_pair in pairwise(way)),
                "cases": sum(pair in list(pairwise(way)) for way in ways),
                "time": times(
                    [until - since for stay in stays for (a, since, until, _), (b, *_) in pairwise(stay) if (a, b) == pair]
                ),
            }
            for pair in pairs
        },
        "rework": (sum(map(rework, ways)), sum(rework(way) > 0 for way in ways)),
        "skips": (sum(map(skips, ways)), sum(skips(way) > 0 for way in ways)),
        "variants": {tuple(way): ways.count(way) for way in ways},
    }
