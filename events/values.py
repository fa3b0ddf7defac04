"""The small values that facts are made of: identifiers, money, instants, dates.

Every rule about a single value lives here, so that a value that came through the codec is a valid one. Errors are
``ValueError``; the codec turns them into a reason and a JSON path. Where a rule is checked by code and not by msgspec
(a pattern costs it half a microsecond), the JSON Schema is told the same.
"""

import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Final, Self

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

NANOSECONDS: Final = 1_000_000_000
"""Nanoseconds in a second: the unit of every instant inside Handoff."""

INSTANT_MIN: Final = -(2**63)
INSTANT_MAX: Final = 2**63 - 1
"""Instants fit a signed 64-bit integer, as stores keep them: 1677-09-21 to 2262-04-11."""

# "$" alone also matches before a line feed at the end in Python, though not in JSON Schema: the look-ahead means the same in both.
_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]+$(?!\n)"

Id = Annotated[
    str,
    Meta(min_length=1, max_length=200, pattern=_PRINTABLE, description="An identifier: 1 to 200 characters, none of them control."),
]
DERIVED_ID_MAX: Final = 640
"""Longest id that Handoff derives: a customer id, a source and an id, with what stands between them."""
DerivedId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=DERIVED_ID_MAX,
        pattern=_PRINTABLE,
        description="An identifier that Handoff derived from a customer id and more: 1 to 640 characters, none of them control.",
    ),
]
CustomerId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        pattern=_PRINTABLE,
        description="The id of the company record that all senders share; also the Kafka key.",
    ),
]
Text = Annotated[str, Meta(max_length=2000)]
Phrase = Annotated[str, Meta(min_length=1, max_length=2000)]
"""A text that says something."""
Instant = Annotated[
    str, Meta(description="RFC 3339 time with offset; what Handoff writes is in UTC.", extra_json_schema={"format": "date-time"})
]
Number = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Percent = Annotated[int, Meta(ge=0, le=100, description="A whole percentage.")]
Country = Annotated[
    str,
    Meta(
        min_length=2,
        max_length=2,
        description="ISO 3166-1 alpha-2, upper case.",
        examples=["DE"],
        extra_json_schema={"pattern": "^[A-Z]{2}$"},
    ),
]
Currency = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=3,
        description="ISO 4217, upper case.",
        examples=["EUR"],
        extra_json_schema={"pattern": "^[A-Z]{3}$"},
    ),
]

_MINOR_DIGITS: Final = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0),  # noqa: SIM905 - a table
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),  # noqa: SIM905
    **dict.fromkeys("CLF UYW".split(), 4),  # noqa: SIM905
}
_LARGEST = Decimal(10) ** 13
_LOWEST = -_LARGEST


class FieldError(ValueError):
    """A field of a struct breaks a rule: ``field`` lets the codec name the exact place."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def minor_digits(currency: str) -> int:
    """How many decimals a currency has (ISO 4217 table A.1; 2 where the table says nothing else)."""
    return _MINOR_DIGITS.get(currency, 2)


@lru_cache
def _smallest(currency: str) -> Decimal:
    """One minor unit of a currency."""
    if not is_code(currency, 3):
        raise FieldError("currency", f"{currency[:40]!r} is no currency: three upper-case letters of ISO 4217 such as EUR")
    return Decimal(1).scaleb(-minor_digits(currency))


def is_code(text: str, length: int) -> bool:
    """Whether a text is a code of so many letters A to Z."""
    return len(text) == length and text.isascii() and text.isalpha() and text.isupper()


def _amount(sign: str, **rules: int) -> Meta:
    rules["exclusiveMaximum"] = 10**13
    return Meta(extra_json_schema={"pattern": rf"^{sign}[0-9]{{1,13}}(\.[0-9]{{1,4}})?$", **rules})


class Money(Struct, frozen=True, kw_only=True, gc=False):
    """An amount in one currency: with no more decimals than the currency has, and less than 10 000 000 000 000 either way.

    Attributes:
        amount: Decimal string; a JSON number is read exactly. Negative for a credit. Example: "1234.50"
        currency: Currency by ISO 4217, upper case. Example: "EUR"
    """

    amount: Annotated[Decimal, _amount("-?", exclusiveMinimum=-(10**13))]
    currency: Currency

    def __post_init__(self) -> None:
        amount = self.amount
        smallest = _smallest(self.currency)
        if not amount.is_finite():
            raise FieldError("amount", f"{str(amount)[:40]} is not a number")
        if not _LOWEST < amount < _LARGEST:  # comparisons are exact and cannot overflow, abs() can
            raise FieldError("amount", f"is out of range: it must be smaller than {_LARGEST:f}")
        exact = amount.quantize(smallest)
        if exact != amount:
            digits = minor_digits(self.currency)
            raise FieldError("amount", f"{self.currency} has {digits} decimals, {str(amount)[:40]} has more")
        force_setattr(self, "amount", exact or exact.copy_abs())

    @property
    def minor(self) -> int:
        """The amount in the currency's minor unit (cents of EUR)."""
        return int(self.amount.scaleb(minor_digits(self.currency)))

    @classmethod
    def of_minor(cls, minor: int, currency: str) -> Self:
        """The money that is so many minor units."""
        return cls(amount=Decimal(minor).scaleb(-minor_digits(currency)), currency=currency)


class Price(Money, frozen=True, kw_only=True):
    """Money that is not negative: everything but an order's amount.

    Attributes:
        amount: Decimal string; a JSON number is read exactly. Example: "1234.50"
    """

    amount: Annotated[Decimal, _amount("", minimum=0)]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.amount.is_signed():
            raise FieldError("amount", f"{self.amount} is negative: that is allowed on orders only (a credit)")


_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):\d\d:\d\d)(?:\.(\d{1,9})\d*)?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)?",
    re.ASCII,
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_EPOCH = datetime(1970, 1, 1)  # without a zone: an offset is only a number of seconds here


def parse_instant(text: str) -> int:
    """Nanoseconds since 1970-01-01T00:00:00Z of an RFC 3339 time; digits after the ninth are cut.

    Raises ``ValueError`` for anything else, a time without an offset and one outside 64 bits (1677 to 2262) included.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not an RFC 3339 time such as 2026-01-31T09:00:00Z")
    local, fraction, offset = match.groups()
    if offset is None:
        raise ValueError(f"{text[:40]!r} has no offset: add Z or +01:00, for example")
    try:
        since = datetime.fromisoformat(local) - _EPOCH
    except ValueError as error:
        raise ValueError(f"{text[:40]!r} is not a time: {error}") from None
    seconds = since.days * 86400 + since.seconds
    if offset not in "Zz":
        shift = int(offset[1:3]) * 3600 + int(offset[4:6]) * 60
        seconds += shift if offset[0] == "-" else -shift
    instant = seconds * NANOSECONDS
    if fraction is not None:
        instant += int(fraction.ljust(9, "0"))
    if not INSTANT_MIN <= instant <= INSTANT_MAX:
        raise ValueError(f"{text[:40]!r} is out of range: a time lies between the years 1678 and 2261")
    return instant


def check_instant(field: str, text: str, earliest: int = INSTANT_MIN) -> None:
    """Raise a :class:`FieldError` where a field of a struct is no instant, or an earlier one."""
    try:
        instant = parse_instant(text)
    except ValueError as error:
        raise FieldError(field, str(error)) from None
    if instant < earliest:
        raise FieldError(field, f"{text} is before {format_instant(earliest)}")


@lru_cache(maxsize=1024)
def format_instant(instant: int) -> str:
    """RFC 3339 in UTC with as many decimals as needed: the one spelling in which Handoff writes an instant."""
    seconds, fraction = divmod(instant, NANOSECONDS)
    text = (_EPOCH + timedelta(seconds=seconds)).isoformat()
    decimals = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{text}{decimals}Z"


def parse_instant_or_date(text: str) -> int | date:
    """An instant (nanoseconds), or a plain date that someone with a business time zone must place."""
    if _DATE.fullmatch(text) is None:
        return parse_instant(text)
    parse_instant(f"{text}T00:00:00Z")  # a date has the range of instants
    return date.fromisoformat(text)


def normal_instant_or_date(text: str) -> str:
    """The one spelling of an instant or a date, so that equal times are equal texts."""
    when = parse_instant_or_date(text)
    return format_instant(when) if isinstance(when, int) else text


def day_start(day: date) -> int:
    """The first instant of a UTC day."""
    return (day.toordinal() - _EPOCH.toordinal()) * 86400 * NANOSECONDS
