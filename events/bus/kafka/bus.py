"""The bus on Kafka: what :class:`events.bus.Bus` asks for, by kafka-python."""

import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from kafka import KafkaConsumer
from kafka import TopicPartition as Place
from kafka.errors import KafkaError

from events.bus import Assigned, BusError, Revoked
from events.bus.kafka.clients import addresses, answers, connect
from events.bus.kafka.cluster import Cluster
from events.bus.kafka.consumer import CLOSE_MS, READER_SETTINGS, GroupConsumer, record_of
from events.bus.kafka.producer import IdempotentProducer
from events.bus.kafka.reader import LogReader
from events.record import Record, TopicPartition

READ_SECONDS_MAX: Final = 30.0
"""How long a topic may be read without a new record, before the bus counts as away."""


class KafkaBus:
    """A cluster. Connects when it is first asked something; thread-safe, but for the consumers and producers that it makes.

    ``bootstrap``: ``host:port``, several separated by commas. ``client_id``: what the broker's logs call this process.
    ``security``: settings of kafka-python for TLS and SASL (``security_protocol``, ``ssl_cafile``, ``sasl_mechanism``, …).
    """

    def __init__(self, bootstrap: str, client_id: str, security: Mapping[str, Any] | None = None) -> None:
        addresses(bootstrap)
        self._bootstrap = bootstrap
        self._settings = {"client_id": client_id, **(security or {})}
        self._cluster = Cluster(bootstrap, self._settings)
        self._reading = threading.Lock()
        self._reader: Any = None

    def consumer(
        self, group: str, topics: Sequence[str], assigned: Assigned, revoked: Revoked, instance: str | None = None
    ) -> GroupConsumer:
        for topic in topics:
            self.partitions(topic)
        return GroupConsumer(
            self._cluster,
            self._bootstrap,
            self._settings,
            group=group,
            topics=topics,
            assigned=assigned,
            revoked=revoked,
            instance=instance,
        )

    def producer(self) -> IdempotentProducer:
        return IdempotentProducer(self._cluster, self._bootstrap, self._settings)

    def reader(self) -> LogReader:
        return LogReader(self._cluster, self._bootstrap, self._settings)

    def partitions(self, topic: str) -> int:
        return self._cluster.describe(topic).partitions

    def end_offsets(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return self._cluster.committed_ends(places)

    def begin_offsets(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return self._cluster.begins(places)

    def identity(self, topic: str) -> str:
        return self._cluster.describe(topic).identity

    def read(self, topic: str, offset: int = 0) -> Sequence[Record]:
        if (partitions := self.partitions(topic)) != 1:
            raise ValueError(f"{topic} has {partitions} partitions: only a topic with one can be read as a whole")
        place = TopicPartition(topic, 0)
        end = self.end_offsets([place])[place]
        begin = max(offset, self.begin_offsets([place])[place])
        return self._read(Place(*place), begin, end) if begin < end else []

    def scan(self, begins: Mapping[TopicPartition, int]) -> Iterator[Sequence[Record]]:
        first, ends = self.begin_offsets(begins), self.end_offsets(begins)
        starts = {Place(*place): max(begin, first[place]) for place, begin in begins.items()}
        unread = {place: ends[TopicPartition(*place)] for place, begin in starts.items() if begin < ends[TopicPartition(*place)]}
        if unread:
            yield from self._scan({place: starts[place] for place in unread}, unread)

    def close(self) -> None:
        self._cluster.close()
        with self._reading:
            self._drop_reader()

    def _read(self, place: Place, begin: int, end: int) -> list[Record]:
        with self._reading:
            try:
                if self._reader is None:
                    self._reader = connect(KafkaConsumer, self._bootstrap, {**READER_SETTINGS, **self._settings})
                with answers(f"reading {place.topic}"):
                    self._reader.assign([place])
                    self._reader.seek(place, begin)
                    return self._read_up_to(place, end)
            except BusError:
                self._drop_reader()
                raise

    def _read_up_to(self, place: Place, end: int) -> list[Record]:
        found: list[Record] = []
        deadline = time.monotonic() + READ_SECONDS_MAX
        while self._reader.position(place) < end:
            batch = self._reader.poll(timeout_ms=200).get(place, [])
            found.extend(record_of(place.topic, place.partition, each) for each in batch)
            if batch:
                deadline = time.monotonic() + READ_SECONDS_MAX
            elif time.monotonic() > deadline:
                raise BusError(f"{place.topic} was read up to {self._reader.position(place)} of {end}, then nothing came")
        return [record for record in found if record.offset < end]

    def _scan(self, starts: Mapping[Any, int], ends: Mapping[Any, int]) -> Iterator[Sequence[Record]]:
        """With a client of its own: a scan may take long, and others read meanwhile."""
        reader: Any = connect(KafkaConsumer, self._bootstrap, {**READER_SETTINGS, **self._settings})
        try:
            with answers("scanning"):
                reader.assign(list(starts))
                for place, begin in starts.items():
                    reader.seek(place, begin)
            deadline = time.monotonic() + READ_SECONDS_MAX
            while behind := [place for place, end in ends.items() if reader.position(place) < end]:
                with answers("scanning"):
                    batches = reader.poll(timeout_ms=200)
                found = [
                    record_of(place.topic, place.partition, each)
                    for place, batch in batches.items()
                    for each in batch
                    if each.offset < ends[place]
                ]
                if batches:
                    deadline = time.monotonic() + READ_SECONDS_MAX
                elif time.monotonic() > deadline:
                    where = ", ".join(f"{place.topic}[{place.partition}]" for place in behind)
                    raise BusError(f"{where} was not read to its end: nothing came for {READ_SECONDS_MAX:g} s")
                if found:
                    yield found
        finally:
            with suppress(KafkaError):
                reader.close(autocommit=False, timeout_ms=CLOSE_MS)

    def _drop_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            with suppress(KafkaError):
                reader.close(autocommit=False, timeout_ms=CLOSE_MS)
