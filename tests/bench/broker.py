"""Lifecycle on a real Kafka, in this process: from the broker to durable, and from durable to the broker.

Rows: ``durable`` and ``published`` against poll, decode and insert of the same rows; ``relay`` against a bare send loop.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

from kafka import KafkaProducer

from events.bus import Producer
from events.bus.kafka import KafkaBus, create_topics
from events.bus.kafka.clients import connect
from events.bus.kafka.producer import SETTINGS
from events.bus.loop import Loop
from events.bus.partitioner import murmur2
from events.bus.relay import Relay
from events.codec import decode
from events.record import Message, Record, TopicPartition
from events.topics import LIFECYCLE_INPUTS, PARTITIONS
from handoff.importing.publish import publish
from services.lifecycle.inbound import Inbound
from services.lifecycle.store import Store
from tests.bench.lifecycle import BATCH, EVENTS, rehearse, worker_on
from tests.bench.result import BrokenRunError, Comparison, Goal, Lap
from tests.bench.timing import settled_heap
from tests.bench.workload import as_records, messages
from tests.bench.written import Blueprint, RawWriter, Statement, Watcher

POLL_SECONDS: Final = 0.25
STILL_SECONDS_MAX: Final = 60.0
"""A run in which nothing comes for so long is broken."""
_INPUTS: Final = [topic.name for topic in LIFECYCLE_INPUTS]
_names: Final = count()


class Timed:
    """A worker between the loop and lifecycle's: notes when its logs were assigned, and when the last record was durable.

    ``publishes`` False: its outgoing streams are not shown to the loop, so nothing is sent.
    """

    def __init__(self, worker: Inbound, *, publishes: bool) -> None:
        self._worker = worker
        self._publishes = publishes
        self.taken = 0
        self.assigned_at = self.durable_at = 0.0
        self.reject, self.outgoing, self.acknowledged = worker.reject, worker.outgoing, worker.acknowledged
        self.settle, self.release, self.pending = worker.settle, worker.release, worker.pending

    def claim(self, claimed: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        positions = self._worker.claim(claimed)
        self.assigned_at = time.perf_counter()
        return positions

    def process(self, records: Sequence[Record]) -> None:
        self._worker.process(records)
        self.taken += len(records)
        self.durable_at = time.perf_counter()

    def streams(self) -> Mapping[str, int]:
        return self._worker.streams() if self._publishes else {}


def durable_rows(bootstrap: str, folder: Path, facts: int, rounds: int) -> Iterator[Comparison]:
    """How fast facts that wait in Kafka become durable, without publishing what they changed and with it."""
    load = messages(facts)
    create_topics(bootstrap, PARTITIONS, log_time=False)  # the load's own stamps stand, so that rounds are alike
    durable, published = [], []
    with closing(KafkaBus(bootstrap, "bench")) as bus, settled_heap():
        publish(bus, load, lambda _: None)
        for _ in range(rounds):
            path = folder / f"durable-{next(_names)}.sqlite"
            subject = facts / _take_in(bus, path, facts, publishes=False)
            blueprint = _blueprint(path)
            floor = facts / _insert(bus, path, facts, blueprint)
            whole = facts / _take_in(bus, folder / f"published-{next(_names)}.sqlite", facts, publishes=True)
            durable.append(Lap(subject, floor))
            published.append(Lap(whole, floor))
    floor_is = "poll, decode, executemany of the same events: no domain, no lists, no traces"
    yield Comparison(
        name="durable",
        subject=f"lifecycle's loop: {facts:,} facts from broker to durable",
        floor=floor_is,
        unit="facts/s",
        laps=tuple(durable),
        goal=Goal(0.45),
        sqlite=blueprint.described(),
    )
    yield Comparison(
        name="published",
        subject="the same, and what they changed published and acknowledged",
        floor=floor_is,
        unit="facts/s",
        laps=tuple(published),
        sqlite=blueprint.described(),
    )


def _take_in(bus: KafkaBus, path: Path, facts: int, *, publishes: bool) -> float:
    """Seconds from the assignment of the logs until all is durable (and published)."""
    group = f"bench-{next(_names)}"
    with closing(Store(path, PARTITIONS, code_version="bench", identity=bus.identity)) as store:
        timed = Timed(worker_on(store, ()), publishes=publishes)
        loop = Loop(bus, timed, group=group, topics=_INPUTS, poll_seconds=POLL_SECONDS)
        with closing(loop):
            deadline = time.monotonic() + STILL_SECONDS_MAX
            while timed.taken < facts or (publishes and timed.pending()):
                time.sleep(loop.turn())  # nothing, but where Kafka did not answer
                if time.monotonic() > deadline:
                    raise BrokenRunError(f"lifecycle took in {timed.taken} of {facts} facts: {loop.progress().error or 'too slow'}")
            ended = time.perf_counter() if publishes else timed.durable_at
        if letters := store.ledger.dead_letters():
            raise BrokenRunError(f"the load has dead letters: {letters}")
    return ended - timed.assigned_at


class _Floor:
    """Poll, decode and insert: the rows of each shard, as many of them as records of it have come."""

    def __init__(self, path: Path) -> None:
        with closing(Watcher(path, EVENTS)) as watcher:
            written = watcher.look()
        self._rows = {int(statement.sql.split("shard_")[1][:3]): statement for statement in written}
        self.records: defaultdict[int, int] = defaultdict(int)
        self._inserted: defaultdict[int, int] = defaultdict(int)
        self.assigned_at = 0.0

    def assigned(self, claimed: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        self.assigned_at = time.perf_counter()
        return dict.fromkeys(claimed, 0)

    def rows_for(self, records: Sequence[Record], whole: Mapping[int, int]) -> tuple[Statement, ...]:
        """The share of rows that records bring with them."""
        for record in records:
            self.records[record.partition] += 1
        statements = []
        for shard in {record.partition for record in records}:
            rows = self._rows[shard].parameters
            upto = len(rows) * self.records[shard] // whole[shard]
            statements.append(Statement(self._rows[shard].sql, rows[self._inserted[shard] : upto]))
            self._inserted[shard] = upto
        return tuple(statements)

    @property
    def left(self) -> int:
        return sum(len(statement.parameters) - self._inserted[shard] for shard, statement in self._rows.items())


def _insert(bus: KafkaBus, path: Path, facts: int, blueprint: Blueprint) -> float:
    """Seconds from the assignment of the logs until the rows that lifecycle has written at ``path`` are written again."""
    floor = _Floor(path)
    ends = bus.end_offsets([TopicPartition(topic, number) for topic in _INPUTS for number in range(PARTITIONS)])
    whole: defaultdict[int, int] = defaultdict(int)
    for place, end in ends.items():
        whole[place.partition] += end
    with ExitStack() as held:
        raw = RawWriter(path.with_suffix(".raw"), blueprint)
        held.callback(raw.close)
        consumer = bus.consumer(f"bench-{next(_names)}", _INPUTS, floor.assigned, lambda _: None)
        held.callback(consumer.close)
        deadline = time.monotonic() + STILL_SECONDS_MAX
        while sum(floor.records.values()) < facts:
            records = consumer.poll(POLL_SECONDS, BATCH)
            if records:
                for record in records:
                    decode(record)
                raw.write(floor.rows_for(records, whole))
            elif time.monotonic() > deadline:
                raise BrokenRunError(f"the floor got {sum(floor.records.values())} of {facts} records")
        ended = time.perf_counter()
    if floor.left:
        raise BrokenRunError(f"the floor left {floor.left} rows of lifecycle's unwritten")
    return ended - floor.assigned_at


def _blueprint(path: Path) -> Blueprint:
    with closing(Store(path, PARTITIONS, code_version="bench")) as store, store.ledger.transaction() as cursor:
        return Blueprint.of(cursor)


# ----------------------------------------------------------------------------------------------- relay


class Ready:
    """A bus whose one producer is connected already and knows its topics: connecting is not what is measured."""

    def __init__(self, bus: KafkaBus, first: Message) -> None:
        self._producer = bus.producer()
        self._producer.send([first]).wait(STILL_SECONDS_MAX)

    def producer(self) -> Producer:
        return self._producer


def relay_rows(bootstrap: str, folder: Path, facts: int, rounds: int) -> Iterator[Comparison]:
    """How fast what was committed goes out, against sending the same bytes by the same client."""
    create_topics(bootstrap, PARTITIONS, log_time=False)
    records = as_records(messages(facts))
    path = folder / f"relay-{next(_names)}.sqlite"
    rehearse(path, records)
    outgoing = _all_outgoing(path, records)
    laps = []
    with closing(KafkaBus(bootstrap, "bench")) as bus, settled_heap():
        for number in range(rounds):
            arms: tuple[Callable[[], float], ...] = (
                partial(_relay, bus, path, records, outgoing[0]),
                partial(_send, bootstrap, outgoing),
            )
            seconds = {arm: arm() for arm in (arms if number % 2 == 0 else reversed(arms))}
            laps.append(Lap(*(len(outgoing) / seconds[arm] for arm in arms)))
    yield Comparison(
        name="relay",
        subject=f"lifecycle's relay: {len(outgoing):,} messages from its database to acknowledged",
        floor="a bare send loop of the same client and bytes",
        unit="msgs/s",
        laps=tuple(laps),
        goal=Goal(0.9),
    )


def _all_outgoing(path: Path, records: Sequence[Record]) -> list[Message]:
    with closing(Store(path, PARTITIONS, code_version="bench")) as store:
        worker = worker_on(store, records)
        entries = [entry for stream in worker.streams() for entry in worker.outgoing(stream, 0, 10**9)]
    return [message for entry in entries for message in entry.messages]


def _relay(bus: KafkaBus, path: Path, records: Sequence[Record], first: Message) -> float:
    """Seconds until everything is acknowledged. What was is not saved, so that the next round sends it again."""
    with closing(Store(path, PARTITIONS, code_version="bench")) as store:
        worker = worker_on(store, records)
        with closing(Relay(Ready(bus, first), worker)) as relay:  # type: ignore[arg-type]
            began = time.perf_counter()
            while relay.pump() or relay.backlog:
                pass
            relay.finish(STILL_SECONDS_MAX)
            seconds = time.perf_counter() - began
        if pending := worker.pending():
            raise BrokenRunError(f"the relay left {pending} entries unacknowledged")
    return seconds


def _send(bootstrap: str, outgoing: Sequence[Message]) -> float:
    producer: Any = connect(KafkaProducer, bootstrap, {**SETTINGS, "client_id": "bench"})
    try:
        sent = [(m.topic, m.value, m.key, list(m.headers), _home(m), m.timestamp) for m in outgoing]
        producer.send(*sent[0]).get(STILL_SECONDS_MAX)
        began = time.perf_counter()
        futures = [producer.send(*each) for each in sent]
        for future in futures:
            future.get(STILL_SECONDS_MAX)
        return time.perf_counter() - began
    finally:
        producer.close(timeout=2)


def _home(message: Message) -> int:
    assert message.key is not None
    return murmur2(message.key, PARTITIONS)
