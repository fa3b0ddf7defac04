"""Control arms of the campaign: a worker is frozen, another one takes over, the first one wakes up. Step by step, on both buses.

With the fence every output is what the inputs say. Without it the same checker must find what the frozen worker has done; else the
silence of the campaign would mean nothing.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from prometheus_client import CollectorRegistry

from events.bus import Bus
from events.bus.kafka import KafkaBus, create_topics
from events.bus.ledger import Fenced
from events.bus.loop import Loop
from events.bus.memory import MemoryBus
from events.topics import LIFECYCLE_INPUTS, PARTITIONS, TOPICS
from handoff.broker import EmbeddedKafka
from handoff.importing.publish import publish
from services.lifecycle.cache import Cache
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import DEFAULT, Tables
from services.lifecycle.inbound import Inbound
from services.lifecycle.metrics import Counters
from services.lifecycle.reading import NOW, customer_view, read
from services.lifecycle.store import Store
from services.lifecycle.tables import StatusTables
from tests.faults import gathering
from tests.faults.checker import lifecycle_findings
from tests.faults.evidence import Evidence
from tests.faults.load import Item, items
from tests.faults.unfenced import Tokenless, Unfenced

pytestmark = pytest.mark.timeout(240)

SEED: Final = 4
FACTS: Final = 600
SETTLED_SECONDS_MAX: Final = 60.0
UTC: Final = ZoneInfo("UTC")
POLICY: Final = Policy(Tables((DEFAULT,)), UTC)


class Workers:
    """Workers of lifecycle, all under one name and on one database, driven turn by turn; whoever is not turned is frozen."""

    def __init__(self, bus: Bus, folder: Path, kind: type[Store]) -> None:
        self.bus = bus
        self.path = folder / "lifecycle.sqlite"
        self._kind = kind
        self._made: list[tuple[Loop, Store]] = []

    def start(self) -> Loop:
        """One more, which takes over from those before."""
        store = self._kind(self.path, PARTITIONS, code_version="test", identity=self.bus.identity)
        inbound = Inbound(
            store,
            StatusTables(self.bus, UTC),
            Counters.on(CollectorRegistry()),
            cache=Cache(records_max=20_000, facts_max=200_000),
            clock=time.time_ns,
        )
        topics = [topic.name for topic in LIFECYCLE_INPUTS]
        loop = Loop(self.bus, inbound, group="lifecycle", topics=topics, instance="lifecycle-1", poll_seconds=0.05)
        self._made.append((loop, store))
        return loop

    def settle(self, loop: Loop) -> None:
        """Let one work until nothing is left to do. Raises what ends it."""
        deadline = time.monotonic() + SETTLED_SECONDS_MAX
        quiet = 0
        while quiet < 3:  # the ticks that it makes when it is idle come back to it
            assert time.monotonic() < deadline, loop.progress()
            loop.turn()
            progress = loop.progress()
            quiet = quiet + 1 if progress.state == "running" and progress.lag == 0 else 0

    def close(self) -> None:
        for loop, store in self._made:
            loop.close()
            store.close()


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.faults)])
def bus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bus]:
    """A cluster of one's own, with the topics of Handoff."""
    if request.param == "memory":
        stamped = [topic.name for topic in TOPICS if topic.log_time]
        layout = {topic.name: topic.partitions(PARTITIONS) for topic in TOPICS}
        yield MemoryBus(layout, clock=lambda: time.time_ns() // 1_000_000, log_time=stamped)
        return
    with EmbeddedKafka(tmp_path / "kafka") as broker:
        create_topics(broker.bootstrap, PARTITIONS)
        cluster = KafkaBus(broker.bootstrap, "fence")
        yield cluster
        cluster.close()


def load() -> list[Item]:
    """Facts alone: the database takes a dead letter once, which would end a worker without a fence before it did any harm."""
    fine: list[Item] = []
    known: dict[tuple[bytes, bytes], Item] = {}
    for item in itertools.islice(items(SEED, time.time_ns), FACTS):
        headers = dict(item.message.headers)
        first = known.setdefault((headers.get("ce_source", b""), headers.get("ce_id", b"")), item)
        if not item.malformed and first.message.headers == item.message.headers:
            fine.append(item)
    return fine


def frozen_and_replaced(workers: Workers, facts: list[Item]) -> Fenced | None:
    """A worker stands still while another takes in what comes; then it goes on. What it was refused with, if it was."""

    def happens(some: list[Item]) -> None:
        publish(workers.bus, [item.message for item in some], lambda _: None)

    third = len(facts) // 3
    zombie = workers.start()
    happens(facts[:third])
    workers.settle(zombie)
    heir = workers.start()
    happens(facts[third : 2 * third])
    workers.settle(heir)
    happens(facts[2 * third :])
    refused = None
    try:
        workers.settle(zombie)
    except Fenced as error:
        refused = error
    workers.settle(workers.start())
    return refused


def evidence_of(workers: Workers, sent: list[Item]) -> Evidence:
    store = Store(workers.path, PARTITIONS, code_version="test")
    try:
        customers = gathering.customers_of(workers.path)
        records = {}
        for _, customer in customers:
            records[customer] = customer_view(read(store, customer, NOW, POLICY))
        return Evidence(
            sent=sent,
            partitions=PARTITIONS,
            logs=gathering.read_logs(workers.bus, "gathering"),
            accepted=gathering.stored_facts(store, customers),
            records=records,
            notifications=gathering.notifications(store),
            letters={"lifecycle": gathering.buried(workers.path)},
        )
    finally:
        store.close()


@pytest.fixture
def arm(bus: Bus, tmp_path: Path) -> Iterator[Callable[[type[Store]], tuple[Fenced | None, list[str]]]]:
    """Runs the steps on a kind of store: how the worker that was frozen was refused, and what the checker finds."""
    made: list[Workers] = []

    def run(kind: type[Store]) -> tuple[Fenced | None, list[str]]:
        workers = Workers(bus, tmp_path, kind)
        made.append(workers)
        sent = load()
        refused = frozen_and_replaced(workers, sent)
        return refused, lifecycle_findings(evidence_of(workers, sent), time.time_ns())

    yield run
    for workers in made:
        workers.close()


Arm = Callable[[type[Store]], tuple[Fenced | None, list[str]]]


def test_the_fence_refuses_the_worker_that_was_frozen(arm: Arm) -> None:
    refused, found = arm(Store)
    assert "is no longer this worker's" in str(refused)
    assert found == []


def test_without_the_token_the_numbers_of_events_still_refuse_it(arm: Arm) -> None:
    refused, found = arm(Tokenless)
    assert "another worker has written" in str(refused)
    assert found == []


def test_without_a_fence_the_checker_finds_what_it_did(arm: Arm) -> None:
    refused, found = arm(Unfenced)
    assert refused is None
    assert any("was taken in 2 times" in finding for finding in found), found[:5]
    print(f"without a fence: {len(found)} findings, for example: {found[0]}")
