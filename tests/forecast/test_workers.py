"""Several workers of one group on PostgreSQL: they share the partitions, and every one of them answers for all.

Workers join, are killed, freeze for longer than their session and leave; nothing is lost, nothing counts twice, and a worker that
was replaced while it was frozen ends when it wakes.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from events.bus import Producer
from events.bus.kafka import KafkaBus, create_topics
from handoff.broker import EmbeddedKafka
from tests.forecast.harness import Forecast, change, image
from tests.forecast.test_process import FEB, JAN, Process
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.long, pytest.mark.timeout(240)]
PARTITIONS = 6
Worker = Callable[[str], Process]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka(tmp_path / "kafka") as running:
        create_topics(running.bootstrap, PARTITIONS)
        yield running


@pytest.fixture
def worker(tmp_path: Path, broker: EmbeddedKafka, postgres: PostgresServer) -> Iterator[Worker]:
    """``worker(name)``: one more worker of the group, not started."""
    url = postgres.database()
    made: list[Process] = []

    def make(name: str) -> Process:
        made.append(Process(tmp_path / name, KAFKA=broker.bootstrap, DATABASE=url, INSTANCE=name))
        return made[-1]

    yield make
    for each in made:
        if each.running is not None and each.running.returncode is None:
            each.end(signal.SIGKILL)


@pytest.fixture
def producer(broker: EmbeddedKafka) -> Iterator[Producer]:
    with closing(KafkaBus(broker.bootstrap, client_id="test")) as bus, closing(bus.producer()) as own:
        yield own


def test_workers_come_and_go(worker: Worker, producer: Producer, tmp_path: Path, eventually: Any) -> None:
    published = 0

    def publish(count: int) -> None:
        """So many deals that are won, each told twice."""
        nonlocal published
        messages = []
        for number in range(published, published + count):
            deal_id = f"opportunity:{number}"
            opened = teller.deals(f"customer-{number % 50}", change(deal_id, (JAN, image(number))), recorded=JAN)
            won = teller.deals(f"customer-{number % 50}", change(deal_id, (FEB, image(number, "won", closed_at=FEB))), recorded=FEB)
            messages += [teller.message(each) for each in (opened, won, opened)]
        producer.send(messages).wait(30)
        published += count

    def reached(each: Process, share: float = 1.0) -> bool:
        return bool((each.get("/v1/status") or {}).get("position", 0) >= 3 * published * share)

    def assert_all_there(each: Process) -> None:
        eventually(lambda: reached(each), seconds=90)
        won = each.get("/v1/pipeline")["totals"]["won"]
        assert won == {"count": published, "amount": f"{sum(range(published))}.00"}

    teller = Forecast(tmp_path / "teller.sqlite")
    one, two, three = worker("1"), worker("2"), worker("3")
    publish(1000)
    one.start()
    eventually(lambda: reached(one, 0.1), seconds=60)
    two.start()
    three.start()
    for each in (one, two, three):
        assert_all_there(each)

    publish(1000)
    one.end(signal.SIGKILL)  # its partitions wait for it, or go to the others when its session ends
    assert_all_there(two)

    assert two.running is not None
    two.running.send_signal(signal.SIGSTOP)
    publish(1000)
    assert_all_there(three)
    two.running.send_signal(signal.SIGCONT)

    one.start()
    publish(1000)
    assert_all_there(three)
    assert_all_there(one)
    assert "Traceback" not in two.end(signal.SIGKILL)[1], "it ended by itself, or took up where it was given partitions"
    assert three.end(signal.SIGTERM)[0] == 0
    publish(1000)
    assert_all_there(one)
    teller.close()
