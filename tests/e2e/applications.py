"""The figures of the bank's loan applications (BPI Challenge 2012), read off customer records, and what they must be.

In go records as lifecycle folds them, wherever they come from; out come counts, the open deals of two instants, the funnel and two
medians. The funnel and the deals are read from the histories of statuses and deals, not from the facts: that they agree with
the log is what is to be shown.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple, TypeVar

from events.codec import Fact
from events.facts import ActivityLogged
from events.values import NANOSECONDS, parse_instant
from handoff.importing.bpic12 import SOURCE
from services.lifecycle.domain.deals import DocumentImage, Image
from services.lifecycle.domain.fold import Fold
from services.lifecycle.domain.history import Held

LOG: Final = Path(__file__).parents[3] / "shared" / "data" / "bpic12" / "BPIC12.xes.gz"
MISSING: Final = f"{LOG.name} is not there: put it beside the checkout, in shared/data/bpic12"

APPLICATIONS: Final = 13_087
TYPES: Final = {
    "crm.lead.created.v1": APPLICATIONS,
    "crm.lead.qualified.v1": 7_367,
    "crm.lead.disqualified.v1": 7_635 + 2_807 - 2_537,
    "crm.opportunity.created.v1": 5_113,
    "crm.opportunity.lost.v1": 2_537,
    "crm.opportunity.won.v1": 2_246,
    "crm.quote.created.v1": 7_030,
    "crm.quote.sent.v1": 7_030,
    "crm.quote.returned.v1": 3_454,
    "crm.quote.cancelled.v1": 3_655,
    "crm.quote.declined.v1": 802,
    "crm.order.placed.v1": 2_243,
    "crm.activity.logged.v1": 71_376,
}
"""Facts by type. Of the 7,635 + 2,807 applications that were declined or cancelled, 2,537 had become opportunities."""
FACTS: Final = sum(TYPES.values())
UNNAMED: Final = 8_000
"""Activities of nobody in particular."""
STAGES: Final = {"customer": 2_246, "prospect": 5_113 - 2_246, "lead": APPLICATIONS - 5_113}
FUNNEL: Final = {
    "submitted": APPLICATIONS,
    "pre-accepted": 7_367,
    "accepted": 5_113,
    "quoted": 5_015,
    "returned": 3_254,
    "ordered": 2_243,
}
SHARES: Final = ["56.3 %", "69.4 %", "98.1 %", "64.9 %", "68.9 %"]
"""Of each step of the funnel, of the one before."""
DAYS_TO_ORDER: Final = "14.4"
MINUTES_TO_ACTIVITY: Final = "68.7"
WORKED_ON: Final = 9_657
"""Applications with an activity."""
CLOSED: Final = {"won": 2_246, "lost": 2_537, "open": 330}
"""Deals at the end of the log."""


class Open(NamedTuple):
    """Open deals at an instant, each counted once, against the sum of every quote that they ever had (in whole euros)."""

    deals: int
    pipeline: int
    quoted: int
    naive: int


OPEN_AT: Final = {
    "2011-11-15T00:00:00Z": Open(591, 9_352_510, 591, 12_521_910),
    "2011-12-31T00:00:00Z": Open(507, 8_402_448, 505, 11_556_827),
}
UNQUOTED: Final = "Opportunity Identified"
"""The status of an open deal without a live quote."""

T = TypeVar("T")


class Figures:
    """What records come to, added one by one."""

    def __init__(self) -> None:
        self.types: Counter[str] = Counter()
        self.unnamed = 0
        self.stages: Counter[str] = Counter()
        self.funnel: Counter[str] = Counter()
        self.closed: Counter[str] = Counter()
        self.open_at = dict.fromkeys(OPEN_AT, Open(0, 0, 0, 0))
        self.live_quotes_max = 0
        self._days: list[float] = []
        self._minutes: list[float] = []

    @classmethod
    def of(cls, folds: Iterable[Fold]) -> "Figures":
        """The figures of these records."""
        figures = cls()
        for fold in folds:
            figures.add(fold)
        return figures

    def add(self, fold: Fold) -> None:
        """One more record."""
        submitted = fold.statuses[0].at
        self.stages[fold.statuses[-1].what.stage] += 1
        self.funnel["submitted"] += 1
        self.funnel["pre-accepted"] += any(held.what.name == "Qualified" for held in fold.statuses)
        self._facts([fact for _, fact in fold.facts if fact.source == SOURCE], submitted)
        if fold.images:
            (history,) = fold.images.values()  # an application has one deal
            self._deal(history, submitted)

    def _facts(self, facts: Sequence[Fact], submitted: int) -> None:
        self.types.update(fact.type for fact in facts)
        activities = [(fact.occurred_at, fact.data) for fact in facts if isinstance(fact.data, ActivityLogged)]
        self.unnamed += sum(activity.rep_id is None for _, activity in activities)
        if activities:
            self._minutes.append((min(at for at, _ in activities) - submitted) / NANOSECONDS / 60)

    def _deal(self, history: Sequence[Held[Image]], submitted: int) -> None:
        images = [held.what for held in history]
        self.closed[images[-1].state] += 1
        self.funnel["accepted"] += 1
        self.funnel["quoted"] += any(documents(image, "quote") for image in images)
        self.funnel["returned"] += any(image.status == "In Negotiation" for image in images)
        ordered = [held.at for held in history if documents(held.what, "order")]
        if ordered:
            self.funnel["ordered"] += 1
            self._days.append((ordered[0] - submitted) / NANOSECONDS / 86_400)
        live = (sum(is_live(quote) for quote in documents(image, "quote")) for image in images)
        self.live_quotes_max = max(self.live_quotes_max, *live)
        for instant, found in self.open_at.items():
            image = as_of(history, parse_instant(instant))
            if image is not None and image.state == "open":
                self.open_at[instant] = Open(
                    found.deals + 1,
                    found.pipeline + (image.figures.amount or 0) // 100,
                    found.quoted + (image.status != UNQUOTED),
                    found.naive + sum(euros(quote) for quote in documents(image, "quote")),
                )

    @property
    def shares(self) -> list[str]:
        """Of each step of the funnel, of the one before."""
        return [f"{100 * self.funnel[step] / self.funnel[before]:.1f} %" for before, step in pairwise(FUNNEL)]

    @property
    def days_to_order(self) -> tuple[str, int]:
        """The median, and of how many."""
        return f"{median(self._days):.1f}", len(self._days)

    @property
    def minutes_to_activity(self) -> tuple[str, int]:
        """The median from when it was submitted to the first activity, and of how many."""
        return f"{median(self._minutes):.1f}", len(self._minutes)

    def check(self) -> None:
        """They are those of the log."""
        assert self.types == TYPES
        assert self.unnamed == UNNAMED
        assert self.stages == STAGES
        assert self.funnel == FUNNEL
        assert self.shares == SHARES
        assert self.closed == CLOSED
        assert self.open_at == OPEN_AT
        assert self.live_quotes_max == 1
        assert self.days_to_order == (DAYS_TO_ORDER, FUNNEL["ordered"])
        assert self.minutes_to_activity == (MINUTES_TO_ACTIVITY, WORKED_ON)


def as_of(history: Sequence[Held[T]], instant: int) -> T | None:
    """What held at an instant, what came into force then included."""
    return next((held.what for held in reversed(history) if held.at <= instant), None)


def documents(image: Image, kind: str) -> list[DocumentImage]:
    """The documents of a kind that a deal has."""
    return [document for document in image.documents if document.kind == kind]


def is_live(quote: DocumentImage) -> bool:
    """Whether it is neither dead nor replaced; no quote of this log is both accepted and replaced."""
    return quote.state not in ("declined", "cancelled") and quote.replaced_by is None


def euros(document: DocumentImage) -> int:
    """Its amount."""
    amount = document.amount.amount if document.amount is not None else Decimal(0)
    assert amount == int(amount)
    return int(amount)
