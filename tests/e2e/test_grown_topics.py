"""Topics that grow on a real Kafka while all services run: whoever has to do with one stops and says so, the others go on."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from kafka.admin import KafkaAdminClient

from events.bus.kafka.network import NetworkClient
from events.topics import ASSIGNMENT, LEAD, LIFECYCLE, REQUEST, Topic
from handoff.broker import EmbeddedKafka
from tests.ports import free_port
from tests.routing.harness import DIRECTORY_YAML, RULES_YAML

SHARDS = 3
pytestmark = [pytest.mark.long, pytest.mark.kafka, pytest.mark.timeout(400), pytest.mark.partitions(SHARDS)]
MORE = 5
SERVICES = ("lifecycle", "routing", "forecast")
Eventually = Callable[..., None]


class Service:
    """One of the three, as its own process."""

    def __init__(self, name: str, folder: Path, bootstrap: str) -> None:
        self.name = name
        self.port = free_port()
        self.log = folder / f"{name}.log"
        (folder / "rules.yaml").write_text(RULES_YAML)
        (folder / "directory.yaml").write_text(DIRECTORY_YAML)
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("HANDOFF_")}
        self.environment |= {
            "HANDOFF_KAFKA": bootstrap,
            "HANDOFF_PARTITIONS": str(SHARDS),
            "HANDOFF_DATA_DIR": str(folder / "data"),
            f"HANDOFF_{name.upper()}_PORT": str(self.port),
        }
        if name == "routing":
            self.environment |= {"HANDOFF_RULES": str(folder / "rules.yaml"), "HANDOFF_DIRECTORY": str(folder / "directory.yaml")}
        self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", f"services.{self.name}"], env=self.environment, stderr=log)
        return self.process

    def ready(self) -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5).status_code == 200
        except httpx2.HTTPError:
            return False

    def refuses(self, topic: Topic) -> None:
        """It ends, and says why; and so it does when it is started again."""
        said = f"{topic.name} has {MORE} partitions, and must have {topic.partitions(SHARDS)}"
        assert self.process.wait(timeout=60) == 2
        assert self.log.read_text().count(said) == 1
        assert self.start().wait(timeout=60) == 2
        assert self.log.read_text().count(said) == 2


@pytest.fixture
def grow(broker: EmbeddedKafka) -> Iterator[Callable[[Topic], Any]]:
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap, kafka_client=NetworkClient)
    yield lambda topic: admin.create_partitions({topic.name: MORE})
    admin.close()


@pytest.fixture
def services(tmp_path: Path, broker: EmbeddedKafka, eventually: Eventually) -> Iterator[dict[str, Service]]:
    running = {name: Service(name, tmp_path, broker.bootstrap) for name in SERVICES}
    try:
        eventually(lambda: all(service.ready() for service in running.values()), seconds=90)
        yield running
    finally:
        for service in running.values():
            service.process.kill()
            service.process.wait()


@pytest.mark.parametrize("requests_or_assignments", [REQUEST, ASSIGNMENT], ids=lambda topic: topic.name)
def test_whoever_reads_or_writes_a_topic_that_grows_stops_and_the_others_go_on(
    requests_or_assignments: Topic, services: dict[str, Service], grow: Callable[[Topic], Any]
) -> None:
    lifecycle, routing, forecast = services.values()
    grow(requests_or_assignments)
    routing.refuses(requests_or_assignments)
    if requests_or_assignments is ASSIGNMENT:  # lifecycle reads it, too
        lifecycle.refuses(ASSIGNMENT)
    else:
        assert lifecycle.ready()
        grow(LEAD)
        lifecycle.refuses(LEAD)
    assert forecast.ready()
    grow(LIFECYCLE)
    forecast.refuses(LIFECYCLE)
    done = subprocess.run(
        [sys.executable, "-m", "handoff", "topics", "create"],
        env=lifecycle.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert re.search(rf"has {MORE} partitions, and \d are asked for", done.stderr)
