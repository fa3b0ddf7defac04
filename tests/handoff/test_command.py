"""``handoff command``: what is sent, and how a verdict is shown. The services are little servers; the real one is elsewhere."""

import getpass
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from handoff.errors import NOT_WELL, USAGE
from handoff.settings import ServiceName

from .conftest import Answering, Ended

Handoff = Callable[..., Ended]
Servers = Mapping[ServiceName, Answering]
RECORD = {"stage": "prospect", "status": "Proposal", "probability": 50, "owner": None, "version": 3}
NAMED = {"id": "k", "source": "handoff/commands", "customer_id": "acme", "type": "crm.status.set.v1"}
EFFECTIVE = {
    **NAMED,
    "verdict": "effective",
    "changed": {
        "status": {"from": {"stage": "lead", "status": "New"}, "to": {"stage": "prospect", "status": "Proposal"}},
        "owner": {"from": None, "to": "bob"},
    },
    "wakes_at": None,
    "record": RECORD,
}
NO_EFFECT = {
    **NAMED,
    "verdict": "no effect",
    "rule": "status-is-set",
    "explanation": "the record is Proposal already: any other status can be set",
    "record": RECORD,
}
PENDING = {**NAMED, "verdict": "pending", "explanation": "2 records wait to be read or published: ask again in a moment"}


@pytest.fixture
def lifecycle(services: Servers) -> Answering:
    services["lifecycle"].says("/v1/commands", {**NAMED, "verdict": "pending", "location": "/v1/commands/k"}, 202)
    return services["lifecycle"]


def test_a_command_waits_for_its_verdict_and_shows_what_it_changed(handoff: Handoff, lifecycle: Answering) -> None:
    verdicts = [PENDING, PENDING, EFFECTIVE]
    lifecycle.answers["/v1/commands/k"] = lambda: (200, verdicts.pop(0))
    ended = handoff("command", "set-status", "acme", "Proposal", "--reason", "agreed", "--actor", "dana")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "crm.status.set.v1 k of acme: effective",
        "  lead, New → prospect, Proposal",
        "  owner nobody → bob",
        "  now: prospect, Proposal (50 %), owner nobody",
    ]
    assert lifecycle.posted == [
        {"command": "set-status", "customer_id": "acme", "status": "Proposal", "reason": "agreed", "actor": "dana"}
    ]
    assert not verdicts
    assert lifecycle.asked[1:] == ["/v1/commands/k?customer_id=acme"] * 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["revert", "acme"], {"command": "revert", "stage": "lead", "actor": getpass.getuser()}),
        (
            ["revert", "acme", "prospect", "--reason", "x"],
            {"command": "revert", "stage": "prospect", "reason": "x", "actor": getpass.getuser()},
        ),
        (["convert", "acme", "--actor", "dana"], {"command": "convert", "actor": "dana"}),
        (["set-owner", "acme", "bob", "--actor", "dana"], {"command": "set-owner", "rep_id": "bob", "actor": "dana"}),
        (
            ["recycle", "acme", "--reason", "x", "--until", "2026-09-01"],
            {"command": "recycle", "reason": "x", "until": "2026-09-01"},
        ),
        (["recycle", "acme", "--reason", "x", "--lead", "L1"], {"command": "recycle", "reason": "x", "lead_id": "L1"}),
    ],
)
def test_what_is_sent(handoff: Handoff, lifecycle: Answering, arguments: list[str], said: dict[str, str]) -> None:
    ended = handoff("command", *arguments, "--no-wait")
    assert ended.code == 0
    assert "taken in as k; `handoff command show k` says what it comes to" in ended.out
    assert lifecycle.posted == [{"customer_id": "acme", **said}]
    assert lifecycle.asked == ["/v1/commands"]


def test_a_command_without_effect_says_by_which_rule_and_ends_with_1(handoff: Handoff, lifecycle: Answering) -> None:
    lifecycle.says("/v1/commands/k", NO_EFFECT)
    ended = handoff("command", "set-status", "acme", "Proposal")
    assert ended.code == NOT_WELL
    assert ended.out.splitlines() == [
        "crm.status.set.v1 k of acme: no effect (status-is-set)",
        "  the record is Proposal already: any other status can be set",
        "  now: prospect, Proposal (50 %), owner nobody",
    ]


def test_a_verdict_that_does_not_come_in_time(handoff: Handoff, lifecycle: Answering) -> None:
    lifecycle.says("/v1/commands/k", PENDING)
    ended = handoff("command", "convert", "acme", "--seconds", "0")
    assert ended.code == NOT_WELL
    assert ended.out.splitlines()[0] == "crm.status.set.v1 k of acme: not judged yet"
    assert "2 records wait" in ended.out


def test_json_is_what_the_service_says(handoff: Handoff, lifecycle: Answering) -> None:
    lifecycle.says("/v1/commands/k", NO_EFFECT)
    ended = handoff("command", "convert", "acme", "--json")
    assert (ended.code, json.loads(ended.out)) == (NOT_WELL, NO_EFFECT)
    ended = handoff("command", "convert", "acme", "--json", "--no-wait")
    assert (ended.code, json.loads(ended.out)["location"]) == (0, "/v1/commands/k")


def test_an_unknown_customer_may_be_meant(handoff: Handoff, lifecycle: Answering) -> None:
    handoff("command", "convert", "acme", "--create", "--no-wait")
    assert lifecycle.asked == ["/v1/commands?create=true"]


@pytest.mark.parametrize(("status", "code"), [(404, NOT_WELL), (422, USAGE), (503, NOT_WELL)])
def test_what_is_refused_is_said_in_one_line(handoff: Handoff, services: Servers, status: int, code: int) -> None:
    services["lifecycle"].says("/v1/commands", {"detail": "no fact of a customer 'acme'"}, status)
    ended = handoff("command", "convert", "acme")
    assert (ended.code, ended.out) == (code, "")
    assert ended.err == f"handoff: lifecycle answers {status}: no fact of a customer 'acme'\n"


def test_a_command_is_shown_again(handoff: Handoff, services: Servers) -> None:
    refused: dict[str, Any] = {
        "id": "a/1",
        "customer_id": None,
        "verdict": "refused",
        "rule": "Undecodable",
        "explanation": "$.status: x",
    }
    services["lifecycle"].says("/v1/commands/a%2F1", refused)
    ended = handoff("command", "show", "a/1", "--source", "/crm", "--customer", "c")
    assert ended.code == NOT_WELL
    assert ended.out.splitlines() == ["the command a/1 of nobody known: refused (Undecodable)", "  $.status: x"]
    assert services["lifecycle"].asked == ["/v1/commands/a%2F1?customer_id=c&source=%2Fcrm"]


def test_a_recycled_lead_says_when_it_is_back(handoff: Handoff, lifecycle: Answering) -> None:
    lifecycle.says("/v1/commands/k", {**EFFECTIVE, "changed": {}, "wakes_at": "2026-09-01T00:00:00Z"})
    ended = handoff("command", "recycle", "acme", "--reason", "not now", "--until", "2026-09-01")
    assert ended.out.splitlines()[-1] == "  now: prospect, Proposal (50 %), owner nobody, back on 2026-09-01"
