"""Days, quarters and periods."""

from zoneinfo import ZoneInfo

import pytest

from events.values import parse_instant
from services.forecast.periods import business_day, parse_period, quarter_of


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2017", "2017-01-01", "2017-12-31"),
        ("2017-Q1", "2017-01-01", "2017-03-31"),
        ("2017-Q2", "2017-04-01", "2017-06-30"),
        ("2017-Q4", "2017-10-01", "2017-12-31"),
        ("2016-02", "2016-02-01", "2016-02-29"),
        ("2017-12", "2017-12-01", "2017-12-31"),
        ("9999", "9999-01-01", "9999-12-31"),
    ],
)
def test_a_period_has_a_first_and_a_last_day(text: str, first: str, last: str) -> None:
    assert parse_period(text) == (text, first, last)


@pytest.mark.parametrize(
    "text", ["", "17", "2017-Q5", "2017-q2", "2017-13", "2017-00", "2017-5", "2017-05-01", "0000", "\uff12\uff10\uff11\uff17"]
)
def test_what_is_no_period_says_what_is(text: str) -> None:
    with pytest.raises(ValueError, match="2017-Q2"):
        parse_period(text)


def test_quarters() -> None:
    assert [quarter_of(f"2017-{month:02d}-28") for month in (1, 3, 4, 6, 7, 9, 10, 12)] == [
        f"2017-Q{quarter}" for quarter in (1, 1, 2, 2, 3, 3, 4, 4)
    ]


def test_an_instant_falls_on_the_day_of_its_place() -> None:
    instant = parse_instant("2017-12-31T23:59:59.999999999Z")
    assert business_day(instant, ZoneInfo("UTC")) == "2017-12-31"
    assert business_day(instant, ZoneInfo("Asia/Tokyo")) == "2018-01-01"
    assert business_day(parse_instant("1678-01-01T00:00:00Z"), ZoneInfo("UTC")) == "1678-01-01"
