"""The process map over HTTP: facts in, what really happened out."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from eventsourcing.persistence import StoredEvent
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient
from msgspec.structs import replace

from events.facts import (
    LeadCreated,
    LeadDisqualified,
    LeadQualified,
    LeadUpdated,
    OpportunityCreated,
    OpportunityLost,
    OpportunityUpdated,
    OpportunityWon,
    OrderPlaced,
    OwnerSet,
    QuoteCreated,
)
from events.values import Price, parse_instant
from services.lifecycle import problems
from services.lifecycle.domain.table import Tables
from services.lifecycle.process import maps as kept
from services.lifecycle.process.api import router
from services.lifecycle.process.histories import cases
from services.lifecycle.process.maps import Maps
from services.lifecycle.process.question import MapQuery, Question
from services.lifecycle.work import Work

URL = "/v1/process-map"
NOW = parse_instant("2026-04-01T00:00:00Z")


class Http:
    """The resources by themselves, with a clock and a policy of the test's own."""

    def __init__(self, lifecycle: Any) -> None:
        self.now = NOW
        self.policy = lifecycle.tables.policy
        app = FastAPI()
        problems.install(app)
        app.include_router(router(lifecycle.store, lambda: self.policy, lambda: self.now))
        self.client = TestClient(app)

    def map(self, **asked: Any) -> Any:
        answer = self.client.get(URL, params=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def http(lifecycle: Any) -> Http:
    lifecycle.settle()
    return Http(lifecycle)


def day(number: int, hour: int = 9) -> str:
    return f"2026-03-{number:02}T{hour:02}:00:00Z"


@pytest.fixture
def sales(lifecycle: Any, eur: Callable[[str], Price]) -> None:
    """Three customers: one won after a quote, one lost and open again, one dead."""

    def say(type_: str, data: Any, at: str) -> None:
        lifecycle.publish(f"crm.{type_}.v1", data, at)

    say("lead.created", LeadCreated(customer_id="won", lead_id="l", source="web", country="DE", owner="ann"), day(1))
    say("lead.qualified", LeadQualified(customer_id="won", lead_id="l"), day(3))
    say("opportunity.created", OpportunityCreated(customer_id="won", opportunity_id="o", amount=eur("1")), day(4))
    say("quote.created", QuoteCreated(customer_id="won", quote_id="q", opportunity_id="o", amount=eur("1")), day(6))
    say("opportunity.updated", OpportunityUpdated(customer_id="won", opportunity_id="o", amount=eur("2")), day(7))
    say("order.placed", OrderPlaced(customer_id="won", order_id="r", opportunity_id="o", amount=eur("1")), day(9))
    say("lead.created", LeadCreated(customer_id="lost", lead_id="l", source="fair"), day(2))
    say("opportunity.created", OpportunityCreated(customer_id="lost", opportunity_id="a", amount=eur("1"), owner="bob"), day(5))
    say("opportunity.lost", OpportunityLost(customer_id="lost", opportunity_id="a", reason="price"), day(8))
    say("opportunity.created", OpportunityCreated(customer_id="lost", opportunity_id="b", amount=eur("1")), day(10))
    say("lead.created", LeadCreated(customer_id="dead", lead_id="l", source="web"), day(20))
    say("lead.disqualified", LeadDisqualified(customer_id="dead", lead_id="l", reason="spam"), day(22))
    lifecycle.settle()


def moves(body: Any) -> dict[tuple[str, str], int]:
    return {(each["from_status"], each["to_status"]): each["count"] for each in body["transitions"]}


def counts(body: Any) -> dict[str, int]:
    return {each["status"]: each["cases"] for each in body["statuses"] if each["cases"]}


def test_an_empty_store_has_an_empty_map(http: Http) -> None:
    for subject in ("records", "deals"):
        body = http.map(subject=subject)
        assert (body["cases"], body["moves"], body["transitions"]) == (0, 0, [])
        assert (body["as_of"], body["only"], body["subject"]) == ("2026-04-01T00:00:00Z", {}, subject)


@pytest.mark.usefixtures("sales")
def test_what_happened_to_records(http: Http) -> None:
    body = http.map()
    assert body["cases"] == 3
    assert moves(body) == {
        ("New", "Qualified"): 1,
        ("Qualified", "Opportunity Identified"): 1,
        ("Opportunity Identified", "Proposal"): 1,
        ("Proposal", "Closed Won"): 1,
        ("New", "Opportunity Identified"): 1,
        ("Opportunity Identified", "Closed Lost"): 1,
        ("Closed Lost", "Opportunity Identified"): 1,
        ("New", "Dead"): 1,
    }
    assert body["rework"] == {"transitions": 1, "cases": 1, "share": 0.3333}
    assert [(each["stage"], each["reached"]) for each in body["stages"]] == [("lead", 3), ("prospect", 2), ("customer", 1)]
    assert next(each for each in body["statuses"] if each["status"] == "New")["target_seconds"] is not None
    assert body["variants"]["listed"][0] == {"statuses": ["New", "Dead"], "length": 2, "count": 1, "share": 0.3333}


@pytest.mark.usefixtures("sales")
def test_what_happened_to_deals(http: Http) -> None:
    body = http.map(subject="deals")
    assert body["cases"] == 3
    assert moves(body) == {
        ("Opportunity Identified", "Proposal"): 1,
        ("Proposal", "Closed Won"): 1,
        ("Opportunity Identified", "Closed Lost"): 1,
    }
    assert [each["stage"] for each in body["stages"]] == ["prospect", "customer"]
    assert {each["stage"] for each in body["statuses"]} == {"prospect", "customer"}


@pytest.mark.usefixtures("sales")
@pytest.mark.parametrize(
    ("asked", "cases"),
    [
        ({"from": "2026-03-02"}, 2),
        ({"to": "2026-03-02"}, 2),
        ({"from": "2026-03-02", "to": "2026-03-02"}, 1),
        ({"to": "2026-03-02T08:59:59Z"}, 1),
        ({"as_of": "2026-03-02"}, 2),
        ({"as_of": "2026-02-01"}, 0),
        ({"stage": "prospect"}, 1),
        ({"stage": "lead", "as_of": day(4)}, 1),
        ({"status": "Dead"}, 1),
        ({"source": "web"}, 2),
        ({"source": ""}, 0),
        ({"country": "DE", "source": "web"}, 1),
        ({"country": ""}, 2),
        ({"owner": "ann"}, 1),
        ({"owner": ""}, 1),
        ({"owner": "bob"}, 1),
        ({"subject": "deals", "owner": "bob"}, 2),
        ({"subject": "deals", "source": "fair", "status": "Closed Lost"}, 1),
        ({"subject": "deals", "from": "2026-03-05"}, 2),
    ],
    ids=str,
)
def test_only_the_cases_that_are_asked_for(http: Http, asked: dict[str, str], cases: int) -> None:
    body = http.map(**asked)
    assert body["cases"] == cases
    assert body["only"] == {name: value for name, value in asked.items() if name not in ("as_of", "subject")}


@pytest.mark.usefixtures("sales")
def test_as_of_nothing_later_has_happened(http: Http) -> None:
    body = http.map(as_of=day(8))
    assert counts(body) == {"New": 2, "Qualified": 1, "Opportunity Identified": 2, "Proposal": 1, "Closed Lost": 1}
    proposal = next(each for each in body["statuses"] if each["status"] == "Proposal")
    assert (proposal["now"], proposal["open"]["median_seconds"]) == (1, 2 * 86_400)


@pytest.mark.usefixtures("sales")
def test_a_late_fact_changes_the_past(lifecycle: Any, http: Http) -> None:
    lifecycle.publish("crm.lead.qualified.v1", LeadQualified(customer_id="lost", lead_id="l"), day(3))
    lifecycle.publish("crm.lead.qualified.v1", LeadQualified(customer_id="dead", lead_id="l"), day(20, 8))
    lifecycle.settle()
    found = moves(http.map())
    assert (found["New", "Qualified"], found["Qualified", "Opportunity Identified"]) == (2, 2)
    assert ("New", "Opportunity Identified") not in found


@pytest.mark.usefixtures("sales")
def test_a_deal_that_another_absorbs_is_none(lifecycle: Any, http: Http, eur: Callable[[str], Price]) -> None:
    orphan = QuoteCreated(customer_id="won", quote_id="q2", amount=eur("5"))
    lifecycle.publish("crm.quote.created.v1", orphan, day(7))
    lifecycle.settle()
    assert http.map(subject="deals")["cases"] == 4
    linked = QuoteCreated(customer_id="won", quote_id="q3", opportunity_id="o", replaces="q2", amount=eur("5"))
    lifecycle.publish("crm.quote.created.v1", linked, day(8))
    lifecycle.settle()
    assert http.map(subject="deals")["cases"] == 3


@pytest.mark.usefixtures("sales")
def test_source_and_owner_are_the_present_ones(lifecycle: Any, http: Http) -> None:
    lifecycle.publish("crm.lead.updated.v1", LeadUpdated(customer_id="dead", lead_id="l", country="FR"), day(23))
    lifecycle.publish("crm.owner.set.v1", OwnerSet(customer_id="dead", rep_id="eve", actor="eve"), day(24))
    lifecycle.settle()
    assert (http.map(country="FR")["cases"], http.map(owner="eve", as_of=day(21))["cases"]) == (1, 1)


def test_the_map_says_what_the_records_say(lifecycle: Any, http: Http, eur: Callable[[str], Price]) -> None:
    """Whatever came in which order: each history is that of the record, folded anew from its facts."""
    for number in range(30):
        name = f"c{number}"
        lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id=name, lead_id="l"), day(1 + number % 9))
        lifecycle.publish("crm.opportunity.won.v1", OpportunityWon(customer_id=name, opportunity_id="o"), day(25 - number % 7))
        created = OpportunityCreated(customer_id=name, opportunity_id="o", amount=eur("1"))
        lifecycle.publish("crm.opportunity.created.v1", created, day(10 + number % 11))
        lifecycle.publish("crm.lead.qualified.v1", LeadQualified(customer_id=name, lead_id="l"), day(5 + number % 13))
    lifecycle.settle()
    names = [f"c{number}" for number in range(30)]
    records = [
        record
        for shard in range(lifecycle.store.shards)
        for record in lifecycle.store.load(shard, names, lifecycle.tables.policy).values()
    ]
    assert len(records) == 30
    folded = sorted([(held.at, held.what.stage, held.what.name) for held in record.fold.statuses] for record in records)
    assert sorted(case.trace for case in cases(lifecycle.store, "records", NOW)) == folded
    deals = sorted(
        [(held.at, "customer" if held.what.state == "won" else "prospect", held.what.status) for held in history]
        for record in records
        for history in record.fold.images.values()
    )
    assert sorted(case.trace for case in cases(lifecycle.store, "deals", NOW)) == deals


@pytest.mark.parametrize("count", [0, 499, 500, 501, 1000, 1203])
def test_a_shard_is_read_page_by_page_and_nothing_twice(lifecycle: Any, count: int) -> None:
    work = Work.none()
    topics = ["status", "fact", "deals"]
    stored = [StoredEvent(f"c{9999 - number}", 1, topics[number % 3], str(number).encode()) for number in range(count)]
    work.events[1] += stored
    if stored:
        lifecycle.store.commit([], work)
    for asked in (topics, ["status"], ["status", "deals"]):
        expected = [(event.originator_id, event.state) for event in stored if event.topic in asked]
        assert [(customer, bytes(state)) for customer, state in lifecycle.store.stream(1, asked)] == expected
    assert list(lifecycle.store.stream(0, topics)) == []


def test_what_is_stored_while_a_shard_is_read_is_seen_and_nobody_waits(lifecycle: Any) -> None:
    def store(name: str) -> None:
        work = Work.none()
        work.events[1] += [StoredEvent(f"{name}{number}", 1, "status", b"") for number in range(500)]
        lifecycle.store.commit([], work)

    store("a")
    reading = lifecycle.store.stream(1, ["status"])
    assert next(reading) == ("a0", b"")
    store("b")
    assert len(list(reading)) == 999


# -------------------------------------------------------------------------------------------- questions


@pytest.mark.parametrize(
    ("asked", "detail"),
    [
        ("statsu=New", "statsu: is not a parameter of this resource (did you mean status?); these are: subject, from, to"),
        ("began_from=2026-01-01", "began_from: is not a parameter"),
        ("subject=people", "subject: must be one of records, deals"),
        ("stage=won", "stage: must be one of lead, prospect, customer"),
        ("status=Won", "status: 'Won' is a status of no version of the table"),
        ("as_of=yesterday", "as_of: 'yesterday' is not an RFC 3339 time"),
        ("from=2026-13-01", "from: "),
        ("from=2026-03-02&to=2026-03-01", "from: is after `to`"),
        ("variants=101", "variants: Input should be less than or equal to 100"),
        ("owner=" + "x" * 201, "owner: String should have at most 200 characters"),
    ],
)
@pytest.mark.parametrize("form", ["", ".svg"])
def test_a_wrong_question_is_told_what_would_be_right(http: Http, asked: str, detail: str, form: str) -> None:
    answer = http.client.get(f"{URL}{form}?{asked}")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["detail"].startswith(detail.replace("100", "20") if form and "variants" in detail else detail)


@pytest.mark.usefixtures("sales")
def test_days_are_those_of_the_business(http: Http, lifecycle: Any) -> None:
    from zoneinfo import ZoneInfo

    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="late", lead_id="l"), "2026-03-14T23:30:00Z")
    lifecycle.settle()
    asked = {"from": "2026-03-15", "to": "2026-03-15"}
    assert http.map(**asked)["cases"] == 0
    http.policy = replace(http.policy, zone=ZoneInfo("Europe/Berlin"))
    assert http.map(**asked)["cases"] == 1


# ------------------------------------------------------------------------------------------ kept answers


@pytest.mark.usefixtures("sales")
def test_the_same_answer_is_sent_once(lifecycle: Any, http: Http) -> None:
    tag = http.client.get(URL).headers["etag"]
    assert http.client.get(URL, headers={"If-None-Match": tag}).status_code == 304
    picture = http.client.get(f"{URL}.svg").headers["etag"]
    assert http.client.get(f"{URL}.svg", headers={"If-None-Match": picture}).status_code == 304
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="new"), day(24))
    lifecycle.settle()
    again = http.client.get(URL, headers={"If-None-Match": tag})
    assert (again.status_code, again.json()["cases"]) == (200, 4)


@pytest.mark.usefixtures("sales")
def test_now_goes_on(http: Http) -> None:
    first = http.map()["as_of"]
    http.now += 59 * 10**9
    assert http.map()["as_of"] == first
    http.now += 10**9
    assert http.map()["as_of"] == "2026-04-01T00:01:00Z"


@pytest.mark.usefixtures("sales")
def test_another_table_is_another_map(http: Http) -> None:
    assert http.map(as_of=day(28))["table_version"] == 0
    newer = replace(http.policy.tables.versions[0], version=1, effective_from=parse_instant(day(27)))
    http.policy = replace(http.policy, tables=Tables((*http.policy.tables.versions, newer)))
    assert (http.map(as_of=day(28))["table_version"], http.map(as_of=day(26))["table_version"]) == (1, 0)


def test_where_a_map_takes_long_it_is_good_for_a_while_even_if_something_is_stored(lifecycle: Any, http: Http) -> None:
    """A clock on which every look takes two seconds: a map is made within one of its steps."""
    ticking = iter(range(NOW, NOW + 10**13, 2 * 10**9))
    maps = Maps(lifecycle.store, lambda: http.policy, lambda: next(ticking))
    question = Question.of(MapQuery(), http.policy.zone)
    first = maps.of(question)
    assert first.seconds == 2
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="new"), day(24))
    lifecycle.settle()
    answers = [maps.of(question) for _ in range(12)]
    changed = [number for number, made in enumerate(answers) if made is not first]
    assert changed
    assert changed[0] == 8  # 20 seconds after it was begun: ten times as long as it took
    assert answers[-1].answer.cases == 1


def test_who_would_wait_for_too_many_is_sent_away(lifecycle: Any, http: Http) -> None:
    made, begun = threading.Event(), threading.Semaphore(0)
    policy = http.policy

    def slow() -> Any:
        begun.release()
        assert made.wait(30)
        return policy

    maps = Maps(lifecycle.store, slow, lambda: NOW)
    zone = policy.zone
    threads = [
        threading.Thread(target=maps.of, args=(Question.of(MapQuery(variants=number), zone),))
        for number in range(kept.WAITING_MAX + 1)
    ]
    for thread in threads:
        thread.start()
    assert begun.acquire(timeout=30)
    try:
        refused = None
        while refused is None:
            if maps.waiting == kept.WAITING_MAX + 1:
                with pytest.raises(HTTPException, match="are waited for") as refused:
                    maps.of(Question.of(MapQuery(variants=99), zone))
        assert (refused.value.status_code, refused.value.headers) == (503, {"Retry-After": "5"})
    finally:
        made.set()
        for thread in threads:
            thread.join()
    assert maps.of(Question.of(MapQuery(variants=99), zone)).answer.cases == 0


def test_no_more_answers_are_kept_than_a_few(lifecycle: Any, http: Http) -> None:
    maps = Maps(lifecycle.store, lambda: http.policy, lambda: NOW)
    for number in range(101):
        maps.of(Question.of(MapQuery(variants=number), http.policy.zone))
    assert maps.kept == kept.KEPT_MAX
