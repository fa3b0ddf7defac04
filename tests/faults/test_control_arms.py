"""Control arms of the campaign: what a guard prevents happens step by step, once with the guard and once without it.

With all guards every output is what the inputs say. Where one is given up, the campaign's checker must find what that has done;
else the silence of the campaign would mean nothing. Services without a guard exist in tests only (``tests/simulation/faulty.py``).
"""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from events.bus import Bus
from events.bus.kafka import KafkaBus, create_topics
from events.bus.ledger import Fenced
from events.bus.memory import MemoryBus
from events.topics import PARTITIONS, TOPICS
from handoff.broker import EmbeddedKafka
from handoff.importing.publish import publish
from tests.faults.checker import lifecycle_findings
from tests.faults.load import Item, items
from tests.faults.unfenced import Tokenless, Unfenced
from tests.faults.workers import Workers, evidence_of, nothing_fits
from tests.simulation.faulty import FillsCacheFirst, NotesTooEarly
from tests.simulation.services import REAL, Kinds

pytestmark = pytest.mark.timeout(240)

SEED: Final = 4
FACTS: Final = 600

Happens = Callable[[list[Item]], None]


class Ground(NamedTuple):
    """A cluster of one's own, with the topics of Handoff; the broker where it is a real one."""

    bus: Bus
    broker: EmbeddedKafka | None = None


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.faults)])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    """The memory bus, and a real Kafka."""
    if request.param == "memory":
        stamped = [topic.name for topic in TOPICS if topic.log_time]
        layout = {topic.name: topic.partitions(PARTITIONS) for topic in TOPICS}
        yield Ground(MemoryBus(layout, clock=lambda: time.time_ns() // 1_000_000, log_time=stamped))
        return
    with EmbeddedKafka(tmp_path / "kafka") as broker:
        create_topics(broker.bootstrap, PARTITIONS)
        cluster = KafkaBus(broker.bootstrap, "arms")
        yield Ground(cluster, broker)
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


# ------------------------------------------------------------------------------------- what happens


class Act(NamedTuple):
    """Who acts on what: three parts of a load, which ``happens`` publishes."""

    workers: Workers
    parts: tuple[list[Item], list[Item], list[Item]]
    happens: Happens
    broker: EmbeddedKafka | None


def frozen_and_replaced(act: Act) -> Fenced | None:
    """A worker stands still while another takes in what comes; then it goes on. What it was refused with, if it was."""
    workers = act.workers
    zombie = workers.start()
    act.happens(act.parts[0])
    workers.settle(zombie)
    heir = workers.start()
    act.happens(act.parts[1])
    workers.settle(heir)
    act.happens(act.parts[2])
    refused = None
    try:
        workers.settle(zombie)
    except Fenced as error:
        refused = error
    workers.settle(workers.start())
    return refused


def killed_before_it_could_send(act: Act) -> None:
    """The broker is killed when the relay has read what to send, and the worker before the broker is back."""
    workers, broker = act.workers, act.broker
    assert broker is not None
    loop = workers.start()
    act.happens(act.parts[0])
    workers.settle(loop)
    act.happens(act.parts[1])
    assert workers.newest is not None
    workers.newest.before_sending = broker.kill
    workers.turn(loop, lambda: not broker.running)
    loop.close()
    broker.start()
    loop = workers.start()
    act.happens(act.parts[2])
    workers.settle(loop)


def refused_by_a_full_disk(act: Act) -> None:
    """A batch cannot be committed, is tried again when there is space, and then everything goes on."""
    workers = act.workers
    loop = workers.start()
    act.happens(act.parts[0])
    workers.settle(loop)
    act.happens(act.parts[1])
    with nothing_fits():
        workers.turn(loop, lambda: loop.progress().state == "retrying")
    act.happens(act.parts[2])
    workers.settle(loop)


Arm = Callable[..., tuple[Fenced | None, list[str]]]


@pytest.fixture
def arm(ground: Ground, tmp_path: Path) -> Iterator[Arm]:
    """``arm(kinds, story)`` lets it happen to workers that are made so: with what one was refused, and what the checker finds."""
    made: list[Workers] = []

    def run(kinds: Kinds, story: Callable[[Act], Fenced | None]) -> tuple[Fenced | None, list[str]]:
        workers = Workers(ground.bus, tmp_path, kinds)
        made.append(workers)
        sent = load()
        third = len(sent) // 3
        parts = (sent[:third], sent[third : 2 * third], sent[2 * third :])

        def happens(some: list[Item]) -> None:
            publish(workers.bus, [item.message for item in some], lambda _: None)

        refused = story(Act(workers, parts, happens, ground.broker))
        return refused, lifecycle_findings(evidence_of(workers, sent), time.time_ns())

    yield run
    for workers in made:
        workers.close()


# -------------------------------------------------------------------------------------- the fence


def test_the_fence_refuses_the_worker_that_was_frozen(arm: Arm) -> None:
    refused, found = arm(REAL, frozen_and_replaced)
    assert "is no longer this worker's" in str(refused)
    assert found == []


def test_without_the_token_the_numbers_of_events_still_refuse_it(arm: Arm) -> None:
    refused, found = arm(Kinds(lifecycle_store=Tokenless), frozen_and_replaced)
    assert "another worker has written" in str(refused)
    assert found == []


def test_without_a_fence_the_checker_finds_what_it_did(arm: Arm) -> None:
    refused, found = arm(Kinds(lifecycle_store=Unfenced), frozen_and_replaced)
    assert refused is None
    assert any("was taken in 2 times" in finding for finding in found), found[:5]
    print(f"without a fence: {len(found)} findings, for example: {found[0]}")


# -------------------------------------------------------------------------------------- the relay


only_kafka = pytest.mark.parametrize("ground", [pytest.param("kafka", marks=pytest.mark.faults)], indirect=True)


@only_kafka
def test_what_the_relay_could_not_send_is_sent_by_the_next_worker(arm: Arm) -> None:
    _, found = arm(REAL, killed_before_it_could_send)
    assert found == []


@only_kafka
def test_a_relay_that_notes_before_the_acknowledgement_is_found(arm: Arm) -> None:
    _, found = arm(Kinds(lifecycle=NotesTooEarly), killed_before_it_could_send)
    assert any("not those of the notification log" in finding for finding in found), found[:5]
    print(f"noted before the acknowledgement: {len(found)} findings, for example: {found[0]}")


# -------------------------------------------------------------------------------------- the cache


def test_what_could_not_be_committed_is_forgotten_and_taken_in_again(arm: Arm) -> None:
    _, found = arm(REAL, refused_by_a_full_disk)
    assert found == []


def test_a_cache_that_keeps_what_was_not_committed_is_found(arm: Arm) -> None:
    _, found = arm(Kinds(lifecycle_inbound=FillsCacheFirst), refused_by_a_full_disk)
    assert any("was lost" in finding for finding in found), found[:5]
    print(f"kept in the cache: {len(found)} findings, for example: {found[0]}")
