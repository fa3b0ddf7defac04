"""What people and probes read over HTTP."""

import json

import msgspec
import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from events.published import Profile
from events.record import Message
from events.topics import ASSIGNMENT, LIFECYCLE
from services.routing.api import create_app
from services.routing.metrics import StateCollector
from services.routing.progress import both
from tests.routing.harness import Routing
from tests.routing.words import progressed, record_changed, status_changed


@pytest.fixture
def http(routing: Routing) -> TestClient:
    """A client of the service's application."""
    registry = CollectorRegistry()

    def progress() -> msgspec.Struct:
        return both([loop.progress for loop in routing.loops])

    registry.register(StateCollector(progress, routing.store.ledger.dead_letters))
    return TestClient(create_app(routing.store, routing.reference, progress, registry))


def test_assignments_are_as_published_and_the_newest_comes_first(routing: Routing, http: TestClient) -> None:
    first = "acme/1/0000000001/1"
    routing.says(status_changed("acme/1", 1), record_changed("acme/1", 2, owner="anna", assignment_id=first))
    routing.says(progressed("acme/1", 3, first, "anna", "rejected", reason="too far"), record_changed("acme/1", 4))
    routing.settle()
    answer = http.get("/v1/assignments/acme/1")
    assert answer.status_code == 200
    published = [json.loads(record.value or b"") for record in routing.bus.records(ASSIGNMENT.name)]
    assert answer.json() == {"customer_id": "acme/1", "assignments": published[::-1]}
    newest, freed, oldest = answer.json()["assignments"]
    assert (newest["rep_id"], freed["reason"], oldest["rep_id"]) == ("ben", "rejected", "anna")


def test_a_customer_whom_routing_does_not_know(http: TestClient) -> None:
    answer = http.get("/v1/assignments/nobody")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "routing has decided nothing about a customer 'nobody'"


def test_a_parameter_that_does_not_exist(routing: Routing, http: TestClient) -> None:
    answer = http.get("/v1/assignments/acme?asof=2026-01-01")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"] == [{"place": "query.asof", "reason": "there is no such parameter"}]


def test_a_wrong_file_is_told_and_the_service_stays_ready(routing: Routing, http: TestClient) -> None:
    routing.settle()
    assert http.get("/readyz").json()["ready"] is True
    routing.rules_file.write_text("territories: []\ndefault: {rep: karol}\n")
    routing.reference.refresh()
    answer = http.get("/readyz")
    assert answer.status_code == 200
    (reference,) = [check for check in answer.json()["checks"] if check["name"] == "reference"]
    assert reference["detail"].splitlines() == [
        "rules v1, directory v1",
        "rules.yaml:2:16 default.rep: 'karol' is not in directory v1 (did you mean 'carol'?)",
    ]


def test_not_ready_before_partitions_are_assigned(http: TestClient) -> None:
    assert http.get("/readyz").status_code == 503
    assert http.get("/livez").status_code == 200


def test_status_and_metrics(routing: Routing, http: TestClient) -> None:
    routing.says(status_changed("acme", 1, profile=Profile(country="DE")))
    routing.bus.append(Message(LIFECYCLE.name, b"acme", b"poison"))
    routing.settle()
    assert http.get("/v1/status").json() == {
        "service": "routing",
        "state": "running",
        "lag": 0,
        "lag_seconds": 0.0,
        "position": 3,
        "positions": {"crm.lifecycle.v1[0]": 2, "crm.lifecycle.v1[1]": 0, "routing.request.v1[0]": 1},
        "dead_letters": 1,
    }
    metrics = http.get("/metrics").text
    assert "handoff_consumer_lag_records 0.0" in metrics
    assert 'handoff_dlq_depth{error="Undecodable"} 1.0' in metrics
