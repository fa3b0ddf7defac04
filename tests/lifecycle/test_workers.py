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

from events.bus.kafka import KafkaBus, create_topics
from events.record import Message
from handoff.broker import EmbeddedKafka
from tests.lifecycle.test_postgres_process import SHARDS, Process, check, heard, story
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.long, pytest.mark.timeout(300)]
Worker = Callable[[str], Process]
CUSTOMERS = 100
"""Of each part of the story."""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka(tmp_path / "kafka") as running:
        create_topics(running.bootstrap, SHARDS)
        yield running


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
