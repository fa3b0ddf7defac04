"""Several workers of one group on PostgreSQL: they share the partitions, and every one of them answers for all.

Workers join, are killed, freeze for longer than their session and leave; nothing is lost, nothing counts twice, and a worker that
was replaced while it was frozen ends when it wakes.
"""

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from events.bus import Producer
from events.bus.kafka import KafkaBus
from events.record import Message
from handoff.broker import EmbeddedKafka
from tests.answers import assert_same_answers
from tests.forecast.harness import Forecast, change, image
from tests.forecast.test_process import FEB, JAN, Process
from tests.postgres import PostgresServer

SHARDS = 6
pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.long, pytest.mark.timeout(240), pytest.mark.partitions(SHARDS)]
Worker = Callable[[str], Process]


@pytest.fixture
def worker(tmp_path: Path, broker: EmbeddedKafka, postgres: PostgresServer) -> Iterator[Worker]:
    """``worker(name)``: one more worker of the group, not started."""
    url = postgres.database()
    made: list[Process] = []

    def make(name: str) -> Process:
        made.append(Process(tmp_path / name, KAFKA=broker.bootstrap, DATABASE=url, INSTANCE=name, PARTITIONS=SHARDS))
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


def test_every_worker_answers_for_all_partitions(worker: Worker, producer: Producer, tmp_path: Path, eventually: Any) -> None:
    """Two workers, each with some of the partitions; every resource of the one says what that of the other says."""
    teller = Forecast(tmp_path / "teller.sqlite")
    one, two = worker("1"), worker("2")
    one.start()
    two.start()

    def taken_in(each: Process) -> float:
        """How many records a worker itself has taken in."""
        said = httpx2.get(f"http://127.0.0.1:{each.port}/metrics", timeout=10).text
        return sum(float(count) for count in re.findall(r"^handoff_events_consumed_total\{.*\} (\S+)$", said, re.MULTILINE))

    def tell_more() -> bool:
        """A few more deals; whether both workers had some of them."""
        for customer in [f"customer-{len(customers) + number}" for number in range(10)]:
            states = change("opportunity:o", (JAN, image(100)), (FEB, image(100, "won", closed_at=FEB)))
            producer.send([teller.message(teller.deals(customer, states, recorded=FEB))]).wait(30)
            customers.append(customer)
        eventually(lambda: one.settled(len(customers)), seconds=60)
        return all(taken_in(each) for each in (one, two))

    customers: list[str] = []
    eventually(lambda: all((each.get("/v1/status") or {}).get("state") == "running" for each in (one, two)), seconds=90)
    eventually(tell_more, seconds=90)
    producer.send([Message("crm.lifecycle.v1", customer.encode(), b"{", ()) for customer in customers]).wait(30)
    eventually(lambda: all(each.settled(2 * len(customers)) for each in (one, two)), seconds=90)
    letters = one.get("/v1/dead-letters", limit=1000)["dead_letters"]
    assert len(letters) == len(customers)
    as_of = {"as_of": "2017-03-01"}
    answers = assert_same_answers(
        [one.port, two.port],
        {
            "/v1/pipeline": [
                ("/v1/pipeline", as_of | more) for more in ({}, {"by": "status"}, {"by": "product"}, {"format": "csv"})
            ],
            "/v1/forecast": [
                ("/v1/forecast", as_of | {"period": "2017-Q1"}),
                ("/v1/forecast", as_of | {"period": "2017", "by": "rep"}),
            ],
            "/v1/deals": [("/v1/deals", as_of | {"limit": "500"})],
            "/v1/deals/{deal_id}": [("/v1/deals/opportunity:o", as_of | {"customer_id": customer}) for customer in customers[:10]],
            "/v1/rebuilds": [("/v1/rebuilds", {})],
            "/v1/rebuilds/{view}": [("/v1/rebuilds/forecast", {})],
            "/v1/dead-letters": [("/v1/dead-letters", {"limit": "1000"})],
            "/v1/dead-letters/groups": [("/v1/dead-letters/groups", {})],
            "/v1/dead-letters/replays": [("/v1/dead-letters/replays", {})],
            "/v1/dead-letters/{number}": [(f"/v1/dead-letters/{letter['number']}", {}) for letter in letters[:10]],
            "/v1/dead-letters/{number}/value": [(f"/v1/dead-letters/{letters[0]['number']}/value", {})],
        },
    )
    assert answers[0]["totals"]["won"]["count"] == len(customers)
    teller.close()
