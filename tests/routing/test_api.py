"""What people and probes read over HTTP."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from events.bus.memory import MemoryBus
from events.published import Profile
from events.record import Message
from events.topics import ASSIGNMENT, LIFECYCLE, REQUEST, TOPICS
from services.routing.api import create_app
from services.routing.metrics import StateCollector
from services.routing.progress import both
from services.routing.publication import Reference
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
    assert answer.json()["errors"] == [{"parameter": "asof", "detail": "is not a parameter of this resource: it has none"}]


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


@pytest.mark.parametrize("table", ["position", "dead_letter", "letter_count", "desk_events"])
def test_a_broken_database_is_told_and_no_record_pays_for_it(routing: Routing, http: TestClient, table: str) -> None:
    routing.settle()
    with routing.store.ledger.transaction() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO lost")
    routing.says(status_changed("acme", 1, profile=Profile(country="DE")))
    routing.bus.append(Message(LIFECYCLE.name, b"acme", b"poison"))
    for loop in routing.loops * 20:
        loop.turn()
    answer = http.get("/readyz")
    assert answer.status_code == 503
    troubled = {check["name"]: check["detail"] for check in answer.json()["checks"] if not check["ok"]}
    assert re.search(f'no such table: {table}|relation "(routing.)?{table}" does not exist', troubled["bus"])
    assert ("database" in troubled) == (table == "letter_count")
    assert "bugs" not in troubled
    assert len(routing.bus.records(REQUEST.name)) == 1  # asked once, however often it is tried
    assert http.get("/v1/assignments/acme").status_code == {"desk_events": 503, "position": 404}.get(table, 200)
    with routing.store.ledger.transaction() as cursor:
        cursor.execute(f"ALTER TABLE lost RENAME TO {table}")
    routing.settle()
    assert http.get("/readyz").json()["ready"]
    assert len(routing.said("acme")) == 1
    assert len(routing.letters()) == 1


def test_nothing_to_go_by_at_the_first_start(tmp_path: Path) -> None:
    routing = Routing(tmp_path)
    bus = MemoryBus({topic.name: topic.partitions(1) for topic in TOPICS})
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("territories: []\ndefault: {rep: karol}\nrules: 1\n")
    first = Reference(bus, rules=wrong, directory=routing.directory_file, clock=lambda: 0)
    first.look()
    assert first.unusable() == (
        "there are no rules yet: wrong.yaml:2:16 default.rep: 'karol' is not in directory v1 (did you mean 'carol'?);"
        " wrong.yaml:3:1 rules: unknown key"
    )
    nowhere = Reference(MemoryBus({t.name: 1 for t in TOPICS}), rules=wrong, directory=tmp_path / "none.yaml", clock=lambda: 0)
    nowhere.look()
    assert nowhere.unusable() == f"there is no directory yet: {tmp_path / 'none.yaml'}: No such file or directory"
    wrong.write_text("territories: []\ndefault: {rep: carol}\n")
    first.look()
    assert first.unusable() is None
    wrong.write_text("wrong again")
    first.look()
    assert first.unusable() is None  # the last good version stays in force
    routing.close()


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
        "unread": {},
        "dead_letters": 1,
    }
    metrics = http.get("/metrics").text
    assert "handoff_consumer_lag_records 0.0" in metrics
    assert 'handoff_dlq_depth{error="Undecodable"} 1.0' in metrics
