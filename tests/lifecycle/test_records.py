"""``GET /v1/customers/{id}`` and ``GET /v1/timeline/{id}`` over HTTP."""

import csv
import io
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec
import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from events.assignments import LeadAssigned, LeadUnassigned
from events.facts import (
    ActivityLogged,
    Contact,
    CustomerConverted,
    HandoffAccepted,
    HandoffRejected,
    LeadCreated,
    LeadUpdated,
    OpportunityCreated,
    OpportunityUpdated,
    OpportunityWon,
    QuoteCreated,
    StatusReverted,
)
from events.values import Price, parse_instant
from services.lifecycle.api import create_app
from services.lifecycle.tables import StatusTables
from tests.lifecycle.harness import Lifecycle, process_of
from tests.lifecycle.reference_facts import DEFAULT

DAY_1, DAY_2, DAY_3, DAY_4, DAY_5 = (f"2026-03-0{day}T09:00:00Z" for day in range(1, 6))
Eur = Callable[[str], Price]


@pytest.fixture
def http(lifecycle: Lifecycle) -> TestClient:
    """A client of the service's application."""
    return TestClient(create_app(lifecycle.store, lifecycle.tables, lifecycle.loop.progress, CollectorRegistry()))


def in_berlin(lifecycle: Lifecycle) -> TestClient:
    """The same where the business is in Berlin."""
    tables = StatusTables(lifecycle.bus, ZoneInfo("Europe/Berlin"))
    return TestClient(create_app(lifecycle.store, tables, lifecycle.loop.progress, CollectorRegistry()))


@pytest.fixture
def acme(lifecycle: Lifecycle, eur: Eur) -> Lifecycle:
    """A customer with a lead, an assignment that is accepted, a deal that is won; a quote comes in late."""
    created = OpportunityCreated(customer_id="acme/1", opportunity_id="o1", amount=eur("1000"))
    contact = Contact(name="Ada", email="ada@acme.example")
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="acme/1", company="Acme", contact=contact), DAY_1, id="lead")
    lifecycle.publish(
        "crm.lead.assigned.v1",
        LeadAssigned(customer_id="acme/1", assignment_id="a1", rep_id="ann", team="north"),
        "2026-03-01T09:00:01Z",
        id="a1",
    )
    lifecycle.publish(
        "crm.handoff.accepted.v1",
        HandoffAccepted(customer_id="acme/1", assignment_id="a1", rep_id="ann"),
        "2026-03-01T09:10:01.5Z",
        id="ok",
    )
    lifecycle.publish("crm.opportunity.created.v1", created, DAY_2, id="opened")
    lifecycle.publish("crm.opportunity.won.v1", OpportunityWon(customer_id="acme/1", opportunity_id="o1"), DAY_4, id="won")
    lifecycle.settle()
    quoted = QuoteCreated(customer_id="acme/1", quote_id="q1", opportunity_id="o1", amount=eur("800"))
    late = lifecycle.message("crm.quote.created.v1", quoted, DAY_3, id="quoted")
    lifecycle.bus.append(msgspec.structs.replace(late, timestamp=parse_instant(DAY_5) // 10**6))
    lifecycle.settle()
    return lifecycle


# ---------------------------------------------------------------------------------------- the record


def test_the_record_says_what_became_of_an_assignment(acme: Lifecycle, http: TestClient) -> None:
    body = http.get("/v1/customers/acme/1").json()
    (handoff,) = body["handoffs"]
    assert handoff == {
        "assignment_id": "a1",
        "rep_id": "ann",
        "team": "north",
        "previous_rep": None,
        "assigned_at": "2026-03-01T09:00:01Z",
        "accepted_at": "2026-03-01T09:10:01.5Z",
        "seconds_to_accept": 600.5,
        "touched_at": None,
        "seconds_to_touch": None,
        "rejected_at": None,
        "reason": None,
        "recycled_at": None,
        "ended": None,
    }
    assert (body["bounces"], body["contact"]["name"], body["as_of"], body["known_at"]) == (0, "Ada", None, None)
    documents = {document["id"]: document.get("included", False) for document in body["deals"][0]["documents"]}
    assert documents == {"o1": False, "q1": True}


def test_an_assignment_that_was_rejected_has_bounced(lifecycle: Lifecycle, http: TestClient) -> None:
    say = lifecycle.publish
    say("crm.lead.assigned.v1", LeadAssigned(customer_id="c", assignment_id="a1", rep_id="ann"), DAY_1)
    say("crm.handoff.rejected.v1", HandoffRejected(customer_id="c", assignment_id="a1", rep_id="ann", reason="full"), DAY_2)
    say("crm.lead.unassigned.v1", LeadUnassigned(customer_id="c", assignment_id="a1", reason="rejected"), DAY_3)
    lifecycle.settle()
    body = http.get("/v1/customers/c").json()
    assert (body["owner"], body["bounces"]) == (None, 1)
    assert body["handoffs"][0]["ended"] == {"how": "rejected", "at": DAY_2, "reason": "full", "successor": None}
    assert http.get("/v1/customers/c", params={"as_of": DAY_1}).json()["bounces"] == 0


def test_the_timeline_shows_the_whole_reasoning_of_an_assignment(lifecycle: Lifecycle, http: TestClient) -> None:
    trace = {"territories": [{"territory": "DACH", "holds": True}], "cursor": {"before": {"ann": "0"}}}
    given = LeadAssigned(customer_id="c", assignment_id="a1", rep_id="ann", trace=trace)
    lifecycle.publish("crm.lead.assigned.v1", given, DAY_1)
    lifecycle.settle()
    (entry,) = http.get("/v1/timeline/c").json()["timeline"]
    assert entry["data"] == {"assignment_id": "a1", "rep_id": "ann", "trace": trace}


def test_as_of_an_instant(acme: Lifecycle, http: TestClient) -> None:
    """The quote came in on day 5, and counts on day 3 all the same."""
    body = http.get("/v1/customers/acme/1", params={"as_of": DAY_3}).json()
    assert (body["as_of"], body["known_at"], body["stage"], body["status"], body["facts"]) == (
        DAY_3,
        None,
        "prospect",
        "Proposal",
        5,
    )
    assert body["deals"][0]["amounts"]["amount"]["amount"] == "800.00"
    before = http.get("/v1/customers/acme/1", params={"as_of": "2026-03-03T08:59:59.999999999Z"}).json()
    assert (before["status"], before["deals"][0]["amounts"]["amount"]["amount"]) == ("Opportunity Identified", "1000.00")
    assert [document["id"] for document in before["deals"][0]["documents"]] == ["o1"]


def test_as_it_was_known(acme: Lifecycle, http: TestClient) -> None:
    """On day 4 nobody knew of the quote, not even of what held on day 3."""
    known = http.get("/v1/customers/acme/1", params={"known_at": DAY_4}).json()
    assert (known["stage"], known["facts"], known["recorded_at"], known["known_at"]) == ("customer", 5, DAY_4, DAY_4)
    assert known["deals"][0]["amounts"]["amount"]["amount"] == "1000.00"
    both = http.get("/v1/customers/acme/1", params={"as_of": DAY_3, "known_at": DAY_4}).json()
    assert (both["status"], both["as_of"], both["known_at"]) == ("Opportunity Identified", DAY_3, DAY_4)
    now = http.get("/v1/customers/acme/1").json()
    assert http.get("/v1/customers/acme/1", params={"known_at": DAY_5}).json() == {**now, "known_at": DAY_5}
    assert (known["version"] < now["version"], now["recorded_at"]) == (True, DAY_5)


def test_a_bare_day_means_through_its_last_instant_in_business_time(lifecycle: Lifecycle, http: TestClient) -> None:
    """In Berlin 31 March 2026 ends at 22:00 UTC (summer time), 1 March at 23:00."""
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="c", company="one"), "2026-03-01T22:59:59Z")
    lifecycle.publish("crm.lead.updated.v1", LeadUpdated(customer_id="c", company="two"), "2026-03-01T23:00:00Z")
    lifecycle.publish("crm.lead.updated.v1", LeadUpdated(customer_id="c", company="three"), "2026-03-31T22:00:00Z")
    lifecycle.settle()
    berlin = in_berlin(lifecycle)

    def company(client: TestClient, day: str) -> tuple[str, str]:
        body = client.get("/v1/customers/c", params={"as_of": day}).json()
        return body["profile"]["company"], body["as_of"]

    assert company(berlin, "2026-03-01") == ("one", "2026-03-01T22:59:59.999999999Z")
    assert company(http, "2026-03-01") == ("two", "2026-03-01T23:59:59.999999999Z")
    assert company(berlin, "2026-03-31") == ("two", "2026-03-31T21:59:59.999999999Z")
    assert company(berlin, "2026-04-01") == ("three", "2026-04-01T21:59:59.999999999Z")


def test_a_status_table_that_came_late_was_not_known_before(lifecycle: Lifecycle, http: TestClient) -> None:
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="acme/1"), DAY_1)
    lifecycle.settle()
    rows = [("New", "lead", 5), *DEFAULT.rows[1:]]
    process = process_of(DEFAULT._replace(rows=rows))
    lifecycle.publish_table(process, DAY_1, version=1, recorded_at=parse_instant(DAY_4) // 10**6)
    lifecycle.settle()

    def probability(**asked: str) -> int:
        body = http.get("/v1/customers/acme/1", params=asked).json()
        assert body["history"][-1]["probability"] == body["probability"]
        told: int = body["probability"]
        return told

    assert (probability(), probability(as_of=DAY_2)) == (5, 5)
    assert (probability(known_at=DAY_3), probability(known_at=DAY_4)) == (0, 5)
    assert timeline(http)[0]["changed"]["status"]["to"]["probability"] == 5
    assert timeline(http, known_at=DAY_3)[0]["changed"]["status"]["to"]["probability"] == 0


def test_where_nothing_was_there_or_known_it_says_so(acme: Lifecycle, http: TestClient) -> None:
    early = http.get("/v1/customers/acme/1", params={"as_of": "2026-02-01"})
    assert early.status_code == 404
    assert early.json()["detail"] == (
        f"the customer 'acme/1' was not there yet at 2026-02-01T23:59:59.999999999Z: the first fact is dated {DAY_1}"
    )
    unknown = http.get("/v1/timeline/acme/1", params={"known_at": "2026-02-01T00:00:00Z"})
    assert unknown.status_code == 404
    assert unknown.json()["detail"] == (
        f"nothing was known of the customer 'acme/1' at 2026-02-01T00:00:00Z: the first fact came in at {DAY_1}"
    )
    for path in ("/v1/customers/nobody", "/v1/timeline/nobody", "/v1/timeline/%01wake"):
        answer = http.get(path, params={"as_of": DAY_1})
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
        assert "has been taken in" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/customers/acme/1", "/v1/timeline/acme/1"])
@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("as_of=yesterday", "as_of: 'yesterday' is not an RFC 3339 time such as 2026-01-31T09:00:00Z. Write an instant"),
        ("as_of=2026-03-01T09:00:00", "as_of: '2026-03-01T09:00:00' has no offset"),
        ("as_of=", "as_of: '' is not an RFC 3339 time"),
        ("known_at=2026-02-30", "known_at: '2026-02-30T00:00:00Z' is not a time"),
        ("known_at=99999-01-01", "known_at: '99999-01-01' is not an RFC 3339 time"),
        ("at=2026-03-01", "at: is not a parameter of this resource"),
        ("as_of=2026-03-01&as_of=2026-03-02", "as_of: is given more than once"),
    ],
)
def test_a_wrong_question(acme: Lifecycle, http: TestClient, path: str, asked: str, says: str) -> None:
    answer = http.get(f"{path}?{asked}")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["detail"].startswith(says), answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/customers/acme/1", "/v1/timeline/acme/1", "/v1/timeline/acme/1?format=csv"])
def test_an_answer_that_one_has_is_not_sent_again(acme: Lifecycle, http: TestClient, path: str) -> None:
    first = http.get(path)
    tag = first.headers["ETag"]
    again = http.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    acme.publish("crm.lead.updated.v1", LeadUpdated(customer_id="acme/1", score=5), DAY_5)
    acme.settle()
    fresh = http.get(path, headers={"If-None-Match": tag})
    assert (fresh.status_code, fresh.headers["ETag"] != tag) == (200, True)


# -------------------------------------------------------------------------------------- the timeline


def timeline(http: TestClient, **asked: Any) -> list[dict[str, Any]]:
    """The entries of one page."""
    answer = http.get("/v1/timeline/acme/1", params=asked)
    assert answer.status_code == 200, answer.text
    entries: list[dict[str, Any]] = answer.json()["timeline"]
    return entries


def test_every_fact_with_what_it_changed(acme: Lifecycle, http: TestClient) -> None:
    lead, assigned, accepted, opened, quoted, won = timeline(http, order="asc")
    assert lead["data"] == {"company": "Acme", "contact": {"name": "Ada", "email": "ada@acme.example"}}
    new = {"stage": "lead", "status": "New", "probability": 0}
    assert lead["changed"] == {"status": {"from": None, "to": new}, "profile": ["company", "contact"]}
    assert assigned["changed"] == {
        "owner": {"from": None, "to": "ann", "assignment_id": "a1"},
        "handoffs": [{"assignment_id": "a1", "rep_id": "ann", "progress": "assigned", "reason": None}],
    }
    assert accepted["changed"]["handoffs"][0]["progress"] == "accepted"
    assert opened["changed"]["status"]["to"]["status"] == "Opportunity Identified"
    assert opened["changed"]["deals"][0]["deal_id"] == "opportunity:o1"
    assert opened["changed"]["deals"][0]["amount"] == {"from": None, "to": {"amount": "1000.00", "currency": "EUR"}}
    amounts = {"from": {"amount": "1000.00", "currency": "EUR"}, "to": {"amount": "800.00", "currency": "EUR"}}
    assert quoted["changed"]["deals"][0]["amount"] == amounts
    assert won["changed"]["deals"][0]["state"] == {"from": "open", "to": "won"}
    assert won["changed"]["status"]["to"] == {"stage": "customer", "status": "Closed Won", "probability": 100}
    assert [entry["id"] for entry in timeline(http)] == ["won", "quoted", "opened", "ok", "a1", "lead"]


def test_a_late_fact_is_marked_with_what_it_corrected(acme: Lifecycle, http: TestClient) -> None:
    entries = {entry["id"]: entry for entry in timeline(http)}
    assert [name for name, entry in entries.items() if entry["late"]] == ["quoted"]
    late = entries["quoted"]
    assert (late["occurred_at"], late["recorded_at"], late["delay_seconds"]) == (DAY_3, DAY_5, 2 * 86400)
    corrected = late["corrected"]
    assert (corrected["since"], corrected["together_with"]) == (DAY_3, [])
    assert corrected["status"]["since"] == DAY_3
    assert corrected["status"]["from"] == corrected["status"]["to"]
    assert corrected["deals"] == [{"deal_id": "opportunity:o1", "since": DAY_3}]
    assert entries["won"]["corrected"] is None
    assert all(not entry["late"] for entry in timeline(http, known_at=DAY_4))
    assert [entry["id"] for entry in timeline(http, as_of=DAY_3)] == ["quoted", "opened", "ok", "a1", "lead"]


def test_a_command_is_told_with_its_verdict(lifecycle: Lifecycle, http: TestClient) -> None:
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="acme/1"), DAY_1)
    lifecycle.publish("crm.status.reverted.v1", StatusReverted(customer_id="acme/1", stage="lead", actor="eva"), DAY_2)
    lifecycle.publish("crm.customer.converted.v1", CustomerConverted(customer_id="acme/1", actor="eva"), DAY_3)
    lifecycle.settle()
    converted, refused, _ = timeline(http)
    assert converted["changed"]["command"] == {"effective": True, "rule": None, "explanation": None}
    explanation = "the record is a lead: that is the lowest stage, and nothing can be reverted"
    assert refused["changed"] == {"command": {"effective": False, "rule": "not-below", "explanation": explanation}}
    commands = http.get("/v1/customers/acme/1").json()["commands"]
    assert [(each["type"], each["actor"], each["effective"], each["rule"]) for each in commands] == [
        ("crm.status.reverted.v1", "eva", False, "not-below"),
        ("crm.customer.converted.v1", "eva", True, None),
    ]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_do_not_move_when_facts_come_in(acme: Lifecycle, http: TestClient, order: str) -> None:
    whole = [entry["id"] for entry in timeline(http, order=order)]
    first = http.get("/v1/timeline/acme/1", params={"limit": 4, "order": order}).json()
    acme.publish(
        "crm.activity.logged.v1", ActivityLogged(customer_id="acme/1", activity_id="x"), "2026-02-01T00:00:00Z", id="early"
    )
    acme.publish("crm.activity.logged.v1", ActivityLogged(customer_id="acme/1", activity_id="y"), DAY_5, id="new")
    acme.settle()
    second = http.get("/v1/timeline/acme/1", params={"limit": 4, "order": order, "after": first["next"]}).json()
    seen = [entry["id"] for page in (first, second) for entry in page["timeline"]]
    assert seen == whole + {"asc": ["new"], "desc": ["early"]}[order]
    assert second["next"] is None


def test_a_page_says_the_same_as_the_whole(acme: Lifecycle, http: TestClient) -> None:
    whole, cursor, pages = timeline(http), None, []
    while True:
        body = http.get("/v1/timeline/acme/1", params={"limit": 1} | ({"after": cursor} if cursor else {})).json()
        pages += body["timeline"]
        cursor = body["next"]
        if cursor is None:
            break
    assert pages == whole
    assert all(newer["occurred_at"] >= older["occurred_at"] for newer, older in pairwise(pages))


@pytest.mark.parametrize("cursor", ["x", "bnVsbA==", "WzEsMiwzLDRd", "W251bGwsIDEsICJhIiwgImIiXQ==", "W10=", "é"])
def test_what_is_no_cursor(acme: Lifecycle, http: TestClient, cursor: str) -> None:
    answer = http.get("/v1/timeline/acme/1", params={"after": cursor})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "after: is not a cursor: take `next` of the page before"


@pytest.mark.parametrize("limit", ["0", "501", "-1", "many"])
def test_a_page_is_bounded(acme: Lifecycle, http: TestClient, limit: str) -> None:
    assert http.get("/v1/timeline/acme/1", params={"limit": limit}).status_code == 422


def test_csv_is_the_whole_timeline(acme: Lifecycle, http: TestClient) -> None:
    updated = OpportunityUpdated(customer_id="acme/1", opportunity_id="o1", owner="=cmd()")
    acme.publish("crm.opportunity.updated.v1", updated, DAY_5, source="=web", id="formula")
    acme.settle()
    answer = http.get("/v1/timeline/acme/1", params={"limit": 1}, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["id"] for row in rows] == ["formula", "won", "quoted", "opened", "ok", "a1", "lead"]
    formula, won, quoted, *_, assigned, lead = rows
    assert formula["source"] == "'=web"
    assert formula["deals"] == "opportunity:o1: owner ann -> =cmd()"
    assert (won["stage_from"], won["stage_to"], won["status_from"], won["status_to"]) == (
        *("prospect", "customer"),
        *("Proposal", "Closed Won"),
    )
    assert (quoted["late"], quoted["corrected_since"], quoted["delay_seconds"]) == ("True", DAY_3, "172800.0")
    assert (assigned["owner_to"], assigned["handoffs"]) == ("ann", "ann assigned")
    assert msgspec.json.decode(lead["data"])["company"] == "Acme"
    same = http.get("/v1/timeline/acme/1", params={"format": "csv"})
    assert same.text == answer.text
    assert http.get(f"/v1/timeline/{quote('acme/1', safe='')}?format=json").json()["customer_id"] == "acme/1"
