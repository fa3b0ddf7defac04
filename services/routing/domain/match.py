"""Match: which territory takes a record, and whether it is to be routed at all. Pure, and without memory.

In go a message of lifecycle and the rules, out comes the territory with the trace of every one that was tried. Every condition of
a tried territory is evaluated, those that no longer matter too, so that the trace answers "why not".
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from operator import ge, gt, le, lt
from typing import Any, Final

from msgspec import Struct

from events.facts import Stage
from events.published import Profile, RecordChanged, Status, StatusChanged
from events.requests import ConditionTrace, TerritoryTrace
from events.values import Money
from services.routing.domain.rule_set import (
    ATTRIBUTES,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Exists,
    In,
    NotOf,
    Order,
    Prefix,
    RuleSet,
    Territory,
    Test,
)

ROUTED_STAGES: Final[tuple[Stage, ...]] = ("lead", "prospect")
"""Stages in which a record without an owner is routed."""

SHOWN_CHARACTERS_MAX: Final = 60
SHOWN_ENTRIES_MAX: Final = 10
CUT: Final = "…"

_ORDERS: Final[Mapping[Order, Callable[[Any, Any], bool]]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}


class Matched(Struct, frozen=True):
    """``territory`` is None where no territory took the record: the default target holds."""

    territory: Territory | None
    tried: tuple[TerritoryTrace, ...]


def to_be_routed(message: StatusChanged | RecordChanged, rules: RuleSet) -> bool:
    """Whether the record has no owner at a stage where it should have one, or has come to a stage that is routed again."""
    if isinstance(message, StatusChanged):
        if message.previous == message.current or message.part < message.parts:  # the past was corrected, or there is more to come
            return False
        return (message.owner is None and message.current.stage in ROUTED_STAGES) or comes_again(message, rules)
    return message.owner is None and message.status.stage in ROUTED_STAGES


def comes_again(message: StatusChanged | RecordChanged, rules: RuleSet) -> bool:
    """Whether the record has come from another stage to one that is routed again."""
    return (
        isinstance(message, StatusChanged)
        and message.previous is not None
        and message.previous.stage != message.current.stage
        and message.current.stage in rules.route_again
    )


def match(rules: RuleSet, status: Status, profile: Profile) -> Matched:
    """The first territory that takes the record."""
    tried = []
    for territory in rules.territories:
        condition = None if territory.when is None else evaluate(territory.when, status, profile)
        holds = condition is None or condition.holds
        tried.append(TerritoryTrace(territory=territory.name, holds=holds, condition=condition))
        if holds:
            return Matched(territory, tuple(tried))
    return Matched(None, tuple(tried))


def evaluate(condition: Condition, status: Status, profile: Profile) -> ConditionTrace:
    """A condition's truth for a record, with all that it was made of."""
    match condition:
        case AllOf():
            parts = tuple(evaluate(part, status, profile) for part in condition.of)
            return ConditionTrace(test="all", holds=all(part.holds for part in parts), of=parts)
        case AnyOf():
            parts = tuple(evaluate(part, status, profile) for part in condition.of)
            return ConditionTrace(test="any", holds=any(part.holds for part in parts), of=parts)
        case NotOf():
            part = evaluate(condition.of, status, profile)
            return ConditionTrace(test="not", holds=not part.holds, of=(part,))
        case _:
            value = value_of(condition.field, status, profile)
            return ConditionTrace(
                test=_name(condition),
                holds=_holds(condition, value),
                field=condition.field,
                operand=shown(condition.operand),
                value=shown(value),
            )


def value_of(field: str, status: Status, profile: Profile) -> Any:
    """What a record says in a field; None where it says nothing (no entry in a list is nothing)."""
    if field == "stage":
        return status.stage
    if field == "status":
        return status.name
    if field.startswith(ATTRIBUTES):
        return (profile.attributes or {}).get(field.removeprefix(ATTRIBUTES))
    value = getattr(profile, field)
    return None if value == () else value


def shown(value: Any) -> Any:
    """A value as traces show it: printable, and cut where it is long, so that a trace stays small."""
    match value:
        case str():
            text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value[: SHOWN_CHARACTERS_MAX + 1])
            return text if len(text) <= SHOWN_CHARACTERS_MAX else text[:SHOWN_CHARACTERS_MAX] + CUT
        case tuple():
            entries = [shown(entry) for entry in value[:SHOWN_ENTRIES_MAX]]
            return entries if len(value) <= SHOWN_ENTRIES_MAX else [*entries, CUT]
        case Money():
            return f"{value.amount} {value.currency}"
        case _:
            return value


def _name(test: Test) -> str:
    match test:
        case In():
            return "in"
        case Prefix():
            return "prefix"
        case Compare():
            return test.order
        case Exists():
            return "exists"


def _holds(test: Test, value: Any) -> bool:
    if isinstance(test, Exists):
        return (value is not None) is test.operand
    if value is None:
        return False
    match test:
        case In():
            seen = {_comparable(entry) for entry in (value if isinstance(value, tuple) else (value,))}
            return any(_comparable(entry) in seen for entry in test.operand)
        case Prefix():
            return isinstance(value, str) and value.casefold().startswith(tuple(text.casefold() for text in test.operand))
        case Compare():
            pair = _same_unit(value, test.operand)
            return pair is not None and _ORDERS[test.order](*pair)


def _comparable(value: Any) -> tuple[type, Any]:
    """Text without case; and yes is not 1."""
    return value.__class__, value.casefold() if isinstance(value, str) else value


def _same_unit(value: Any, operand: int | Money) -> tuple[int, int] | tuple[Decimal, Decimal] | None:
    if isinstance(operand, Money):
        same = isinstance(value, Money) and value.currency == operand.currency
        return (value.amount, operand.amount) if same else None
    return (value, operand) if value.__class__ is int else None
