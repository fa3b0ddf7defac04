"""Routing as its own process on Faust and a real Kafka: killed, frozen and started again, nothing is lost and nothing doubled."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka import TopicPartition as Place

from events.assignments import LeadAssigned, LeadUnassigned
from events.bus import Producer
from events.bus.kafka import KafkaBus, create_topics
from events.bus.kafka.network import NetworkClient
from events.codec import Fact, decode
from events.published import Profile, Published
from events.record import Message, TopicPartition
from events.topics import ASSIGNMENT, LIFECYCLE
from handoff.broker import EmbeddedKafka
from tests.ports import free_port
from tests.routing.harness import DIRECTORY_YAML, RULES_YAML, lifecycle_message
from tests.routing.words import record_changed, status_changed

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]
SHARDS = 3
NOBODY = "127.0.0.1:9"
"""An address where no broker is."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """A broker of our own: the service reads the topics by their real names."""
    with EmbeddedKafka(tmp_path / "kafka") as running:
        yield running


class Process:
    """``python -m services.routing``."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self.port = free_port()
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.rules, self.directory = folder / "rules.yaml", folder / "directory.yaml"
        self.rules.write_text(RULES_YAML)
        self.directory.write_text(DIRECTORY_YAML)
        self.data_dir = folder / "data"
        self.settings: dict[str, Any] = {
            "DATA_DIR": self.data_dir,
            "KAFKA": bootstrap,
            "PARTITIONS": SHARDS,
            "ROUTING_PORT": self.port,
            "RULES": self.rules,
            "DIRECTORY": self.directory,
        }
        self.log = folder / "log"
        self.running: subprocess.Popen[bytes] | None = None

    def start(self) -> "subprocess.Popen[bytes]":
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HANDOFF_")}
        environment |= {f"HANDOFF_{name}": str(value) for name, value in self.settings.items()}
        with self.log.open("ab") as log:
            self.running = subprocess.Popen([sys.executable, "-m", "services.routing"], env=environment, stderr=log)
        return self.running

    def get(self, path: str, **parameters: Any) -> Any:
        """An answer, or nothing while the service does not answer."""
        try:
            return httpx2.get(f"http://127.0.0.1:{self.port}{path}", params=parameters, timeout=5).json()
        except (httpx2.HTTPError, json.JSONDecodeError):
            return None

    def ready(self) -> bool:
        assert self.running is not None
        assert self.running.poll() is None, self.log.read_text()
        return bool((self.get("/readyz") or {}).get("ready"))

    def settled(self, position: int) -> bool:
        status = self.get("/v1/status") or {}
        return status.get("lag") == 0 and status.get("state") == "running" and status.get("position", 0) >= position

    def ended(self) -> bool:
        """Whether it has ended by itself, with an error."""
        assert self.running is not None
        return (self.running.poll() or 0) > 0

    def signal(self, number: int) -> None:
        assert self.running is not None
        self.running.send_signal(number)

    def end(self, number: int) -> int:
        """Send a signal and wait for the end."""
        assert self.running is not None
        self.signal(number)
        return self.running.wait(timeout=30)


@pytest.fixture
def process(tmp_path: Path, broker: EmbeddedKafka) -> Iterator[Process]:
    own = Process(tmp_path / "routing", broker.bootstrap)
    yield own
    if own.running is not None:
        own.end(signal.SIGKILL)


class Cluster:
    """What the rest of the world sees."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.bus = KafkaBus(bootstrap, client_id="test")
        self.producer: Producer = self.bus.producer()

    def says(self, *messages: Published) -> None:
        self.send([lifecycle_message(message) for message in messages])

    def send(self, messages: Sequence[Message]) -> None:
        self.producer.send(messages).wait(30)

    def transaction(self, messages: Sequence[Published], *, commit: bool) -> None:
        """What a producer with transactions writes, or does not."""
        producer = KafkaProducer(
            bootstrap_servers=self.bootstrap, kafka_client=NetworkClient, transactional_id="test", api_version=(2, 6)
        )
        with closing(producer):
            producer.init_transactions()
            producer.begin_transaction()
            for message in map(lifecycle_message, messages):
                producer.send(message.topic, key=message.key, value=message.value, headers=list(message.headers), partition=0)
            producer.flush()
            (producer.commit_transaction if commit else producer.abort_transaction)()

    def assignments(self) -> list[Fact]:
        """Every record of crm.assignment.v1, repeats included."""
        found: list[Fact] = []
        places = [TopicPartition(ASSIGNMENT.name, number) for number in range(SHARDS)]
        ends = self.bus.end_offsets(places)
        begun = dict.fromkeys(places, 0)
        with closing(self.bus.consumer("look", [ASSIGNMENT.name], lambda _: begun, lambda _: None)) as consumer:
            deadline = time.monotonic() + 30
            while any(consumer.positions().get(place, 0) < end for place, end in ends.items()):
                assert time.monotonic() < deadline
                found += [fact for record in consumer.poll(0.2, 5000) if isinstance(fact := decode(record), Fact)]
        return found

    def close(self) -> None:
        self.producer.close()
        self.bus.close()


@pytest.fixture
def cluster(broker: EmbeddedKafka) -> Iterator[Cluster]:
    create_topics(broker.bootstrap, SHARDS)
    own = Cluster(broker.bootstrap)
    yield own
    own.close()


def leads(begin: int, end: int) -> list[Published]:
    """New leads, as lifecycle says them: twice each, status and record."""
    customers = [f"customer-{number}" for number in range(begin, end)]
    german = Profile(country="DE")
    return [
        message
        for customer in customers
        for message in (status_changed(customer, 1, profile=german), record_changed(customer, 2, changed=("profile",)))
    ]


def exactly_once(facts: list[Fact], customers: int) -> None:
    """Every customer has one assignment, the turns were taken, and repeats are identical."""
    assert not [fact for fact in facts if isinstance(fact.data, LeadUnassigned)]
    by_customer: dict[str, set[str]] = {}
    for fact in facts:
        by_customer.setdefault(fact.customer_id, set()).add(fact.id)
    assert len(by_customer) == customers
    assert all(len(ids) == 1 for ids in by_customer.values())
    first = {fact.id: fact.data for fact in facts}
    assert all(first[fact.id] == fact.data for fact in facts)
    had = Counter(data.rep_id for data in first.values() if isinstance(data, LeadAssigned))
    assert had == {"anna": (customers + 1) // 2, "ben": customers // 2}


def test_without_its_topics_it_ends_with_a_line_that_says_so(process: Process) -> None:
    assert process.start().wait(timeout=60) == 1
    (line,) = process.log.read_text().splitlines()
    assert "topic crm.lifecycle.v1 does not exist" in line


def test_a_day_in_its_life(process: Process, cluster: Cluster, eventually: Any) -> None:
    """Poison waits in the logs, leads come, the rules are changed wrongly and then rightly, and in the evening it is stopped."""
    poison = [
        Message(LIFECYCLE.name, b"a", None, partition=0),
        Message(LIFECYCLE.name, b"a", b"\xff\x00", (("ce_type", b"x"), ("empty", b"")), partition=0),
        Message("routing.request.v1", b"a", None),
        Message("routing.request.v1", None, b"x"),
        Message("routing.request.v1", b"a", b"{}"),
    ]
    cluster.send(poison)
    process.start()
    eventually(process.ready, seconds=60)
    cluster.says(*leads(0, 10))
    eventually(lambda: process.settled(35), seconds=60)
    facts = cluster.assignments()
    exactly_once(facts, 10)
    (shown,) = process.get("/v1/assignments/customer-0")["assignments"]
    (fact,) = [fact for fact in facts if fact.customer_id == "customer-0"]
    assert isinstance(fact.data, LeadAssigned)
    assert (shown["rep_id"], shown["territory"], shown["rule_set_version"]) == (fact.data.rep_id, "North", 1)
    assert shown["trace"] == fact.data.trace
    assert process.get("/v1/status")["dead_letters"] == len(poison) == len(cluster.bus.read("routing.dead-letter.v1"))

    process.rules.write_text("territories: []\ndefault: {rep: karol}\n")
    eventually(lambda: "did you mean 'carol'" in json.dumps(process.get("/readyz")), seconds=20)
    assert process.ready()
    process.rules.write_text("territories: []\ndefault: {rep: carol}\n")
    eventually(lambda: "rules v2" in json.dumps(process.get("/readyz")), seconds=20)
    cluster.says(*leads(10, 11))
    eventually(lambda: process.settled(38), seconds=20)
    (shown,) = process.get("/v1/assignments/customer-10")["assignments"]
    assert (shown["rep_id"], shown["rule_set_version"]) == ("carol", 2)

    # A transaction leaves marks in the log that no reader sees; an aborted one, records too.
    cluster.transaction(leads(11, 12), commit=True)
    cluster.transaction(leads(12, 14), commit=False)
    eventually(lambda: process.get("/v1/assignments/customer-11").get("assignments"), seconds=20)
    eventually(lambda: process.settled(0), seconds=20)
    assert process.get("/v1/assignments/customer-12")["status"] == 404

    assert process.end(signal.SIGTERM) == 0
    assert "Traceback" not in process.log.read_text()


def test_what_lies_around_ends_of_transactions_is_taken_in(process: Process, cluster: Cluster, eventually: Any) -> None:
    """Where one ends, an offset is missing: before the first start in the middle of what is read at once, then as it comes."""

    def more(begin: int) -> None:
        cluster.says(*leads(begin, begin + 10))
        cluster.transaction(leads(begin + 10, begin + 12), commit=True)
        cluster.says(*leads(begin + 12, begin + 20))
        cluster.transaction(leads(1000 + begin, 1005 + begin), commit=False)
        cluster.says(*leads(begin + 20, begin + 30))

    more(0)
    process.start()
    for customers in (30, 60, 90):
        eventually(lambda customers=customers: len({fact.id for fact in cluster.assignments()}) == customers, seconds=60)
        eventually(lambda: process.settled(0), seconds=20)
        more(customers)
    eventually(lambda: len({fact.id for fact in cluster.assignments()}) == 120, seconds=60)
    exactly_once(cluster.assignments(), 120)


def test_wrong_rules_at_the_very_first_start_end_it_with_their_place(process: Process, cluster: Cluster, eventually: Any) -> None:
    right = process.rules.read_text()
    process.rules.write_text("territories: []\ndefault: {rep: karol}\n")
    assert process.start().wait(timeout=60) == 2
    last = process.log.read_text().splitlines()[-1]
    assert "ERROR routing there are no rules yet: rules.yaml:2:16 default.rep: 'karol' is not in directory v1" in last
    process.rules.write_text(right)
    process.start()
    eventually(process.ready, seconds=60)
    assert process.end(signal.SIGTERM) == 0


@pytest.mark.long
def test_killed_again_and_again(process: Process, cluster: Cluster, eventually: Any) -> None:
    for kill in range(3):
        process.start()
        cluster.says(*leads(kill * 400, (kill + 1) * 400))
        begun = (process.get("/v1/status") or {}).get("position", 0)
        eventually(lambda begun=begun: (process.get("/v1/status") or {}).get("position", 0) > begun, seconds=60)
        assert process.end(signal.SIGKILL) == -signal.SIGKILL
    process.start()
    eventually(lambda: process.settled(1200 * 2 + 1200), seconds=60)
    exactly_once(cluster.assignments(), 1200)


@pytest.mark.long
def test_frozen_while_another_took_over(process: Process, cluster: Cluster, broker: EmbeddedKafka, eventually: Any) -> None:
    """When it wakes, one of the two is refused and ends: which one depends on who claims last. The other goes on.

    Whoever has nothing to decide is not refused: so records come until one has ended.
    """
    process.start()
    cluster.says(*leads(0, 100))
    eventually(lambda: process.settled(300), seconds=60)
    frozen, other = process, Process(process.folder, broker.bootstrap)
    frozen.signal(signal.SIGSTOP)
    try:
        other.start()
        cluster.says(*leads(100, 300))
        eventually(lambda: other.settled(900), seconds=60)
        frozen.signal(signal.SIGCONT)
        customers = itertools.count(300)

        def one_has_ended() -> bool:
            number = next(customers)
            cluster.says(*leads(number, number + 1))
            return frozen.ended() or other.ended()

        eventually(one_has_ended, seconds=60)
        survivor, count = other if frozen.ended() else frozen, next(customers)
        eventually(lambda: survivor.settled(3 * count), seconds=60)
        exactly_once(cluster.assignments(), count)
        assert "is no longer this worker's" in process.log.read_text()
    finally:
        other.end(signal.SIGKILL)


def test_the_broker_goes_and_comes_back(process: Process, cluster: Cluster, broker: EmbeddedKafka, eventually: Any) -> None:
    process.start()
    cluster.says(*leads(0, 50))
    eventually(lambda: process.settled(150), seconds=60)
    cluster.close()
    broker.kill()
    eventually(lambda: not process.ready(), seconds=60)
    broker.start()
    with closing(Cluster(broker.bootstrap)) as again:
        again.says(*leads(50, 100))
        eventually(lambda: process.settled(300), seconds=90)
        exactly_once(again.assignments(), 100)


@pytest.mark.parametrize("customers", [4, 40], ids=["fewer records", "more records"])
def test_a_topic_made_again_while_it_is_read_ends_it_with_what_to_do(
    process: Process, cluster: Cluster, broker: EmbeddedKafka, eventually: Any, customers: int
) -> None:
    """What is new would be taken for known. It is frozen meanwhile, so that Faust's client does not miss the topic."""
    process.start()
    cluster.says(*leads(0, 20))
    eventually(lambda: process.settled(60), seconds=60)
    process.signal(signal.SIGSTOP)
    with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap, kafka_client=NetworkClient)) as admin:
        admin.delete_topics([LIFECYCLE.name])
    eventually(lambda: create_topics(broker.bootstrap, SHARDS) == [LIFECYCLE.name], seconds=9)
    with closing(cluster.bus.producer()) as producer:
        producer.send([lifecycle_message(message) for message in leads(20, 20 + customers)]).wait(30)
    process.signal(signal.SIGCONT)
    assert process.running is not None
    code, said = process.running.wait(timeout=30), process.log.read_text()
    assert code == 2, said
    assert "recover.md" in said
    assert "Traceback" not in said
    assert process.start().wait(timeout=60) == 2
    assert "was made again" in process.log.read_text()


def test_a_log_that_is_cut_before_it_is_read_ends_it_with_what_to_do(
    process: Process, cluster: Cluster, broker: EmbeddedKafka, eventually: Any
) -> None:
    process.start()
    cluster.says(*leads(0, 20))
    eventually(lambda: process.settled(60), seconds=60)
    place = TopicPartition(LIFECYCLE.name, 0)
    process.signal(signal.SIGSTOP)
    time.sleep(2)  # what its client has asked for is answered by then, with nothing
    cluster.says(*leads(20, 60))
    with closing(KafkaAdminClient(bootstrap_servers=broker.bootstrap, kafka_client=NetworkClient)) as admin:
        admin.delete_records({Place(*place): cluster.bus.end_offsets([place])[place]})
    cluster.says(*leads(60, 80))
    process.signal(signal.SIGCONT)
    assert process.running is not None
    code, said = process.running.wait(timeout=30), process.log.read_text()
    assert code == 2, said
    assert "offsets were deleted by retention before they were read" in said
    assert "Traceback" not in said


def broken_database(process: Process) -> None:
    process.data_dir.mkdir()
    (process.data_dir / "routing.sqlite").write_bytes(b"this is no database, but long enough to look like one" * 100)


def no_directory(process: Process) -> None:
    process.data_dir.write_text("a file")


@pytest.mark.parametrize("spoil", [broken_database, no_directory])
def test_a_broken_data_directory_is_said_in_one_line(tmp_path: Path, spoil: Callable[[Process], None]) -> None:
    process = Process(tmp_path / "routing", NOBODY)
    spoil(process)
    assert process.start().wait(timeout=30) == 2
    (line,) = process.log.read_text().splitlines()
    assert str(process.data_dir) in line


def test_a_busy_port_is_said_in_one_line(tmp_path: Path) -> None:
    process = Process(tmp_path / "routing", NOBODY)
    with socket.create_server(("127.0.0.1", process.port)):
        assert process.start().wait(timeout=30) == 2
    (line,) = process.log.read_text().splitlines()
    assert "HANDOFF_ROUTING_PORT" in line


def test_while_kafka_is_away_it_waits_and_answers(tmp_path: Path, eventually: Any) -> None:
    process = Process(tmp_path / "routing", NOBODY)
    process.start()
    eventually(lambda: process.get("/livez"), seconds=30)
    assert not process.ready()
    assert process.end(signal.SIGTERM) == 0
    (line,) = process.log.read_text().splitlines()
    assert "tried again until it works" in line
