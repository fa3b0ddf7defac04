"""What counts, and what it adds up to. Pure: no clock, no store.

In: segments, that is deals that are alike in all that the rules look at, already added up (one deal is a segment of one, so a
total and the list of its documents obey the same code). Out: totals, by group, and what was left out by which rule.

A deal is counted once. Its amounts come from lifecycle: by its live orders, else by its live included quotes, else by its
opportunity (FOLD.md 13). Money is integer minor units. Weighted = amount x probability: the products are summed exactly, and
the sum is rounded once, half to even; a total's weighted amount may therefore differ from the sum of its groups' by the
rounding of these. A deal without an amount counts as a deal, and adds nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import tzinfo
from enum import StrEnum
from typing import Final, Literal, NamedTuple

from events.facts import Split
from events.published import DealImage
from events.values import Money, parse_instant
from services.forecast.periods import Period, business_day

State = Literal["open", "won", "lost"]


class Deal(NamedTuple):
    """What a deal's image says to the rules. Amounts in minor units of ``currency``, None where there is nothing to count.

    ``day`` is the day by which it falls into a period: the day it was won or lost; of an open one, its close date.
    """

    state: State
    status: str
    probability: int
    currency: str | None
    amount: int | None
    worst: int | None
    likely: int | None
    upside: int | None
    day: str | None
    owner: str | None
    product: str | None
    source: str | None
    region: str | None


class Segment(NamedTuple):
    """Deals of one group, state, currency, probability and day, added up. ``without_amount`` of the ``deals`` have none."""

    group: str | None
    state: State
    currency: str | None
    probability: int
    day: str | None
    deals: int
    without_amount: int
    amount: int
    worst: int = 0
    likely: int = 0
    upside: int = 0


class Rule(StrEnum):
    """Whether a deal counts for a question, or the rule that leaves it out: the first that applies, in this order."""

    OTHER_CURRENCY = "other_currency"
    LOST = "lost"
    NO_CLOSE_DATE = "no_close_date"
    OUTSIDE_PERIOD = "outside_period"
    BELOW_MINIMUM_PROBABILITY = "below_minimum_probability"
    COUNTED = "counted"


EXPLANATIONS: Final[Mapping[Rule, str]] = {
    Rule.OTHER_CURRENCY: "its amount is in another currency than the answer",
    Rule.LOST: "it is lost, and a forecast counts what is won or open",
    Rule.NO_CLOSE_DATE: "it is open and has no close date, so it lies in no period",
    Rule.OUTSIDE_PERIOD: "its close date (open) or the day it was won lies outside the period",
    Rule.BELOW_MINIMUM_PROBABILITY: "it is open, and its probability is below the minimum",
    Rule.COUNTED: "it counts",
}


class Question(NamedTuple):
    """What is asked for. Without a period (the pipeline) every deal in the currency counts, lost ones included."""

    currency: str | None
    period: Period | None = None
    minimum_probability: int = 0


def rule(segment: Segment, question: Question) -> Rule:
    """Which rule decides about these deals. What has no currency has no amount, and is at home in every answer."""
    if segment.currency not in (question.currency, None):
        return Rule.OTHER_CURRENCY
    if question.period is None:
        return Rule.COUNTED
    if segment.state == "lost":
        return Rule.LOST
    if segment.day is None:
        return Rule.NO_CLOSE_DATE
    if not question.period.first <= segment.day <= question.period.last:
        return Rule.OUTSIDE_PERIOD
    if segment.state == "open" and segment.probability < question.minimum_probability:
        return Rule.BELOW_MINIMUM_PROBABILITY
    return Rule.COUNTED


class Sum:
    """Deals, their amount, and the exact sum of amount x percent."""

    def __init__(self) -> None:
        self.count = 0
        self.amount = 0
        self._points = 0

    def add(self, segment: Segment) -> None:
        """Count them in."""
        self.count += segment.deals
        self.amount += segment.amount
        self._points += segment.amount * segment.probability

    @property
    def weighted(self) -> int:
        """Amount x probability, rounded once."""
        return rounded(self._points, 100)


class Totals:
    """What deals add up to. Categories and ``weighted`` say what will have come in: won deals are in all of them."""

    def __init__(self) -> None:
        self.open, self.won, self.lost = Sum(), Sum(), Sum()
        self.worst = self.likely = self.upside = 0
        self.without_amount = 0
        self._expected = Sum()

    def add(self, segment: Segment) -> None:
        """Count them in."""
        self.of(segment.state).add(segment)
        self.without_amount += segment.without_amount
        if segment.state != "lost":
            self._expected.add(segment)
            self.worst += segment.worst
            self.likely += segment.likely
            self.upside += segment.upside

    def of(self, state: State) -> Sum:
        """The part in that state."""
        match state:
            case "open":
                return self.open
            case "won":
                return self.won
            case "lost":
                return self.lost

    @property
    def weighted(self) -> int:
        """What is won, and what is open by its probability."""
        return self._expected.weighted


class Summary:
    """An answer in numbers: the totals, the same by group, what was left out by rule, and what is in other currencies."""

    def __init__(self) -> None:
        self.totals = Totals()
        self.groups: dict[str | None, Totals] = {}
        self.excluded: dict[Rule, Sum] = {}
        self.other_currencies: dict[str, Totals] = {}


def summarize(segments: Iterable[Segment], question: Question, group_of: Callable[[Segment], str | None] | None) -> Summary:
    """Add segments up, each to the total, to its group, and where it does not count, to the rule that says so."""
    summary = Summary()
    for segment in segments:
        verdict = rule(segment, question)
        if verdict is Rule.COUNTED:
            summary.totals.add(segment)
            if group_of is not None:
                summary.groups.setdefault(group_of(segment), Totals()).add(segment)
        elif verdict is Rule.OTHER_CURRENCY:
            summary.other_currencies.setdefault(segment.currency or "", Totals()).add(segment)
        else:
            summary.excluded.setdefault(verdict, Sum()).add(segment)
    return summary


def prevailing_currency(counts: Mapping[str, int]) -> str | None:
    """The currency that most deals have; of equals the first in the alphabet; None where no deal has one."""
    return min(counts, key=lambda currency: (-counts[currency], currency), default=None)


def deal_of(image: DealImage, zone: tzinfo) -> Deal:
    """What an image says to the rules. ``ValueError`` where ``closed_at`` is no instant."""
    amounts = image.amounts
    if image.state == "open":
        day = None if image.close_date is None else image.close_date.isoformat()
    else:
        day = None if image.closed_at is None else business_day(parse_instant(image.closed_at), zone)
    return Deal(
        state=image.state,
        status=image.status,
        probability=image.probability,
        currency=image.currency if amounts.amount is None else amounts.amount.currency,
        amount=_minor(amounts.amount),
        worst=_minor(amounts.worst),
        likely=_minor(amounts.likely),
        upside=_minor(amounts.upside),
        day=day,
        owner=image.owner,
        product=image.product,
        source=image.source,
        region=image.region,
    )


def segment_of(deal: Deal, group: str | None) -> Segment:
    """A deal as a segment of one."""
    return Segment(
        group,
        deal.state,
        deal.currency,
        deal.probability,
        deal.day,
        1,
        int(deal.amount is None),
        *(figure or 0 for figure in (deal.amount, deal.worst, deal.likely, deal.upside)),
    )


def shares(amount: int, splits: Sequence[Split]) -> list[tuple[str, int]]:
    """What each member of a deal gets of it, in whole minor units that add up to the sum of all percentages of it.

    Every member gets the part without its fraction; what then lacks goes unit by unit to the largest fractions, of equal ones to
    those named first.
    """
    parts = [divmod(amount * split.percent, 100) for split in splits]
    lacking = rounded(sum(amount * split.percent for split in splits), 100) - sum(whole for whole, _ in parts)
    favoured = sorted(range(len(parts)), key=lambda place: -parts[place][1])[:lacking]
    return [(split.rep_id, parts[place][0] + (place in favoured)) for place, split in enumerate(splits)]


def rounded(numerator: int, denominator: int) -> int:
    """The nearest whole number, of two equally near ones the even one; the denominator is positive."""
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2))


def _minor(money: Money | None) -> int | None:
    return None if money is None else money.minor
