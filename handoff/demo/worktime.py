"""When people work, and when they buy: the calendar of the simulation. Pure; instants are nanoseconds since 1970 (UTC)."""

from collections.abc import Iterator
from datetime import date, timedelta
from random import Random
from typing import Final

from events.values import NANOSECONDS, day_start

MILLISECOND: Final = 1_000_000
MINUTE: Final = 60 * NANOSECONDS
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

YEAR_DAYS: Final = 365
BEFORE_DAYS: Final = 45
OPENS: Final = 9 * HOUR
CLOSES: Final = 17 * HOUR
SATURDAY: Final = 5

WEEKDAYS: Final = (1.15, 1.2, 1.15, 1.1, 0.95, 0.25, 0.2)
"""How many leads come on a day of the week, from Monday on; 1 is a usual day."""
MONTHS: Final = (0.9, 1.0, 1.2, 1.05, 1.1, 1.0, 0.75, 0.6, 1.25, 1.25, 1.1, 0.6)
"""The same by month: people are away in summer and in December, fairs are in spring and in autumn."""

_EPOCH: Final = date(1970, 1, 1)


class Year:
    """The 365 days before a day: ``begin`` and ``end`` are their first instant and the first one after them.

    Leads come in from ``BEFORE_DAYS`` earlier on, so that business is under way when the year begins.
    """

    def __init__(self, until: date) -> None:
        self.first: Final = until - timedelta(days=YEAR_DAYS)
        self.begin: Final = day_start(self.first)
        self.end: Final = day_start(until)

    def leads(self, rng: Random, total: int) -> Iterator[int]:
        """When leads come in, in order: about so many in all, by day of the week and by season."""
        days = [self.first + timedelta(days=number) for number in range(-BEFORE_DAYS, YEAR_DAYS)]
        busyness = [WEEKDAYS[day.weekday()] * MONTHS[day.month - 1] for day in days]
        usual = total / sum(busyness)
        for day, busy in zip(days, busyness, strict=True):
            count = int(usual * busy + rng.random())
            yield from sorted(day_start(day) + _moment(rng) for _ in range(count))


def at_work(rng: Random, instant: int, offset: int) -> int:
    """The instant itself, or where nobody works then a while after work begins; ``offset``: local time in hours before UTC."""
    day, time = divmod(instant + offset * HOUR, DAY)
    if time >= CLOSES:
        day, time = day + 1, 0
    weekday = (day + 3) % 7  # 1970 began on a Thursday
    if weekday >= SATURDAY:
        day, time = day + 7 - weekday, 0
    if time < OPENS:
        time = OPENS + span(rng.random() ** 2 * 5, HOUR)
    return day * DAY + time - offset * HOUR


def working_days_later(rng: Random, instant: int, least: float, most: float, offset: int) -> int:
    """An instant at work, so many days later: more often few days than many."""
    days = least + (most - least) * rng.random() ** 1.5
    return at_work(rng, instant + span(days, DAY), offset)


def span(number: float, unit: int) -> int:
    """So many of a unit, in whole milliseconds: a last digit in which two machines may differ does not count."""
    return round(number * (unit // MILLISECOND)) * MILLISECOND


def day_of(instant: int) -> date:
    """The UTC day of an instant."""
    return _EPOCH + timedelta(days=instant // DAY)


def quarter_end(day: date) -> date:
    """The last day of the day's quarter."""
    month = (day.month - 1) // 3 * 3 + 4
    return date(day.year + month // 13, (month - 1) % 12 + 1, 1) - timedelta(days=1)


def month_ends(year: Year) -> list[date]:
    """The last days of the months that end within a year."""
    firsts = (date(year.first.year + month // 12, month % 12 + 1, 1) for month in range(year.first.month, year.first.month + 13))
    return [first - timedelta(days=1) for first in firsts if year.begin <= day_start(first) - NANOSECONDS < year.end]


def _moment(rng: Random) -> int:
    """A time of a day: mostly in office hours of some part of the world."""
    return span((rng.random() + rng.random() + rng.random()) / 3, DAY)
