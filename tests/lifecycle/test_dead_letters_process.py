"""Dead letters of the running service, on a real Kafka: a bug is mended and replayed, and counts once, whoever dies."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from events.bus.database import open_database
from events.bus.kafka import KafkaBus
from events.codec import encode
from events.facts import LeadCreated
from events.record import Message, Record, TopicPartition
from events.topics import LEAD, LIFECYCLE
from events.values import parse_instant
from handoff.broker import EmbeddedKafka
from tests.lifecycle.test_postgres_process import SHARDS, Process
from tests.ports import free_ports

pytestmark = [pytest.mark.long, pytest.mark.kafka, pytest.mark.timeout(240), pytest.mark.partitions(SHARDS)]

JUNK = b"\xff\x00{not json"
FAULT = (
    "CREATE TRIGGER fault BEFORE INSERT ON customer WHEN NEW.customer_id LIKE 'faulty-%'"
    " BEGIN SELECT raise(ABORT, 'a fault that a release mends'); END"
)


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def bus(broker: EmbeddedKafka) -> Iterator[KafkaBus]:
    real = KafkaBus(broker.bootstrap, client_id="test")
    yield real
    real.close()


@pytest.fixture
def service(broker: EmbeddedKafka, tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path, broker.bootstrap, "sqlite")
    process.start()
    yield process
    assert process.running is not None
    process.running.send_signal(signal.SIGTERM)
    assert process.running.wait(timeout=30) == 0


def run(service: Process, *arguments: str) -> Ended:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HANDOFF_")}
    ports = dict(zip(("ROUTING", "FORECAST", "KAFKA"), free_ports(3), strict=True)) | {"LIFECYCLE": service.port}
    environment |= {f"HANDOFF_{name}_PORT": str(port) for name, port in ports.items()}
    command = [sys.executable, "-m", "handoff", "dead-letters", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def execute(tmp_path: Path, sql: str) -> None:
    with (
        closing(open_database("sqlite", tmp_path / "data" / "lifecycle.sqlite", schema="lifecycle")) as database,
        database.begin() as cursor,
    ):
        cursor.execute(sql)


def lead(customer: str) -> Message:
    at = parse_instant("2026-03-01T09:00:00Z")
    return encode(LEAD.name, "crm.lead.created.v1", LeadCreated(customer_id=customer), source="crm", id=customer, occurred_at=at)


def lying(bus: KafkaBus, topic: str = LEAD.name) -> list[Record]:
    """Everything on a topic."""
    ends = bus.end_offsets([TopicPartition(topic, number) for number in range(SHARDS)])
    consumer = bus.consumer("test", [topic], lambda given: dict.fromkeys(given, 0), lambda _: None)
    found: list[Record] = []
    while len(found) < sum(ends.values()):
        found += consumer.poll(1, 500)
    consumer.close()
    return found


def get(service: Process, path: str) -> Any:
    return httpx2.get(f"http://127.0.0.1:{service.port}{path}", timeout=30).json()


def test_bugs_are_mended_and_replayed_and_count_once(
    bus: KafkaBus, service: Process, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    eventually(lambda: service.settled(0), seconds=60)
    execute(tmp_path, FAULT)
    producer = bus.producer()
    faulty = [lead(f"faulty-{number}") for number in range(5)]  # more of them in a row would be a standstill
    junk = Message(LEAD.name, None, JUNK, (("ce_id", b"\xfe"), ("h", b"")), partition=1)
    producer.send([lead("sound"), *faulty, junk, lead("sound-2")]).wait(30)
    producer.close()
    eventually(lambda: service.settled(8) and service.status()["dead_letters"] == 6, seconds=60)
    assert httpx2.get(f"http://127.0.0.1:{service.port}/readyz", timeout=30).status_code == 503

    listed = run(service, "list", "service=lifecycle")
    assert listed.code == 0, listed.err
    assert "lifecycle: 6 waiting" in listed.out
    assert "IntegrityError: a fault that a release mends" in listed.out

    execute(tmp_path, "DROP TRIGGER fault")
    dry = json.loads(run(service, "replay", "service=lifecycle", "--dry-run", "--json").out)
    assert (dry[0]["done"], dry[0]["seen"], dry[0]["kept_by_reason"]) == (5, 6, {"it would be refused again (Undecodable)": 1})

    with ThreadPoolExecutor(3) as pool:  # three operators at once, and the service dies meanwhile
        operators = [pool.submit(run, service, "replay", "error=Bug", "service=lifecycle", "--reason", "mended") for _ in range(3)]
        eventually(lambda: not get(service, "/v1/dead-letters?error=Bug")["dead_letters"], seconds=60)
        service.kill()
        eventually(lambda: service.settled(8 + 5), seconds=60)
        assert {operator.result().code for operator in operators} <= {0, 1}
    again = run(service, "replay", "error=Bug", "service=lifecycle")
    assert (again.code, again.out) == (0, "no letter is meant\n")

    records = [record for record in lying(bus) if (record.key or b"").startswith(b"faulty")]
    replays = [record for record in records if "dl_replay" in dict(record.headers)]
    assert {record.key for record in replays} == {message.key for message in faulty}
    sent = {(message.key, message.value, message.headers) for message in faulty}
    assert {(record.key, record.value, record.headers[:-1]) for record in replays} == sent
    for number in range(5):
        assert get(service, f"/v1/customers/faulty-{number}")["facts"] == 1
        assert get(service, f"/v1/events?source=crm&id=faulty-{number}")["state"] == "taken in"
    told = [dict(record.headers) for record in lying(bus, LIFECYCLE.name) if record.key == b"faulty-0"]
    assert {said["ce_id"] for said in told if said["ce_type"] == b"crm.status.changed.v1"} == {b"faulty-0/0000000002"}

    assert httpx2.get(f"http://127.0.0.1:{service.port}/readyz", timeout=30).status_code == 200
    (left,) = get(service, "/v1/dead-letters")["dead_letters"]
    assert httpx2.get(f"http://127.0.0.1:{service.port}/v1/dead-letters/{left['number']}/value", timeout=30).content == JUNK
    forced = run(service, "replay", left["letter"], "--force")
    assert forced.code == 1, forced.out + forced.err
    assert "1 failed again" in forced.out
    assert [record.value for record in lying(bus) if record.key is None] == [JUNK, JUNK]
    assert run(service, "drop", "--all", "--reason", "a test").code == 1  # routing and forecast do not run here, and it says so
    assert service.status()["dead_letters"] == 0
