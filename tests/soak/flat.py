"""When a figure is flat, by rules that stood before the hour that docs/soak.md tells of was measured (DECISIONS 62).

The first half of a run is the warm-up: caches fill, Java's heap and SQLite's write-ahead log find their size. Over the second half
each figure has a level (its median) and a trend (the Theil-Sen slope: the median of the slopes between any two samples, which a
single disturbance does not move), told as what it would come to in an hour. A trend is flat up to a share of the level, or up to
an amount below which a figure of that kind says nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from statistics import median
from typing import Any, Final, NamedTuple

from handoff.settings import SERVICES
from tests.soak.watching import ASKED, PROCESSES

MINUTES_MIN: Final = 20.0
"""Of shorter runs no trend is told."""
Point = tuple[float, float]
"""Minutes since the beginning, and a figure."""


class Rule(NamedTuple):
    """How much a figure may rise in an hour: a share of its level, or an amount, whichever is more; and how high it may be."""

    share: float
    amount: float
    level_max: float | None = None

    def bound(self, level: float) -> float:
        """What it may rise by."""
        return max(self.share * level, self.amount)

    def __str__(self) -> str:
        said = (
            f"rises by ≤ {self.share:.0%} or {self.amount:g} in an hour" if self.share else f"rises by ≤ {self.amount:g} in an hour"
        )
        return said if self.level_max is None else f"{said}, ≤ {self.level_max:g}"


class Series(NamedTuple):
    """A figure over time, with the rule for it; without one it is there to be read."""

    name: str
    unit: str
    points: Sequence[Point]
    rule: Rule | None = None


class Verdict(NamedTuple):
    """What is said of one figure."""

    name: str
    figure: str
    trend: str
    rule: str
    kept: bool

    def __str__(self) -> str:
        return f"{'   ' if self.kept else 'NOT'} {self.name}: {self.figure}{f', {self.trend}' if self.trend else ''} ({self.rule})"


MEMORY: Final = Rule(0.05, 8)
HANDLES: Final = Rule(0.05, 2)
THREADS: Final = Rule(0.05, 1)
CPU: Final = Rule(0.15, 5)
LATENCY: Final = Rule(0.25, 10)
WAL: Final = Rule(0.10, 8)
LAG_SECONDS: Final = 1.0
"""Lag may be, and may rise by, what comes in within so many seconds."""


def verdicts(found: Mapping[str, Any]) -> list[Verdict]:
    """Everything that is said of a run: first whether it was sound, then what is flat."""
    judged = list(_sound(found["end"])) if "end" in found else [Verdict("the end", "not reached", "", "reached", False)]
    judged.append(_answered(found["samples"]))
    if found["minutes"] >= MINUTES_MIN:
        judged += [judge(each, found["minutes"]) for each in series(found) if each.rule is not None]
    return judged


def judge(series: Series, minutes: float) -> Verdict:
    """A figure over the second half of a run, by its rule."""
    assert series.rule is not None
    points = [point for point in series.points if point[0] >= minutes / 2]
    if len(points) < 2:
        return Verdict(series.name, "no figures", "", str(series.rule), False)
    level, rise = median(value for _, value in points), 60 * slope(points)
    kept = rise <= series.rule.bound(level) and (series.rule.level_max is None or level <= series.rule.level_max)
    return Verdict(series.name, f"{number(level)} {series.unit}", f"{rise:+.2f} in an hour", str(series.rule), kept)


def slope(points: Sequence[Point]) -> float:
    """Theil and Sen's: the median of the slopes between any two points."""
    return median((later[1] - earlier[1]) / (later[0] - earlier[0]) for earlier, later in combinations(points, 2))


def series(found: Mapping[str, Any]) -> list[Series]:
    """Every figure over time."""
    samples, lag = found["samples"], Rule(0, found["rate"] * LAG_SECONDS, found["rate"] * LAG_SECONDS)
    told = []
    for name in PROCESSES:
        told.append(Series(f"memory, {name}", "MiB", _of(samples, "processes", name, "anonymous_mib"), MEMORY))
    for what, rule in (("handles", HANDLES), ("threads", THREADS)):
        told += [Series(f"{what}, {name}", "", _of(samples, "processes", name, what), rule) for name in PROCESSES]
    told.append(Series("files of its log that kafka holds open", "", _of(samples, "processes", "kafka", "log_handles")))
    told += [Series(f"lag, {name}", "records", _of(samples, "services", name, "lag"), lag) for name in SERVICES]
    told += [Series(f"cpu, {name}", "ms per 1,000 facts", _cpu(samples, name), CPU) for name in PROCESSES]
    for what, minutes in found["latencies_ms"].items():
        for percent in ("p50", "p99"):
            points = [(each["minute"] + 0.5, each[percent]) for each in minutes]
            told.append(Series(f"{what}, {percent}", "ms", points, None if what == LATE else LATENCY))
    told += [Series(f"write-ahead log, {name}", "MiB", _disk(samples, f"{name} wal"), WAL) for name in SERVICES]
    told += [Series(f"on the disk, {name}", "MiB", _disk(samples, name)) for name in PROCESSES]
    told.append(Series(SPEED, "ms", [(_minute(sample), float(sample["work_ms"])) for sample in samples]))
    asked = [sample for sample in samples if "answers_ms" in sample]
    for path in ASKED:
        points = [(_minute(each), each["answers_ms"][path]) for each in asked if path in each["answers_ms"]]
        told.append(Series(f"an answer of {path}", "ms", points))
    return told


LATE: Final = "published late"
"""By how much facts were published after they were due: tells of the machine, and of nothing that is measured."""

SPEED: Final = "always the same loop"
"""Its processor time tells of the machine, too: of one that others share, or that gets hot."""


def number(figure: float) -> str:
    """A figure with the digits that say something."""
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.1f}"


def _minute(sample: Mapping[str, Any]) -> float:
    return float(sample["seconds"]) / 60


def _of(samples: Sequence[Mapping[str, Any]], kind: str, name: str, what: str) -> list[Point]:
    said = [(_minute(sample), sample[kind][name]) for sample in samples]
    return [(minute, float(each[what])) for minute, each in said if each is not None and what in each]


def _disk(samples: Sequence[Mapping[str, Any]], name: str) -> list[Point]:
    return [(_minute(sample), sample["disk_mib"][name]) for sample in samples]


def _cpu(samples: Sequence[Mapping[str, Any]], name: str, every: int = 12) -> list[Point]:
    """What a process spent on the facts of each minute."""
    points = []
    chosen = samples[::every]
    for before, after in pairwise(chosen):
        spent, facts = [each["processes"][name] for each in (before, after)], after["sent"] - before["sent"]
        if None not in spent and facts:
            points.append((_minute(after), (spent[1]["cpu_seconds"] - spent[0]["cpu_seconds"]) * 1e6 / facts))
    return points


def _answered(samples: Sequence[Mapping[str, Any]]) -> Verdict:
    """Whether each question was answered that was asked beside the facts: how a service is, and those of ``ASKED``."""
    answers = [sample["services"][name] for sample in samples for name in SERVICES]
    answers += [sample["answers_ms"].get(path) for sample in samples if "answers_ms" in sample for path in ASKED]
    missing = answers.count(None)
    return Verdict("questions without an answer", f"{missing} of {len(answers):,}", "", "none", not missing)


def _sound(end: Mapping[str, Any]) -> Iterator[Verdict]:
    letters, findings = end["dead_letters"], end["findings"]
    yield Verdict("published", f"{end['sent']:,} facts", end["error"], "all acknowledged", not end["error"])
    totals = f"{end['answers']} answers on {end['customers']:,} customers with {end['deals']:,} deals"
    yield Verdict("totals", totals, "; ".join(findings[:3]), "those of a plain recomputation, to the cent", not findings)
    told, planned = ", ".join(f"{name} {count:,}" for name, count in letters.items()), f"the {end['malformed']:,} malformed facts"
    right = letters == {**dict.fromkeys(letters, 0), "lifecycle": end["malformed"]}
    yield Verdict("dead letters", told, "", planned, right)
    yield Verdict("deaths", str(len(end["deaths"])), ", ".join(end["deaths"]), "none", not end["deaths"])
    yield Verdict("warnings", str(len(end["warnings"])), "; ".join(end["warnings"][:2]), "none in the logs", not end["warnings"])
    yield Verdict("probes missed", str(len(end["missed_probes"])), "", "none", not end["missed_probes"])
    yield Verdict("settled", f"{end['settled_seconds']} s after the last fact", "", "≤ 10 s", end["settled_seconds"] <= 10)
