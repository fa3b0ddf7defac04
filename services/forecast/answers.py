"""The bodies of the answers, and how numbers become them. Amounts are decimal strings with the currency's decimals.

A group is named by its ``key``, which is null where what it is grouped by is not known; ``label`` is for people.
"""

from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from typing import Any, Final

from pydantic import BaseModel

from events.values import minor_digits
from services.forecast.directory import Reps
from services.forecast.domain import EXPLANATIONS, Deal, Segment, Sum, Summary, Totals
from services.forecast.periods import Period, quarter_of

_EXACT: Final = Context(prec=100)
"""Sums may have more digits than Python keeps by itself."""
STAGES: Final = ("lead", "prospect", "customer")
WITHOUT: Final[Mapping[str, str]] = {
    "stage": "no record",
    "status": "no status",
    "rep": "no owner",
    "team": "no team",
    "region": "no region",
    "customer_region": "no region",
    "product": "no product",
    "source": "no source",
    "quarter": "no date",
}
"""The label of the group without a key."""


class Part(BaseModel):
    """So many deals of so much."""

    count: int
    amount: str


class OpenPart(Part):
    """Open deals; ``weighted``: their amount by their probability."""

    weighted: str


class States(BaseModel):
    """Deals by state."""

    open: OpenPart
    won: Part
    lost: Part


class StatesOfGroup(States):
    """A group of the pipeline."""

    key: str | None
    label: str


class StatesOfCurrency(States):
    """What is in another currency than the answer, whatever its dates: ask for that currency."""

    currency: str


class Answer(BaseModel):
    """What every answer says of itself. ``known_at`` is null where all is meant that is known by now.

    ``position`` grows with every record that was taken in.
    """

    as_of: str
    known_at: str | None
    position: int


class Figures(Answer):
    """An answer in one currency. ``without_amount``: so many of the deals that count have no amount."""

    currency: str | None
    by: str | None
    without_amount: int
    other_currencies: list[StatesOfCurrency]


class Pipeline(Figures):
    """``/v1/pipeline``."""

    totals: States
    groups: list[StatesOfGroup]


class Categories(BaseModel):
    """Forecast categories, cumulative: what is worst is likely too, and so on. What is won is in all of them."""

    worst: str
    likely: str
    upside: str


class Expectation(BaseModel):
    """What a period brings: won, open, and by category; ``weighted``: what is won, and what is open by its probability."""

    won: Part
    open: OpenPart
    categories: Categories
    weighted: str


class ExpectationOfGroup(Expectation):
    """A group of the forecast."""

    key: str | None
    label: str


class Excluded(BaseModel):
    """Deals that a rule leaves out; ``deals``: where they are listed."""

    rule: str
    explanation: str
    count: int
    amount: str
    deals: str


class Forecast(Figures, Expectation):
    """``/v1/forecast``: ``first`` and ``last`` are the days of the period."""

    period: str
    first: str
    last: str
    min_probability: int
    groups: list[ExpectationOfGroup]
    excluded: list[Excluded]


class DealEntry(BaseModel):
    """A deal in a list. ``date``: the day by which it falls into a period; ``rule``: whether it counts, or why not."""

    customer_id: str
    deal_id: str
    state: str
    status: str
    probability: int
    currency: str | None
    amount: str | None
    owner: str | None
    close_date: str | None
    closed_at: str | None
    date: str | None
    key: str | None
    rule: str


class DealPage(Answer):
    """``/v1/deals``: ``next`` is the cursor of the next page, null on the last one."""

    currency: str | None
    deals: list[DealEntry]
    next: str | None


class Share(BaseModel):
    """A rep's part of a deal that is split."""

    rep_id: str
    percent: int
    amount: str


class HistoricState(BaseModel):
    """A deal as it was from an instant to another (null: it still is), and since when that is known."""

    valid_from: str
    valid_to: str | None
    recorded_at: str
    image: dict[str, Any]


class DealHistory(Answer):
    """``/v1/deals/{deal_id}``: the image at ``as_of`` (null: there was no such deal then), and the history as it is known."""

    customer_id: str
    deal_id: str
    image: dict[str, Any] | None
    shares: list[Share]
    history: list[HistoricState]


# ------------------------------------------------------------------------------------- how they are made


def text_of(minor: int, currency: str | None) -> str:
    """Minor units as a decimal string."""
    return f"{Decimal(minor).scaleb(-minor_digits(currency or ''), _EXACT):f}"


def grouping(by: str | None, reps: Reps) -> Callable[[Segment], str | None] | None:
    """By which key a segment is grouped. What is blank is not known."""
    match by:
        case None:
            return None
        case "team":
            return lambda segment: reps.team(segment.group) or None
        case "region":
            return lambda segment: reps.region(segment.group) or None
        case "quarter":
            return lambda segment: quarter_of(segment.day) if segment.day else None
        case _:
            return lambda segment: segment.group or None


def ordered(by: str | None, groups: Mapping[str | None, Totals], reps: Reps) -> list[tuple[str | None, str, Totals]]:
    """Groups with their labels: stages as they follow each other, all else by key; the group without one is last."""

    def rank(key: str | None) -> tuple[bool, int, str]:
        return key is None, STAGES.index(key) if by == "stage" and key in STAGES else 0, key or ""

    def label(key: str | None) -> str:
        if key is None:
            return WITHOUT[by or ""]
        return reps.name(key) if by == "rep" else key

    return [(key, label(key), groups[key]) for key in sorted(groups, key=rank)]


def pipeline(head: Mapping[str, Any], summary: Summary, currency: str | None, by: str | None, reps: Reps) -> Pipeline:
    """The pipeline; ``head``: the fields of :class:`Answer`."""
    groups = [
        StatesOfGroup(key=key, label=label, **_states(totals, currency)) for key, label, totals in ordered(by, summary.groups, reps)
    ]
    return Pipeline(totals=States(**_states(summary.totals, currency)), groups=groups, **_figures(head, summary, currency, by))


def forecast(
    head: Mapping[str, Any],
    summary: Summary,
    currency: str | None,
    by: str | None,
    reps: Reps,
    period: Period,
    min_probability: int,
    listed_at: Callable[[str], str],
) -> Forecast:
    """The forecast of a period; ``listed_at``: where the deals are listed that a rule leaves out."""
    return Forecast(
        period=period.name,
        first=period.first,
        last=period.last,
        min_probability=min_probability,
        groups=[
            ExpectationOfGroup(key=key, label=label, **_expectation(totals, currency))
            for key, label, totals in ordered(by, summary.groups, reps)
        ],
        excluded=[
            Excluded(
                rule=rule,
                explanation=EXPLANATIONS[rule],
                count=found.count,
                amount=text_of(found.amount, currency),
                deals=listed_at(rule),
            )
            for rule, found in sorted(summary.excluded.items())
        ],
        **_figures(head, summary, currency, by),
        **_expectation(summary.totals, currency),
    )


def amount_of(deal: Deal) -> str | None:
    """A deal's amount, where it has one."""
    return None if deal.amount is None else text_of(deal.amount, deal.currency)


def _figures(head: Mapping[str, Any], summary: Summary, currency: str | None, by: str | None) -> dict[str, Any]:
    others = [
        StatesOfCurrency(currency=other, **_states(totals, other)) for other, totals in sorted(summary.other_currencies.items())
    ]
    without = summary.totals.without_amount
    return {**head, "currency": currency, "by": by, "without_amount": without, "other_currencies": others}


def _states(totals: Totals, currency: str | None) -> dict[str, Any]:
    return {"open": _open(totals.open, currency), "won": _part(totals.won, currency), "lost": _part(totals.lost, currency)}


def _expectation(totals: Totals, currency: str | None) -> dict[str, Any]:
    categories = {name: text_of(getattr(totals, name), currency) for name in ("worst", "likely", "upside")}
    return {
        "won": _part(totals.won, currency),
        "open": _open(totals.open, currency),
        "categories": Categories(**categories),
        "weighted": text_of(totals.weighted, currency),
    }


def _part(found: Sum, currency: str | None) -> Part:
    return Part(count=found.count, amount=text_of(found.amount, currency))


def _open(found: Sum, currency: str | None) -> OpenPart:
    return OpenPart(count=found.count, amount=text_of(found.amount, currency), weighted=text_of(found.weighted, currency))
