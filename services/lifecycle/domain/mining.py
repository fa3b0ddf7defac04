"""From the traces of cases to the process map (:mod:`services.lifecycle.domain.process_map` says what its figures mean).

What a map counts depends on sequences of statuses alone, and those repeat: cases are kept as process mining defines a simple event
log, as a multiset of traces, and counted once per variant. Beside it stand the times, eight bytes for each visit to a status
and to a stage, so that percentiles are exact. That is the bound on memory: some 60 MB for a million records of four changes, and
40 bytes more for each visit to one status while its percentiles are found. Variants take no more than ``ROOM``.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise
from typing import Final

from events.facts import Stage
from events.values import NANOSECONDS
from services.lifecycle.domain.path import Place, Process
from services.lifecycle.domain.process_map import (
    Deviations,
    ProcessMap,
    StageFigures,
    StatusFigures,
    Step,
    Times,
    Transition,
    Variant,
    Variants,
)
from services.lifecycle.domain.table import STAGES

Visit = tuple[int, Stage, str]
"""From an instant (nanoseconds) on a case had this status."""

ROOM: Final = 4_000_000
"""How much room variants may take: each one its length, and 30 besides. That is some 50 MB."""
NAMED_MAX: Final = 50
"""So many statuses of a variant are named."""

_DIGITS: Final = 4


def process_map(
    traces: Iterable[Iterable[Visit]], process: Process, as_of: int, *, variants: int = 10, room: int = ROOM
) -> ProcessMap:
    """The process map of cases, taken one by one: each the visits of a case in order of time, none of them after ``as_of``.

    Neighbours of the same status are one visit; a trace without visits is no case.
    """
    log = _Log(process, as_of, room)
    for trace in traces:
        log.add(trace)
    return log.told(variants)


class _Log:
    """The cases so far."""

    def __init__(self, process: Process, as_of: int, room: int) -> None:
        self._process = process
        self._as_of = as_of
        self._room = room
        self._ids: dict[Place, int] = {}
        self._steps: list[int] = []
        """By id: which step of the path it is, -1 for none."""
        self._variants: Counter[str] = Counter()
        self._counts = _Counts(process)
        """What is counted already: cases whose variant found no room."""
        self._completed: defaultdict[tuple[int, int], array[int]] = defaultdict(_times)
        self._progress: defaultdict[tuple[int, int], array[int]] = defaultdict(_times)
        """Since the beginning of a case, when it came from being at most at one step to another."""
        self._open: defaultdict[int, array[int]] = defaultdict(_times)
        self._stage_completed: defaultdict[Stage, array[int]] = defaultdict(_times)
        self._stage_open: defaultdict[Stage, array[int]] = defaultdict(_times)

    def add(self, trace: Iterable[Visit]) -> None:
        """One more case."""
        variant: list[str] = []
        stage: Stage | None = None
        last, since, stage_since, begin, furthest = -1, 0, 0, 0, -1
        for at, stage_here, name in trace:
            here = self._id((stage_here, name))
            if here == last:
                continue
            if last >= 0:
                self._completed[last, here].append(at - since)
            else:
                begin = at
            if self._steps[here] > furthest:
                self._progress[furthest, self._steps[here]].append(at - begin)
                furthest = self._steps[here]
            if stage_here != stage:
                if stage is not None:
                    self._stage_completed[stage].append(at - stage_since)
                stage, stage_since = stage_here, at
            last, since = here, at
            variant.append(chr(here))
        if stage is not None:
            self._open[last].append(self._as_of - since)
            self._stage_open[stage].append(self._as_of - stage_since)
            self._count("".join(variant))

    def _id(self, place: Place) -> int:
        known = self._ids.get(place)
        if known is not None:
            return known
        self._steps.append(self._process.steps.get(place, -1))
        return self._ids.setdefault(place, len(self._ids))

    def _count(self, variant: str) -> None:
        if variant in self._variants:
            self._variants[variant] += 1
        elif self._room > 0:
            self._room -= len(variant) + 30
            self._variants[variant] = 1
        else:
            self._counts.add(self._places(variant), 1)

    def _places(self, variant: str) -> Sequence[Place]:
        places = list(self._ids)
        return [places[ord(each)] for each in variant]

    # -------------------------------------------------------------------------------------------- telling

    def told(self, variants: int) -> ProcessMap:
        """The map of all cases, with so many variants listed. The log is used up."""
        counts, not_kept = self._counts, self._counts.cases
        for variant, count in self._variants.items():
            counts.add(self._places(variant), count)
        places = sorted({*self._process.places, *self._ids}, key=self._process.order)
        statuses = [self._status(place) for place in places]
        return ProcessMap(
            cases=counts.cases,
            moves=counts.pairs.total(),
            statuses=statuses,
            stages=self._stages(),
            path=self._path(),
            transitions=self._transitions(),
            rework=_deviations(counts.rework.total(), counts.with_rework, counts.cases),
            skips=_deviations(counts.skips, counts.with_skips, counts.cases),
            variants=self._listed(variants, not_kept),
            never_seen=[each.status for each in statuses if not each.visits],
            not_in_table=[each.status for each in statuses if not each.in_table],
        )

    def _status(self, place: Place) -> StatusFigures:
        stage, name = place
        number, counts = self._process.places.get(place), self._counts
        row = None if number is None else self._process.rows[number]
        here = self._ids.get(place, -1)
        completed = sorted(chain.from_iterable(times for pair, times in self._completed.items() if pair[0] == here))
        running = sorted(self._open.get(here, ()))
        target = None if row is None else row.target_duration
        over = None if target is None else sum(time > target for time in completed)
        return StatusFigures(
            status=name,
            stage=stage,
            probability=None if row is None else row.probability,
            in_table=row is not None,
            on_path=place in self._process.steps,
            visits=counts.visits[place],
            cases=counts.visitors[place],
            started=counts.first[place],
            now=counts.last[place],
            completed=_spread(completed),
            open=_spread(running),
            target_seconds=None if target is None else target // NANOSECONDS,
            over_target=over,
            over_target_share=None if over is None else _share(over, len(completed)),
            open_over_target=None if target is None else sum(time > target for time in running),
        )

    def _stages(self) -> list[StageFigures]:
        counts = self._counts
        meant = {row.stage for row in self._process.rows} | set(counts.stage_visits)
        figures: list[StageFigures] = []
        before = counts.cases
        for number, stage in enumerate(STAGES):
            if stage not in meant:
                continue
            reached = sum(counts.highest[each] for each in STAGES[number:])
            figures.append(
                StageFigures(
                    stage=stage,
                    visits=counts.stage_visits[stage],
                    cases=counts.stage_visitors[stage],
                    reached=reached,
                    share=_share(reached, counts.cases),
                    conversion=_share(reached, before) if figures else None,
                    completed=_spread(sorted(self._stage_completed.get(stage, ()))),
                    open=_spread(sorted(self._stage_open.get(stage, ()))),
                )
            )
            before = reached
        return figures

    def _path(self) -> list[Step]:
        path: list[Step] = []
        for (stage, name), number in self._process.steps.items():
            reached = sorted(
                chain.from_iterable(times for (before, now), times in self._progress.items() if before < number <= now)
            )
            path.append(
                Step(
                    status=name,
                    stage=stage,
                    reached=len(reached),
                    share=_share(len(reached), self._counts.cases),
                    conversion=_share(len(reached), path[-1].reached) if path else None,
                    time=_spread(reached),
                )
            )
        return path

    def _transitions(self) -> list[Transition]:
        counts, process = self._counts, self._process
        ordered = sorted(counts.pairs, key=lambda pair: (-counts.pairs[pair], process.order(pair[0]), process.order(pair[1])))
        return [
            Transition(
                from_status=before[1],
                from_stage=before[0],
                to_status=after[1],
                to_stage=after[0],
                count=counts.pairs[before, after],
                cases=counts.with_pair[before, after],
                direction=process.direction(before, after),
                rework=counts.rework[before, after],
                skipped=list(process.skipped(before, after)),
                time=_spread(sorted(self._completed[self._ids[before], self._ids[after]])),
            )
            for before, after in ordered
        ]

    def _listed(self, wanted: int, not_kept: int) -> Variants:
        order = {chr(number): self._process.order(place) for place, number in self._ids.items()}
        ranked = sorted(self._variants.items(), key=lambda each: (-each[1], len(each[0]), [order[one] for one in each[0]]))
        listed = [
            Variant(
                statuses=[name for _, name in self._places(variant[:NAMED_MAX])],
                length=len(variant),
                count=count,
                share=round(count / self._counts.cases, _DIGITS),
            )
            for variant, count in ranked[:wanted]
        ]
        others = self._counts.cases - sum(each.count for each in listed)
        distinct = len(self._variants) + (not_kept > 0)
        return Variants(distinct=distinct, complete=not not_kept, listed=listed, others=others)


class _Counts:
    """What is counted, variant by variant."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.cases = 0
        self.visits: Counter[Place] = Counter()
        self.visitors: Counter[Place] = Counter()
        self.first: Counter[Place] = Counter()
        self.last: Counter[Place] = Counter()
        self.stage_visits: Counter[Stage] = Counter()
        self.stage_visitors: Counter[Stage] = Counter()
        self.highest: Counter[Stage] = Counter()
        self.pairs: Counter[tuple[Place, Place]] = Counter()
        self.with_pair: Counter[tuple[Place, Place]] = Counter()
        self.rework: Counter[tuple[Place, Place]] = Counter()
        self.with_rework = self.skips = self.with_skips = 0

    def add(self, trace: Sequence[Place], count: int) -> None:
        """So many cases of a trace."""
        self.cases += count
        self.first[trace[0]] += count
        self.last[trace[-1]] += count
        for place in trace:
            self.visits[place] += count
        for place in set(trace):
            self.visitors[place] += count
        self._add_stages([stage for stage, _ in trace], count)
        self._add_moves(trace, count)

    def _add_stages(self, stages: Sequence[Stage], count: int) -> None:
        for number, stage in enumerate(stages):
            if number == 0 or stage != stages[number - 1]:
                self.stage_visits[stage] += count
        for stage in set(stages):
            self.stage_visitors[stage] += count
        self.highest[max(stages, key=STAGES.index)] += count

    def _add_moves(self, trace: Sequence[Place], count: int) -> None:
        been: set[Place] = set()
        moves = list(pairwise(trace))
        again, skips = 0, 0
        for before, after in moves:
            been.add(before)
            self.pairs[before, after] += count
            if after in been or self._process.direction(before, after) == "back":
                self.rework[before, after] += count
                again += 1
            skips += bool(self._process.skipped(before, after))
        for move in set(moves):
            self.with_pair[move] += count
        self.with_rework += count * bool(again)
        self.skips += count * skips
        self.with_skips += count * bool(skips)


def _times() -> "array[int]":
    return array("Q")  # any two instants are less than 2**64 apart


def _spread(times: Sequence[int]) -> Times:
    """Times in order, summed up."""
    return Times(count=len(times), median_seconds=_percentile(times, 50), p90_seconds=_percentile(times, 90))


def _percentile(times: Sequence[int], percent: int) -> int | None:
    if not times:
        return None
    place, rest = divmod((len(times) - 1) * percent, 100)
    low, high = times[place], times[min(place + 1, len(times) - 1)]
    return (low * 100 + (high - low) * rest) // (100 * NANOSECONDS)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, _DIGITS) if whole else None


def _deviations(moves: int, cases: int, all_cases: int) -> Deviations:
    return Deviations(transitions=moves, cases=cases, share=_share(cases, all_cases))
