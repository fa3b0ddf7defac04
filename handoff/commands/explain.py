"""``handoff explain CUSTOMER``: who has the record, and why, in words: the trace of routing's newest decision."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from handoff.client import Services
from handoff.commands.customer import Id
from handoff.console import day_or_time, say, say_json, table
from handoff.errors import NOT_WELL, CommandError
from handoff.options import Json
from handoff.settings import load

TESTS: Final = {"in": "is one of", "prefix": "begins with", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
"""How a test of a trace is said."""


def explain(customer_id: Id, as_json: Json = False) -> int:
    """Show who has a customer's record and why: the territories that were tried and the reps who were considered."""
    with Services(load()) as services:
        decisions = services.get("routing", f"/v1/assignments/{quote(customer_id, safe='')}")["assignments"]
    if not decisions:
        raise CommandError(f"routing has decided nothing about {customer_id!r}", NOT_WELL)
    newest = decisions[0]
    if as_json:
        say_json(newest)
        return 0
    for number, line in enumerate(headline(newest)):
        say(line, style="" if number else "bold")
    trace = newest.get("trace") or {}
    if trace.get("territories"):
        say()
        table(("territory", "takes it", "why"), [territory(tried) for tried in trace["territories"]])
    if trace.get("members"):
        say()
        table(("rep", "weight", "pointer", ""), members(trace["members"], newest.get("rep_id")), right=("weight", "pointer"))
    return 0


def headline(decision: Mapping[str, Any]) -> Iterator[str]:
    """Who has it, since when, because of what, and by which rules."""
    customer, since = decision["customer_id"], day_or_time(decision.get("recorded_at"))
    if "reason" in decision:
        ended = f", who had it as {decision['assignment_id']}" if decision.get("assignment_id") else ""
        before = f" (not {decision['rep_id']}{ended})" if decision.get("rep_id") else ""
        yield f"Routing has given {customer} to nobody{before} since {since}: {decision['reason']}"
        if explanation := (decision.get("trace") or {}).get("explanation"):
            yield f"  {explanation}"
    else:
        yield f"{decision['rep_id']} has {customer} since {since}"
        team = f", team {decision['team']}" if decision.get("team") else ""
        pool = f", pool {decision['pool']}" if decision.get("pool") else ""
        yield f"  territory {decision['territory']}{pool}, {decision['strategy'].replace('_', ' ')}{team}"
        yield f"  rules version {decision['rule_set_version']}, directory version {decision['directory_version']}"
        yield f"  assignment {decision['assignment_id']}" + (
            f", before it {decision['previous_rep']}" if decision.get("previous_rep") else ""
        )
    if cause := decision.get("cause"):
        yield f"  because of {cause['type']} {cause['id']} from {cause['source']}"


def territory(tried: Mapping[str, Any]) -> tuple[str, str, str]:
    """A territory that was tried."""
    condition, holds = tried.get("condition"), tried["holds"]
    return tried["territory"], "yes" if holds else "no", "it takes every record" if condition is None else why(condition)


def why(condition: Mapping[str, Any]) -> str:
    """Why a condition holds, or does not: of several that must all hold, those that do not; of alternatives, those that do."""
    holds, parts = condition["holds"], condition.get("of", ())
    match condition["test"]:
        case "all":
            return " and ".join(_grouped(part) for part in parts if holds or not part["holds"])
        case "any":
            return " or ".join(_grouped(part) for part in parts if not holds or part["holds"])
        case "not":
            return f"not: {_grouped(parts[0])}"
        case "exists":
            wanted = "is given" if condition["operand"] else "is not given"
            return f"{condition['field']} {wanted}{'' if holds else ': that is not so'}"
        case test:
            value = condition.get("value")
            said = "it is not known" if value is None else f"it is {_shown(value)}"
            return f"{condition['field']} {TESTS.get(test, test)} {_shown(condition.get('operand'))}: {said}"


def members(considered: Sequence[Mapping[str, Any]], chosen: str | None) -> Iterator[tuple[object, ...]]:
    """The members of the pool, and what became of each."""
    for member in considered:
        excluded = member.get("excluded")
        outcome = f"not available: {excluded}" if excluded else "picked: the lowest pointer" if member["rep_id"] == chosen else ""
        yield member["rep_id"], member["weight"], member.get("pointer", ""), outcome


def _grouped(condition: Mapping[str, Any]) -> str:
    text = why(condition)
    return f"({text})" if len(condition.get("of", ())) > 1 else text


def _shown(value: Any) -> str:
    return ", ".join(map(_shown, value)) if isinstance(value, list) else str(value)
