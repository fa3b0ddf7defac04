"""The loop on a real Kafka: the essential cases of ``test_loop``, with the client and the broker that production has."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from events.bus.kafka import KafkaBus
from events.bus.kafka.network import NetworkClient
from events.bus.ledger import Fenced
from events.bus.loop import Loop
from events.record import Message, Record, TopicPartition
from handoff.broker import EmbeddedKafka
from tests.events.bus.stage import Crash
from tests.events.bus.toy import Toy, by_key, first_occurrences

pytestmark = pytest.mark.kafka

PARTITIONS = 4


class Stage:
    """Topics of one test, and workers that read them."""

    def __init__(self, kafka: EmbeddedKafka, folder: Path, unique: Callable[[str], str]) -> None:
        self.bus = KafkaBus(kafka.bootstrap, "test")
        self.inputs, self.out, self.group = [unique("in"), unique("more")], unique("out"), unique("group")
        self._folder = folder
        self._made: list[tuple[Loop, Toy]] = []
        admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap, kafka_client=NetworkClient)
        layout = {"num_partitions": PARTITIONS, "replication_factor": 1}
        admin.create_topics(dict.fromkeys([*self.inputs, self.out], layout), wait_for_metadata=True)
        admin.close()
        self._producer = self.bus.producer()
        self._written: list[Message] = []

    def write(self, count: int) -> None:
        first = len(self._written)
        messages = [
            Message(self.inputs[n % 5 == 0], f"customer-{n % 50}".encode(), f"{n}".encode()) for n in range(first, first + count)
        ]
        self._producer.send(messages).wait(30)
        self._written += messages

    def worker(self, instance: str | None = None) -> tuple[Loop, Toy]:
        toy = Toy(self.bus, self._folder / "toy.sqlite", out=self.out)
        loop = Loop(self.bus, toy, group=self.group, topics=self.inputs, instance=instance, records_max=500, poll_seconds=0.05)
        self._made.append((loop, toy))
        return loop, toy

    def settle(self, *loops: Loop, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not all(loop.progress().state == "running" and loop.progress().lag == 0 for loop in loops):
            assert time.monotonic() < deadline, [loop.progress() for loop in loops]
            for loop in loops:
                loop.turn()

    def published(self) -> list[Record]:
        consumer = self.bus.consumer(self.group + "-check", [self.out], lambda places: dict.fromkeys(places, 0), lambda _: None)
        ends = self.bus.end_offsets([TopicPartition(self.out, number) for number in range(PARTITIONS)])
        found: list[Record] = []
        deadline = time.monotonic() + 20
        while consumer.positions() != ends:
            assert time.monotonic() < deadline
            found += consumer.poll(0.1, 5_000)
        consumer.close()
        return found

    def assert_exact(self, toy: Toy) -> list[Record]:
        """Every input once, in order per key and topic, and all of it published in that order; answers with what was published."""
        facts = toy.facts()
        for topic in self.inputs:
            written = by_key([(m.key, m.value) for m in self._written if m.topic == topic])
            values = {m.value for m in self._written if m.topic == topic}
            assert by_key([pair for pair in facts if pair[1] in values]) == written
        assert len(facts) == len(self._written)
        published = self.published()
        assert first_occurrences(published) == by_key(toy.entries())
        return published

    def close(self) -> None:
        for loop, toy in self._made:
            loop.close()
            toy.database.close()
        self._producer.close()
        self.bus.close()


@pytest.fixture
def stage(kafka: EmbeddedKafka, tmp_path: Path, unique: Callable[[str], str]) -> Iterator[Stage]:
    made = Stage(kafka, tmp_path, unique)
    yield made
    made.close()


def test_everything_is_taken_in_and_published_once(stage: Stage) -> None:
    stage.write(3_000)
    loop, toy = stage.worker()
    stage.settle(loop)
    assert len(stage.assert_exact(toy)) == 3_000
    assert loop.progress().pending == 0
    assert loop.progress().positions == stage.bus.end_offsets(loop.progress().positions.keys())


@pytest.mark.parametrize("point", ["committed", "acknowledged"])
def test_a_crash_around_the_relay_loses_and_doubles_nothing(stage: Stage, point: str) -> None:
    stage.write(1_000)
    loop, toy = stage.worker(instance="one")

    def at(passed: str) -> None:
        if passed == point and len(toy.batches) > 1:
            raise Crash

    toy.at = at
    with pytest.raises(Crash):
        stage.settle(loop)
    stage.write(500)
    again, survivor = stage.worker(instance="one")  # the same static name: no waiting for the session of the dead
    stage.settle(again)
    published = stage.assert_exact(survivor)
    if point == "acknowledged":
        assert len(published) > 1_500  # the control: something was repeated


def test_a_replaced_worker_that_wakes_up_is_fenced(stage: Stage) -> None:
    stage.write(600)
    zombie, _ = stage.worker(instance="one")
    while not zombie.progress().positions:
        zombie.turn()
    heir, toy = stage.worker(instance="one")
    stage.settle(heir)
    stage.write(600)
    with pytest.raises(Fenced):
        stage.settle(zombie)
    stage.settle(heir)
    stage.assert_exact(toy)


def test_workers_that_come_and_go_share_the_work_exactly(stage: Stage) -> None:
    stage.write(1_000)
    first, one = stage.worker()
    while not one.facts():
        first.turn()
    second, two = stage.worker()
    stage.write(1_000)
    while not (two.ledger.owned() and one.ledger.owned()):
        first.turn()
        second.turn()
    assert one.ledger.owned().isdisjoint(two.ledger.owned())
    first.close()
    stage.write(500)
    while two.ledger.owned() != set(range(PARTITIONS)):
        second.turn()
    stage.settle(second)
    stage.assert_exact(two)


def test_a_restart_of_the_broker_is_sat_out(kafka: EmbeddedKafka, stage: Stage) -> None:
    stage.write(2_000)
    loop, toy = stage.worker()
    while not toy.facts():
        loop.turn()
    kafka.stop()
    try:
        with suppress(TimeoutError):
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                loop.turn()
        assert loop.progress().state == "retrying"
    finally:
        kafka.start()
    stage.settle(loop)
    stage.write(100)
    stage.settle(loop)
    stage.assert_exact(toy)


def test_run_takes_everything_in_until_it_is_stopped(stage: Stage, eventually: Callable[..., None]) -> None:
    stage.write(500)
    loop, toy = stage.worker()
    thread = threading.Thread(target=loop.run)
    thread.start()
    eventually(lambda: loop.progress().state == "running" and loop.progress().lag == 0, 20, lambda: time.sleep(0.05))
    loop.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert loop.progress().state == "stopped"
    assert len(stage.assert_exact(toy)) == 500
