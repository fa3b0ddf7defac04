"""What a rule set is: territories in order, their conditions and targets, and the pools that reps are picked from.

This is the content of a version on ``routing.rules.v1``. :mod:`services.routing.rules` makes it of ``rules.yaml``.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from events.facts import Stage
from events.values import Id, Money, Text

Kind = Literal["text", "number", "money", "texts", "any"]
"""What a field holds: ``texts`` is a list of text, ``any`` an attribute that a sender made up (text, whole number, yes or no)."""

FIELDS: Final[Mapping[str, Kind]] = {
    "stage": "text",
    "status": "text",
    "lead_id": "text",
    "company": "text",
    "country": "text",
    "region": "text",
    "postal_code": "text",
    "industry": "text",
    "employees": "number",
    "annual_revenue": "money",
    "source": "text",
    "source_kind": "text",
    "campaign": "text",
    "product_interest": "texts",
    "expected_amount": "money",
    "score": "number",
}
"""The fields that conditions may test: the record's status, and its profile. ``attributes.<name>`` is tested by name."""
ATTRIBUTES: Final = "attributes."

Scalar = str | int | bool
Order = Literal["gt", "gte", "lt", "lte"]


class In(Struct, frozen=True, tag="in", tag_field="test"):
    """The value is one of these. Text is compared without regard to case; of a list of text, one is enough."""

    field: str
    operand: tuple[Scalar, ...]


class Prefix(Struct, frozen=True, tag="prefix", tag_field="test"):
    """The text begins with one of these, without regard to case."""

    field: str
    operand: tuple[str, ...]


class Compare(Struct, frozen=True, tag="compare", tag_field="test"):
    """The number or the amount is on this side of the operand. An amount in another currency is on no side."""

    field: str
    order: Order
    operand: int | Money


class Exists(Struct, frozen=True, tag="exists", tag_field="test"):
    """Whether the record has a value at all. Every other test of a missing value is false."""

    field: str
    operand: bool


class AllOf(Struct, frozen=True, tag="all", tag_field="test"):
    """All of these hold."""

    of: tuple["Condition", ...]


class AnyOf(Struct, frozen=True, tag="any", tag_field="test"):
    """At least one of these holds."""

    of: tuple["Condition", ...]


class NotOf(Struct, frozen=True, tag="not", tag_field="test"):
    """This does not hold."""

    of: "Condition"


Test = In | Prefix | Compare | Exists
Condition = Test | AllOf | AnyOf | NotOf


class PoolTarget(Struct, frozen=True, tag="pool", tag_field="to"):
    """One of a pool's members, by weighted round robin."""

    pool: Text


class RepTarget(Struct, frozen=True, tag="rep", tag_field="to"):
    """Always this rep."""

    rep_id: Id


class KeepOwner(Struct, frozen=True, tag="keep_owner", tag_field="to"):
    """Whoever has the record keeps it."""


class ClearOwner(Struct, frozen=True, tag="clear_owner", tag_field="to"):
    """Whoever was given the record by routing loses it, and nobody gets it."""


class Unassigned(Struct, frozen=True, tag="unassigned", tag_field="to"):
    """Routing gives the record to nobody; an owner that it has stays."""


Target = PoolTarget | RepTarget | KeepOwner | ClearOwner | Unassigned


class Territory(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Records that meet the condition go to the target. Without a condition it takes every record."""

    name: Text
    when: Condition | None = None
    target: Target


class Member(Struct, frozen=True):
    """A rep in a pool; one of weight 2 gets twice as many records as one of weight 1."""

    rep_id: Id
    weight: Annotated[int, Meta(ge=1, le=1000)] = 1


class RuleSet(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All rules. The first territory that takes a record decides; ``default`` where none does.

    ``route_again``: stages in which a record is routed when it comes to them, even though it has an owner.
    """

    territories: tuple[Territory, ...]
    pools: dict[str, tuple[Member, ...]] = {}
    default: Target
    route_again: tuple[Stage, ...] = ()
    comment: Text | None = None

    def __post_init__(self) -> None:
        for target in (*(territory.target for territory in self.territories), self.default):
            if isinstance(target, PoolTarget) and not self.pools.get(target.pool):
                raise ValueError(f"the pool {target.pool!r} is not there, or is empty")
        for test in tests_of(self):
            if test.field not in FIELDS and not test.field.startswith(ATTRIBUTES):
                raise ValueError(f"there is no field {test.field!r}")


def tests_of(rules: RuleSet) -> Iterator[Test]:
    """Every test of every condition, in order."""
    conditions = [territory.when for territory in reversed(rules.territories) if territory.when is not None]
    while conditions:
        condition = conditions.pop()
        match condition:
            case AllOf() | AnyOf():
                conditions.extend(reversed(condition.of))
            case NotOf():
                conditions.append(condition.of)
            case _:
                yield condition
