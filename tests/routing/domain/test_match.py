"""Which records are routed, and where."""

from decimal import Decimal

import pytest

from events.published import Profile
from events.values import Price
from services.routing.domain.match import comes_again, evaluate, match, shown, to_be_routed
from services.routing.domain.rule_set import (
    FIELDS,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    Exists,
    In,
    NotOf,
    PoolTarget,
    Prefix,
    RuleSet,
    Territory,
    Unassigned,
)
from tests.routing.words import CUSTOMER, NEW, PROSPECT, pool_rules, record_changed, status_changed

ACME = Profile(
    company="Acme",
    country="DE",
    postal_code="80331",
    industry="Software",
    employees=250,
    annual_revenue=Price(amount=Decimal(1000), currency="EUR"),
    source_kind="marketing",
    product_interest=("Pro", "Basic"),
    attributes={"vip": True, "seats": 12, "note": None},
)
EUR_1000 = Price(amount=Decimal(1000), currency="EUR")
USD_1 = Price(amount=Decimal(1), currency="USD")


@pytest.mark.parametrize(
    ("condition", "truth"),
    [
        (In("country", ("AT", "DE")), True),
        (In("country", ("AT",)), False),
        (In("industry", ("software",)), True),  # without regard to case
        (In("region", ("South",)), False),  # missing
        (In("product_interest", ("Basic", "Max")), True),
        (In("product_interest", ("Max",)), False),
        (In("employees", (250,)), True),
        (In("attributes.vip", (True,)), True),
        (In("attributes.vip", (1,)), False),  # yes is not 1
        (In("attributes.seats", ("12",)), False),
        (In("stage", ("lead",)), True),
        (In("status", ("new",)), True),
        (Prefix("postal_code", ("80", "81")), True),
        (Prefix("postal_code", ("33",)), False),
        (Prefix("attributes.seats", ("1",)), False),
        (Compare("employees", "gte", 250), True),
        (Compare("employees", "gt", 250), False),
        (Compare("employees", "lt", 251), True),
        (Compare("employees", "lte", 249), False),
        (Compare("score", "lt", 50), False),  # missing
        (Compare("attributes.seats", "gt", 10), True),
        (Compare("attributes.vip", "gte", 0), False),
        (Compare("annual_revenue", "gte", EUR_1000), True),
        (Compare("annual_revenue", "gt", USD_1), False),  # another currency is on no side
        (Compare("annual_revenue", "lte", USD_1), False),
        (Exists("company", True), True),
        (Exists("company", False), False),
        (Exists("campaign", False), True),
        (Exists("attributes.note", True), False),
        (Exists("attributes.absent", False), True),
        (NotOf(In("region", ("South",))), True),
        (AllOf((In("country", ("DE",)), Compare("employees", "gt", 1000))), False),
        (AnyOf((In("country", ("FR",)), Compare("employees", "gt", 100))), True),
    ],
)
def test_conditions(condition: Condition, truth: bool) -> None:
    assert evaluate(condition, NEW, ACME).holds is truth


def test_every_field_of_a_profile_can_be_tested() -> None:
    assert {"stage", "status", *Profile.__struct_fields__} - {"attributes"} == set(FIELDS)


def test_the_first_territory_wins_and_those_after_it_are_not_tried() -> None:
    rules = RuleSet(
        territories=(
            Territory(name="France", when=In("country", ("FR",)), target=PoolTarget("all")),
            Territory(name="Germany", when=In("country", ("DE",)), target=PoolTarget("all")),
            Territory(name="Rest", target=PoolTarget("all")),
        ),
        pools=pool_rules(all=["anna"]).pools,
        default=Unassigned(),
    )
    matched = match(rules, NEW, ACME)
    assert matched.territory == rules.territories[1]
    assert [(each.territory, each.holds) for each in matched.tried] == [("France", False), ("Germany", True)]


def test_the_trace_shows_every_condition_with_operand_value_and_truth() -> None:
    trace = evaluate(AllOf((In("country", ("FR",)), Compare("score", "gte", 50), Exists("company", True))), NEW, ACME)
    assert [(each.field, each.test, each.operand, each.value, each.holds) for each in trace.of] == [
        ("country", "in", ["FR"], "DE", False),
        ("score", "gte", 50, None, False),
        ("company", "exists", True, "Acme", True),
    ]
    assert (trace.test, trace.holds) == ("all", False)


def test_long_values_are_cut_in_traces() -> None:
    assert shown("x" * 1000) == "x" * 60 + "…"
    assert shown(tuple(range(50))) == [*range(10), "…"]
    assert shown("a\x00b\n") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"
    assert shown(EUR_1000) == "1000.00 EUR"


RULES = pool_rules(all=["anna"])
AGAIN = RuleSet(territories=RULES.territories, pools=RULES.pools, default=Unassigned(), route_again=("prospect",))


def test_what_is_routed() -> None:
    assert to_be_routed(status_changed("acme", 1), RULES)
    assert to_be_routed(record_changed("acme", 2, changed=("profile",)), RULES)
    assert to_be_routed(status_changed("acme", 3, previous=NEW, current=PROSPECT), RULES)


def test_what_is_not_routed() -> None:
    assert not to_be_routed(status_changed("acme", 1, owner="carol"), RULES)
    assert not to_be_routed(record_changed("acme", 1, owner="carol"), RULES)
    assert not to_be_routed(status_changed("acme", 1, current=CUSTOMER), RULES)
    assert not to_be_routed(status_changed("acme", 1, previous=NEW, current=NEW), RULES)  # only the past was corrected


def test_a_stage_that_is_routed_again() -> None:
    promoted = status_changed("acme", 3, previous=NEW, current=PROSPECT, owner="carol")
    assert to_be_routed(promoted, AGAIN)
    assert comes_again(promoted, AGAIN)
    assert not to_be_routed(promoted, RULES)
    assert not comes_again(status_changed("acme", 1, current=PROSPECT, owner="carol"), AGAIN)  # a record that begins there
    assert not to_be_routed(record_changed("acme", 4, status=PROSPECT, owner="carol"), AGAIN)
