"""The short form of conditions in ``rules.yaml``, typed: a field is compared only with what it can hold.

    when:
      country: [DE, AT]                # one of these
      employees: {gte: 200, lt: 5000}  # numbers: gt, gte, lt, lte
      expected_amount: {gte: 50000 EUR}
      postal_code: {prefix: ["80", "81"]}
      industry: {not: Tobacco}
      attributes.vip: true
      campaign: {exists: false}
      any:                             # all, any and not combine mappings like this one
        - source_kind: partner
        - not: {region: South}

All entries of a mapping must hold.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final, cast, get_args

from events.facts import SourceKind, Stage
from events.files.reading import NUMBER_MAX, Reader
from events.files.yaml_tree import Entries, Items, Tree
from events.files.yaml_tree import Scalar as Written
from events.values import Money, Price
from services.routing.domain.rule_set import (
    ATTRIBUTES,
    FIELDS,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Exists,
    In,
    Kind,
    NotOf,
    Order,
    Prefix,
    Scalar,
)

_COMBINING: Final = ("all", "any", "not")
_ORDERS: Final = get_args(Order)
_OPERATORS: Final = ("in", "not", "exists", "prefix", *_ORDERS)
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {"stage": get_args(Stage), "source_kind": get_args(SourceKind)}
_AMOUNT: Final = re.compile(r"(\d+(?:\.\d+)?) ([A-Z]{3})")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")


def read_condition(read: Reader, tree: Tree) -> Condition | None:
    """The condition of a mapping; None where it is wrong (the problems are the reader's)."""
    if isinstance(tree, Items):
        read.fail(tree.place, "a mapping (field: value) is expected, not a list: put the list under all: or any:")
        return None
    entries = read.entries(tree, known=None)
    if entries is None:
        return None
    if not entries:
        read.fail(tree.place, "an empty condition: leave it out to take every record")
    parts = [_entry(read, cast(Entries, tree), name, value) for name, value in entries.items()]
    return _all(parts)


def _entry(read: Reader, mapping: Entries, name: str, value: Tree) -> Condition | None:
    match name:
        case "all" | "any":
            parts = [read_condition(read, item) for item in read.items(value)]
            if not parts:
                read.fail(value.place, f"{name!r} needs at least one condition")
            return _all(parts) if name == "all" else _combined(parts, AnyOf)
        case "not":
            part = read_condition(read, value)
            return None if part is None else NotOf(part)
    kind: Kind | None = "any" if len(name) > len(ATTRIBUTES) and name.startswith(ATTRIBUTES) else FIELDS.get(name)
    if kind is None:
        named = " (write attributes.<name>, such as attributes.vip)"
        hint = named if name in {"attributes", ATTRIBUTES} else read.meant(name, (*FIELDS, *_COMBINING))
        read.fail(mapping.keys[name], f"there is no field {name!r}{hint}")
        return None
    return _field(read, name, kind, value)


def _field(read: Reader, name: str, kind: Kind, tree: Tree) -> Condition | None:
    if not isinstance(tree, Entries):
        return _one_of(read, name, kind, tree)
    read.entries(tree, _OPERATORS)
    if not tree.entries:
        read.fail(tree.place, f"an empty test: use {', '.join(_OPERATORS)}")
    return _all([_test(read, name, kind, operator, operand) for operator, operand in tree.entries.items()])


def _test(read: Reader, name: str, kind: Kind, operator: str, operand: Tree) -> Condition | None:
    match operator:
        case "in":
            return _one_of(read, name, kind, operand)
        case "not":
            part = _field(read, name, kind, operand)
            return None if part is None else NotOf(part)
        case "exists":
            wanted = read.boolean(operand)
            return None if wanted is None else Exists(name, wanted)
        case "prefix":
            return _prefix(read, name, kind, operand)
        case "gt" | "gte" | "lt" | "lte":
            return _compare(read, name, kind, operator, operand)
    return None


def _one_of(read: Reader, name: str, kind: Kind, tree: Tree) -> Condition | None:
    if kind == "money":
        read.fail(tree.place, f"{name} is an amount: compare it with {', '.join(_ORDERS)}, for example {{gte: 50000 EUR}}")
        return None
    values = [_value(read, name, kind, item) for item in _listed(read, tree)]
    return None if None in values or not values else In(name, tuple(value for value in values if value is not None))


def _value(read: Reader, name: str, kind: Kind, tree: Tree) -> Scalar | None:
    if isinstance(tree, Written) and tree.kind == "null":
        read.fail(tree.place, f"a value is missing: to ask whether {name} is there at all, write {{exists: false}}")
        return None
    if kind == "number":
        return read.integer(tree, -NUMBER_MAX, NUMBER_MAX)
    if kind == "any":
        return read.scalar(tree)
    if name in _CHOICES:
        return read.choice(tree, _CHOICES[name])
    text = read.text(tree, f"{name} is text, and text")
    if name == "country" and text is not None and not _COUNTRY.fullmatch(text):
        hint = f" (did you mean {text.upper()!r}?)" if _COUNTRY.fullmatch(text.upper()) else ""
        read.fail(tree.place, f"{text!r} is not a country as in ISO 3166-1 alpha-2, such as DE{hint}")
        return None
    return text


def _prefix(read: Reader, name: str, kind: Kind, tree: Tree) -> Condition | None:
    if kind not in {"text", "any"}:
        read.fail(tree.place, f"{name} is not text: it has no prefix")
        return None
    texts = [read.text(item) for item in _listed(read, tree)]
    return None if None in texts or not texts else Prefix(name, tuple(text for text in texts if text is not None))


def _compare(read: Reader, name: str, kind: Kind, order: Order, tree: Tree) -> Condition | None:
    if kind in {"text", "texts"}:
        read.fail(tree.place, f"{name} is text: only numbers and amounts can be compared with {order}")
        return None
    operand = _amount(read, name, tree) if kind == "money" else read.integer(tree, -NUMBER_MAX, NUMBER_MAX)
    return None if operand is None else Compare(name, order, operand)


def _amount(read: Reader, name: str, tree: Tree) -> Money | None:
    written = _AMOUNT.fullmatch(tree.text) if isinstance(tree, Written) else None
    if written is None:
        read.fail(tree.place, f"{name} is an amount: compare it with one and its currency, such as 50000 EUR, not {tree}")
        return None
    try:
        return Price(amount=Decimal(written[1]), currency=written[2])
    except ValueError as error:
        read.fail(tree.place, str(error))
        return None


def _listed(read: Reader, tree: Tree) -> tuple[Tree, ...]:
    """The entries of a list, or the one thing that stands in place of one."""
    if not isinstance(tree, Items):
        return (tree,)
    if not tree.items:
        read.fail(tree.place, "the list is empty: nothing is one of it")
    return tree.items


def _all(parts: list[Condition | None]) -> Condition | None:
    return _combined(parts, AllOf)


def _combined(parts: list[Condition | None], kind: Callable[[tuple[Condition, ...]], Condition]) -> Condition | None:
    """One condition of several; None where one of them is wrong."""
    right = tuple(part for part in parts if part is not None)
    if len(right) != len(parts) or not right:
        return None
    return right[0] if len(right) == 1 else kind(right)
