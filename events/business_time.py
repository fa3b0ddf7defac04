"""Days in business time: a bare date begins and ends where the business is. Instants are nanoseconds since 1970."""

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from events.values import INSTANT_MAX, NANOSECONDS, parse_instant_or_date

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def day_begin(day: date, zone: tzinfo) -> int:
    """The first instant of a day, where the business is."""
    return _instant(datetime(day.year, day.month, day.day, tzinfo=zone))


def day_end(day: date, zone: tzinfo) -> int:
    """The last instant of a day: the nanosecond before the next one begins, where the business is."""
    following = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(days=1)
    return min(_instant(following), INSTANT_MAX) - 1


def begin_of(text: str, zone: tzinfo) -> int:
    """The instant that a text names: itself, or the first of a day. Raises ``ValueError``, which says what to write."""
    when = instant_or_date(text)
    return when if isinstance(when, int) else day_begin(when, zone)


def end_of(text: str, zone: tzinfo) -> int:
    """The instant that a text names: itself, or the last of a day. Raises ``ValueError``, which says what to write."""
    when = instant_or_date(text)
    return min(when, INSTANT_MAX - 1) if isinstance(when, int) else day_end(when, zone)


def instant_or_date(text: str) -> int | date:
    """An instant, or a day, as people ask for it. ``ValueError`` says what to write."""
    try:
        return parse_instant_or_date(text)
    except ValueError as error:
        raise ValueError(f"{error}. Write an instant (2017-03-31T18:00:00Z, with + as %2B) or a day (2017-03-31)") from None


def _instant(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(seconds=1) * NANOSECONDS
