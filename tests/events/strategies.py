"""Hypothesis strategies for the contract: valid data of every type, made of the types themselves.

``data_of(LeadCreated)`` and ``facts_of("crm.lead.created.v1")`` cover all that may be sent. ``customer_facts()`` makes lists of
facts of one customer whose documents refer to each other, for the properties of the fold.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

from hypothesis import strategies as st
from msgspec import inspect

from events.codec import Fact, types_of
from events.facts import Data, LeadRecycled
from events.topics import LIFECYCLE_INPUTS, MOVED, TOPICS
from events.values import INSTANT_MAX, INSTANT_MIN, NANOSECONDS, Money, Price, format_instant, minor_digits

D = TypeVar("D", bound=Data)

TYPES: Mapping[str, str] = {name: topic.name for topic in TOPICS for name in topic.types if topic is not MOVED} | {
    name: MOVED.name for name in MOVED.types if not any(name in topic.types for topic in TOPICS if topic is not MOVED)
}
"""Every CloudEvents type, and the topic that it belongs on."""

CURRENCIES = ("EUR", "USD", "JPY", "KWD", "CLF")
DEPTH_MAX = 6
"""How deep structs are nested; one type holds itself."""
YEAR_2026 = 1_767_225_600 * NANOSECONDS

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=200).filter(str.strip)
instants = st.integers(INSTANT_MIN, INSTANT_MAX)
recorded = st.integers(0, INSTANT_MAX)
"""What a log can stamp."""
dates = st.dates(date(1678, 1, 1), date(2261, 12, 31))


def money(kind: type[Money] = Money, currencies: tuple[str, ...] = CURRENCIES) -> st.SearchStrategy[Money]:
    """Amounts of every size, in currencies with 0, 2, 3 and 4 decimals."""

    def amounts(currency: str) -> st.SearchStrategy[Money]:
        largest = 10 ** (13 + minor_digits(currency)) - 1
        minor = st.integers(0 if kind is Price else -largest, largest)
        return minor.map(lambda units: kind(amount=Decimal(units).scaleb(-minor_digits(currency)), currency=currency))

    return st.sampled_from(currencies).flatmap(amounts)


def data_of(data: type[D], **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[D]:
    """Valid data of a type; ``fixed`` replaces the strategy of single fields."""
    return _struct(inspect.type_info(data), 0, **fixed)


@st.composite
def facts_of(
    draw: st.DrawFn, type: str, *, customers: st.SearchStrategy[str] = names, times: st.SearchStrategy[int] = instants
) -> Fact:
    """A valid fact of a type, recorded when it happened or up to a year later (in whole milliseconds, as the log does)."""
    data = draw(data_of(types_of(TYPES[type])[type], customer_id=customers))
    occurred_at = draw(times)
    recorded_ms = max(0, occurred_at // 1_000_000) + draw(st.integers(0, 366 * 86_400_000))
    recorded_at = min(recorded_ms, INSTANT_MAX // 1_000_000) * 1_000_000
    return Fact(data.customer_id, draw(names), draw(names), type, occurred_at, recorded_at, data)


def facts() -> st.SearchStrategy[Fact]:
    """A valid fact of any type."""
    return st.sampled_from(sorted(TYPES)).flatmap(facts_of)


@st.composite
def customer_facts(
    draw: st.DrawFn,
    *,
    customer_id: str = "C-1",
    types: tuple[str, ...] = tuple(sorted({name for topic in LIFECYCLE_INPUTS for name in topic.types})),
    min_size: int = 0,
    max_size: int = 12,
) -> list[Fact]:
    """Facts of one customer within a few days, with different identities, ties in time and documents that refer to each other."""
    ids = {
        "lead_id": _one_of("L", 2),
        "opportunity_id": _one_of("O", 2),
        "quote_id": _one_of("Q", 3),
        "replaces": _one_of("Q", 3),
        "order_id": _one_of("S", 2),
        "assignment_id": _one_of("X", 2),
        "rep_id": _one_of("rep", 3),
        "owner": _one_of("rep", 3),
    }
    statuses = st.sampled_from(
        ["New", "Qualified", "Opportunity Identified", "In Discussion", "Proposal", "Closed Lost", "Closed Won"]
    )
    found = []
    for number, type in enumerate(draw(st.lists(st.sampled_from(types), min_size=min_size, max_size=max_size))):
        data_type = types_of(TYPES[type])[type]
        fixed: dict[str, st.SearchStrategy[Any]] = {"customer_id": st.just(customer_id)}
        for field in inspect.type_info(data_type).fields:  # type: ignore[attr-defined]
            if field.name in ids:
                fixed[field.name] = ids[field.name] if field.required else st.none() | ids[field.name]
            elif field.name in ("stage", "status") and not isinstance(_bare(field.type), inspect.LiteralType):
                fixed[field.name] = statuses if field.required else st.none() | statuses
            elif field.name.startswith("amount"):
                kind = _bare(field.type).cls  # type: ignore[attr-defined]
                amounts = money(kind, ("EUR", "EUR", "USD"))
                fixed[field.name] = amounts if field.required else st.none() | amounts
        data = draw(data_of(data_type, **fixed))
        occurred_at = YEAR_2026 + draw(st.integers(0, 9)) * 12 * 3600 * NANOSECONDS
        found.append(Fact(customer_id, draw(_one_of("/s", 2)), f"e-{number}", type, occurred_at, occurred_at, data))
    return found


def _one_of(prefix: str, count: int) -> st.SearchStrategy[str]:
    return st.sampled_from([f"{prefix}-{number}" for number in range(1, count + 1)])


def _bare(info: inspect.Type) -> inspect.Type:
    """A type without "or null" and annotations."""
    if isinstance(info, inspect.UnionType):
        return next(_bare(part) for part in info.types if not isinstance(part, inspect.NoneType))
    return _bare(info.type) if isinstance(info, inspect.Metadata) else info


def _struct(info: inspect.Type, depth: int, **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    assert isinstance(info, inspect.StructType)
    if issubclass(info.cls, Money):
        return money(info.cls)
    optional: dict[str, st.SearchStrategy[Any]] = {}
    required: dict[str, st.SearchStrategy[Any]] = {}
    for field in info.fields:
        values = fixed[field.name] if field.name in fixed else _values(field.type, field.name, depth + 1)
        if info.cls is LeadRecycled and field.name == "until":
            values = st.none() | instants.map(format_instant) | dates.map(date.isoformat)
        (required if field.required else optional)[field.name] = values
    return st.fixed_dictionaries(required, optional=optional).map(lambda given: info.cls(**given))


def _values(info: inspect.Type, name: str, depth: int) -> st.SearchStrategy[Any]:
    match info:
        case inspect.Metadata():
            if (info.extra_json_schema or {}).get("format") == "date-time":
                return (recorded if name == "recorded_at" else instants).map(format_instant)
            return _values(info.type, name, depth)
        case inspect.StructType():
            return _struct(info, depth)
        case inspect.UnionType():
            return st.one_of([_values(part, name, depth) for part in info.types])
        case inspect.VarTupleType():
            if depth > DEPTH_MAX:
                return st.just(())
            return st.lists(_values(info.item_type, name, depth), max_size=3).map(tuple)
        case inspect.DictType():
            keys = _values(info.key_type, name, depth)
            return st.dictionaries(keys, _values(info.value_type, name, depth), max_size=3)
        case inspect.StrType(pattern=None) if name == "currency":
            return st.sampled_from(CURRENCIES)
        case inspect.StrType(pattern=None) if name == "country":
            return st.sampled_from(["DE", "AT", "US"])
        case inspect.StrType(pattern=None):
            return st.text(characters, min_size=info.min_length or 0, max_size=min(info.max_length or 50, 50))
        case inspect.StrType():
            return names
        case inspect.IntType():
            return st.integers(-(2**63) if info.ge is None else info.ge, 2**63 - 1 if info.le is None else info.le)
        case inspect.LiteralType():
            return st.sampled_from(info.values)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.DateType():
            return st.dates()
        case inspect.AnyType():
            return _json
    raise NotImplementedError(f"no strategy for {info!r}, field {name}")


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(characters, max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(characters, max_size=10), inner, max_size=3),
    max_leaves=6,
)
