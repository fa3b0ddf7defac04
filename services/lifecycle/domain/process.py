"""The sales process as a business writes it down: what a version of the status table says, and what makes one wrong.

The fold (FOLD.md 12, 15, 19 to 24) can only go by a table in which every trigger names a status of the stage that it leads to, and
in which "furthest" and "won" mean what they say. :func:`faults` is that rule, for files and for records of the topic alike.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final

from msgspec import Meta, Struct

from events.facts import Stage
from services.lifecycle.domain.table import PROSE_MAX, STAGES, TRIGGERS, StatusRow, StatusTable, Trigger

STATUSES_MAX: Final = 100
STAGE_OF: Final[Mapping[Trigger, Stage]] = {
    "new": "lead",
    "qualified": "lead",
    "disqualified": "lead",
    "recycled": "lead",
    "converted": "prospect",
    "opportunity": "prospect",
    "quote": "prospect",
    "returned": "prospect",
    "accepted": "prospect",
    "sale": "customer",
    "lost": "prospect",
}
"""The stage of the status that a trigger sets."""
OPEN: Final[tuple[Trigger, ...]] = ("converted", "opportunity", "quote", "returned", "accepted")
"""The triggers that give an open deal, or a prospect without one, its status."""
RISING: Final[tuple[tuple[Trigger, Trigger], ...]] = (("opportunity", "quote"), ("quote", "returned"), ("quote", "accepted"))
"""Pairs of triggers whose second holds beside the first: of both the furthest is shown (15)."""


class Draft(Struct, frozen=True):
    """A status as far as it could be read."""

    name: str | None
    stage: Stage | None
    probability: int | None


class Fault(Struct, frozen=True):
    """What is wrong, and where: ``("statuses", 3, "probability")``. ``word``: a name that there is not, for a hint."""

    at: tuple[str | int, ...]
    message: str
    word: str | None = None


class SalesProcess(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a version says. A wrong one cannot be made: ``ValueError`` with all that is wrong."""

    statuses: Annotated[tuple[StatusRow, ...], Meta(min_length=1, max_length=STATUSES_MAX)]
    triggers: dict[Trigger, str]
    opportunities_enabled: bool = True
    comment: Annotated[str, Meta(max_length=PROSE_MAX)] | None = None

    def __post_init__(self) -> None:
        drafts = [Draft(row.name, row.stage, row.probability) for row in self.statuses]
        missing = [f"triggers: {trigger!r} is missing" for trigger in TRIGGERS if trigger not in self.triggers]
        found = missing + [f"{path_of(fault.at)}: {fault.message}" for fault in faults(drafts, self.triggers)]
        if found:
            raise ValueError("; ".join(found))

    def table(self, version: int, effective_from: int = 0) -> StatusTable:
        """The version of the table that says so, in force from an instant (nanoseconds)."""
        return StatusTable(self.statuses, self.triggers, self.opportunities_enabled, version, effective_from, self.comment)


def path_of(at: tuple[str | int, ...]) -> str:
    """A place in words: ``statuses[3].probability``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in at).removeprefix(".")


def faults(rows: Sequence[Draft], triggers: Mapping[Trigger, str]) -> Iterator[Fault]:
    """What is wrong with a table whose single values are right. What could not be read is not held against the rest."""
    yield from _statuses(rows, triggers.get("lost"))
    named = {row.name: row for row in rows if row.name is not None}
    for trigger, name in triggers.items():
        if name not in named:
            if all(row.name is not None for row in rows):
                yield Fault(("triggers", trigger), f"there is no status {name!r}", name)
        elif named[name].stage not in (None, STAGE_OF[trigger]):
            said, wanted = named[name].stage, STAGE_OF[trigger]
            yield Fault(("triggers", trigger), f"{name!r} is a status of a {said}: {trigger!r} needs one of a {wanted}")
    yield from _meaning(triggers, [row.name for row in rows])


def _statuses(rows: Sequence[Draft], lost: str | None) -> Iterator[Fault]:
    first: dict[str, int] = {}
    reached: Stage = STAGES[0]
    for number, row in enumerate(rows):
        if row.name is not None:
            before = first.setdefault(row.name.casefold(), number)
            if before != number:
                yield Fault(("statuses", number, "name"), f"{row.name!r} is there twice: first as statuses[{before}]")
        if row.stage is None:
            continue
        if STAGES.index(row.stage) < STAGES.index(reached):
            order = "list the statuses of leads first, then those of prospects, then those of customers"
            yield Fault(("statuses", number, "stage"), f"a status of a {row.stage} comes after one of a {reached}: {order}")
        reached = max(reached, row.stage, key=STAGES.index)
        if row.probability is not None:
            yield from _probability(number, row.stage, row.probability, lost=row.name is not None and row.name == lost)


def _probability(number: int, stage: Stage, probability: int, *, lost: bool) -> Iterator[Fault]:
    at = ("statuses", number, "probability")
    if stage == "customer":
        if probability != 100:
            yield Fault(at, f"a customer has bought: the probability is 100, not {probability}")
    elif lost and probability != 0:
        yield Fault(at, f"a lost deal is not won: the probability is 0, not {probability}")
    elif probability == 100:
        yield Fault(at, "100 is for what is won: an open status has at most 99")


def _meaning(triggers: Mapping[Trigger, str], names: Sequence[str | None]) -> Iterator[Fault]:
    """What would make a status say something that is not so."""
    for trigger in OPEN:
        if trigger in triggers and triggers[trigger] == triggers.get("lost"):
            yield Fault(
                ("triggers", trigger), f"{triggers[trigger]!r} is the status of what is lost: {trigger!r} needs an open one"
            )
    away = {triggers[trigger] for trigger in ("disqualified", "recycled") if trigger in triggers}
    for trigger in ("new", "qualified"):
        if triggers.get(trigger) in away:
            what = "is the status of leads that are disqualified or recycled"
            yield Fault(("triggers", trigger), f"{triggers[trigger]!r} {what}: {trigger!r} needs another")
    for lower, higher in RISING:
        if lower in triggers and higher in triggers and triggers[lower] in names and triggers[higher] in names:
            low, high = names.index(triggers[lower]), names.index(triggers[higher])
            if high < low:
                why = f"{triggers[higher]!r} comes before {triggers[lower]!r} ({lower!r}), and of both the later one is shown"
                yield Fault(("triggers", higher), f"would never be seen: {why}")
