"""Two workers of routing on PostgreSQL: one of them has the desk, and the other takes it over when it dies or leaves.

All decisions stay in one order, so each lead is assigned once and the turns are taken exactly, whoever decides.
"""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from events.record import Message
from handoff.broker import EmbeddedKafka
from tests.answers import assert_same_answers
from tests.postgres import PostgresServer
from tests.routing.test_process import Cluster, Process, broker, cluster, exactly_once, leads  # noqa: F401 - fixtures

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.long, pytest.mark.timeout(300)]
Worker = Callable[[str], Process]


@pytest.fixture
def worker(tmp_path: Path, broker: EmbeddedKafka, postgres: PostgresServer) -> Iterator[Worker]:  # noqa: F811 - the fixture
    """``worker(name)`` starts one more worker of the group."""
    url = postgres.database()
    made: list[Process] = []

    def start(name: str) -> Process:
        made.append(Process(tmp_path / f"worker-{len(made)}", broker.bootstrap))
        made[-1].settings |= {"DATABASE": url, "INSTANCE": name}
        made[-1].start()
        return made[-1]

    yield start
    for each in made:
        if each.running is not None and each.running.poll() is None:
            each.end(signal.SIGKILL)


def test_the_desk_moves_to_whoever_is_left(worker: Worker, cluster: Cluster, eventually: Any) -> None:  # noqa: F811 - the fixture
    decided = 0

    def assert_decided(by: Process, count: int) -> None:
        """So many more leads come, and all are assigned."""
        nonlocal decided
        cluster.says(*leads(decided, decided + count))
        decided += count
        last = f"/v1/assignments/customer-{decided - 1}"
        eventually(lambda: (by.get(last) or {}).get("assignments"), seconds=90)

    one = worker("1")
    assert_decided(one, 50)
    two = worker("2")
    eventually(lambda: two.get("/v1/status"), seconds=60)
    assert_decided(two, 50)
    one.end(signal.SIGKILL)
    assert_decided(two, 100)
    three = worker("1")
    eventually(lambda: three.get("/v1/status"), seconds=60)
    assert_decided(three, 100)
    assert two.end(signal.SIGTERM) == 0
    assert_decided(three, 100)
    exactly_once(cluster.assignments(), decided)
    for each in (one, two, three):
        assert "Traceback" not in each.log.read_text()


def test_the_standby_answers_for_all(worker: Worker, cluster: Cluster, eventually: Any) -> None:  # noqa: F811 - the fixture
    """One worker has the desk; every resource of the other one says what its own say."""
    one, two = worker("1"), worker("2")
    eventually(lambda: all((each.get("/v1/status") or {}).get("state") == "running" for each in (one, two)), seconds=90)
    count = 40
    cluster.says(*leads(0, count))
    spoiled = [Message("crm.lifecycle.v1", f"customer-{number}".encode(), b"{", ()) for number in range(count)]
    cluster.send(spoiled)
    customers = [f"customer-{number}" for number in range(count)]
    for each in (one, two):
        for customer in customers:
            eventually(lambda: (each.get(f"/v1/assignments/{customer}") or {}).get("assignments"), seconds=90)  # noqa: B023
        eventually(lambda: len(each.get("/v1/dead-letters", limit=1000)["dead_letters"]) == count, seconds=60)  # noqa: B023
    desks = ["routing.request.v1[0]" in each.get("/v1/status")["positions"] for each in (one, two)]
    assert sorted(desks) == [False, True], "one has the desk, the other one stands by"
    letters = one.get("/v1/dead-letters", limit=1000)["dead_letters"]
    assert_same_answers(
        [one.port, two.port],
        {
            "/v1/assignments/{customer_id}": [(f"/v1/assignments/{customer}", {}) for customer in customers],
            "/v1/dead-letters": [("/v1/dead-letters", {"limit": "1000"})],
            "/v1/dead-letters/groups": [("/v1/dead-letters/groups", {})],
            "/v1/dead-letters/replays": [("/v1/dead-letters/replays", {})],
            "/v1/dead-letters/{number}": [(f"/v1/dead-letters/{letter['number']}", {}) for letter in letters],
            "/v1/dead-letters/{number}/value": [(f"/v1/dead-letters/{letters[0]['number']}/value", {})],
        },
    )
