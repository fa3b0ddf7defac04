"""Two workers of routing on PostgreSQL: one of them has the desk, and the other takes it over when it dies or leaves.

All decisions stay in one order, so each lead is assigned once and the turns are taken exactly, whoever decides.
"""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from handoff.broker import EmbeddedKafka
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
