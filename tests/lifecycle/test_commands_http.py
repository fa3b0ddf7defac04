"""Commands over HTTP: taken in or refused at once, and what they come to, now and after a late fact."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from events.codec import Fact, decode
from events.facts import ActivityLogged, CustomerConverted, LeadCreated, LeadRecycled, OpportunityCreated, StatusSet
from events.record import Message
from events.topics import COMMAND
from services.lifecycle.api import create_app
from services.lifecycle.keys import KEPT, Taken
from services.lifecycle.plain_commands import SOURCE, Remembered
from services.lifecycle.publishing import Publisher
from services.lifecycle.trace import FOUND_MAX
from tests.lifecycle.harness import Lifecycle

DAY_1, DAY_2, DAY_3 = "2025-12-01T09:00:00Z", "2025-12-02T09:00:00Z", "2025-12-03T09:00:00Z"
"""Before the clock of whoever runs the tests."""


@pytest.fixture
def clocked(lifecycle: Lifecycle) -> Lifecycle:
    """A lifecycle whose log has the time of this machine, as commands have."""
    lifecycle.bus._clock = lambda: time.time_ns() // 1_000_000
    return lifecycle


@pytest.fixture
def http(clocked: Lifecycle) -> Iterator[TestClient]:
    """A client of the service; acme is a lead."""
    publisher = Publisher(clocked.bus)
    publisher.start()
    app = create_app(clocked.store, clocked.tables, clocked.loop.progress, CollectorRegistry(), publisher=publisher)
    clocked.publish("crm.lead.created.v1", LeadCreated(customer_id="acme", lead_id="L1", owner="ann"), DAY_1)
    clocked.settle()
    yield TestClient(app)
    publisher.close()


def command(name: str, **fields: Any) -> dict[str, Any]:
    said = {"command": name, "customer_id": "acme", "actor": "dana"} | fields
    return {key: value for key, value in said.items() if value is not ...}


def come_to(http: TestClient, lifecycle: Any, body: dict[str, Any], **headers: str) -> Any:
    """Send a command, let it settle, and ask for its verdict."""
    answer = http.post("/v1/commands", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == answer.json()["location"]
    assert http.get(answer.headers["location"]).json()["verdict"] == "pending"
    lifecycle.settle()
    return http.get(answer.headers["location"]).json()


def test_a_status_is_set(lifecycle: Any, http: TestClient) -> None:
    told = come_to(http, lifecycle, command("set-status", status="Proposal", reason="agreed"))
    assert (told["verdict"], told["rule"], told["explanation"]) == ("effective", None, None)
    assert told["changed"]["status"]["to"] == {"stage": "prospect", "status": "Proposal", "probability": 50}
    assert (told["record"]["status"], told["customer_id"], told["type"]) == ("Proposal", "acme", "crm.status.set.v1")
    assert told["says"] == {"customer_id": "acme", "actor": "dana", "status": "Proposal", "reason": "agreed"}


def test_what_people_can_command(lifecycle: Any, http: TestClient) -> None:
    assert come_to(http, lifecycle, command("convert"))["record"]["stage"] == "prospect"
    assert come_to(http, lifecycle, command("revert", stage="lead"))["record"]["stage"] == "lead"
    assert come_to(http, lifecycle, command("set-owner", rep_id="bob"))["record"]["owner"] == "bob"
    told = come_to(http, lifecycle, command("recycle", actor=..., reason="not now", until="2099-09-01"))
    assert (told["verdict"], told["record"]["status"], told["wakes_at"]) == ("effective", "Recycled", "2099-09-01T00:00:00Z")


REFUSALS = [
    (
        ["set-status", "Proposal"],
        {"command": "set-status", "status": "Proposal"},
        "status-is-set",
        "the record is Proposal already: any other status can be set",
    ),
    ([], {"command": "set-status", "status": "New"}, "status-is-set", "the record is New already"),
    (
        [],
        {"command": "revert", "stage": "lead"},
        "not-below",
        "the record is a lead: that is the lowest stage, and nothing can be reverted",
    ),
    (
        ["set-status", "Proposal"],
        {"command": "revert", "stage": "prospect"},
        "not-below",
        "the record is a prospect: a revert can go to lead",
    ),
    (["set-status", "Proposal"], {"command": "convert"}, "not-a-lead", "the record is a prospect: only a lead can be converted"),
    ([], {"command": "set-owner", "rep_id": "ann"}, "owner-is-set", "ann owns the record already: any other rep can be named"),
    (
        ["set-status", "Proposal"],
        {"command": "recycle", "actor": ..., "reason": "x"},
        "not-a-lead",
        "counts once the record is reverted to lead",
    ),
    ([], {"command": "recycle", "actor": ..., "reason": "x", "lead_id": "L0"}, "another-lead", "the record's last lead is 'L1'"),
]


@pytest.mark.parametrize(
    ("before", "body", "rule", "explanation"), REFUSALS, ids=[f"{n}-{case[2]}" for n, case in enumerate(REFUSALS)]
)
def test_what_has_no_effect_says_by_which_rule_and_what_would(
    lifecycle: Any, http: TestClient, before: list[str], body: dict[str, Any], rule: str, explanation: str
) -> None:
    if before:
        come_to(http, lifecycle, command(before[0], status=before[1]))
    told = come_to(http, lifecycle, command(**({"name": body["command"]} | {k: v for k, v in body.items() if k != "command"})))
    assert (told["verdict"], told["rule"]) == ("no effect", rule)
    assert explanation in told["explanation"]


def test_a_revert_of_a_reverted_record_has_no_effect(lifecycle: Any, http: TestClient) -> None:
    come_to(http, lifecycle, command("convert"))
    assert come_to(http, lifecycle, command("revert", stage="lead"))["verdict"] == "effective"
    assert come_to(http, lifecycle, command("revert", stage="lead"))["rule"] == "not-below"


def test_a_late_fact_gives_effect_to_what_had_none(lifecycle: Any, http: TestClient, eur: Any) -> None:
    body = command("revert", stage="lead")
    location = http.post("/v1/commands", json=body).headers["location"]
    lifecycle.settle()
    assert http.get(location).json()["verdict"] == "no effect"
    deal = OpportunityCreated(customer_id="acme", opportunity_id="o", amount=eur("1"))
    lifecycle.publish("crm.opportunity.created.v1", deal, DAY_2)
    lifecycle.settle()
    told = http.get(location).json()
    assert (told["verdict"], told["rule"]) == ("effective", None)
    assert told["changed"]["status"] == {
        "from": {"stage": "prospect", "status": "Opportunity Identified", "probability": 10},
        "to": {"stage": "lead", "status": "New", "probability": 0},
    }


def test_recycled_until_the_past_comes_back_at_once(lifecycle: Any, http: TestClient) -> None:
    lifecycle.clock = time.time_ns
    told = come_to(http, lifecycle, command("recycle", actor=..., reason="x", until="2001-01-01"))
    assert (told["verdict"], told["wakes_at"]) == ("effective", None)
    record = http.get("/v1/customers/acme").json()
    assert (record["facts"], record["status"]) == (3, "New")
    assert len(record["history"]) == 1, "a state that lasted no time does not exist"


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (
            command("set-status", status="Propsal"),
            [("$.status", "'Propsal' is a status of no version of the table (did you mean 'Proposal'?); there are New")],
        ),
        (
            command("set-state", status="New"),
            [("$.command", "'set-state' is no command, did you mean set-status?: there are set-status, revert")],
        ),
        (command(..., status="New"), [("$.command", "is missing: there are set-status")]),
        (command(7), [("$.command", "Expected `str`, got `int`")]),
        (
            command("set-status", statsu="New"),
            [("$.statsu", "is no field of set-status, which has customer_id, actor, status, reason")],
        ),
        (command("set-status", actor=...), [("$.actor", "is missing"), ("$.status", "is missing")]),
        (command("revert", stage="customer"), [("$.stage", "Invalid enum value 'customer', it is one of lead, prospect")]),
        (
            command("recycle", actor=..., reason="", until="soon"),
            [("$.reason", "length >= 1"), ("$.until", "'soon' is not an RFC 3339 time")],
        ),
        (command("convert", customer_id=""), [("$.customer_id", "length >= 1")]),
        (command("convert", actor="a\u0000"), [("$.actor", "matching regex"), ("$", "NUL")]),
        ([], [("$", "Expected `object`, got `array`")]),
    ],
)
def test_what_is_refused_at_once(lifecycle: Any, http: TestClient, body: Any, errors: list[tuple[str, str]]) -> None:
    answer = http.post("/v1/commands", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), answer.text
    told = answer.json()["errors"]
    assert [each["path"] for each in told] == [path for path, _ in errors], told
    assert all(reason in each["reason"] for each, (_, reason) in zip(told, errors, strict=True)), told
    assert not lifecycle.bus.records(COMMAND.name)


def test_a_customer_whom_nobody_knows_is_refused_unless_it_is_meant(lifecycle: Any, http: TestClient) -> None:
    body = command("set-status", customer_id="acne", status="Qualified")
    answer = http.post("/v1/commands", json=body)
    assert answer.status_code == 404
    assert "no fact of a customer 'acne' has been taken in" in answer.json()["detail"]
    assert "?create=true" in answer.json()["detail"]
    assert http.post("/v1/commands?create=true", json=body).status_code == 202
    lifecycle.settle()
    assert http.get("/v1/customers/acne").json()["status"] == "Qualified"


def test_the_same_key_is_the_same_command_whenever_it_comes(lifecycle: Any, http: TestClient) -> None:
    body = command("set-status", status="Qualified")
    first = http.post("/v1/commands", json=body, headers={"Idempotency-Key": "k-1"}).json()
    again = http.post("/v1/commands", json=body, headers={"Idempotency-Key": '"k-1"'}).json()
    assert (first["id"], again) == ("k-1", first)
    lifecycle.settle()
    assert http.post("/v1/commands", json=body, headers={"Idempotency-Key": "k-1"}).json() == first
    lifecycle.settle()
    assert {record.value for record in lifecycle.bus.records(COMMAND.name)} == {lifecycle.bus.records(COMMAND.name)[0].value}
    assert not lifecycle.letters()
    assert http.get("/v1/customers/acme").json()["facts"] == 2


def test_what_is_stored_is_remembered_after_a_restart(clocked: Any, http: TestClient) -> None:
    body, key = command("set-status", status="Qualified"), {"Idempotency-Key": "k"}
    first = http.post("/v1/commands", json=body, headers=key).json()
    clocked.settle()
    publisher = Publisher(clocked.bus)
    publisher.start()
    app = create_app(clocked.store, clocked.tables, clocked.loop.progress, CollectorRegistry(), publisher=publisher)
    assert TestClient(app).post("/v1/commands", json=body, headers=key).json() == first
    publisher.close()
    clocked.settle()
    assert not clocked.letters()


def test_one_key_at_two_workers_within_a_moment_is_one_command(clocked: Any, http: TestClient) -> None:
    """Or at one that is started again before the command is read."""
    body, key = command("set-status", status="Qualified"), {"Idempotency-Key": "k"}
    store, _, _ = clocked.start("lifecycle-2")
    publisher = Publisher(clocked.bus)
    publisher.start()
    other = TestClient(create_app(store, clocked.tables, clocked.loop.progress, CollectorRegistry(), publisher=publisher))
    first = http.post("/v1/commands", json=body, headers=key).json()
    assert other.get(first["location"]).json()["verdict"] == "pending"
    assert other.get("/v1/commands/k").json()["verdict"] == "pending"
    assert other.get("/v1/commands/k?customer_id=other").status_code == 404
    assert other.post("/v1/commands", json=body, headers=key).json() == first
    assert other.post("/v1/commands", json=command("convert"), headers=key).status_code == 422
    third = clocked.start("lifecycle-3")[0]
    app = create_app(third, clocked.tables, clocked.loop.progress, CollectorRegistry(), publisher=publisher)
    answer = TestClient(app).post("/v1/commands", json=command("convert"), headers=key)
    assert "another command of 'acme' is called 'k'" in answer.json()["detail"]
    publisher.close()
    clocked.settle()
    assert not clocked.letters()
    assert http.get("/v1/customers/acme").json()["facts"] == 2


def test_keys_are_forgotten_when_no_topic_holds_their_commands_any_more(clocked: Any) -> None:
    def given(at: int, **said: Any) -> int:
        data = CustomerConverted(customer_id="acme", **said)
        return int(clocked.store.keys.first(Fact("acme", SOURCE, "k", "crm.customer.converted.v1", at, at, data)).occurred_at)

    assert given(1, actor="dana") == 1
    assert given(KEPT + 1, actor="dana") == 1
    with pytest.raises(Taken):
        given(KEPT + 1, actor="eve")
    assert given(KEPT + 2, actor="eve") == KEPT + 2


def test_one_key_from_many_threads_at_once_is_one_command(lifecycle: Any, http: TestClient) -> None:
    def send(_: int) -> Any:
        return http.post("/v1/commands", json=command("convert"), headers={"Idempotency-Key": "k"}).json()

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(send, range(24)))
    assert all(each == told[0] for each in told)
    assert len({(record.value, record.headers) for record in lifecycle.bus.records(COMMAND.name)}) == 1
    lifecycle.settle()
    assert not lifecycle.letters()
    assert http.get("/v1/customers/acme").json()["facts"] == 2


def test_a_key_that_was_used_for_another_command_is_refused(lifecycle: Any, http: TestClient) -> None:
    key = {"Idempotency-Key": "k"}
    assert http.post("/v1/commands", json=command("convert"), headers=key).status_code == 202
    for _ in range(2):
        answer = http.post("/v1/commands", json=command("set-owner", rep_id="bob"), headers=key)
        assert answer.status_code == 422
        assert "another command of 'acme' is called 'k'" in answer.json()["detail"]
        lifecycle.settle()
    answer = http.post("/v1/commands", json=command("convert"), headers={"Idempotency-Key": "x" * 201})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"path": "header idempotency-key", "reason": "has 201 characters, at most 200 are allowed"}]


def event(**attributes: Any) -> dict[str, Any]:
    data = {"customer_id": "acme", "status": "Qualified", "actor": "dana"}
    said = {"specversion": "1.0", "id": "a/1", "source": "/crm", "type": "crm.status.set.v1", "time": DAY_2, "data": data}
    return said | attributes


ONE = {"content-type": "application/cloudevents+json"}


def test_a_command_may_be_a_cloudevent(lifecycle: Any, http: TestClient) -> None:
    answer = http.post("/v1/commands", json=event(), headers=ONE)
    assert answer.status_code == 202
    assert answer.headers["location"] == "/v1/commands/a%2F1?customer_id=acme&source=%2Fcrm"
    assert http.get(answer.headers["location"]).json()["verdict"] == "pending"
    lifecycle.settle()
    assert http.get(answer.headers["location"]).json()["verdict"] == "effective"
    assert http.post("/v1/commands", json=event(), headers=ONE).status_code == 202
    answer = http.post("/v1/commands", json=event(time=DAY_3), headers=ONE)
    assert answer.status_code == 422
    assert f"is known, and happened at {DAY_2}" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "detail"),
    [
        (
            event(type="crm.lead.created.v1", data={"customer_id": "acme"}),
            ONE,
            422,
            "crm.lead.created.v1 is no command: send it to /v1/events",
        ),
        (event(time=None), ONE, 422, "$.time: is missing"),
        ([event(), event()], {"content-type": "application/cloudevents-batch+json"}, 422, "this takes one command, here are 2"),
        (event(), {"content-type": "text/plain"}, 415, "is not understood"),
    ],
)
def test_a_cloudevent_that_is_no_command(http: TestClient, body: Any, headers: dict[str, str], status: int, detail: str) -> None:
    answer = http.post("/v1/commands", content=json.dumps(body), headers=headers)
    assert (answer.status_code, detail in answer.json()["detail"]) == (status, True), answer.text


def test_a_dead_letter_is_told_as_the_verdict(lifecycle: Any, http: TestClient) -> None:
    lifecycle.publish(
        "crm.status.set.v1", StatusSet(customer_id="acme", status="Nonsense", actor="x"), DAY_2, id="1", source="/crm"
    )
    lifecycle.settle()
    told = http.get("/v1/commands/1?source=/crm").json()
    assert (told["verdict"], told["rule"]) == ("refused", "Undecodable")
    assert told["explanation"].startswith("$.status: 'Nonsense' is a status of no version of the table")


def test_commands_of_one_name_of_two_customers(lifecycle: Any, http: TestClient) -> None:
    for customer in ("acme", "other"):
        command = StatusSet(customer_id=customer, status="Qualified", actor="x")
        lifecycle.publish("crm.status.set.v1", command, DAY_2, id="1", source="/crm")
    lifecycle.settle()
    answer = http.get("/v1/commands/1?source=/crm")
    assert (answer.status_code, "'acme', 'other' have a command of that name" in answer.json()["detail"]) == (422, True)
    assert http.get("/v1/commands/1?source=/crm&customer_id=other").json()["customer_id"] == "other"


def test_a_command_of_one_customer_is_found_among_any_number_of_that_name(lifecycle: Any, http: TestClient) -> None:
    """As those of a mass change: they all have its id."""
    customers = [f"c{number}" for number in range(2 * FOUND_MAX)]
    for customer in customers:
        command = StatusSet(customer_id=customer, status="Qualified", actor="x")
        lifecycle.publish("crm.status.set.v1", command, DAY_2, id="batch-1", source="/crm")
    lifecycle.settle()
    for customer in customers[:: len(customers) // 10]:
        told = http.get(f"/v1/commands/batch-1?source=/crm&customer_id={customer}").json()
        assert (told.get("customer_id"), told["verdict"]) == (customer, "effective")


def test_what_is_not_known(lifecycle: Any, http: TestClient) -> None:
    answer = http.get("/v1/commands/1")
    assert (answer.status_code, answer.json()["lag"]) == (404, 0)
    assert "no command '1' of source 'handoff/commands'" in answer.json()["detail"]
    lifecycle.publish("crm.activity.logged.v1", ActivityLogged(customer_id="acme", activity_id="a"), DAY_2, id="1", source="/crm")
    lifecycle.settle()
    answer = http.get("/v1/commands/1?source=/crm")
    assert (answer.status_code, "is no command: ask for it at /v1/events" in answer.json()["detail"]) == (404, True)


def test_while_kafka_is_away_a_command_is_not_taken_in_and_later_it_is_the_same(lifecycle: Any, http: TestClient) -> None:
    body, key = command("convert"), {"Idempotency-Key": "k"}
    lifecycle.bus.fault = lambda message: "unanswered"  # written, but nobody knows
    assert http.post("/v1/commands", json=body, headers=key).status_code == 503
    lifecycle.bus.fault = None
    assert http.post("/v1/commands", json=body, headers=key).status_code == 202
    lifecycle.settle()
    records = lifecycle.bus.records(COMMAND.name)
    assert len(records) == 2
    assert replace(records[0], offset=0, timestamp=0) == replace(records[1], offset=0, timestamp=0)
    assert not lifecycle.letters()


def test_a_command_is_an_event_with_the_time_of_the_server(lifecycle: Any, http: TestClient) -> None:
    told = http.post("/v1/commands", json=command("convert")).json()
    (record,) = lifecycle.bus.records(COMMAND.name)
    fact = decode(record)
    assert isinstance(fact, Fact)
    assert (fact.source, fact.id, fact.type) == ("handoff/commands", told["id"], "crm.customer.converted.v1")
    assert abs(fact.occurred_at - fact.recorded_at) < 10_000_000_000


def test_there_is_an_end_to_what_is_remembered() -> None:
    remembered = Remembered(2)
    facts = [
        Fact("c", "s", str(number), "crm.lead.recycled.v1", number, 0, LeadRecycled(customer_id="c", reason="x"))
        for number in range(3)
    ]
    for fact in facts:
        assert remembered.first(fact) is fact
    assert [remembered.get(("s", str(number))) for number in range(3)] == [None, *facts[1:]]
    assert remembered.get(("s", "2"), "c") is facts[2]
    assert remembered.get(("s", "2"), "d") is None
    assert remembered.first(replace(facts[2], occurred_at=9)) is facts[2]


def test_a_poisonous_record_of_the_topic_has_no_verdict(lifecycle: Any, http: TestClient) -> None:
    lifecycle.bus.append(Message(COMMAND.name, b"acme", b"poison"))
    lifecycle.settle()
    assert http.get("/v1/commands/poison").status_code == 404
