"""What people and probes read over HTTP."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from events.bus.partitioner import murmur2
from events.facts import LeadCreated, LeadRecycled, OpportunityCreated, OpportunityWon
from events.record import Message
from events.values import Price
from services.lifecycle.api import create_app
from services.lifecycle.metrics import StateCollector
from tests.lifecycle.harness import SHARDS

DAY_1, DAY_2, DAY_3 = "2026-03-01T09:00:00Z", "2026-03-02T09:00:00Z", "2026-03-03T09:00:00Z"


@pytest.fixture
def http(lifecycle: Any) -> TestClient:
    """A client of the service's application."""
    return TestClient(create_app(lifecycle.store, lifecycle.tables, lifecycle.loop.progress, CollectorRegistry()))


def test_a_customer_with_deals_and_history(lifecycle: Any, http: TestClient, eur: Callable[[str], Price]) -> None:
    created = OpportunityCreated(customer_id="acme/1", opportunity_id="o1", amount=eur("1000"), owner="anna")
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="acme/1", company="Acme"), DAY_1)
    lifecycle.publish("crm.opportunity.created.v1", created, DAY_2)
    lifecycle.publish("crm.opportunity.won.v1", OpportunityWon(customer_id="acme/1", opportunity_id="o1", amount=eur("900")), DAY_3)
    lifecycle.settle()

    answer = http.get("/v1/customers/acme/1")
    body = answer.json()
    assert answer.status_code == 200
    assert (body["customer_id"], body["stage"], body["status"], body["probability"]) == ("acme/1", "customer", "Closed Won", 100)
    assert (body["owner"], body["facts"]) == ("anna", 3)
    (deal,) = body["deals"]
    assert (deal["deal_id"], deal["state"], deal["closed_at"]) == ("opportunity:o1", "won", DAY_3)
    assert deal["amounts"]["amount"] == {"amount": "900.00", "currency": "EUR"}
    assert [(state["effective_at"], state["stage"], state["status"]) for state in body["history"]] == [
        (DAY_1, "lead", "New"),
        (DAY_2, "prospect", "Opportunity Identified"),
        (DAY_3, "customer", "Closed Won"),
    ]
    assert body["history"][0]["cause"] == {"source": "crm", "id": "fact-1", "type": "crm.lead.created.v1"}
    assert body["history"][0]["recorded_at"] >= DAY_1


@pytest.mark.parametrize(
    "asked",
    [
        "/v1/customers?limit=1&limit=2",
        "/v1/customers/acme?as_of=2026-03-01&as_of=2026-03-02",
        "/v1/timeline/acme?limit=1&limit=2",
        "/v1/events?source=a&source=b&id=1",
        "/v1/events/a/1?customer_id=a&customer_id=b",
        "/v1/statuses?version=0&version=1",
        "/v1/process-map?stage=lead&stage=prospect",
        "/v1/status?x=1&x=2",
    ],
)
def test_a_parameter_given_twice_is_refused_everywhere(http: TestClient, asked: str) -> None:
    answer = http.get(asked)
    assert (answer.status_code, "is given more than once" in answer.json()["detail"]) == (422, True)


def test_a_late_fact_shows_when_it_became_known(lifecycle: Any, http: TestClient, eur: Callable[[str], Price]) -> None:
    lifecycle.publish("crm.opportunity.created.v1", OpportunityCreated(customer_id="c", opportunity_id="o", amount=eur("1")), DAY_3)
    lifecycle.settle()
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="c"), DAY_1)
    lifecycle.settle()
    history = http.get("/v1/customers/c").json()["history"]
    assert [(state["effective_at"], state["recorded_at"]) for state in history] == [(DAY_1, DAY_3), (DAY_3, DAY_3)]


def test_an_unknown_customer_is_a_problem(http: TestClient) -> None:
    answer = http.get("/v1/customers/nobody")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert "nobody" in answer.json()["detail"]


def test_ready_only_while_it_works(lifecycle: Any, http: TestClient) -> None:
    assert http.get("/readyz").status_code == 503
    lifecycle.settle()
    assert http.get("/readyz").json()["ready"]
    lifecycle.bus.away = True
    lifecycle.loop.turn()
    answer = http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"][0] == {"name": "bus", "ok": False, "detail": "the memory bus is away"}
    assert http.get("/livez").status_code == 200


def test_a_parameter_that_does_not_exist(http: TestClient) -> None:
    answer = http.get("/v1/customers/acme?asof=2026-01-01")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    detail = "is not a parameter of this resource (did you mean as_of?); these are: as_of, known_at"
    assert answer.json()["errors"] == [{"parameter": "asof", "detail": detail}]


@pytest.mark.parametrize("table", ["position", "dead_letter", "letter_count", "wake", "shard_{shard:03d}_events"])
def test_a_broken_database_is_told_and_no_record_pays_for_it(lifecycle: Any, http: TestClient, table: str) -> None:
    lifecycle.settle()
    table = table.format(shard=murmur2(b"acme", SHARDS))
    with lifecycle.store.ledger.transaction() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO lost")
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="acme"), DAY_1)
    lifecycle.publish("crm.lead.recycled.v1", LeadRecycled(customer_id="acme", reason="later", until="2026-09-01"), DAY_2)
    lifecycle.bus.append(Message("crm.lead.v1", b"acme", b"poison"))
    for _ in range(20):
        lifecycle.loop.turn()
    answer = http.get("/readyz")
    assert answer.status_code == 503
    troubled = {check["name"]: check["detail"] for check in answer.json()["checks"] if not check["ok"]}
    assert re.search(f'no such table: {table}|relation "(lifecycle.)?{table}" does not exist', troubled["bus"])
    assert ("database" in troubled) == (table == "letter_count")
    assert http.get("/v1/customers/acme").status_code == (503 if table.startswith("shard") else 404)
    assert http.get("/v1/status").status_code == (503 if table == "letter_count" else 200)
    assert "bugs" not in troubled
    with lifecycle.store.ledger.transaction() as cursor:
        cursor.execute(f"ALTER TABLE lost RENAME TO {table}")
    lifecycle.settle()
    assert http.get("/readyz").json()["ready"]
    assert http.get("/v1/customers/acme").json()["facts"] == 2
    assert len(lifecycle.letters()) == 1


def test_status_counts_what_is_not_yet_reflected(lifecycle: Any, http: TestClient) -> None:
    lifecycle.settle()
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="c"), DAY_1)
    assert http.get("/v1/status").json()["lag"] == 1
    lifecycle.settle()
    body = http.get("/v1/status").json()
    assert (body["service"], body["state"], body["lag"], body["dead_letters"]) == ("lifecycle", "running", 0, 0)
    assert body["position"] == 1


def test_metrics_tell_what_waits(lifecycle: Any) -> None:
    registry = CollectorRegistry()
    registry.register(StateCollector(lifecycle.loop.progress, lifecycle.store.ledger.dead_letters))
    http = TestClient(create_app(lifecycle.store, lifecycle.tables, lifecycle.loop.progress, registry))
    lifecycle.settle()
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="c"), DAY_1)
    assert "handoff_consumer_lag_records 1.0" in http.get("/metrics").text
    lifecycle.settle()
    assert "handoff_consumer_lag_records 0.0" in http.get("/metrics").text
    assert "handoff_outbox_pending 0.0" in http.get("/metrics").text
