"""Days as business time has them."""

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from events.business_time import begin_of, day_begin, day_end, end_of
from events.values import INSTANT_MAX, format_instant


@pytest.mark.parametrize(
    ("day", "zone", "end"),
    [
        (date(2017, 3, 31), "UTC", "2017-03-31T23:59:59.999999999Z"),
        (date(2017, 3, 25), "Europe/Berlin", "2017-03-25T22:59:59.999999999Z"),
        (date(2017, 3, 26), "Europe/Berlin", "2017-03-26T21:59:59.999999999Z"),  # a day of 23 hours
        (date(2018, 11, 3), "America/Sao_Paulo", "2018-11-04T02:59:59.999999999Z"),  # the next day begins at one o'clock
        (date(2262, 4, 11), "UTC", "2262-04-11T23:47:16.854775806Z"),
    ],
)
def test_a_day_ends_a_nanosecond_before_the_next(day: date, zone: str, end: str) -> None:
    assert format_instant(day_end(day, ZoneInfo(zone))) == end


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia"])
@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25), date(2024, 2, 29), date(2025, 12, 31)])
def test_a_day_begins_where_the_one_before_ends(day: date, zone: str) -> None:
    before = date.fromordinal(day.toordinal() - 1)
    assert day_begin(day, ZoneInfo(zone)) == day_end(before, ZoneInfo(zone)) + 1


def test_a_text_is_an_instant_or_a_day() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert begin_of("2026-03-01T10:00:00+01:00", berlin) == end_of("2026-03-01T09:00:00Z", berlin)
    assert format_instant(begin_of("2026-03-29", berlin)) == "2026-03-28T23:00:00Z"
    assert format_instant(end_of("2026-03-29", berlin)) == "2026-03-29T21:59:59.999999999Z"
    assert end_of(format_instant(INSTANT_MAX), berlin) == INSTANT_MAX - 1


@pytest.mark.parametrize("text", ["", "yesterday", "2026-02-30", "2026-03-01T10:00:00", "2026-3-1", "9999-01-01"])
def test_anything_else_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="Write an instant"):
        begin_of(text, ZoneInfo("UTC"))
