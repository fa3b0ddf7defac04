"""Events over HTTP: what goes in, what is refused with what reason, and what is said when Kafka is away."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.http import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from events.codec import Fact, decode
from events.topics import LEAD, VALUE_BYTES_MAX
from events.values import format_instant
from events.web.bodies import BODY_BYTES_MAX
from services.lifecycle.api import create_app
from services.lifecycle.http_events import EVENTS_MAX
from services.lifecycle.publishing import Publisher

ONE = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}
DAY = "2025-12-01T09:00:00Z"
"""Before the memory bus' clock begins."""


def event(number: int = 1, **attributes: Any) -> dict[str, Any]:
    """A lead as a CloudEvent; ``...`` leaves an attribute out."""
    said = {
        "specversion": "1.0",
        "id": f"e-{number}",
        "source": "/marketing",
        "type": "crm.lead.created.v1",
        "time": DAY,
        "data": {"customer_id": f"c{number}", "company": "Acme"},
        **attributes,
    }
    return {name: value for name, value in said.items() if value is not ...}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def http(lifecycle: Any, registry: CollectorRegistry) -> Iterator[TestClient]:
    """A client of the service with a publisher on the same bus."""
    publisher = Publisher(lifecycle.bus)
    publisher.start()
    app = create_app(lifecycle.store, lifecycle.tables, lifecycle.loop.progress, registry, publisher=publisher)
    yield TestClient(app)
    publisher.close()


def facts(lifecycle: Any, topic: str = LEAD.name) -> list[Fact]:
    """What lies in a topic, every record a fact."""
    found = [decode(record) for record in lifecycle.bus.records(topic)]
    assert all(isinstance(each, Fact) for each in found), found
    return found


def test_one_event_is_written_byte_for_byte_and_folded(lifecycle: Any, http: TestClient) -> None:
    body = json.dumps(event(traceparent="00-1-2-01"), indent=3).encode()
    answer = http.post("/v1/events", content=body, headers=ONE)
    assert answer.status_code == 202
    (record,) = lifecycle.bus.records(LEAD.name)
    assert (record.key, record.value) == (b"c1", body)
    told = answer.json()
    assert (told["accepted"], told["refused"], told["detail"]) == (1, 0, "everything was written")
    assert told["events"][0] | {"index": 0} == {
        "index": 0,
        "accepted": True,
        "id": "e-1",
        "source": "/marketing",
        "type": "crm.lead.created.v1",
        "customer_id": "c1",
        "topic": "crm.lead.v1",
    }
    lifecycle.settle()
    assert http.get("/v1/customers/c1").json()["facts"] == 1


def test_the_same_again_is_accepted_again_and_changes_nothing(lifecycle: Any, http: TestClient) -> None:
    for _ in range(3):
        assert http.post("/v1/events", json=event(), headers=ONE).status_code == 202
    lifecycle.settle()
    assert http.get("/v1/customers/c1").json()["facts"] == 1
    assert not lifecycle.letters()


def test_of_a_batch_with_one_bad_event_the_others_go_in(lifecycle: Any, http: TestClient) -> None:
    events = [event(number) for number in range(500)]
    events[17] = event(17, time=..., data={"score": 101, "country": "de", "customer_id": "c17"})
    answer = http.post("/v1/events", json=events, headers=BATCH)
    told = answer.json()
    assert answer.status_code == 202
    assert list(told)[:3] == ["accepted", "refused", "detail"]
    assert (told["accepted"], told["refused"]) == (499, 1)
    assert told["detail"] == "1 event was refused, the other 499 were written"
    assert [each["index"] for each in told["events"] if not each["accepted"]] == [17]
    bad = told["events"][17]
    assert (bad["id"], bad["source"], bad["type"]) == ("e-17", "/marketing", "crm.lead.created.v1")
    assert [error["path"] for error in bad["errors"]] == ["$[17].time", "$[17].data.score", "$[17].data.country"]
    assert {fact.id for fact in facts(lifecycle)} == {f"e-{number}" for number in range(500) if number != 17}


def test_events_go_to_the_topic_of_their_type(lifecycle: Any, http: TestClient) -> None:
    amount = {"amount": "10", "currency": "EUR"}
    deal = event(2, type="crm.opportunity.created.v1", data={"customer_id": "c", "opportunity_id": "o", "amount": amount})
    command = event(3, type="crm.status.set.v1", data={"customer_id": "c", "status": "Proposal", "actor": "dana"})
    answer = http.post("/v1/events", json=[event(), deal, command], headers=BATCH)
    assert [each["topic"] for each in answer.json()["events"]] == ["crm.lead.v1", "crm.opportunity.v1", "crm.command.v1"]
    assert len(facts(lifecycle, "crm.opportunity.v1")) == len(facts(lifecycle, "crm.command.v1")) == 1


def test_when_nothing_goes_in_it_is_a_problem_with_every_error(lifecycle: Any, http: TestClient) -> None:
    answer = http.post("/v1/events", json=[event(source=""), event(id=..., type="crm.lead.assigned.v1")], headers=BATCH)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    told = answer.json()
    assert told["detail"] == "all 2 events were refused: nothing was written"
    assert [[error["path"] for error in each["errors"]] for each in told["events"]] == [["$[0].source"], ["$[1].id", "$[1].type"]]
    assert told["events"][1]["errors"][1]["reason"] == "crm.lead.assigned.v1 is written by routing alone"
    assert not lifecycle.bus.records(LEAD.name)


def test_an_empty_batch_is_written_as_it_is(http: TestClient) -> None:
    answer = http.post("/v1/events", json=[], headers=BATCH)
    assert answer.status_code == 202
    assert answer.json() == {"accepted": 0, "refused": 0, "detail": "everything was written", "events": []}


def test_a_status_that_no_table_has_is_refused_with_what_was_meant(http: TestClient) -> None:
    command = event(type="crm.status.set.v1", data={"customer_id": "c", "status": "Propsal", "actor": "dana"})
    answer = http.post("/v1/events", json=[command], headers=BATCH)
    assert answer.status_code == 422
    (error,) = answer.json()["events"][0]["errors"]
    assert error["path"] == "$[0].data.status"
    assert error["reason"].startswith("'Propsal' is a status of no version of the table (did you mean 'Proposal'?); there are New,")


def test_fields_that_are_ignored_are_told(http: TestClient) -> None:
    answer = http.post("/v1/events", json=event(data={"customer_id": "c", "campain": "x"}), headers=ONE)
    assert answer.json()["events"][0]["ignored"] == [
        "$.data.campain is not a field of this type and is ignored: did you mean campaign?"
    ]


@pytest.mark.parametrize("write", [to_binary, to_structured], ids=["binary", "structured"])
def test_what_the_cloudevents_sdk_sends_is_taken_in(lifecycle: Any, http: TestClient, write: Any) -> None:
    attributes = {"id": "ä 1/%", "source": '/märkte "x"', "type": "crm.lead.created.v1", "subject": "s", "traceparent": "00-1"}
    message = write(CloudEvent({**attributes, "time": datetime(2025, 12, 1, 9, tzinfo=UTC)}, {"customer_id": "é"}), JSONFormat())
    answer = http.post("/v1/events", content=message.body, headers=message.headers)
    assert answer.status_code == 202, answer.text
    (fact,) = facts(lifecycle)
    assert (fact.id, fact.source, fact.customer_id) == ("ä 1/%", '/märkte "x"', "é")
    assert format_instant(fact.occurred_at) == DAY
    lifecycle.settle()
    assert not lifecycle.letters()


BINARY = {
    "content-type": "application/json",
    "ce-specversion": "1.0",
    "ce-id": "1",
    "ce-source": "/x",
    "ce-type": "crm.lead.created.v1",
    "ce-time": DAY,
}


def test_in_binary_mode_the_place_is_the_header_of_http(http: TestClient) -> None:
    headers = {**BINARY, "ce-time": "yesterday", "ce-id": ""}
    answer = http.post("/v1/events", content=b'{"customer_id": 5}', headers=headers)
    assert answer.status_code == 422
    places = [error["path"] for error in answer.json()["events"][0]["errors"]]
    assert places == ["header ce-id", "header ce-time", "$.customer_id"]


@pytest.mark.parametrize(
    ("content", "headers", "status", "detail"),
    [
        (b"", ONE, 400, "the body is empty"),
        (b"", BINARY, 400, "the body is empty"),
        (b"[{", BATCH, 400, "the body is not JSON: Input data was truncated"),
        (b"[" * 100_000, BATCH, 400, "the body is not JSON: nested too deeply"),
        (b'[{"a": "\xff"}]', BATCH, 422, "the event was refused"),
        (b"{}", BATCH, 400, "a batch is a JSON array of events; one event alone is application/cloudevents+json"),
        (b"[" + b"{}," * EVENTS_MAX + b"{}]", BATCH, 413, f"the batch has {EVENTS_MAX + 1} events, at most {EVENTS_MAX}"),
        (b" " * (BODY_BYTES_MAX + 1), ONE, 413, f"the body may have {BODY_BYTES_MAX} bytes at most"),
        (b"{}", {"content-type": "application/json"}, 415, "send one event as application/cloudevents+json"),
        (b"{}", {"content-type": "text/plain"}, 415, "'text/plain' is not understood"),
        (b"{}", {}, 415, "'' is not understood"),
        (b"{}", {**BINARY, "content-type": "application/x-www-form-urlencoded"}, 415, "is not understood"),
        (b"{}", {"content-type": "application/cloudevents+json; charset=latin1"}, 415, "'latin1' is not understood: send UTF-8"),
        (b"{}", {**ONE, "content-encoding": "gzip"}, 415, "a compressed body is not understood"),
    ],
)
def test_what_is_no_event_at_all(
    lifecycle: Any, http: TestClient, content: bytes, headers: dict[str, str], status: int, detail: str
) -> None:
    answer = http.post("/v1/events", content=content, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert detail in answer.json()["detail"]
    assert not lifecycle.bus.records(LEAD.name)


@pytest.mark.parametrize(
    ("content", "path"),
    [
        (b"[]", "$"),
        (b"{", "$"),
        (b'{"a":' * 50_000, "$"),
        (json.dumps(event(data={"customer_id": "c", "company": "x" * VALUE_BYTES_MAX})).encode(), "$"),
        (json.dumps(event(data={"customer_id": "c", "company": "a\0b"})).encode(), "$.data"),
        (json.dumps(event(data={"customer_id": "c"})).encode().replace(b'"c"', b'"\xff"'), "$.data"),
        (json.dumps(event(data={"customer_id": "c"})).encode().replace(b'"c"', b'"c", "employees": 1e999999'), "$.data.employees"),
        (
            json.dumps(event(data={"customer_id": "c"})).encode().replace(b'"c"', b'"c", "employees": ' + b"9" * 5000),
            "$.data.employees",
        ),
        (json.dumps(event(time="2099-01-01T00:00:00Z")).encode(), "$.time"),
        (json.dumps(event(time="2026-03-01T09:00:00")).encode(), "$.time"),
    ],
)
def test_an_event_that_is_wrong_by_itself(lifecycle: Any, http: TestClient, content: bytes, path: str) -> None:
    answer = http.post("/v1/events", content=content, headers=ONE)
    assert answer.status_code == 422, answer.text
    assert [error["path"] for error in answer.json()["events"][0]["errors"]] == [path]
    assert not lifecycle.bus.records(LEAD.name)


def test_of_a_key_that_occurs_twice_the_last_one_counts_as_in_the_codec(lifecycle: Any, http: TestClient) -> None:
    body = json.dumps(event()).encode().replace(b'"id": "e-1"', b'"id": "first", "id": "last"')
    assert http.post("/v1/events", content=body, headers=ONE).json()["events"][0]["id"] == "last"
    assert facts(lifecycle)[0].id == "last"


def test_while_kafka_is_away_nothing_is_pretended(lifecycle: Any, http: TestClient) -> None:
    lifecycle.bus.away = True
    answer = http.post("/v1/events", json=event(), headers=ONE)
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.headers["retry-after"] == "5"
    assert "Send all of them again, as they are" in answer.json()["detail"]
    assert http.post("/v1/events", json=event(id=""), headers=ONE).status_code == 422  # needs no Kafka
    lifecycle.bus.away = False
    assert http.post("/v1/events", json=event(), headers=ONE).status_code == 202
    assert len(facts(lifecycle)) == 1


def test_a_topic_that_is_missing_is_said(lifecycle: Any, http: TestClient) -> None:
    lifecycle.bus.delete(LEAD.name)
    answer = http.post("/v1/events", json=event(), headers=ONE)
    assert answer.status_code == 503
    assert "topic crm.lead.v1 does not exist" in answer.json()["detail"]


def test_when_too_much_waits_the_sender_comes_again(lifecycle: Any) -> None:
    app = create_app(
        lifecycle.store,
        lifecycle.tables,
        lifecycle.loop.progress,
        CollectorRegistry(),
        publisher=Publisher(lifecycle.bus, messages_max=1),
    )
    answer = TestClient(app).post("/v1/events", json=[event(1), event(2)], headers=BATCH)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "nothing was written" in answer.json()["detail"]


def test_what_came_is_counted_by_type_and_outcome(lifecycle: Any, http: TestClient, registry: CollectorRegistry) -> None:
    http.post("/v1/events", json=[event(1), event(2), event(3, id=""), event(4, type="nonsense")], headers=BATCH)
    lifecycle.bus.away = True
    http.post("/v1/events", json=event(), headers=ONE)

    def count(type_: str, outcome: str) -> float | None:
        return registry.get_sample_value("handoff_intake_events_total", {"type": type_, "outcome": outcome})

    assert count("crm.lead.created.v1", "accepted") == 2
    assert count("crm.lead.created.v1", "refused") == 1
    assert count("crm.lead.created.v1", "unwritten") == 1
    assert count("(unknown)", "refused") == 1
    assert count("nonsense", "refused") is None


def test_parameters_are_refused(http: TestClient) -> None:
    assert http.post("/v1/events?dry_run=true", json=event(), headers=ONE).status_code == 422
