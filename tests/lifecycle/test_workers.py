"""Several workers of one group on PostgreSQL: they share the shards, and every one of them answers for all customers.

Workers join under load, are killed, freeze for longer than their session and leave. Every fact counts once, consumers hear what the
facts say, and a worker that was replaced while it was frozen writes nothing more.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from events.bus.kafka import KafkaBus
from events.bus.partitioner import murmur2
from events.codec import encode
from events.facts import OwnerSet
from events.record import Message
from events.values import parse_instant
from handoff.broker import EmbeddedKafka
from tests.answers import assert_same_answers
from tests.lifecycle.test_postgres_process import SHARDS, Process, check, heard, story
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.long, pytest.mark.timeout(300), pytest.mark.partitions(SHARDS)]
Worker = Callable[[str], Process]
CUSTOMERS = 100
"""Of each part of the story."""


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.database()


@pytest.fixture
def worker(tmp_path: Path, broker: EmbeddedKafka, url: str) -> Iterator[Worker]:
    """``worker(name)`` starts one more worker of the group."""
    made: list[Process] = []

    def start(name: str) -> Process:
        folder = tmp_path / f"worker-{len(made)}"
        folder.mkdir()
        made.append(Process(folder, broker.bootstrap, url))
        made[-1].start(HANDOFF_INSTANCE=name)
        return made[-1]

    yield start
    for each in made:
        if each.running is not None and each.running.poll() is None:
            each.kill()


def won(process: Process) -> int:
    """How many customers of all shards a worker lists as won, which each story ends with."""
    query = {"status": "Closed Won", "count": "true", "limit": "1"}
    try:
        answer = httpx2.get(f"http://127.0.0.1:{process.port}/v1/customers", params=query, timeout=10)
    except httpx2.HTTPError:
        return -1
    return int(answer.json()["count"])


def test_workers_come_and_go(broker: EmbeddedKafka, url: str, worker: Worker, eventually: Any) -> None:
    sent: list[Message] = []
    parts = 0

    def tell() -> None:
        """One more part of the story."""
        nonlocal parts
        messages = story(CUSTOMERS * parts, CUSTOMERS)
        producer.send(messages).wait(30)
        sent.extend(messages)
        parts += 1

    def assert_taken_in(process: Process) -> None:
        eventually(lambda: won(process) == CUSTOMERS * parts, seconds=90)

    with closing(KafkaBus(broker.bootstrap, client_id="test")) as bus, closing(bus.producer()) as producer:
        tell()
        one = worker("1")
        eventually(lambda: won(one) > 0, seconds=60)
        two, three = worker("2"), worker("3")
        for each in (one, two, three):
            assert_taken_in(each)

        one.kill()
        tell()
        assert_taken_in(two)

        assert two.running is not None
        two.running.send_signal(signal.SIGSTOP)
        tell()
        assert_taken_in(three)
        two.running.send_signal(signal.SIGCONT)

        four = worker("1")  # as one that is started again elsewhere
        tell()
        assert_taken_in(four)
        assert three.running is not None
        three.running.send_signal(signal.SIGTERM)
        assert three.running.wait(timeout=30) == 0
        tell()
        assert_taken_in(four)
        eventually(lambda: sum(each.status().get("lag", 0) for each in (two, four)) == 0, seconds=60)
        heard_of = heard(bus)
    check(url, heard_of, sent)
    for each in (one, two, three, four):
        assert "Traceback" not in each.log.read_text()


def test_every_worker_answers_for_all_shards(broker: EmbeddedKafka, url: str, worker: Worker, eventually: Any) -> None:
    """Two workers, each with some of the shards; every resource of the one says what that of the other says."""
    sent = story(0, CUSTOMERS)
    command = encode(
        "crm.command.v1",
        "crm.owner.set.v1",
        OwnerSet(customer_id="customer-1", rep_id="ben", actor="dana"),
        source="crm",
        id="set",
        occurred_at=parse_instant("2026-03-01T10:00:00Z"),
    )
    one, two = worker("1"), worker("2")
    with closing(KafkaBus(broker.bootstrap, client_id="test")) as bus, closing(bus.producer()) as producer:
        eventually(lambda: {len(each.status().get("positions", ())) for each in (one, two)} == {16}, seconds=90)
        spoiled = [Message("crm.lead.v1", f"spoiled-{number}".encode(), b"{", ()) for number in range(8)]
        producer.send([*sent, command, *spoiled]).wait(30)
        eventually(lambda: won(one) == CUSTOMERS and refused(two) == len(spoiled), seconds=90)
        eventually(lambda: sum(each.status().get("lag", 1) for each in (one, two)) == 0, seconds=60)
        places = [set(each.status()["positions"]) for each in (one, two)]
    assert not places[0] & places[1], "each shard has one owner"
    everyone = {"filter": {"stage": ["customer"]}, "change": {"command": "set-owner", "rep_id": "ben"}, "actor": "dana"}
    batch = httpx2.post(f"http://127.0.0.1:{one.port}/v1/mass-changes", json=everyone, timeout=10).json()["id"]
    changes = f"http://127.0.0.1:{two.port}/v1/mass-changes/{batch}"
    eventually(lambda: httpx2.get(changes, timeout=10).json()["state"] == "previewed", seconds=60)
    letters = httpx2.get(f"http://127.0.0.1:{one.port}/v1/dead-letters", timeout=10).json()
    number = letters["dead_letters"][0]["number"]
    names = [f"customer-{number}" for number in range(12)]
    assert {murmur2(name.encode(), SHARDS) for name in names} == set(range(SHARDS))
    as_of = {"as_of": "2026-03-02"}
    answers = assert_same_answers(
        [one.port, two.port],
        {
            "/v1/customers": [
                ("/v1/customers", {"count": "true", "limit": "500", **asked})
                for asked in ({}, {"status": "Closed Won", "sort": "since", "order": "desc"}, {"country": "DE"}, {"format": "csv"})
            ],
            "/v1/customers/{customer_id}": [(f"/v1/customers/{name}", {}) for name in names],
            "/v1/timeline/{customer_id}": [(f"/v1/timeline/{name}", {}) for name in names],
            "/v1/process-map": [("/v1/process-map", as_of)],
            "/v1/process-map.svg": [("/v1/process-map.svg", as_of)],
            "/v1/statuses": [("/v1/statuses", as_of)],
            "/v1/events": [("/v1/events", {"source": "crm", "id": f"{name}/1"}) for name in names],
            "/v1/events/{source}/{id}": [("/v1/events/crm/set", {})],
            "/v1/commands/{id}": [("/v1/commands/set", {"source": "crm", "customer_id": "customer-1"})],
            "/v1/mass-changes": [("/v1/mass-changes", {})],
            "/v1/mass-changes/{id}": [(f"/v1/mass-changes/{batch}", {})],
            "/v1/mass-changes/{id}/records": [(f"/v1/mass-changes/{batch}/records", {"limit": "500"})],
            "/v1/rebuilds": [("/v1/rebuilds", {})],
            "/v1/rebuilds/{view}": [("/v1/rebuilds/customers", {}), ("/v1/rebuilds/traces", {})],
            "/v1/dead-letters": [("/v1/dead-letters", {})],
            "/v1/dead-letters/groups": [("/v1/dead-letters/groups", {})],
            "/v1/dead-letters/replays": [("/v1/dead-letters/replays", {})],
            "/v1/dead-letters/{number}": [(f"/v1/dead-letters/{number}", {})],
            "/v1/dead-letters/{number}/value": [(f"/v1/dead-letters/{number}/value", {})],
        },
    )
    assert (answers[0]["count"], len(answers[0]["customers"])) == (CUSTOMERS, CUSTOMERS)


def refused(process: Process) -> int:
    """How many dead letters a worker tells of."""
    return int(process.status().get("dead_letters", -1))
