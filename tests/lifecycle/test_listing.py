"""Finding customers over HTTP: what is meant, in pages, as CSV, overdue and with follow-ups due."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from events.facts import ActivityLogged, LeadCreated, LeadQualified, OpportunityCreated
from events.values import Price, parse_instant
from services.lifecycle.api import create_app
from services.lifecycle.domain.process import SalesProcess
from services.lifecycle.domain.table import DEFAULT
from tests.lifecycle.harness import Lifecycle

DAY_1, DAY_2, DAY_3, DAY_9 = (f"2026-03-0{day}T09:00:00Z" for day in (1, 2, 3, 9))
DAY = 24 * 3600 * 1_000_000_000
DURATIONS = {"New": (7 * DAY, 2 * DAY), "Qualified": (30 * DAY, 5 * DAY)}
"""Target duration and follow-up delay."""


@pytest.fixture
def http(lifecycle: Lifecycle, eur: Callable[[str], Price]) -> TestClient:
    """A company of four customers on the ninth of March, where New lasts a week and Qualified a month."""
    rows = tuple(
        replace(row, target_duration=target, follow_up=follow_up)
        for row in DEFAULT.rows
        for target, follow_up in [DURATIONS.get(row.name, (None, None))]
    )
    lifecycle.publish_table(SalesProcess(statuses=rows, triggers=DEFAULT.triggers), "2026-01-01T00:00:00Z", version=1)
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="a/1", company="Müller", country="DE", score=70), DAY_1)
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="b", company="=Bolt", country="US", owner="ann"), DAY_1)
    lifecycle.publish("crm.lead.qualified.v1", LeadQualified(customer_id="b"), DAY_3)
    lifecycle.publish("crm.opportunity.created.v1", OpportunityCreated(customer_id="c", opportunity_id="o", amount=eur("1")), DAY_2)
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="d", country="DE"), DAY_3)
    lifecycle.publish("crm.activity.logged.v1", ActivityLogged(customer_id="d", activity_id="1", kind="call"), DAY_9)
    lifecycle.settle()
    now = parse_instant(DAY_9)
    return TestClient(
        create_app(lifecycle.store, lifecycle.tables, lifecycle.loop.progress, CollectorRegistry(), clock=lambda: now)
    )


def ids(http: TestClient, asked: str) -> list[str]:
    answer = http.get(f"/v1/customers?{asked}")
    assert answer.status_code == 200, answer.text
    return [each["customer_id"] for each in answer.json()["customers"]]


def test_a_customer_in_a_list(http: TestClient) -> None:
    (found,) = http.get("/v1/customers?customer_id=a/1").json()["customers"]
    assert found == {
        "customer_id": "a/1",
        "company": "Müller",
        "stage": "lead",
        "status": "New",
        "probability": 0,
        "since": DAY_1,
        "owner": None,
        "country": "DE",
        "source": None,
        "source_kind": None,
        "score": 70,
        "began_at": DAY_1,
        "active_at": DAY_1,
        "touched_at": None,
        "due_at": "2026-03-08T09:00:00Z",
        "overdue": True,
        "follow_up_at": "2026-03-03T09:00:00Z",
        "follow_up_due": True,
    }


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", ["a/1", "b", "c", "d"]),
        ("stage=lead&stage=prospect", ["a/1", "b", "c", "d"]),
        ("stage=customer", []),
        ("status=New", ["a/1", "d"]),
        ("owner=ann", ["b"]),
        ("unowned=true", ["a/1", "c", "d"]),
        ("unowned=true&owner=ann&country=US", ["b"]),
        ("created_from=2026-03-02", ["c", "d"]),
        ("created_to=2026-03-01", ["a/1", "b"]),
        ("created_from=2026-03-02T09:00:00Z&created_to=2026-03-02T10:00:00%2B01:00", ["c"]),
        ("idle_since=2026-03-03T09:00:00Z", ["a/1", "c"]),
        ("score_min=1", ["a/1"]),
        ("overdue=true", ["a/1"]),
        ("overdue=false", ["b", "c", "d"]),
        ("follow_up_due=true", ["a/1", "b"]),
        ("text=M%C3%9CLL", ["a/1"]),
        ("sort=since&order=desc", ["d", "b", "c", "a/1"]),
        ("sort=active_at&order=desc&limit=1", ["d"]),
    ],
)
def test_which_are_meant(http: TestClient, asked: str, found: list[str]) -> None:
    assert ids(http, asked) == found


def test_pages_follow_each_other(http: TestClient) -> None:
    first = http.get("/v1/customers?limit=3&sort=since&count=true").json()
    assert ([each["customer_id"] for each in first["customers"]], first["count"]) == (["a/1", "c", "b"], 4)
    second = http.get("/v1/customers", params={"limit": 3, "sort": "since", "after": first["next"]}).json()
    assert ([each["customer_id"] for each in second["customers"]], second["next"]) == (["d"], None)
    assert "count" not in second


def test_csv_is_the_whole_list(http: TestClient) -> None:
    answer = http.get("/v1/customers?limit=1&sort=since", headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    lines = answer.text.splitlines()
    assert lines[0].startswith("customer_id,company,stage,status,probability,since,owner")
    assert [line.split(",")[0] for line in lines[1:]] == ["a/1", "c", "b", "d"]
    assert lines[3].startswith("b,'=Bolt,lead,Qualified,0,")
    assert http.get("/v1/customers?format=csv&stage=customer").text.splitlines() == lines[:1]


@pytest.mark.parametrize(
    ("asked", "parameter", "detail"),
    [
        ("status=Nwe", "status", "'Nwe' is a status of no version of the table (did you mean 'New'?); there are New, Qualified"),
        ("stage=leads", "stage.0", "must be one of lead, prospect, customer"),
        ("limit=0", "limit", "greater than or equal to 1"),
        ("limit=1001", "limit", "less than or equal to 1000"),
        ("after=x", "after", "take `next` of the page before"),
        ("after=WyJzaW5jZSIsIDEsICJhIl0=", "after", "is of a list sorted by since"),
        ("after=WyJzaW5jZSIsIG51bGwsICJhIl0=&sort=since", "after", "take `next` of the page before"),
        ("created_from=2026-13-01", "created_from", "or a day (2017-03-31)"),
        ("created_from=2026-03-02&created_to=2026-03-01", "created_to", "is before created_from"),
        ("score_min=101", "score_min", "less than or equal to 100"),
        ("unowned=false", "unowned", "leave it out, or name owners"),
        ("text=", "text", "at least 1 character"),
        ("status=New&sort=since&status=Dead&sort=began_at", "sort", "is given more than once"),
        ("text=a%00", "text", "NUL"),
        ("statuses=New", "statuses", "is not a parameter of this resource (did you mean status?)"),
    ],
)
def test_what_makes_no_sense_is_refused(http: TestClient, asked: str, parameter: str, detail: str) -> None:
    answer = http.get(f"/v1/customers?{asked}")
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["parameter"] == parameter
    assert detail in error["detail"]


def test_many_values(http: TestClient) -> None:
    many: list[tuple[str, Any]] = [("customer_id", f"x{number}") for number in range(499)]
    assert http.get("/v1/customers", params=[*many, ("customer_id", "b")]).json()["customers"][0]["customer_id"] == "b"
    assert http.get("/v1/customers", params=[*many, ("customer_id", "b"), ("customer_id", "c")]).status_code == 422
