"""Instants, dates and money: every spelling that is accepted, and what is refused."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from events.values import (
    INSTANT_MAX,
    INSTANT_MIN,
    FieldError,
    Money,
    Price,
    day_start,
    format_instant,
    is_code,
    minor_digits,
    normal_instant_or_date,
    parse_instant,
    parse_instant_or_date,
)

from .strategies import dates, instants, money

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# ------------------------------------------------------------------------------------------ instants


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T12:00:00-12:00", 0),
        ("1970-01-01t00:00:00z", 0),
        ("1970-01-01 00:00:00Z", 0),
        ("1970-01-01T00:00:00-00:00", 0),
        ("1970-01-01T05:45:00.5+05:45", 500_000_000),
        ("1970-01-01T00:00:00.1234567899999Z", 123_456_789),
        ("2000-02-29T00:00:00Z", 951_782_400_000_000_000),
        ("1677-09-21T00:12:43.145224192Z", INSTANT_MIN),
        ("2262-04-11T23:47:16.854775807Z", INSTANT_MAX),
    ],
)
def test_an_instant_is_read_from_every_spelling_of_rfc_3339(text: str, instant: int) -> None:
    assert parse_instant(text) == instant


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not an RFC 3339 time such as"),
        ("2026-03-02", "is not an RFC 3339 time"),
        ("20260302T111500Z", "is not an RFC 3339 time"),
        ("2026-W10-1T11:15:00Z", "is not an RFC 3339 time"),
        ("2026-03-02T11:15Z", "is not an RFC 3339 time"),
        ("2026-03-02T11:15:00.Z", "is not an RFC 3339 time"),
        ("2026-03-02T11:15:00,5Z", "is not an RFC 3339 time"),
        ("2026-03-02T11:15:00+0100", "is not an RFC 3339 time"),
        ("2026-03-02T11:15:00+24:00", "is not an RFC 3339 time"),
        ("2026-03-02T11:15:00+01:60", "is not an RFC 3339 time"),
        ("2026-03-02T24:00:00Z", "is not an RFC 3339 time"),
        ("2026-03-02T11:15:00Z\n", "is not an RFC 3339 time"),
        (" 2026-03-02T11:15:00Z", "is not an RFC 3339 time"),
        ("\u0662026-03-02T11:15:00Z", "is not an RFC 3339 time"),
        ("2026-03-02T11:15:00", "has no offset"),
        ("2026-03-02T11:15:00.5", "has no offset"),
        ("2026-13-02T11:15:00Z", "month must be in 1..12"),
        ("2025-02-29T11:15:00Z", "day is out of range"),
        ("2026-03-02T11:60:00Z", "minute must be in 0..59"),
        ("2026-03-02T23:59:60Z", "second must be in 0..59"),
        ("1677-09-21T00:12:43.145224191Z", "is out of range"),
        ("2262-04-11T23:47:16.854775808Z", "is out of range"),
        ("0001-01-01T00:00:00+00:01", "is out of range"),
        ("9999-12-31T23:59:59-00:01", "is out of range"),
    ],
)
def test_what_is_no_instant_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_instant(text)


@given(instants)
@example(0)
@example(-1)
@example(INSTANT_MIN)
@example(INSTANT_MAX)
def test_an_instant_is_written_in_one_way_and_read_back(instant: int) -> None:
    text = format_instant(instant)
    assert parse_instant(text) == instant
    assert text.endswith("Z")
    assert not text.endswith(("0Z", ".Z")) or "." not in text
    assert normal_instant_or_date(text) == text


@given(st.datetimes(datetime(1678, 1, 1), datetime(2261, 12, 31)), st.integers(-23 * 60 - 59, 23 * 60 + 59))
def test_instants_agree_with_datetime(local: datetime, minutes: int) -> None:
    moment = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse_instant(moment.isoformat()) == (moment - EPOCH) // timedelta(microseconds=1) * 1000


@given(instants, instants)
def test_written_instants_of_whole_seconds_sort_like_the_instants(one: int, other: int) -> None:
    one, other = one // 10**9 * 10**9, other // 10**9 * 10**9
    if min(one, other) >= INSTANT_MIN:
        assert (format_instant(one) < format_instant(other)) == (one < other)


# -------------------------------------------------------------------------------------------- dates


@given(dates)
def test_a_date_is_read_as_a_date_and_its_first_instant_is_midnight(day: date) -> None:
    assert parse_instant_or_date(day.isoformat()) == day
    assert normal_instant_or_date(day.isoformat()) == day.isoformat()
    assert day_start(day) == parse_instant(f"{day.isoformat()}T00:00:00Z")


def test_an_instant_is_not_taken_for_a_date() -> None:
    assert parse_instant_or_date("1970-01-01T00:00:00Z") == 0
    assert normal_instant_or_date("1970-01-01T01:00:00+01:00") == "1970-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "text", ["2026-W10-1", "2026-02-30", "20260302", "0000-01-01", "1600-01-01", "9999-12-31", "2026-3-2", "tomorrow"]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        parse_instant_or_date(text)


# -------------------------------------------------------------------------------------------- money


@given(money())
def test_money_is_a_whole_number_of_minor_units(amount: Money) -> None:
    assert Money.of_minor(amount.minor, amount.currency) == amount
    assert Decimal(amount.minor) == amount.amount * 10 ** minor_digits(amount.currency)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("5", "EUR", "5.00"),
        ("5.000", "EUR", "5.00"),
        ("-0.00", "EUR", "0.00"),
        ("1E+3", "JPY", "1000"),
        ("0.0001", "CLF", "0.0001"),
        ("1.5", "KWD", "1.500"),
        ("9999999999999.99", "EUR", "9999999999999.99"),
        ("1." + "0" * 100, "XYZ", "1.00"),
    ],
)
def test_money_has_one_spelling(amount: str, currency: str, text: str) -> None:
    assert str(Money(amount=Decimal(amount), currency=currency).amount) == text


@pytest.mark.parametrize(
    ("amount", "currency", "field"),
    [
        ("1.005", "EUR", "amount"),
        ("0.1", "JPY", "amount"),
        ("0.00001", "CLF", "amount"),
        ("1e-999999", "EUR", "amount"),
        ("1." + "0" * 100 + "1", "EUR", "amount"),
        ("10000000000000", "EUR", "amount"),
        ("-10000000000000", "EUR", "amount"),
        ("1e999999", "EUR", "amount"),
        ("NaN", "EUR", "amount"),
        ("sNaN", "EUR", "amount"),
        ("Infinity", "EUR", "amount"),
        ("1", "EURO", "currency"),
        ("1", "eur", "currency"),
        ("1", "E1R", "currency"),
        ("1", "", "currency"),
    ],
)
def test_what_is_no_money_is_refused_and_says_which_field(amount: str, currency: str, field: str) -> None:
    with pytest.raises(FieldError) as refused:
        Money(amount=Decimal(amount), currency=currency)
    assert refused.value.field == field


def test_a_price_is_not_negative() -> None:
    assert Price(amount=Decimal("-0"), currency="EUR").amount == 0
    with pytest.raises(FieldError, match=r"-0\.01 is negative"):
        Price(amount=Decimal("-0.01"), currency="EUR")


@pytest.mark.parametrize(
    ("text", "code"), [("DE", True), ("de", False), ("D", False), ("DEU", False), ("D1", False), ("DÉ", False), ("", False)]
)
def test_a_code_is_upper_case_letters(text: str, code: bool) -> None:
    assert is_code(text, 2) is code
