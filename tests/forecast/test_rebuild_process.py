"""A view made again by the service as a process of its own on a real Kafka: killed in the middle, begun anew, switched."""

import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from events.bus import Producer
from events.bus.kafka import KafkaBus
from handoff.broker import EmbeddedKafka
from tests.forecast.harness import Forecast, change, image
from tests.forecast.test_process import FEB, JAN, SHARDS, Process

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(300), pytest.mark.partitions(SHARDS)]


@pytest.fixture
def producer(broker: EmbeddedKafka) -> Iterator[Producer]:
    with closing(KafkaBus(broker.bootstrap, client_id="test")) as bus, closing(bus.producer()) as own:
        yield own


@pytest.fixture
def process(tmp_path: Path, broker: EmbeddedKafka) -> Iterator[Process]:
    made = Process(tmp_path / "data", KAFKA=broker.bootstrap)
    yield made
    if made.running is not None and made.running.returncode is None:
        made.end(signal.SIGKILL)


def test_killed_in_the_middle_then_switched_while_events_come(
    process: Process, producer: Producer, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    teller = Forecast(tmp_path / "teller.sqlite")

    def publish(first: int, last: int) -> None:
        """Deals that are won, each told twice."""
        messages = []
        for number in range(first, last):
            deal_id = f"opportunity:{number}"
            opened = teller.deals(f"customer-{number % 50}", change(deal_id, (JAN, image(number))), recorded=JAN)
            won = teller.deals(f"customer-{number % 50}", change(deal_id, (FEB, image(number, "won", closed_at=FEB))), recorded=FEB)
            messages += [teller.message(each) for each in (opened, won, opened)]
        producer.send(messages).wait(60)

    def totals() -> Any:
        answer = process.get("/v1/pipeline")
        return answer and answer["totals"]["won"]

    def rebuild() -> Any:
        said = process.get("/v1/rebuilds/forecast")
        return said and {**(said["rebuild"] or {}), "running": said["running"]}

    def begin(*, check: bool) -> None:
        asked = {"view": "forecast", "actor": "test", "share": 100, "check": check}
        answer = httpx2.post(f"http://127.0.0.1:{process.port}/v1/rebuilds", json=asked, timeout=30)
        assert answer.status_code == 202, answer.text

    def known(count: int) -> dict[str, Any]:
        return {"count": count, "amount": f"{sum(range(count))}.00"}

    publish(0, 2000)
    process.start()
    eventually(lambda: process.settled(6000), seconds=90)
    assert totals() == known(2000)

    begin(check=False)
    eventually(lambda: (rebuild() or {}).get("done", 0) > 0, seconds=60)
    process.end(signal.SIGKILL)
    process.start()
    eventually(lambda: process.settled(6000), seconds=90)
    assert totals() == known(2000), "the live view is what it was, or the whole new one"
    eventually(lambda: not (rebuild() or {"running": True})["running"], seconds=30)
    assert rebuild()["outcome"] in ("abandoned", "switched")

    begin(check=False)
    publish(2000, 2500)
    eventually(lambda: (rebuild() or {}).get("outcome") == "switched", seconds=120)
    eventually(lambda: process.settled(7500), seconds=90)
    assert totals() == known(2500)
    begin(check=True)
    publish(2500, 2600)
    eventually(lambda: (rebuild() or {}).get("outcome") == "equal", seconds=120)
    eventually(lambda: process.settled(7800), seconds=90)
    assert totals() == known(2600)
    assert process.end(signal.SIGTERM)[0] == 0
    teller.close()
