"""Days, quarters and periods in business time. Pure: instants are nanoseconds since 1970 (UTC), days are ISO dates.

A day, and with it a period, begins and ends in the business time zone. Days are kept as text (``2017-03-31``), which sorts as
they do.
"""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

from events.values import INSTANT_MAX, NANOSECONDS

FOREVER: Final = INSTANT_MAX
"""The end of what has no end yet; an instant that is asked for lies before it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PERIOD = re.compile(r"(\d{4})(?:-Q([1-4])|-(0[1-9]|1[0-2]))?", re.ASCII)


class Period(NamedTuple):
    """A year, a quarter or a month, from its first to its last day (both included)."""

    name: str
    first: str
    last: str


def parse_period(text: str) -> Period:
    """The period that ``2017``, ``2017-Q2`` or ``2017-05`` names; ``ValueError`` for anything else."""
    match = _PERIOD.fullmatch(text)
    if match is None or match[1] == "0000":
        raise ValueError(f"{text[:40]!r} is not a period: write a year (2017), a quarter (2017-Q2) or a month (2017-05)")
    year, quarter, month = int(match[1]), match[2], match[3]
    if month:
        begin, months = int(month), 1
    else:
        begin, months = (int(quarter) * 3 - 2, 3) if quarter else (1, 12)
    end = begin + months - 1
    last = date(year, 12, 31) if end == 12 else date(year, end + 1, 1) - timedelta(days=1)
    return Period(text, date(year, begin, 1).isoformat(), last.isoformat())


def quarter_of(day: str) -> str:
    """The quarter of an ISO day: ``2017-Q2``."""
    return f"{day[:4]}-Q{(int(day[5:7]) + 2) // 3}"


def business_day(instant: int, zone: tzinfo) -> str:
    """The day on which an instant falls, where the business is."""
    return (_EPOCH + timedelta(seconds=instant // NANOSECONDS)).astimezone(zone).date().isoformat()
