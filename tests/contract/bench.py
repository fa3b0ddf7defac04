"""The two buses behind one face: what the contract suite needs beyond the contract itself."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from kafka import KafkaAdminClient, KafkaProducer
from kafka import TopicPartition as Place
from kafka.partitioner import Partitioner as KafkaPartitioner

from events.bus import Bus, Consumer, Producer
from events.bus.kafka import KafkaBus
from events.bus.kafka.network import NetworkClient
from events.bus.memory import MemoryBus
from events.bus.partitioner import crc32
from events.record import Message, Record, TopicPartition

SMALL = 10_000
"""What a "fragile" topic takes: larger messages are refused by the broker, after the client has accepted them."""


class Bench(Protocol):
    """A bus, and what tests do to it from outside."""

    bus: Bus

    def producer(self) -> Producer: ...
    def topic(self, partitions: int = 1, *, fragile: bool = False) -> str: ...
    def delete(self, topic: str) -> None: ...
    def create(self, topic: str, partitions: int) -> None: ...
    def grow(self, topic: str, partitions: int) -> None: ...
    def transaction(self, messages: Sequence[Message], *, outcome: str) -> None: ...
    def produce_elsewhere(self, messages: Sequence[Message]) -> None: ...
    def truncate(self, place: TopicPartition, begin: int) -> None: ...


class MemoryBench:
    """The twin."""

    def __init__(self, unique: Callable[[str], str]) -> None:
        self.bus = MemoryBus({})
        self._unique = unique

    def producer(self) -> Producer:
        return self.bus.producer()

    def topic(self, partitions: int = 1, *, fragile: bool = False) -> str:
        name = self._unique("topic")
        self.bus.create(name, partitions)
        if fragile:
            self.bus.fault = lambda message: "refused" if message.topic == name and len(message.value or b"") > SMALL else None
        return name

    def create(self, topic: str, partitions: int) -> None:
        self.bus.create(topic, partitions)

    def grow(self, topic: str, partitions: int) -> None:
        self.bus.grow(topic, partitions)

    def delete(self, topic: str) -> None:
        self.bus.delete(topic)

    def transaction(self, messages: Sequence[Message], *, outcome: str) -> None:
        transaction = self.bus.transaction()
        transaction.send(messages)
        if outcome == "commit":
            transaction.commit()
        elif outcome == "abort":
            transaction.abort()

    def produce_elsewhere(self, messages: Sequence[Message]) -> None:
        self.bus.producer(crc32).send(messages).wait(0)

    def truncate(self, place: TopicPartition, begin: int) -> None:
        self.bus.log(place).truncate(begin)


class _Crc32(KafkaPartitioner):
    def partition(self, topic, key, serialized_key, value, serialized_value, cluster):  # type: ignore[no-untyped-def]
        return crc32(serialized_key, len(cluster.partitions_for_topic(topic)))


class KafkaBench:
    """The real one, on the session's broker."""

    def __init__(self, bootstrap: str, unique: Callable[[str], str]) -> None:
        self.bus = KafkaBus(bootstrap, "contract")
        self._bootstrap = bootstrap
        self._unique = unique
        self._admin = KafkaAdminClient(bootstrap_servers=bootstrap, kafka_client=NetworkClient)
        self._open: list[KafkaProducer] = []
        self._producers: list[Producer] = []

    def producer(self) -> Producer:
        self._producers.append(self.bus.producer())
        return self._producers[-1]

    def topic(self, partitions: int = 1, *, fragile: bool = False) -> str:
        name = self._unique("topic")
        self._create(name, partitions, {"max.message.bytes": str(SMALL)} if fragile else {})
        return name

    def create(self, topic: str, partitions: int) -> None:
        self._create(topic, partitions, {})

    def _create(self, topic: str, partitions: int, configs: Mapping[str, str]) -> None:
        layout = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
        self._admin.create_topics({topic: layout}, wait_for_metadata=True)

    def grow(self, topic: str, partitions: int) -> None:
        self._admin.create_partitions({topic: partitions})

    def delete(self, topic: str) -> None:
        self._admin.delete_topics([topic])

    def transaction(self, messages: Sequence[Message], *, outcome: str) -> None:
        producer = KafkaProducer(
            bootstrap_servers=self._bootstrap, kafka_client=NetworkClient, transactional_id=self._unique("transaction")
        )
        self._open.append(producer)
        producer.init_transactions()
        producer.begin_transaction()
        for message in messages:
            producer.send(message.topic, message.value, message.key, partition=message.partition)
        producer.flush(10)
        if outcome == "commit":
            producer.commit_transaction()
        elif outcome == "abort":
            producer.abort_transaction()

    def produce_elsewhere(self, messages: Sequence[Message]) -> None:
        producer = KafkaProducer(bootstrap_servers=self._bootstrap, kafka_client=NetworkClient, partitioner=_Crc32())
        for message in messages:
            producer.send(message.topic, message.value, message.key)
        producer.close(10)

    def truncate(self, place: TopicPartition, begin: int) -> None:
        self._admin.delete_records({Place(*place): begin})

    def close(self) -> None:
        for producer in self._open:
            producer._sender.force_close()
            producer.close(timeout=2)
        for made in self._producers:
            made.close()
        self._admin.close()
        self.bus.close()


class Reader:
    """A consumer with a place to keep its positions: what a service is, without the service."""

    def __init__(self, positions: dict[TopicPartition, int]) -> None:
        self.positions = positions
        self.records: list[Record] = []
        self.held: set[TopicPartition] = set()
        self.told: list[tuple[str, int]] = []
        self.consumer: Consumer

    def assigned(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        self.told.append(("assigned", len(places)))
        self.held.update(places)
        return {place: self.positions.get(place, 0) for place in places}

    def revoked(self, places: Collection[TopicPartition]) -> None:
        self.told.append(("revoked", len(places)))
        self.held.difference_update(places)

    def poll(self, records: int = 500) -> None:
        found = self.consumer.poll(0.05, records)
        self.records += found
        self.positions.update({record.place: record.offset + 1 for record in found})

    @property
    def numbers(self) -> dict[str, set[int]]:
        """The partition numbers held, by topic."""
        topics = {place.topic for place in self.held}
        return {topic: {place.partition for place in self.held if place.topic == topic} for topic in topics}


Reading = Callable[..., Reader]
