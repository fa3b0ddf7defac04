"""What a bench says: rows of figures, each the median of its rounds, with the goal beside it.

A row compares a *subject* (what Handoff does) with a *floor* (what the machine does with the same rows and bytes and no domain),
both measured in the same round. The ratio of a row is the median of the ratios of its rounds, not the ratio of two medians: what
disturbed the machine disturbed both halves of a round. A goal is printed whether it is reached or not.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from statistics import median
from typing import Any

from msgspec import Struct


class BrokenRunError(Exception):
    """The bench cannot say anything: what it measured did not do what it should have done."""


class Goal(Struct, frozen=True):
    """A bound of a ratio or a figure: at least so much (of a rate), or at most (of a latency)."""

    bound: float
    at_most: bool = False

    def reached(self, ratio: float) -> bool:
        """Whether a ratio keeps the bound. It is not rounded for that."""
        return ratio <= self.bound if self.at_most else ratio >= self.bound

    def as_json(self) -> dict[str, float]:
        """The bound as it is written to a file."""
        return {"at_most" if self.at_most else "at_least": self.bound}

    @classmethod
    def from_json(cls, said: Mapping[str, float]) -> "Goal":
        """The goal that a file has."""
        ((kind, bound),) = said.items()
        return cls(bound, at_most=kind == "at_most")

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound:g}"


class Lap(Struct, frozen=True):
    """One round: the subject's figure and the floor's, in the same unit."""

    subject: float
    floor: float

    @property
    def ratio(self) -> float:
        """Subject ÷ floor."""
        return self.subject / self.floor


class Comparison(Struct, frozen=True, kw_only=True):
    """A row with a floor. ``subject`` and ``floor`` say what each does; a comparison without a goal is there to be read.

    ``sqlite``: the settings of the connection that both halves write with, where they write with one.
    """

    name: str
    subject: str
    floor: str
    unit: str
    laps: tuple[Lap, ...]
    goal: Goal | None = None
    sqlite: Mapping[str, Any] = {}

    @property
    def subject_figure(self) -> float:
        """The median of the subject's figures."""
        return median(lap.subject for lap in self.laps)

    @property
    def floor_figure(self) -> float:
        """The median of the floor's figures."""
        return median(lap.floor for lap in self.laps)

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return median(lap.ratio for lap in self.laps)

    @property
    def spread(self) -> tuple[float, float]:
        """The smallest and the greatest ratio of a round."""
        ratios = [lap.ratio for lap in self.laps]
        return min(ratios), max(ratios)

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        return None if self.goal is None else self.goal.reached(self.ratio)

    def as_json(self) -> dict[str, Any]:
        """The row as it is written to a file."""
        return {
            "name": self.name,
            "unit": self.unit,
            "subject": {"what": self.subject, "median": self.subject_figure},
            "floor": {"what": self.floor, "median": self.floor_figure},
            "ratio": self.ratio,
            "spread": list(self.spread),
            "goal": None if self.goal is None else self.goal.as_json(),
            "reached": self.reached,
            "sqlite": dict(self.sqlite),
            "rounds": [{"subject": lap.subject, "floor": lap.floor, "ratio": lap.ratio} for lap in self.laps],
        }


class Measure(Struct, frozen=True, kw_only=True):
    """A row without a floor: an absolute figure, with a goal where one was set for it."""

    name: str
    subject: str
    unit: str
    figures: tuple[float, ...]
    goal: Goal | None = None

    @property
    def figure(self) -> float:
        """The median."""
        return median(self.figures)

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        return None if self.goal is None else self.goal.reached(self.figure)

    def as_json(self) -> dict[str, Any]:
        """The row as it is written to a file."""
        said = {"name": self.name, "unit": self.unit, "what": self.subject, "median": self.figure, "rounds": list(self.figures)}
        return said if self.goal is None else {**said, "goal": self.goal.as_json(), "reached": self.reached}


Row = Comparison | Measure


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of the values do not exceed (nearest rank: one of the values, never between two)."""
    return sorted(values)[max(0, ceil(len(values) * percent / 100) - 1)]
