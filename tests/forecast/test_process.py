"""The service as its own process on a real Kafka: killed in the middle and started again, it still adds up; it ends when told."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from events.bus import Producer
from events.bus.kafka import KafkaBus, create_topics
from events.record import Message
from events.topics import DIRECTORY
from handoff.broker import EmbeddedKafka
from tests.forecast.harness import Forecast, change, image
from tests.ports import free_port

pytestmark = pytest.mark.kafka
SHARDS = 3
JAN, FEB = "2017-01-10T09:00:00Z", "2017-02-10T09:00:00Z"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A broker of our own: the service reads the topics by their real names."""
    with EmbeddedKafka(tmp_path_factory.mktemp("kafka")) as running:
        create_topics(running.bootstrap, SHARDS)
        yield running


class Process:
    """``python -m services.forecast``."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.port = free_port()
        self.settings = {"DATA_DIR": directory, "FORECAST_PORT": self.port, "PARTITIONS": SHARDS, **settings}
        self.running: subprocess.Popen[str] | None = None

    def start(self) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HANDOFF_")}
        environment |= {f"HANDOFF_{name}": str(value) for name, value in self.settings.items()}
        command = [sys.executable, "-m", "services.forecast"]
        self.running = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        return self.running

    def get(self, path: str, **parameters: Any) -> Any:
        """An answer, or nothing while the service does not answer. It must not have ended."""
        assert self.running is not None
        assert self.running.poll() is None, self.running.communicate()
        try:
            return httpx2.get(f"http://127.0.0.1:{self.port}{path}", params=parameters, timeout=5).json()
        except (httpx2.HTTPError, json.JSONDecodeError):
            return None

    def settled(self, position: int) -> bool:
        status = self.get("/v1/status") or {}
        return status.get("lag") == 0 and status.get("position", 0) >= position

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal and wait: exit code and log."""
        assert self.running is not None
        self.running.send_signal(number)
        _, log = self.running.communicate(timeout=20)
        return self.running.returncode, log


@pytest.fixture
def process(tmp_path: Path, broker: EmbeddedKafka, database: str) -> Iterator[Process]:
    own = Process(tmp_path / "data", KAFKA=broker.bootstrap, DATABASE=database)
    yield own
    if own.running is not None and own.running.poll() is None:
        own.end(signal.SIGKILL)


@pytest.fixture
def producer(broker: EmbeddedKafka) -> Iterator[Producer]:
    with closing(KafkaBus(broker.bootstrap, client_id="test")) as bus, closing(bus.producer()) as own:
        yield own


@pytest.mark.long
@pytest.mark.timeout(180)
def test_killed_in_the_middle_it_still_adds_up(process: Process, producer: Producer, forecast: Forecast, eventually: Any) -> None:
    def publish(begin: int, end: int) -> None:
        messages = []
        for number in range(begin, end):
            customer, deal_id = f"customer-{number % 50}", f"opportunity:{number}"
            opened = forecast.deals(customer, change(deal_id, (JAN, image(number))), recorded=JAN)
            won = forecast.deals(customer, change(deal_id, (FEB, image(number, "won", closed_at=FEB))), recorded=FEB)
            messages += [forecast.message(opened), forecast.message(won), forecast.message(opened)]
        producer.send(messages).wait(30)

    publish(0, 2000)
    process.start()
    eventually(lambda: (process.get("/v1/status") or {}).get("position", 0) > 0, seconds=60)
    code, _ = process.end(signal.SIGKILL)
    assert code == -signal.SIGKILL
    publish(2000, 3000)
    process.start()
    eventually(lambda: process.settled(9000), seconds=60)
    won = process.get("/v1/pipeline")["totals"]["won"]
    assert won == {"count": 3000, "amount": f"{sum(range(3000))}.00"}
    assert process.get("/v1/pipeline", as_of="2017-01-31")["totals"]["open"]["count"] == 3000
    assert httpx2.get(f"http://127.0.0.1:{process.port}/readyz").status_code == 200

    reps = {"version": 1, "effective_from": JAN, "author": "test", "content": {"reps": []}}
    producer.send([Message(DIRECTORY.name, None, json.dumps(reps).encode(), partition=0)]).wait(30)
    eventually(lambda: process.settled(9000), seconds=30)
    code, log = process.end(signal.SIGTERM)
    assert (code, "Traceback" in log) == (0, False), log


def test_a_busy_port_is_said_in_one_line(process: Process) -> None:
    with socket.create_server(("127.0.0.1", process.port)):
        running = process.start()
        _, log = running.communicate(timeout=30)
    assert running.returncode == 2
    assert "HANDOFF_FORECAST_PORT" in log
    assert len(log.splitlines()) == 1


def broken_database(directory: Path) -> None:
    directory.mkdir()
    (directory / "forecast.sqlite").write_bytes(b"this is no database, but long enough to look like one" * 100)


def no_directory(directory: Path) -> None:
    directory.write_text("a file")


@pytest.mark.parametrize("spoil", [broken_database, no_directory])
def test_a_broken_data_directory_is_said_in_one_line(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(tmp_path / "data")
    running = Process(tmp_path / "data").start()
    _, log = running.communicate(timeout=30)
    assert running.returncode == 2
    assert str(tmp_path / "data") in log
    assert len(log.splitlines()) == 1


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    running = Process(tmp_path, TIME_ZONE="Mars/Olympus", CURRENCY="usd").start()
    _, log = running.communicate(timeout=30)
    assert running.returncode == 2
    assert "HANDOFF_TIME_ZONE" in log
    assert "HANDOFF_CURRENCY" in log
