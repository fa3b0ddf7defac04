"""What counts and what it adds up to: the worked examples, and the rules one by one."""

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.facts import Split
from events.published import Amounts, DealImage
from services.forecast.domain import (
    Question,
    Rule,
    Segment,
    Summary,
    deal_of,
    prevailing_currency,
    rounded,
    rule,
    segment_of,
    shares,
    summarize,
)
from services.forecast.periods import parse_period
from tests.forecast.harness import image, money

UTC = ZoneInfo("UTC")
DOLLARS = Question("USD")
Q2 = parse_period("2017-Q2")


def segment(held: DealImage, group: str | None = None) -> Segment:
    return segment_of(deal_of(held, UTC), group)


def summary(*images: DealImage, question: Question = DOLLARS) -> Summary:
    return summarize([segment(held) for held in images], question, None)


def amounts(worst: int | None, likely: int | None, upside: int | None) -> Amounts:
    first = next(figure for figure in (worst, likely, upside) if figure is not None)
    figures = {"amount": first, "worst": worst, "likely": likely, "upside": upside}
    return Amounts(**{name: None if figure is None else money(figure) for name, figure in figures.items()})


def categories(found: Summary) -> tuple[int, int, int]:
    totals = found.totals
    return totals.worst // 100, totals.likely // 100, totals.upside // 100


# ------------------------------------------------------------------------------------ worked examples


def test_weighted_is_amount_by_probability() -> None:
    assert summary(image(1000, probability=40)).totals.weighted == 400_00


@pytest.mark.parametrize(
    ("category", "figures", "expected"),
    [
        ("worst", amounts(1000, 2000, 3000), (1000, 2000, 3000)),
        ("likely", amounts(None, 2000, 3000), (0, 2000, 3000)),
        ("upside", amounts(None, None, 3000), (0, 0, 3000)),
    ],
)
def test_a_range_counts_from_its_category_on(category: Any, figures: Amounts, expected: tuple[int, int, int]) -> None:
    assert categories(summary(image(2000, category=category, amounts=figures))) == expected


def test_of_two_included_quotes_each_category_takes_the_highest_at_or_below_it() -> None:
    assert categories(summary(image(100, amounts=amounts(100, 100, 300)))) == (100, 100, 300)


def test_a_member_of_ten_percent_gets_a_tenth() -> None:
    assert shares(2000_00, [Split(rep_id="ann", percent=10), Split(rep_id="bob", percent=90)]) == [
        ("ann", 200_00),
        ("bob", 1800_00),
    ]


def test_categories_are_cumulative_over_what_is_won() -> None:
    """Closed 50, commit 100, best 150, pipeline 200: commit 150, best 300, open pipeline 450."""
    found = summary(
        image(50, "won"),
        image(100, category="worst", amounts=amounts(100, 100, 100)),
        image(150, category="likely", amounts=amounts(None, 150, 150)),
        image(200, category="upside", amounts=amounts(None, None, 200)),
    )
    commit, best, _ = categories(found)
    assert (commit, best, found.totals.open.amount // 100) == (150, 300, 450)


# -------------------------------------------------------------------------------------------- rules


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (image(1, "won", closed_at="2017-04-01T00:00:00Z"), Rule.COUNTED),
        (image(1, "won", closed_at="2017-06-30T23:59:59.999999999Z"), Rule.COUNTED),
        (image(1, "won", closed_at="2017-07-01T00:00:00Z"), Rule.OUTSIDE_PERIOD),
        (image(1, "won", closed_at="2017-03-31T23:59:59Z", close_date=date(2017, 4, 2)), Rule.OUTSIDE_PERIOD),
        (image(1, "won", closed_at="2017-05-05T00:00:00Z", close_date=date(2017, 9, 1)), Rule.COUNTED),
        (image(1, close_date=date(2017, 4, 1)), Rule.COUNTED),
        (image(1, close_date=date(2017, 6, 30)), Rule.COUNTED),
        (image(1, close_date=date(2017, 7, 1)), Rule.OUTSIDE_PERIOD),
        (image(1), Rule.NO_CLOSE_DATE),
        (image(1, close_date=date(2017, 5, 1), probability=29), Rule.BELOW_MINIMUM_PROBABILITY),
        (image(1, close_date=date(2017, 5, 1), probability=30), Rule.COUNTED),
        (image(1, "lost", closed_at="2017-05-01T00:00:00Z"), Rule.LOST),
        (image(1, currency="EUR", close_date=date(2017, 5, 1)), Rule.OTHER_CURRENCY),
        (image(None, close_date=date(2017, 5, 1), probability=50), Rule.COUNTED),
    ],
)
def test_which_rule_decides(held: DealImage, expected: Rule) -> None:
    minimum = 30 if held.probability in (29, 30) else 0
    assert rule(segment(held), Question("USD", Q2, minimum)) is expected


def test_the_pipeline_asks_for_no_period_and_no_probability() -> None:
    question = Question("USD", None, 50)
    held = [
        image(7, probability=10),
        image(5, "won", closed_at="2001-01-01T00:00:00Z"),
        image(3, "lost", closed_at="2001-01-01T00:00:00Z"),
    ]
    totals = summary(*held, question=question).totals
    assert [(part.count, part.amount) for part in (totals.open, totals.won, totals.lost)] == [(1, 7_00), (1, 5_00), (1, 3_00)]


def test_nothing_is_dropped_without_a_word() -> None:
    held = [
        image(1, close_date=date(2017, 5, 1)),
        image(2),
        image(4, close_date=date(2018, 5, 1)),
        image(8, "lost", closed_at="2017-05-01T00:00:00Z"),
        image(16, currency="EUR"),
        image(None, close_date=date(2017, 5, 1)),
    ]
    found = summary(*held, question=Question("USD", Q2))
    assert {str(name): (left.count, left.amount) for name, left in found.excluded.items()} == {
        "no_close_date": (1, 2_00),
        "outside_period": (1, 4_00),
        "lost": (1, 8_00),
    }
    assert (found.totals.open.count, found.totals.open.amount, found.totals.without_amount) == (2, 1_00, 1)
    assert found.other_currencies["EUR"].open.amount == 16_00


def test_a_day_is_a_day_of_the_business_time_zone() -> None:
    held = image(1, "won", closed_at="2017-03-31T23:30:00Z")
    assert deal_of(held, UTC).day == "2017-03-31"
    assert deal_of(held, ZoneInfo("Europe/Berlin")).day == "2017-04-01"


def test_the_sum_is_rounded_once_half_to_even() -> None:
    assert summary(image("0.01", probability=50)).totals.weighted == 0
    assert summary(image("0.03", probability=50)).totals.weighted == 2
    assert summary(image("0.01", probability=50), image("0.01", probability=50)).totals.weighted == 1


@given(st.integers(-(10**20), 10**20))
def test_rounding_is_that_of_decimal(numerator: int) -> None:
    whole = rounded(numerator, 100)
    assert abs(whole * 100 - numerator) <= 50
    if abs(whole * 100 - numerator) == 50:
        assert whole % 2 == 0


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 100), max_size=6))
def test_shares_add_up(amount: int, percents: list[int]) -> None:
    splits = [Split(rep_id=f"rep-{number}", percent=percent) for number, percent in enumerate(percents)]
    found = shares(amount, splits)
    assert [rep for rep, _ in found] == [split.rep_id for split in splits]
    assert sum(part for _, part in found) == rounded(amount * sum(percents), 100)
    assert all(abs(part * 100 - amount * split.percent) < 100 for (_, part), split in zip(found, splits, strict=True))


@given(
    st.lists(st.tuples(st.sampled_from(["open", "won", "lost"]), st.integers(-(10**9), 10**12), st.integers(0, 100)), max_size=20)
)
def test_groups_add_up_to_the_total(deals: list[tuple[Any, int, int]]) -> None:
    segments = [
        Segment(f"g{number % 3}", state, "USD", probability, None, 1, 0, amount)
        for number, (state, amount, probability) in enumerate(deals)
    ]
    found = summarize(segments, Question("USD"), lambda each: each.group)
    for state in ("open", "won", "lost"):
        parts = [totals.of(state) for totals in found.groups.values()]
        assert sum(part.count for part in parts) == found.totals.of(state).count
        assert sum(part.amount for part in parts) == found.totals.of(state).amount


def test_the_prevailing_currency() -> None:
    assert prevailing_currency({"USD": 2, "EUR": 3}) == "EUR"
    assert prevailing_currency({"USD": 2, "EUR": 2}) == "EUR"
    assert prevailing_currency({}) is None
