"""The process map: what its figures are. :mod:`services.lifecycle.domain.mining` makes them.

The terms are those of process mining (van der Aalst, *Process Mining: Data Science in Action*, 2nd edition, 2016): a *case* is one
record or one deal, its *trace* the sequence of its statuses, a *variant* a trace that one or more cases share, and the
*directly-follows graph* counts how often one status directly follows another. A stay in a status is a *visit*; it is *completed*
when the case has left, and *open* while it is still there. All is as of an instant: nothing later has happened.

These classes are the body of an answer, so they are dataclasses, which FastAPI can describe.
"""

from dataclasses import dataclass
from typing import Literal

from events.facts import Stage

Direction = Literal["forward", "back", "unordered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long visits lasted: how many there were, their median and their 90th percentile, in whole seconds (rounded down).

    Percentiles are interpolated between the closest ranks (SQL's `percentile_cont`, Excel's `PERCENTILE.INC`); null without visits.
    """

    count: int
    median_seconds: int | None
    p90_seconds: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusFigures:
    """One status of the table, or one that was seen and is not in it.

    `on_path`: a step towards a sale, so that it is in `path`. `visits` of `cases` (each counted once); `started`: the first status
    of so many; `now`: so many are there. `completed`: times in the status of those that left it. `open`: the ages of the visits
    that go on. `target_seconds`: the table's target duration; `over_target` of the completed visits took longer (as a share of
    them: `over_target_share`), and `open_over_target` of the open ones have by now.
    """

    status: str
    stage: Stage
    probability: int | None
    in_table: bool
    on_path: bool
    visits: int
    cases: int
    started: int
    now: int
    completed: Times
    open: Times
    target_seconds: int | None
    over_target: int | None
    over_target_share: float | None
    open_over_target: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFigures:
    """One stage: `cases` were in it, in so many `visits`; `reached`: so many were in it or in a later one.

    `share`: of all cases; `conversion`: of those that reached the stage before. `completed` and `open` as of a status: a visit
    lasts from the first status in the stage to the first one in another.
    """

    stage: Stage
    visits: int
    cases: int
    reached: int
    share: float | None
    conversion: float | None
    completed: Times
    open: Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One status of the path, the statuses that lead to a sale in the table's order.

    `reached`: so many cases were in it or in one of the path behind it, whether they skipped it or not. `share`: of all
    cases; `conversion`: of those that reached the step before; both null where there is nothing to divide by. `time`: from the
    beginning of a case until it had reached the step.
    """

    status: str
    stage: Stage
    reached: int
    share: float | None
    conversion: float | None
    time: Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One status directly followed by another: how often, in how many cases, and how long the first had lasted.

    `direction`: by the order of the table, or of the stages where the table lacks one of them. `rework`: so many of them went back,
    or to a status in which the case had been before. `skipped`: the statuses of the path that lie between.
    """

    from_status: str
    from_stage: Stage
    to_status: str
    to_stage: Stage
    count: int
    cases: int
    direction: Direction
    rework: int
    skipped: list[str]
    time: Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviations:
    """How often the process was left: so many transitions, in so many cases, which are this share of all."""

    transitions: int
    cases: int
    share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way through the statuses: the `length` statuses of its trace (of a long one the first are named), and who went it."""

    statuses: list[str]
    length: int
    count: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Variants:
    """The ways that cases went, most frequent first; `others` went one that is not listed.

    `complete` is false where there were so many that new ones were no longer told apart: `distinct` is then a lower bound.
    """

    distinct: int
    complete: bool
    listed: list[Variant]
    others: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessMap:
    """What really happened, beside what was meant. Statuses are in the order of the table; what it lacks is behind its stage.

    `rework`: transitions back, or to a status in which the case had been before. `skips`: transitions along the path over one or
    more of its statuses. `never_seen`: statuses of the table that no case was in; `not_in_table`: the reverse.
    """

    cases: int
    moves: int
    statuses: list[StatusFigures]
    stages: list[StageFigures]
    path: list[Step]
    transitions: list[Transition]
    rework: Deviations
    skips: Deviations
    variants: Variants
    never_seen: list[str]
    not_in_table: list[str]
