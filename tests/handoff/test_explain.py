"""``handoff explain``: the trace of an assignment in words."""

from collections.abc import Callable
from typing import Any

import pytest

from handoff.commands.explain import why

CAUSE = {"source": "/crm", "id": "7f1c", "type": "crm.lead.created.v1"}


def leaf(field: str, test: str, operand: Any, value: Any, holds: bool) -> dict[str, Any]:
    return {"test": test, "holds": holds, "field": field, "operand": operand, "value": value}


IN_EMEA = leaf("country", "in", ["AT", "DE"], "DE", True)
TOO_SMALL = leaf("employees", "gte", 1000, 250, False)
UNKNOWN = leaf("annual_revenue", "gte", "100000000 EUR", None, False)
LARGE = {"test": "any", "holds": False, "of": [TOO_SMALL, UNKNOWN]}


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (IN_EMEA, "country is one of AT, DE: it is DE"),
        (TOO_SMALL, "employees >= 1000: it is 250"),
        (UNKNOWN, "annual_revenue >= 100000000 EUR: it is not known"),
        (leaf("campaign", "exists", False, "spring", False), "campaign is not given: that is not so"),
        (leaf("campaign", "exists", True, "spring", True), "campaign is given"),
        (
            {"test": "all", "holds": False, "of": [IN_EMEA, LARGE]},
            "(employees >= 1000: it is 250 or annual_revenue >= 100000000 EUR: it is not known)",
        ),
        (
            {"test": "all", "holds": True, "of": [IN_EMEA, {"test": "any", "holds": True, "of": [IN_EMEA, TOO_SMALL]}]},
            "country is one of AT, DE: it is DE and (country is one of AT, DE: it is DE)",
        ),
        ({"test": "not", "holds": True, "of": [TOO_SMALL]}, "not: employees >= 1000: it is 250"),
    ],
)
def test_why_a_condition_holds_or_not(condition: dict[str, Any], words: str) -> None:
    assert why(condition) == words


ASSIGNED = {
    "customer_id": "Acme/1",
    "recorded_at": "2026-03-02T10:15:01.5Z",
    "cause": CAUSE,
    "assignment_id": "Acme/1/0000000002/1",
    "rep_id": "ben",
    "team": "Inside Sales",
    "territory": "EMEA",
    "pool": "emea",
    "strategy": "weighted_round_robin",
    "rule_set_version": 1,
    "directory_version": 2,
    "trace": {
        "territories": [
            {
                "territory": "EMEA Enterprise",
                "holds": False,
                "condition": {"test": "all", "holds": False, "of": [IN_EMEA, LARGE]},
            },
            {"territory": "EMEA", "holds": True, "condition": IN_EMEA},
        ],
        "territory": "EMEA",
        "strategy": "weighted_round_robin",
        "pool": "emea",
        "members": [
            {"rep_id": "anna", "weight": 1, "excluded": "inactive"},
            {"rep_id": "ben", "weight": 2, "pointer": "1/2"},
        ],
    },
}
UNASSIGNED = {
    "customer_id": "Acme/1",
    "recorded_at": "2026-03-02T10:15:01Z",
    "cause": CAUSE,
    "assignment_id": "Acme/1/0000000002/1",
    "rep_id": "ben",
    "reason": "rejected",
    "trace": {"explanation": "ben gave it back: on holiday"},
}


def test_an_assignment_in_words(services: dict[str, Any], handoff: Callable[..., Any]) -> None:
    services["routing"].says("/v1/assignments/Acme%2F1", {"customer_id": "Acme/1", "assignments": [ASSIGNED, UNASSIGNED]})
    ended = handoff("explain", "Acme/1")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        "ben has Acme/1 since 2026-03-02 10:15:01\n"
        "  territory EMEA, pool emea, weighted round robin, team Inside Sales\n"
        "  rules version 1, directory version 2\n"
        "  assignment Acme/1/0000000002/1\n"
        "  because of crm.lead.created.v1 7f1c from /crm\n"
        "\n"
        "territory        takes it  why\n"
        "EMEA Enterprise  no        (employees >= 1000: it is 250 or annual_revenue >= 100000000 EUR: it is not known)\n"
        "EMEA             yes       country is one of AT, DE: it is DE\n"
        "\n"
        "rep   weight  pointer\n"
        "anna       1           not available: inactive\n"
        "ben        2      1/2  picked: the lowest pointer\n"
    )


def test_nobody_has_it(services: dict[str, Any], handoff: Callable[..., Any]) -> None:
    services["routing"].says("/v1/assignments/Acme", {"customer_id": "Acme", "assignments": [UNASSIGNED]})
    out = handoff("explain", "Acme").out
    assert "given Acme/1 to nobody" in out
    assert "(not ben, who had it as Acme/1/0000000002/1) since 2026-03-02 10:15:01: rejected" in out
    assert "ben gave it back: on holiday" in out


def test_a_customer_that_was_never_routed(services: dict[str, Any], handoff: Callable[..., Any]) -> None:
    services["routing"].says("/v1/assignments/X", {"customer_id": "X", "assignments": []})
    ended = handoff("explain", "X")
    assert (ended.code, ended.out, ended.err) == (1, "", "handoff: routing has decided nothing about 'X'\n")
