"""Dead letters of routing: those of both hops are replayed where they came from; a later version overtakes an earlier one."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from events.bus.database import TRANSIENT
from events.bus.letters.office import Office
from events.record import Message, Record
from events.topics import LIFECYCLE, REQUEST
from services.routing.api import create_app
from services.routing.progress import both
from services.routing.rehearsal import Rehearsal
from tests.routing.harness import Routing
from tests.routing.words import NOON, status_changed


@pytest.fixture
def http(routing: Routing) -> TestClient:
    store = routing.store
    office = Office(
        store.ledger.letters,
        store.read,
        Rehearsal(store, routing.reference),
        ends=routing.bus.end_offsets,
        transient=TRANSIENT,
        now=lambda: NOON,
    )
    progress = lambda: both([loop.progress for loop in routing.loops])  # noqa: E731
    return TestClient(create_app(store, routing.reference, progress, CollectorRegistry(), office))


def faulty(worker: Any, topic: str) -> Callable[[], None]:
    """A fault in a hop, there until the answer is called: what a faulty release would be."""
    sound = worker.process

    def process(records: list[Record]) -> None:
        if any(record.key == b"acme" for record in records):
            raise ZeroDivisionError(f"a fault in reading {topic}")
        sound(records)

    def mend() -> None:
        worker.process = sound

    worker.process = process
    return mend


def replay(http: TestClient, **body: Any) -> Any:
    return http.post("/v1/dead-letters/replay", json={"actor": "dana", "all": True, **body}).json()


@pytest.mark.parametrize("hop", ["match", "desk"])
def test_a_bug_of_either_hop_is_replayed_after_its_fix_and_assigns_once(routing: Routing, http: TestClient, hop: str) -> None:
    worker, topic = (routing.match, LIFECYCLE.name) if hop == "match" else (routing.desk, REQUEST.name)
    mend = faulty(worker, topic)
    routing.says(status_changed("acme", 1))
    routing.settle()
    assert routing.said("acme") == []
    (letter,) = http.get("/v1/dead-letters").json()["dead_letters"]
    assert (letter["letter"], letter["topic"], letter["error"]) == ("routing/1", topic, "Bug")
    mend()
    assert [each["verdict"]["outcome"] for each in replay(http, dry_run=True)["letters"]] == ["accepted"]
    assert (replay(http)["done"], replay(http)["done"]) == (1, 0)
    routing.settle()
    assert replay(http, filter={"number": [1], "state": "any"}, force=True)["done"] == 1
    routing.settle()
    assert len(routing.said("acme")) == 1
    assert http.get("/v1/dead-letters/1").json()["verdict"]["outcome"] == "repeated"


def test_what_a_later_decision_has_overtaken_is_said_to_be_so(routing: Routing, http: TestClient) -> None:
    mend = faulty(routing.match, LIFECYCLE.name)
    routing.says(status_changed("acme", 1))
    routing.settle()
    mend()
    routing.says(status_changed("acme", 2))
    routing.settle()
    (told,) = replay(http)["letters"]
    assert (told["done"], told["verdict"]["error"]) == (None, "Overtaken")
    assert told["verdict"]["reason"].startswith("the desk has decided about version 2 of 'acme' since")
    assert told["verdict"]["reason"].endswith("it says nothing new any more; drop the letter")
    assert replay(http, force=True)["done"] == 0, "the desk would pass over it, and nobody would be told"
    assert len(routing.said("acme")) == 1


def test_poison_is_refused_again_on_either_topic(routing: Routing, http: TestClient) -> None:
    routing.bus.append(Message(LIFECYCLE.name, b"acme", b"not json"))
    routing.bus.append(Message(REQUEST.name, b"acme", b"\xff"))
    routing.settle()
    assert [(each["done"], each["verdict"]["error"]) for each in replay(http)["letters"]] == [(None, "Undecodable")] * 2
    assert replay(http, force=True)["done"] == 2
    routing.settle()
    groups = http.get("/v1/dead-letters/groups", params={"by": "topic", "again": True}).json()["groups"]
    assert {each["topic"]: each["count"] for each in groups} == {LIFECYCLE.name: 1, REQUEST.name: 1}


def test_a_replay_of_another_service_is_passed_over(routing: Routing) -> None:
    """Both read one topic: what forecast has replayed is poison here too, and a letter already."""
    for origin in (b"forecast/1/1", b"routing/1/1"):
        routing.bus.append(Message(LIFECYCLE.name, b"acme", b"poison", (("dl_replay", origin),)))
    routing.settle()
    assert routing.store.ledger.dead_letters() == {"Undecodable": 1}
