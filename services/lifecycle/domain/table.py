"""The status table (FOLD.md 24): the statuses in order, and which of them a trigger sets."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Annotated, Final, Literal, get_args

from msgspec import Meta, Struct

from events.facts import Stage
from events.values import NANOSECONDS, Percent

Trigger = Literal[
    "new", "qualified", "disqualified", "recycled", "converted", "opportunity", "quote", "returned", "accepted", "sale", "lost"
]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
"""The stages, lowest first."""
TRIGGERS: Final[tuple[Trigger, ...]] = get_args(Trigger)

NAME_MAX: Final = 80
PROSE_MAX: Final = 1000
ITEM_MAX: Final = 300
ITEMS_MAX: Final = 20
MINUTE: Final = 60 * NANOSECONDS
DURATION_MAX: Final = 3650 * 24 * 60 * MINUTE

Name = Annotated[str, Meta(min_length=1, max_length=NAME_MAX)]
Items = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=ITEM_MAX)], ...], Meta(max_length=ITEMS_MAX)]
Duration = Annotated[int, Meta(ge=MINUTE, le=DURATION_MAX)]
"""Nanoseconds."""


class StatusRow(Struct, frozen=True, omit_defaults=True):
    """One status: its stage, the probability (percent) that a deal there is won, and its column of the process matrix.

    ``target_duration``: how long a record should stay at most; ``follow_up``: after how long somebody should ask again; both in
    nanoseconds. The fold uses name, stage and probability only.
    """

    name: Name
    stage: Stage
    probability: Percent
    definition: Annotated[str, Meta(max_length=PROSE_MAX)] | None = None
    objectives: Items = ()
    entry_criteria: Items = ()
    exit_criteria: Items = ()
    actions: Items = ()
    tools: Items = ()
    target_duration: Duration | None = None
    follow_up: Duration | None = None


class StatusTable(Struct, frozen=True, dict=True):
    """One version of the table, in force from an instant (nanoseconds). Later in ``rows`` is further.

    ``offset`` is where on its topic it was published, ``recorded_at`` (nanoseconds) when; the built-in table was not.
    """

    rows: tuple[StatusRow, ...]
    triggers: Mapping[Trigger, str]
    opportunities_enabled: bool = True
    version: int = 0
    effective_from: int = 0
    comment: str | None = None
    author: str | None = None
    offset: int = -1
    recorded_at: int = 0

    @cached_property
    def _places(self) -> dict[str, int]:
        return {row.name: place for place, row in enumerate(self.rows)}

    @cached_property
    def rules(self) -> tuple[object, ...]:
        """All that the fold goes by: of two versions that have the same it makes the same."""
        rows = tuple((row.name, row.stage, row.probability) for row in self.rows)
        return rows, dict(self.triggers), self.opportunities_enabled

    def row(self, name: str) -> StatusRow | None:
        """The status of that name."""
        place = self._places.get(name)
        return None if place is None else self.rows[place]

    def place(self, name: str) -> int:
        """How far the status is; a name that this version lacks is before all others."""
        return self._places.get(name, -1)

    def furthest(self, names: Iterable[str]) -> str:
        """The furthest of some statuses."""
        return max(names, key=self.place)

    def is_open_prospect(self, name: str) -> bool:
        """Whether the status is one of a deal that is neither won nor lost."""
        row = self.row(name)
        return row is not None and row.stage == "prospect" and name != self.triggers["lost"]

    def probability(self, name: str) -> int:
        """The table's probability for a status, in percent (0 for a name that this version lacks)."""
        row = self.row(name)
        return 0 if row is None else row.probability


class Tables(Struct, frozen=True, dict=True):
    """All versions that are known: the built-in one, and what was published, in the order in which they come into force."""

    versions: tuple[StatusTable, ...]

    @classmethod
    def of(cls, first: StatusTable, published: Iterable[StatusTable]) -> "Tables":
        """The first version holds until others do; of two in force from the same instant the one with the higher number holds."""
        return cls((first, *sorted(published, key=lambda table: (table.effective_from, table.version))))

    @cached_property
    def through(self) -> int:
        """Up to where on their topic versions are known; 0 where there is only the built-in one."""
        return max(table.offset for table in self.versions) + 1

    @cached_property
    def newest(self) -> StatusTable:
        """The version that was published last."""
        return max(self.versions, key=lambda table: table.offset)

    def known(self, through: int) -> "Tables":
        """The same when versions were known up to there only."""
        if through >= self.through:
            return self
        return Tables((self.versions[0], *(table for table in self.versions[1:] if table.offset < through)))

    def changed_since(self, through: int) -> int | None:
        """The first instant at which other rules hold than when versions were known up to there only; None where they never do."""
        before = self.known(through)
        begins = (table.effective_from for table in self.versions[1:])
        return next((begin for begin in begins if before.at(begin).rules != self.at(begin).rules), None)

    def at(self, instant: int) -> StatusTable:
        """The version in force at an instant; before the first one's date, the first."""
        found = self.versions[0]
        for table in self.versions[1:]:
            if table.effective_from > instant:
                break
            found = table
        return found

    def until(self, table: StatusTable) -> int | None:
        """When a version ends to hold, because the next one takes over (nanoseconds): None where none does yet.

        A version whose instant another one has taken ends when it begins.
        """
        place = self.versions.index(table)
        return next((later.effective_from for later in self.versions[place + 1 :]), None)

    def knows(self, name: str) -> bool:
        """Whether any version has the status."""
        return any(table.row(name) for table in self.versions)

    def names(self) -> list[str]:
        """Every status of any version, in order."""
        return list(dict.fromkeys(row.name for table in self.versions for row in table.rows))


DEFAULT: Final = StatusTable(
    rows=(
        StatusRow("New", "lead", 0),
        StatusRow("Qualified", "lead", 0),
        StatusRow("Unqualified", "lead", 0),
        StatusRow("Dead", "lead", 0),
        StatusRow("Recycled", "lead", 0),
        StatusRow("Opportunity Identified", "prospect", 10),
        StatusRow("In Discussion", "prospect", 20),
        StatusRow("Identified Decision Makers", "prospect", 30),
        StatusRow("Proposal", "prospect", 50),
        StatusRow("In Negotiation", "prospect", 75),
        StatusRow("Purchasing", "prospect", 90),
        StatusRow("Closed Lost", "prospect", 0),
        StatusRow("Closed Won", "customer", 100),
    ),
    triggers={
        "new": "New",
        "qualified": "Qualified",
        "disqualified": "Dead",
        "recycled": "Recycled",
        "converted": "Opportunity Identified",
        "opportunity": "Opportunity Identified",
        "quote": "Proposal",
        "returned": "In Negotiation",
        "accepted": "Purchasing",
        "sale": "Closed Won",
        "lost": "Closed Lost",
    },
)
"""The table that holds where a company has published none."""
