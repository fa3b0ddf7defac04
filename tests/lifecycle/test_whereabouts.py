"""Did my event arrive, and what did it do: asked by source and id, whatever characters they have."""

from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from events.assignments import LeadAssigned
from events.bus.partitioner import murmur2
from events.bus.progress import Progress
from events.facts import LeadCreated, LeadUpdated, OpportunityCreated, StatusSet
from events.record import Message, TopicPartition
from services.lifecycle.api import create_app
from services.lifecycle.trace import FOUND_MAX
from services.lifecycle.whereabouts import wait
from tests.lifecycle.harness import SHARDS, Lifecycle

DAY_1, DAY_2, DAY_3 = "2026-03-01T09:00:00Z", "2026-03-02T09:00:00Z", "2026-03-03T09:00:00Z"


@pytest.fixture
def http(lifecycle: Any) -> TestClient:
    return TestClient(create_app(lifecycle.store, lifecycle.tables, lifecycle.loop.progress, CollectorRegistry()))


def ask(http: TestClient, source: str, id: str, status: int = 200, **more: str) -> Any:
    answer = http.get("/v1/events", params={"source": source, "id": id, **more})
    assert answer.status_code == status, answer.text
    return answer.json()


def lead(customer: str = "acme", **fields: Any) -> LeadCreated:
    return LeadCreated(customer_id=customer, **fields)


def test_an_event_that_was_taken_in_says_where_it_lies_and_what_it_changed(lifecycle: Any, http: TestClient) -> None:
    record = lifecycle.publish("crm.lead.created.v1", lead(owner="ann"), DAY_1, source="/marketing", id="1")
    lifecycle.settle()
    told = ask(http, "/marketing", "1")
    assert (told["state"], told["lag"]) == ("taken in", 0)
    (found,) = told["found"]
    assert found["changed"]["status"]["from"] is None
    assert found["changed"]["status"]["to"] == {"stage": "lead", "status": "New", "probability": 0}
    del found["changed"]
    assert found == {
        "state": "taken in",
        "customer_id": "acme",
        "type": "crm.lead.created.v1",
        "occurred_at": DAY_1,
        "recorded_at": DAY_1,
        "topic": "crm.lead.v1",
        "partition": record.partition,
        "offset": record.offset,
        "version": 1,
        "late": False,
        "together": [],
    }


def test_a_late_event_says_so_and_from_when_on_the_past_is_another_one(lifecycle: Any, http: TestClient, eur: Any) -> None:
    deal = OpportunityCreated(customer_id="acme", opportunity_id="o", amount=eur("1"))
    lifecycle.publish("crm.opportunity.created.v1", deal, DAY_3, id="deal")
    lifecycle.settle()
    lifecycle.publish("crm.lead.created.v1", lead(), DAY_1, id="first")
    lifecycle.publish("crm.lead.updated.v1", LeadUpdated(customer_id="acme", country="DE"), DAY_2, id="second")
    lifecycle.settle()
    (first,) = ask(http, "crm", "first")["found"]
    assert (first["late"], first["changed"]["since"]) == (True, DAY_1)
    assert ask(http, "crm", "deal")["found"][0]["changed"]["deals"][0]["deal_id"] == "opportunity:o"


def test_a_repetition_changes_nothing_of_the_answer(lifecycle: Any, http: TestClient) -> None:
    lifecycle.publish("crm.lead.created.v1", lead(), DAY_1, id="1")
    lifecycle.settle()
    before = ask(http, "crm", "1")
    lifecycle.publish("crm.lead.created.v1", lead(), DAY_1, id="1")
    lifecycle.settle()
    assert ask(http, "crm", "1") == before


def test_several_customers_may_have_an_event_of_one_name(lifecycle: Any, http: TestClient) -> None:
    for customer in ("b", "a"):
        lifecycle.publish("crm.lead.created.v1", lead(customer), DAY_1, id="1")
    lifecycle.settle()
    assert [each["customer_id"] for each in ask(http, "crm", "1")["found"]] == ["a", "b"]
    assert [each["customer_id"] for each in ask(http, "crm", "1", customer_id="b")["found"]] == ["b"]
    assert not ask(http, "crm", "1")["more"]


def test_of_very_many_of_one_name_some_are_told_and_that_there_are_more(lifecycle: Any, http: TestClient) -> None:
    for number in range(FOUND_MAX + 1):
        lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id=f"c{number:03}"), DAY_1, id="batch")
    lifecycle.settle()
    told = ask(http, "crm", "batch")
    assert (len(told["found"]), told["more"]) == (FOUND_MAX, True)
    for customer in ("c000", f"c{FOUND_MAX}"):
        told = ask(http, "crm", "batch", customer_id=customer)
        assert ([each["customer_id"] for each in told["found"]], told["more"]) == ([customer], False)
    assert "of customer 'c'" in ask(http, "crm", "1", 404, customer_id="c")["detail"]


def test_an_event_that_was_refused_says_why(lifecycle: Any, http: TestClient) -> None:
    bad = lifecycle.message("crm.lead.created.v1", lead(), DAY_1, id="bad")
    record = lifecycle.bus.append(replace(bad, value=b'{"customer_id": "acme", "score": 101}'))
    command = StatusSet(customer_id="acme", status="Nonsense", actor="dana")
    lifecycle.publish("crm.status.set.v1", command, DAY_1, id="worse")
    lifecycle.bus.append(
        Message(
            "crm.lead.v1", b"acme", b'{"id": "s", "source": "crm", "time": 7}', (("content-type", b"application/cloudevents+json"),)
        )
    )
    lifecycle.bus.append(Message("crm.lead.v1", b"acme", b"poison"))
    lifecycle.settle()
    told = ask(http, "crm", "bad")
    assert told["state"] == "refused"
    (found,) = told["found"]
    assert (found["customer_id"], found["topic"], found["offset"]) == ("acme", "crm.lead.v1", record.offset)
    assert (found["error"], found["path"]) == ("Undecodable", "$.score")
    assert "Expected `int` <= 100" in found["reason"]
    assert "'Nonsense' is a status of no version" in ask(http, "crm", "worse", customer_id="acme")["found"][0]["reason"]
    assert ask(http, "crm", "s")["state"] == "refused"


def test_of_two_contents_of_one_name_both_are_told(lifecycle: Any, http: TestClient) -> None:
    for company in ("A", "B", "C"):
        lifecycle.publish("crm.lead.created.v1", lead(company=company), DAY_1, id="1")
        lifecycle.settle()
    told = ask(http, "crm", "1")
    states = [each["state"] for each in told["found"]]
    assert told["state"] == "taken in"
    assert states.count("taken in") == 1
    assert states.count("refused") == 2
    assert {each["error"] for each in told["found"] if each["state"] == "refused"} == {"IdentityConflict"}


def test_an_event_in_a_wrong_partition_is_on_its_way_and_then_taken_in(lifecycle: Any, http: TestClient) -> None:
    home = murmur2(b"acme", SHARDS)
    away = replace(lifecycle.message("crm.lead.created.v1", lead(), DAY_1, id="1"), partition=(home + 1) % SHARDS)
    record = lifecycle.bus.append(away)
    while not lifecycle.store.traces.events(("crm", "1")):  # until the turn that reads it: what that publishes is read in the next
        lifecycle.loop.turn()
    told = ask(http, "crm", "1")
    assert told["state"] == "on its way"
    assert told["found"] == [
        {
            "state": "on its way",
            "customer_id": "acme",
            "topic": "crm.lead.v1",
            "partition": record.partition,
            "offset": record.offset,
            "home": home,
        }
    ]
    lifecycle.settle()
    told = ask(http, "crm", "1")
    assert [each["state"] for each in told["found"]] == ["taken in"]
    assert told["found"][0]["topic"] == "lifecycle.moved.v1"


def test_what_is_not_known_says_whether_to_wait(lifecycle: Any, http: TestClient) -> None:
    assert "the service is starting" in ask(http, "crm", "1", 404)["detail"]
    lifecycle.settle()
    told = ask(http, "crm", "1", 404)
    assert told["lag"] == 0
    assert told["detail"].startswith("no event '1' of source 'crm' has been taken in or refused: nothing waits")
    lifecycle.publish("crm.lead.created.v1", lead(), DAY_1, id="1")
    told = ask(http, "crm", "1", 404)
    assert (told["lag"], "ask again in a moment" in told["detail"]) == (1, True)
    lifecycle.bus.away = True
    lifecycle.loop.turn()
    assert "the service is retrying" in ask(http, "crm", "1", 404)["detail"]


def test_one_of_several_workers_does_not_speak_for_the_others() -> None:
    """What it reads is at its end; the event may lie in a partition that another worker reads."""
    places = {TopicPartition("crm.lead.v1", shard): 5 for shard in (0, 2)}
    idle = Progress(state="running", lag=0, lag_seconds=0, positions=places, pending=0, error="", degraded=False, rejected=0)
    assert wait(idle, 4).startswith("nothing waits to be read at this worker, which reads 2 of 4 partitions")
    assert "it is not in Kafka" not in wait(idle, 4)
    assert "it is not in Kafka" in wait(idle, 2)


NAMES = [
    ("/marketing", "7f1c"),
    ("https://shop.example/a?b=c#d", "1/2"),
    ("a//b/", "x y%"),
    ("é\u2028", "%2F"),
    ("..", "."),
    ("+", "&="),
]


@pytest.mark.parametrize(("source", "id"), NAMES)
def test_whatever_characters_a_name_has(lifecycle: Any, http: TestClient, source: str, id: str) -> None:
    lifecycle.publish("crm.lead.created.v1", lead(), DAY_1, source=source, id=id)
    lifecycle.settle()
    told = ask(http, source, id)
    assert (told["source"], told["id"], told["state"]) == (source, id, "taken in")
    escaped = [quote(part, safe="").replace(".", "%2E") for part in (source, id)]
    answer = http.get(f"/v1/events/{escaped[0]}/{escaped[1]}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["found"] == told["found"]


def test_the_slashes_of_a_source_may_stand_as_they_are(lifecycle: Any, http: TestClient) -> None:
    lifecycle.publish("crm.lead.created.v1", lead(), DAY_1, source="/a/b", id="1")
    lifecycle.settle()
    for path in ("/v1/events//a/b/1", "/v1/events/%2Fa/b/1", "/v1/events//a/b/1?customer_id=acme"):
        assert http.get(path).json()["state"] == "taken in", path


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/events/x/", 404),
        ("/v1/events//x", 404),
        ("/v1/events/%FF/x", 400),
        ("/v1/events/%00/x", 422),
        ("/v1/events?source=a%00&id=b", 422),
        ("/v1/events?source=a", 422),
        ("/v1/events?source=&id=1", 422),
        ("/v1/events?source=a&id=1&customer=x", 422),
        ("/v1/events/a/1?source=a", 422),
        (f"/v1/events?source={'x' * 5000}&id=1", 404),
    ],
)
def test_what_cannot_be_asked(http: TestClient, path: str, status: int) -> None:
    answer = http.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text


def test_an_event_of_handoff_itself_is_found_with_its_customer(lifecycle: Any, http: TestClient) -> None:
    given = LeadAssigned(customer_id="acme", assignment_id="acme/1/1", rep_id="ann", territory="EMEA")
    lifecycle.publish("crm.lead.assigned.v1", given, DAY_1, source="handoff/routing", id="acme/1/1")
    lifecycle.settle()
    ask(http, "handoff/routing", "acme/1/1", 404)
    assert ask(http, "handoff/routing", "acme/1/1", customer_id="acme")["state"] == "taken in"


def test_a_database_from_before_the_traces_is_traced_at_the_start(lifecycle: Lifecycle) -> None:
    home = murmur2(b"acme", SHARDS)
    for number in range(30):
        lifecycle.publish("crm.lead.created.v1", lead(f"c{number}"), DAY_1, id=f"e{number}")
    away = lifecycle.message("crm.lead.created.v1", lead(), DAY_1, id="away")
    lifecycle.bus.append(replace(away, partition=(home + 1) % SHARDS))
    lifecycle.bus.append(replace(lifecycle.message("crm.lead.created.v1", lead(), DAY_1, id="bad"), value=b"{}"))
    lifecycle.settle()

    def traces() -> tuple[Any, Any]:
        with lifecycle.store.ledger.transaction() as cursor:
            cursor.execute("SELECT source, id, shard, number FROM trace ORDER BY source, id, shard, number")
            found = cursor.fetchall()
            cursor.execute("SELECT source, id, topic, part, record_offset FROM refused ORDER BY 1, 2, 3, 4, 5")
            return [*map(tuple, found)], [*map(tuple, cursor.fetchall())]

    before = traces()
    assert len(before[0]) == 32  # the one away twice
    assert len(before[1]) == 1
    with lifecycle.store.ledger.transaction() as cursor:
        cursor.execute("DELETE FROM trace")
        cursor.execute("DELETE FROM refused")
    assert list(lifecycle.store.traces.fill())
    assert traces() == before
    assert list(lifecycle.store.traces.fill()) == [], "it is filled once"
