"""How commands end: answers, bad news and wrong usage, each with its exit code; an error is one line on standard error."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from events.topics import TOPICS

DEALS = {"count": 2, "amount": "1234567.50"}
TOTALS = {"open": {**DEALS, "weighted": "1000.25"}, "won": DEALS, "lost": {"count": 0, "amount": "0.00"}}
HEAD = {"as_of": "2017-06-30T23:59:59.999999999Z", "known_at": None, "position": 7, "currency": "USD"}
PIPELINE = {
    **HEAD,
    "by": "region",
    "without_amount": 1,
    "other_currencies": [{"currency": "EUR", **TOTALS}],
    "totals": TOTALS,
    "groups": [{"key": "West", "label": "West", **TOTALS}, {"key": None, "label": "no region", **TOTALS}],
}
PROBLEM = {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "no fact of a customer 'X' has been taken in"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nope"], "No such command 'nope'. (see `handoff --help`)"),
        (["status", "--foo"], "No such option: --foo (see `handoff --help`)"),
        (["customer"], "Missing argument 'CUSTOMER'. (see `handoff --help`)"),
        (["up", "--kafka-port", "0"], "HANDOFF_KAFKA_PORT: Input should be greater than or equal to 1"),
        (["tail", "crm.leads"], "there is no topic 'crm.leads': did you mean crm.lead.v1?"),
        (["send", "crm.lead.created.v1", "{}"], "$.customer_id: is missing"),
        (
            ["tail", "--limit", "0"],
            "Invalid value for '--limit': Input should be greater than or equal to 1 (see `handoff --help`)",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(handoff: Callable[..., Any], arguments: Sequence[str], line: str) -> None:
    ended = handoff(*arguments)
    assert (ended.code, ended.out, ended.err) == (2, "", f"handoff: {line}\n")


@pytest.mark.parametrize(
    "arguments", [["topics", "create"], ["send", "crm.lead.created.v1", '{"customer_id": "C"}'], ["tail"]], ids=lambda a: a[0]
)
def test_a_kafka_that_is_not_there(handoff: Callable[..., Any], arguments: Sequence[str]) -> None:
    ended = handoff(*arguments, "--kafka", "127.0.0.1:1")
    assert ended.code == 2
    assert ended.err.startswith("handoff: Kafka does not answer at 127.0.0.1:1: ")
    assert "HANDOFF_KAFKA" in ended.err
    assert len(ended.err.splitlines()) == 1


def test_a_service_that_is_not_there(handoff: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    ended = handoff("customer", "X")
    url = f"http://127.0.0.1:{os.environ['HANDOFF_LIFECYCLE_PORT']}"
    assert ended.code == 2
    assert ended.err.startswith(f"handoff: lifecycle does not answer at {url} (")
    assert "HANDOFF_LIFECYCLE_PORT" in ended.err
    assert len(ended.err.splitlines()) == 1


def test_help_is_shown_to_who_types_nothing(handoff: Callable[..., Any]) -> None:
    ended = handoff()
    assert (ended.code, ended.err) == (2, "")
    assert "forecast" in ended.out


def test_what_does_not_exist_is_bad_news(services: dict[str, Any], handoff: Callable[..., Any]) -> None:
    services["lifecycle"].says("/v1/customers/X", PROBLEM, 404)
    assert handoff("customer", "X") == (1, "", "handoff: lifecycle answers 404: no fact of a customer 'X' has been taken in\n")


def test_a_question_that_the_service_refuses_is_wrong_usage(services: dict[str, Any], handoff: Callable[..., Any]) -> None:
    services["forecast"].says("/v1/pipeline", {"detail": "as_of: 'x' is no time"}, 422)
    assert handoff("forecast", "--as-of", "x") == (2, "", "handoff: forecast answers 422: as_of: 'x' is no time\n")


def test_the_pipeline_as_a_table_and_as_it_came(services: dict[str, Any], handoff: Callable[..., Any]) -> None:
    services["forecast"].says("/v1/pipeline", PIPELINE)
    assert json.loads(handoff("forecast", "--by", "region", "--as-of", "2017-06-30", "--json").out) == PIPELINE
    assert services["forecast"].asked == ["/v1/pipeline?by=region&as_of=2017-06-30"]
    assert handoff("forecast").out.splitlines() == [
        "Pipeline as of 2017-06-30 23:59:59, in USD",
        "region     open        amount  weighted  won    amount won  lost  amount lost",
        "West          2  1,234,567.50  1,000.25    2  1,234,567.50     0            0",
        "no region     2  1,234,567.50  1,000.25    2  1,234,567.50     0            0",
        "all           2  1,234,567.50  1,000.25    2  1,234,567.50     0            0",
        "1 deals have no amount",
        "4 deals are in EUR: ask with --currency EUR",
    ]


def test_the_forecast_of_a_period(services: dict[str, Any], handoff: Callable[..., Any]) -> None:
    expectation = {
        "won": DEALS,
        "open": TOTALS["open"],
        "categories": {"worst": "1.00", "likely": "2.00", "upside": "3.05"},
        "weighted": "4.00",
    }
    excluded = {"rule": "no_close_date", "explanation": "no close date", "count": 3, "amount": "9.00", "deals": "/v1/deals"}
    body = {
        **HEAD,
        **expectation,
        "period": "2017-Q2",
        "first": "2017-04-01",
        "last": "2017-06-30",
        "by": None,
        "without_amount": 0,
        "other_currencies": [],
        "groups": [],
        "excluded": [excluded],
    }
    services["forecast"].says("/v1/forecast", body)
    assert handoff("forecast", "--period", "2017-Q2").out.splitlines() == [
        "Forecast of 2017-Q2 (2017-04-01 to 2017-06-30) as of 2017-06-30 23:59:59, in USD",
        "     won    amount won  open  worst  likely  upside  weighted",
        "all    2  1,234,567.50     2      1       2    3.05         4",
        "not counted: 3 deals of 9: no close date",
    ]
    assert services["forecast"].asked == ["/v1/forecast?period=2017-Q2"]


NOTHING_SPECIAL: dict[str, Any] = {"as_of": None, "known_at": None, "bounces": 0, "handoffs": [], "commands": []}
"""What a record says to which nothing of the kind has happened."""


def test_a_customer_with_more_deals_than_are_shown(services: dict[str, Any], handoff: Callable[..., Any]) -> None:
    def deal(number: int) -> dict[str, Any]:
        return {
            "deal_id": f"opportunity:O-{number}",
            "since": f"2017-01-{number:02}T00:00:00Z" if number < 21 else "2017-01-20T00:00:00.5Z",  # as a text it comes first
            "state": "open",
            "status": "In Discussion",
            "probability": 20,
            "amounts": {"amount": {"amount": f"{number}000.00", "currency": "USD"}},
            "owner": "ann",
        }

    state = {"effective_at": "2017-01-01T00:00:00Z", "stage": "prospect", "status": "In Discussion", "probability": 20}
    state |= {"recorded_at": "2017-01-01T00:00:00.5Z"}
    record = {
        "customer_id": "a/b",
        "stage": "prospect",
        "status": "In Discussion",
        "probability": 20,
        "owner": None,
        "version": 7,
        "facts": 21,
        **NOTHING_SPECIAL,
        "deals": [deal(number) for number in range(1, 22)],
        "history": [{**state, "cause": {"source": "crm", "id": "1", "type": "crm.opportunity.created.v1"}}],
    }
    services["lifecycle"].says("/v1/customers/a%2Fb", record)
    lines = handoff("customer", "a/b").out.splitlines()
    assert lines[:2] == ["a/b: prospect, In Discussion (20 %)", "owner nobody; 21 facts, version 7"]
    assert lines[3] == "Deals: the last 20 of 21 (--all shows the others)"
    assert lines[5].startswith("O-21  open   In Discussion  20  21,000 USD  ann    2017-01-20")
    assert lines[24].startswith("O-2 ")
    assert lines[-1] == "2017-01-01  prospect  In Discussion  20  crm.opportunity.created.v1"
    assert len(handoff("customer", "a/b", "--all").out.splitlines()) == len(lines) + 1
    assert json.loads(handoff("customer", "a/b", "--json").out) == record


def test_the_table_of_topics(handoff: Callable[..., Any]) -> None:
    listed = json.loads(handoff("topics", "--json", "--partitions", "3").out)
    assert [topic["name"] for topic in listed] == [topic.name for topic in TOPICS]
    assert {topic["partitions"] for topic in listed} == {1, 3}
    lines = handoff("topics").out.splitlines()
    assert lines[1].split() == ["crm.lead.v1", "producers", "12", "30", "days"]


def test_whoever_has_read_enough_gets_no_traceback() -> None:
    command = f"{sys.executable} -m handoff topics --json | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[", "")


@pytest.mark.parametrize("service", ["lifecycle", "routing", "forecast"])
def test_up_names_the_setting_of_a_busy_port(handoff: Callable[..., Any], tmp_path: Path, service: str) -> None:
    port = int(os.environ[f"HANDOFF_{service.upper()}_PORT"])
    with socket.create_server(("127.0.0.1", port)):
        ended = handoff("up", "--data-dir", str(tmp_path))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        f"handoff: port {port} of {service} cannot be used (Address already in use): "
        f"stop the program that uses it, or choose another with HANDOFF_{service.upper()}_PORT\n"
    )


def test_up_names_the_setting_of_kafkas_busy_port(handoff: Callable[..., Any], tmp_path: Path) -> None:
    port = int(os.environ["HANDOFF_KAFKA_PORT"])
    with socket.create_server(("127.0.0.1", port)):
        ended = handoff("up", "--data-dir", str(tmp_path))
    assert ended.code == 2
    assert f"handoff: port {port} cannot be used" in ended.err
    assert "HANDOFF_KAFKA_PORT" in ended.err
    assert len(ended.err.splitlines()) == 1


def test_up_says_what_is_wrong_with_java(handoff: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDOFF_JAVA", "/nowhere/java")
    ended = handoff("up", "--data-dir", str(tmp_path))
    assert ended.code == 2
    assert ended.err.startswith("handoff: HANDOFF_JAVA=/nowhere/java is not a Java that runs")
    assert len(ended.err.splitlines()) == 1


def test_up_says_what_is_wrong_with_the_data_directory(handoff: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = handoff("up", "--data-dir", str(tmp_path / "file"))
    assert ended.code == 2
    assert ended.err.startswith(f"handoff: data directory {tmp_path / 'file'} cannot be used")
    assert len(ended.err.splitlines()) == 1


def test_up_does_not_wait_for_a_cluster_that_is_not_there(handoff: Callable[..., Any], tmp_path: Path) -> None:
    ended = handoff("up", "--data-dir", str(tmp_path), "--kafka", "127.0.0.1:1")
    assert ended.code == 2
    assert ended.err.startswith("handoff: the cluster that HANDOFF_KAFKA names does not work: Kafka does not answer at 127.0.0.1:1")
    assert len(ended.err.splitlines()) == 1


def test_a_state_that_a_late_fact_told_says_when_it_became_known(services: dict[str, Any], handoff: Callable[..., Any]) -> None:
    def state(since: str, known: str) -> dict[str, Any]:
        return {
            "effective_at": f"2017-01-{since}T00:00:00Z",
            "recorded_at": f"2017-{known}T00:00:00Z",
            "stage": "prospect",
            "status": "In Discussion",
            "probability": 20,
            "cause": {"source": "crm", "id": "1", "type": "crm.opportunity.created.v1"},
        }

    history = [state("01", "02-01"), state("02", "02-03"), state("03", "02-02"), state("04", "02-02")]
    record = {
        "customer_id": "c",
        "stage": "prospect",
        "status": "In Discussion",
        "probability": 20,
        "owner": None,
        **NOTHING_SPECIAL,
    }
    services["lifecycle"].says("/v1/customers/c", {**record, "version": 7, "facts": 4, "deals": [], "history": history})
    lines = handoff("customer", "c").out.splitlines()
    assert lines[4].split()[-1] == "known"
    assert [line.split()[5:] for line in lines[5:]] == [["crm.opportunity.created.v1"]] * 2 + [
        ["crm.opportunity.created.v1", "2017-02-03"],
        ["crm.opportunity.created.v1"],
    ]


def test_a_record_of_the_past_with_its_hand_offs_and_a_refused_command(
    services: dict[str, Any], handoff: Callable[..., Any]
) -> None:
    handed = {"assigned_at": "2026-03-01T09:00:01Z", "rep_id": "ann", "seconds_to_accept": 630.5, "seconds_to_touch": None}
    ended = {"how": "rejected", "at": "2026-03-02T09:00:00Z", "reason": "on holiday", "successor": None}
    taken = {"how": "superseded", "at": "2026-03-03T00:00:00Z", "reason": None, "successor": "cy"}
    record = {
        "customer_id": "c",
        "as_of": "2026-03-31T21:59:59.999999999Z",
        "known_at": "2026-04-01T00:00:00Z",
        "stage": "lead",
        "status": "New",
        "probability": 0,
        "owner": "bob",
        "facts": 4,
        "version": 9,
        "bounces": 1,
        "deals": [],
        "handoffs": [
            {**handed, "ended": ended},
            {**handed, "assigned_at": "2026-03-02T09:00:01Z", "rep_id": "bob", "seconds_to_touch": 7200, "ended": taken},
        ],
        "commands": [
            {
                "occurred_at": "2026-03-04T00:00:00Z",
                "type": "crm.status.reverted.v1",
                "actor": "eva",
                "effective": False,
                "explanation": "the record is a lead: a revert can go to nothing",
            },
            {"occurred_at": "2026-03-05T00:00:00Z", "type": "crm.owner.set.v1", "actor": "eva", "effective": True},
        ],
        "history": [],
    }
    services["lifecycle"].says("/v1/customers/c", record)
    asked = ("--as-of", "2026-03-31", "--known-at", "2026-04-01T00:00:00Z")
    lines = handoff("customer", "c", *asked).out.splitlines()
    assert lines[1:4] == [
        "as of 2026-03-31T21:59:59.999999999Z",
        "as it was known at 2026-04-01T00:00:00Z",
        "owner bob; 4 facts, version 9; bounced 1 x",
    ]
    assert [" ".join(line.split()) for line in lines[5:9]] == [
        "Hand-offs",
        "assigned to accepted touched ended",
        "2026-03-02 09:00:01 bob after 10.5 min after 2 h superseded by cy 2026-03-03",
        "2026-03-01 09:00:01 ann after 10.5 min rejected 2026-03-02 09:00:00 (on holiday)",
    ]
    assert " ".join(lines[12].split()) == "2026-03-04 crm.status.reverted.v1 eva the record is a lead: a revert can go to nothing"
    assert services["lifecycle"].asked[-1] == "/v1/customers/c?as_of=2026-03-31&known_at=2026-04-01T00%3A00%3A00Z"
