"""The process that was meant, as the status table says it: which statuses there are, in which order, and which lead to a sale."""

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Final

from msgspec import Struct

from events.facts import Stage
from services.lifecycle.domain.process_map import Direction
from services.lifecycle.domain.table import STAGES, StatusRow, StatusTable, Trigger

Place = tuple[Stage, str]
"""A status where it stands: a version of the table may have it in another stage than the one before."""

_ASIDE: Final[Sequence[Trigger]] = ("disqualified", "recycled", "lost")
_STEPS: Final[Sequence[Trigger]] = ("new", "qualified", "converted", "opportunity", "quote", "returned", "accepted", "sale")


class Process(Struct, frozen=True, dict=True):
    """Statuses in order, and the names of those that lead to a sale."""

    rows: tuple[StatusRow, ...]
    path: tuple[str, ...]

    @classmethod
    def of(cls, table: StatusTable, stages: Collection[Stage] = STAGES) -> "Process":
        """The process of some stages of a status table."""
        rows = tuple(row for row in table.rows if row.stage in stages)
        steps = set(path_of(table))
        return cls(rows, tuple(row.name for row in rows if row.name in steps))

    @cached_property
    def places(self) -> Mapping[Place, int]:
        """Where each status comes in the order of the table."""
        return {(row.stage, row.name): number for number, row in enumerate(self.rows)}

    @cached_property
    def steps(self) -> Mapping[Place, int]:
        """Where each status of the path comes on it."""
        numbers = {name: number for number, name in enumerate(self.path)}
        return {place: numbers[place[1]] for place in self.places if place[1] in numbers}

    def direction(self, before: Place, after: Place) -> Direction:
        """Where a move leads: by the order of the table, or by that of the stages where it lacks one of the two."""
        here, there = self.places.get(before), self.places.get(after)
        if here is None or there is None:
            here, there = STAGES.index(before[0]), STAGES.index(after[0])
        return "unordered" if here == there else "forward" if here < there else "back"

    def skipped(self, before: Place, after: Place) -> Sequence[str]:
        """The statuses of the path that a move along it leaves out; none for a move that begins or ends elsewhere."""
        here, there = self.steps.get(before), self.steps.get(after)
        return () if here is None or there is None else self.path[here + 1 : there]

    def order(self, place: Place) -> tuple[int, int, str]:
        """The key by which statuses are sorted: as in the table; what it lacks comes behind its stage, by name."""
        number = self.places.get(place)
        if number is not None:
            return number, 0, ""
        stage = STAGES.index(place[0])
        return max((n for n, row in enumerate(self.rows) if STAGES.index(row.stage) <= stage), default=-1), 1 + stage, place[1]


def path_of(table: StatusTable) -> tuple[str, ...]:
    """The statuses that lead to a sale, in order. In the others cases end or wait: to be there is no progress.

    A status that a trigger sets is on the path, unless the trigger is a loss, a disqualification or a recycling. Any other is,
    unless its probability is lower than that of one before it on the path, or it is a lead's behind Qualified and no more
    probable (such as Unqualified).
    """
    aside = {table.triggers[trigger] for trigger in _ASIDE}
    always = {table.triggers[trigger] for trigger in _STEPS}
    qualified = table.triggers["qualified"]
    path: list[str] = []
    highest = 0
    for row in table.rows:
        behind = row.stage == "lead" and table.place(row.name) > table.place(qualified)
        unqualified = behind and row.probability <= table.probability(qualified)
        if row.name not in aside and (row.name in always or not (unqualified or row.probability < highest)):
            path.append(row.name)
            highest = max(highest, row.probability)
    return tuple(path)
