"""GET /v1/statuses: the process that holds, one that held, and which versions there are."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from services.lifecycle.api import create_app
from services.lifecycle.statuses import built_in
from tests.lifecycle.harness import Lifecycle, process_of
from tests.lifecycle.reference_facts import DEFAULT


@pytest.fixture
def http(lifecycle: Lifecycle) -> TestClient:
    lifecycle.publish_table(process_of(DEFAULT._replace(opportunities_enabled=False)), "2026-02-01T00:00:00Z", version=2)
    lifecycle.publish_table(process_of(DEFAULT), "2100-01-01T00:00:00Z", version=1)
    lifecycle.settle()
    return TestClient(create_app(lifecycle.store, lifecycle.tables, lifecycle.loop.progress, CollectorRegistry()))


def asked(http: TestClient, **parameters: Any) -> Any:
    answer = http.get("/v1/statuses", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_table_in_force_with_the_versions(http: TestClient) -> None:
    found = asked(http)
    assert (found["version"], found["in_force"], found["author"]) == (2, True, "ops")
    assert (found["effective_from"], found["until"]) == ("2026-02-01T00:00:00Z", "2100-01-01T00:00:00Z")
    assert (found["opportunities_enabled"], found["problems"]) == (False, [])
    assert [(each["version"], each["in_force"]) for each in found["versions"]] == [(0, False), (2, True), (1, False)]
    assert found["versions"][0]["effective_from"] is None
    assert found["triggers"] == DEFAULT.triggers


def test_a_version_by_its_number_with_the_whole_matrix(http: TestClient) -> None:
    found = asked(http, version=0)
    assert (found["version"], found["until"], found["comment"]) == (0, "2026-02-01T00:00:00Z", built_in().comment)
    proposal = next(status for status in found["statuses"] if status["name"] == "Proposal")
    assert proposal["target_duration"] == "14d"
    assert proposal["follow_up"] == "3d"
    assert proposal["tools"] == ["Template for quotes", "Price list"]
    assert list(proposal) == [
        *("name", "stage", "probability", "definition", "objectives", "entry_criteria", "exit_criteria"),
        *("actions", "tools", "target_duration", "follow_up"),
    ]


@pytest.mark.parametrize(
    ("as_of", "version"),
    [("2026-01-31", 0), ("2026-02-01", 2), ("2026-02-01T00:00:00Z", 2), ("2026-01-31T23:59:59.999Z", 0), ("2100-01-01", 1)],
)
def test_the_version_that_held_then(http: TestClient, as_of: str, version: int) -> None:
    assert asked(http, as_of=as_of)["version"] == version


@pytest.mark.parametrize(
    ("parameters", "status", "detail"),
    [
        ({"version": 7}, 404, "there is no version 7 of the status table, only 0, 2, 1"),
        ({"version": -1}, 422, "version: Input should be greater than or equal to 0"),
        ({"version": 0, "as_of": "2026-01-31"}, 422, "ask for a version or for an instant, not for both"),
        ({"as_of": "soon"}, 422, "as_of: 'soon' is"),
        ({"asof": "2026-01-31"}, 422, "asof: is not a parameter of this resource (did you mean as_of?); these are: version, as_of"),
    ],
)
def test_what_cannot_be_answered_is_told(http: TestClient, parameters: dict[str, Any], status: int, detail: str) -> None:
    answer = http.get("/v1/statuses", params=parameters)
    assert answer.status_code == status
    assert detail in answer.json()["detail"]
