"""The programs of the how-tos, against a real Kafka: each producer writes a fact that the codec takes in, where it is at home."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from events.assignments import LeadAssigned, LeadUnassigned
from events.bus.kafka import KafkaBus, create_topics
from events.bus.partitioner import crc32, murmur2, murmur2_hash
from events.codec import Fact, decode, encode
from events.record import Record, TopicPartition
from events.topics import ASSIGNMENT, LEAD, PARTITIONS
from events.values import parse_instant
from handoff.broker import EmbeddedKafka
from handoff.broker.jars import cache_dir, class_path

pytestmark = pytest.mark.kafka

PAGE: Final = Path(__file__).parents[2] / "docs" / "how-to" / "connect-a-producer.md"
README: Final = Path(__file__).parents[2] / "README.md"
ADDRESS: Final = "127.0.0.1:9092"
SECONDS_MAX: Final = 60
KEY: Final = b"acme"


def example(language: str, section: str, page: Path = PAGE) -> str:
    """The first block in that language below a heading."""
    found = re.search(rf"^##? {section}\n.*?^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found, f"{page.name} has no {language} below {section}"
    assert ADDRESS in found[1]
    return found[1]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A Kafka of its own: the examples write to the real topics."""
    with EmbeddedKafka(tmp_path_factory.mktemp("programs")) as broker:
        create_topics(broker.bootstrap, PARTITIONS)
        yield broker


@pytest.fixture
def written(cluster: EmbeddedKafka) -> Callable[[Callable[[], object]], list[Record]]:
    """What doing something writes to the topic of leads."""

    def look(doing: Callable[[], object]) -> list[Record]:
        bus = KafkaBus(cluster.bootstrap, client_id="test-programs")
        places = [TopicPartition(LEAD.name, number) for number in range(PARTITIONS)]
        try:
            before = bus.end_offsets(places)
            doing()
            consumer = bus.consumer(
                f"test-{os.urandom(6).hex()}", [LEAD.name], lambda given: {p: before[p] for p in given}, lambda _: None
            )
            try:
                expected = sum(bus.end_offsets(places).values()) - sum(before.values())
                found: list[Record] = []
                while len(found) < expected:
                    found += consumer.poll(1.0, 100)
                return found
            finally:
                consumer.close()
        finally:
            bus.close()

    return look


def run(command: Sequence[str], folder: Path, text: str | None = None) -> None:
    done = subprocess.run(command, cwd=folder, input=text, capture_output=True, text=True, check=False, timeout=SECONDS_MAX)
    assert done.returncode == 0, done.stdout + done.stderr


def check(records: Sequence[Record]) -> None:
    """One record, a fact, where its customer is at home."""
    assert len(records) == 1, records
    fact = decode(records[0])
    assert isinstance(fact, Fact), fact
    assert (fact.type, fact.source, fact.id, fact.customer_id) == ("crm.lead.created.v1", "website", "web-4711", "acme")
    assert records[0].partition == murmur2(KEY, PARTITIONS)


def test_the_customer_tells_partitioners_apart() -> None:
    """Else a wrong partitioner would go unnoticed: librdkafka's, and one that takes the hash without its mask."""
    assert len({murmur2(KEY, PARTITIONS), crc32(KEY, PARTITIONS), murmur2_hash(KEY) % PARTITIONS}) == 3


@pytest.mark.parametrize("page", [PAGE, README], ids=lambda page: str(page.name))
def test_python(cluster: EmbeddedKafka, written: Callable[..., list[Record]], tmp_path: Path, page: Path) -> None:
    section = "Python" if page is PAGE else "Publish an event"
    program = example("python", section, page).replace(ADDRESS, cluster.bootstrap)
    check(written(lambda: run([sys.executable, "-"], tmp_path, program)))


def test_node(cluster: EmbeddedKafka, written: Callable[..., list[Record]], tmp_path: Path) -> None:
    modules = cache_dir().parent / "node" / "node_modules"
    if shutil.which("node") is None:
        pytest.skip("node is not there")
    if not (modules / "@platformatic" / "kafka").is_dir():
        pytest.skip(f"@platformatic/kafka is not in {modules}: run `make node-client` (needs npm and its registry)")
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "send.mjs").write_text(example("js", "Node").replace(ADDRESS, cluster.bootstrap))
    check(written(lambda: run(["node", "send.mjs"], tmp_path)))


def test_java(cluster: EmbeddedKafka, written: Callable[..., list[Record]], tmp_path: Path) -> None:
    if shutil.which("javac") is None or shutil.which("java") is None:
        pytest.skip("no JDK is there (java and javac)")
    (tmp_path / "Send.java").write_text(example("java", "Java").replace(ADDRESS, cluster.bootstrap))
    check(written(lambda: run(["java", "-cp", class_path(), "Send.java"], tmp_path)))


def test_kcat(cluster: EmbeddedKafka, written: Callable[..., list[Record]], tmp_path: Path) -> None:
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not there")
    command = example("sh", "kcat").replace(ADDRESS, cluster.bootstrap)
    check(written(lambda: run(["bash", "-c", command], tmp_path)))


def test_the_consumer_of_assignments_tells_each_of_them_once(cluster: EmbeddedKafka, tmp_path: Path) -> None:
    given = LeadAssigned(customer_id="acme", assignment_id="acme/0000000002/1", rep_id="anna", territory="EMEA")
    taken = LeadUnassigned(customer_id="acme", reason="rejected")
    told = {"source": "handoff/routing", "occurred_at": parse_instant("2026-03-01T09:30:00Z")}
    assigned = encode(ASSIGNMENT.name, "crm.lead.assigned.v1", given, id=given.assignment_id, **told)
    unassigned = encode(ASSIGNMENT.name, "crm.lead.unassigned.v1", taken, id="acme/0000000003/unassigned", **told)
    bus = KafkaBus(cluster.bootstrap, client_id="test-assignments")
    producer = bus.producer()
    try:
        producer.send([assigned, unassigned, assigned]).wait(10)
    finally:
        producer.close()
        bus.close()
    program = example("python", "Consume assignments", PAGE.with_name("consume-assignments.md")).replace(ADDRESS, cluster.bootstrap)
    done = subprocess.run(
        [sys.executable, "-"], input=program, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=SECONDS_MAX
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "acme goes to anna as acme/0000000002/1: territory EMEA",
        "acme goes to nobody: rejected",
    ]
