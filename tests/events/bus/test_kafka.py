"""What is Kafka's alone: brokers that are away, threads, and the making of topics."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress

import pytest
from kafka import KafkaAdminClient
from kafka import TopicPartition as Place
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import LogTruncationError
from msgspec.structs import replace

from events.bus import BusError, PositionLost
from events.bus.kafka import KafkaBus, create_topics
from events.bus.kafka.network import NetworkClient
from events.bus.kafka.topics import YEARS_MS, configuration
from events.bus.ledger import Outgoing
from events.bus.relay import Relay
from events.record import Message, TopicPartition
from events.topics import DIRECTORY, LEAD, LIFECYCLE, TOPICS, Topic, dead_letters
from handoff.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka

Eventually = Callable[..., None]
Unique = Callable[[str], str]


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


@pytest.fixture
def mute() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def closed() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"127.0.0.1:{port}"


@pytest.fixture
def admin(kafka: EmbeddedKafka) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=kafka.bootstrap, kafka_client=NetworkClient)
    yield client
    client.close()


QUESTIONS = [
    lambda bus: bus.partitions("t"),
    lambda bus: bus.end_offsets([TopicPartition("t", 0)]),
    lambda bus: bus.read("t"),
    lambda bus: bus.producer(),
    lambda bus: bus.consumer("g", ["t"], lambda _: {}, lambda _: None),
]


@pytest.mark.parametrize("ask", QUESTIONS, ids=["partitions", "offsets", "read", "producer", "consumer"])
def test_a_broker_that_is_not_there_is_told_at_once_and_leaves_no_thread(closed: str, ask: Callable[[KafkaBus], object]) -> None:
    before = threads()
    bus = KafkaBus(closed, "test")
    since = time.monotonic()
    with pytest.raises(BusError, match=f"Kafka does not answer at {closed}"):
        ask(bus)
    assert time.monotonic() - since < 2
    bus.close()
    assert threads() == before


def test_a_broker_that_does_not_speak_is_given_up_and_probes_do_not_queue_up(mute: str) -> None:
    before = threads()
    bus = KafkaBus(mute, "test")
    since = time.monotonic()
    with pytest.raises(BusError, match=f"Kafka at {mute}"):
        bus.partitions("t")
    assert time.monotonic() - since < 8
    since = time.monotonic()
    with pytest.raises(BusError, match=f"Kafka at {mute}"):
        bus.end_offsets([TopicPartition("t", 0)])
    assert time.monotonic() - since < 0.5
    bus.close()
    assert threads() == before


def test_a_producer_that_cannot_be_made_leaves_no_thread(mute: str) -> None:
    before = threads()
    bus = KafkaBus(mute, "test")
    with pytest.raises(BusError, match=f"Kafka at {mute}"):
        bus.producer()
    bus.close()
    assert threads() == before


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="'broker' is not host:port"):
        KafkaBus("127.0.0.1:9092,broker", "test")


def test_closing_frees_every_thread(kafka: EmbeddedKafka, admin: KafkaAdminClient, unique: Unique) -> None:
    topic = unique("topic")
    admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    before = threads()
    bus = KafkaBus(kafka.bootstrap, "test")
    producer = bus.producer()
    producer.send([Message(topic, b"k", b"v")]).wait(10)
    assert len(bus.read(topic)) == 1
    consumer = bus.consumer(unique("group"), [topic], lambda places: dict.fromkeys(places, 0), lambda _: None)
    consumer.poll(0.1, 10)
    assert threads() > before
    for each in (producer, consumer, bus):
        each.close()
        each.close()
    assert threads() == before


def ends(bus: KafkaBus, place: TopicPartition) -> int | None:
    """Where the log ends, None while nobody says."""
    try:
        return bus.end_offsets([place])[place]
    except BusError:
        return None


def test_an_outage_loses_nothing_and_ends_by_itself(
    kafka: EmbeddedKafka, admin: KafkaAdminClient, unique: Unique, eventually: Eventually
) -> None:
    place = TopicPartition(unique("topic"), 0)
    admin.create_topics({place.topic: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    bus = KafkaBus(kafka.bootstrap, "test")
    producer = bus.producer()
    found: list[bytes | None] = []
    consumer = bus.consumer(unique("group"), [place.topic], lambda places: dict.fromkeys(places, 0), lambda _: None)

    def poll() -> None:
        try:
            found.extend(record.value for record in consumer.poll(0.1, 100))
        except BusError:
            return

    producer.send([Message(place.topic, b"k", b"before")]).wait(10)
    eventually(lambda: found == [b"before"], doing=poll)
    kafka.stop()
    try:
        during = producer.send([Message(place.topic, b"k", f"during-{n}".encode()) for n in range(50)])
        assert not during.done(0.5)
        since = time.monotonic()
        with pytest.raises(BusError):
            bus.end_offsets([place])
        poll()
        assert time.monotonic() - since < 8
    finally:
        kafka.start()
    during.wait(20)
    eventually(lambda: len(found) == 51, 20, poll)
    assert found == [b"before", *(f"during-{n}".encode() for n in range(50))]
    assert consumer.positions() == {place: 51}
    eventually(lambda: ends(bus, place) == 51)
    for each in (producer, consumer, bus):
        each.close()


# ------------------------------------------------------------------------------------------------ topics


def renamed(topic: Topic, name: str) -> Topic:
    return Topic(
        name=name, writer=topic.writer, purpose=topic.purpose, keyed=topic.keyed, retention=topic.retention, log_time=topic.log_time
    )


def test_a_log_that_was_cut_and_has_grown_again_is_a_lost_position(
    kafka: EmbeddedKafka, admin: KafkaAdminClient, unique: Unique, eventually: Eventually
) -> None:
    """The client tells by the leader's epochs (KIP-320); what it raises then is the same error as for a log that is too short."""
    topic = unique("topic")
    place = TopicPartition(topic, 0)
    admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    bus = KafkaBus(kafka.bootstrap, "test")
    with closing(bus), closing(bus.producer()) as producer, closing(bus.reader()) as reader:
        producer.send([Message(topic, b"k", b"v")] * 5).wait(10)
        with closing(bus.consumer(unique("group"), [topic], lambda _: {place: 3}, lambda _: None)) as consumer:
            eventually(lambda: consumer.positions() == {place: 5}, doing=lambda: consumer.poll(0.1, 10))
            consumer._client._fetcher._cached_log_truncation = LogTruncationError({Place(*place): None})
            with pytest.raises(PositionLost, match=r"\[0\] was read up to 5, and was cut below that, though it has grown again"):
                eventually(lambda: False, doing=lambda: consumer.poll(0.1, 10))
        reader.read(place, 3, 1)
        reader._client._fetcher._cached_log_truncation = LogTruncationError({Place(*place): None})
        with pytest.raises(PositionLost, match=r"\[0\] was read up to 4, and was cut below that"):
            reader.read(place, 4, 1)


def test_topics_are_created_once_and_then_left_alone(kafka: EmbeddedKafka, unique: Unique) -> None:
    keyed, single = renamed(LEAD, unique("lead")), renamed(DIRECTORY, unique("directory"))
    bus = KafkaBus(kafka.bootstrap, "test")
    assert create_topics(kafka.bootstrap, 3, topics=[keyed]) == [keyed.name]
    before = bus.identity(keyed.name)
    assert create_topics(kafka.bootstrap, 3, topics=[keyed, single]) == [single.name]
    assert create_topics(kafka.bootstrap, 3, topics=[keyed, single]) == []
    assert (bus.partitions(keyed.name), bus.partitions(single.name)) == (3, 1)
    assert bus.identity(keyed.name) == before
    bus.close()


def test_another_number_of_partitions_is_refused_and_nothing_is_created(kafka: EmbeddedKafka, unique: Unique) -> None:
    there, missing = renamed(LEAD, unique("lead")), renamed(LEAD, unique("lead"))
    create_topics(kafka.bootstrap, 3, topics=[there])
    with pytest.raises(ValueError, match=f"topic {there.name} has 3 partitions, and 4 are asked for: set HANDOFF_PARTITIONS"):
        create_topics(kafka.bootstrap, 4, topics=[there, missing])
    bus = KafkaBus(kafka.bootstrap, "test")
    with pytest.raises(LookupError):
        bus.partitions(missing.name)
    bus.close()


@pytest.mark.parametrize("log_time", [True, False])
def test_the_broker_has_the_settings_of_the_table(
    kafka: EmbeddedKafka, admin: KafkaAdminClient, unique: Unique, log_time: bool
) -> None:
    topic = renamed(LEAD, unique("lead"))
    create_topics(kafka.bootstrap, 1, topics=[topic], log_time=log_time)
    described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name)], config_filter="all")
    settings = described["topic"][topic.name] if "topic" in described else described[ConfigResourceType.TOPIC][topic.name]
    for name, value in configuration(topic, log_time=log_time).items():
        assert settings[name]["value"] == value


def test_the_retention_and_the_clock_of_the_table() -> None:
    days_30 = str(30 * 24 * 3600 * 1000)
    live = {topic.name: configuration(topic, log_time=True) for topic in (LEAD, LIFECYCLE, DIRECTORY, dead_letters("routing"))}
    assert {name: (each["message.timestamp.type"], each["retention.ms"]) for name, each in live.items()} == {
        "crm.lead.v1": ("LogAppendTime", days_30),
        "crm.lifecycle.v1": ("CreateTime", "-1"),
        "crm.directory.v1": ("CreateTime", "-1"),
        "routing.dead-letter.v1": ("CreateTime", days_30),
    }
    simulated = configuration(LEAD, log_time=False)
    assert (simulated["message.timestamp.type"], simulated["retention.ms"]) == ("CreateTime", "-1")
    assert configuration(LEAD, log_time=True, replication=3)["min.insync.replicas"] == "2"


@pytest.mark.parametrize("log_time", [True, False])
def test_whoever_stamps_may_be_ahead_of_the_broker(log_time: bool) -> None:
    for topic in TOPICS:
        settings = configuration(topic, log_time=log_time)
        ahead = settings.get("message.timestamp.after.max.ms")
        assert ahead == (YEARS_MS if settings["message.timestamp.type"] == "CreateTime" else None), topic.name


@pytest.mark.parametrize("settings", ["of the topic", "of the embedded broker"])
def test_a_record_of_two_hours_ahead_is_taken(kafka: EmbeddedKafka, admin: KafkaAdminClient, unique: Unique, settings: str) -> None:
    topic = renamed(LIFECYCLE, unique("lifecycle"))
    if settings == "of the topic":
        create_topics(kafka.bootstrap, 1, topics=[topic])
    else:  # one that an older version has made
        admin.create_topics({topic.name: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    bus = KafkaBus(kafka.bootstrap, "test")
    producer = bus.producer()
    ahead = time.time_ns() // 1_000_000 + 2 * 3_600_000
    producer.send([Message(topic.name, b"k", b"v", timestamp=ahead)]).wait(10)
    assert [record.timestamp for record in bus.read(topic.name)] == [ahead]
    producer.close()
    bus.close()


def test_streams_whose_topic_refuses_nothing_go_on_beside_one_that_is_refused(
    kafka: EmbeddedKafka, admin: KafkaAdminClient, unique: Unique, eventually: Eventually
) -> None:
    topics = [unique("taken"), unique("refused"), unique("taken")]
    hour = {"message.timestamp.after.max.ms": "3600000"}
    admin.create_topics(
        {name: {"num_partitions": 1, "replication_factor": 1, "configs": hour} for name in topics}, wait_for_metadata=True
    )
    now = time.time_ns() // 1_000_000
    entries = {
        name: [Outgoing(n, (Message(name, b"k", str(n).encode(), timestamp=now),)) for n in range(1, 101)] for name in topics
    }
    late = entries[topics[1]][69]
    entries[topics[1]][69] = Outgoing(70, (replace(late.messages[0], timestamp=now + 7_200_000),))
    shelf = Shelf(entries)
    bus = KafkaBus(kafka.bootstrap, "test")
    relay = Relay(bus, shelf)

    def pump() -> None:
        with suppress(BusError):
            relay.pump()

    eventually(lambda: shelf.saved == {topics[0]: 100, topics[1]: 69, topics[2]: 100} and bool(relay.complaint), 20, pump)
    assert "InvalidTimestampError" in relay.complaint
    before = {name: len(bus.read(name)) for name in topics}
    for name in (topics[0], topics[2]):
        entries[name] += [Outgoing(n, (Message(name, b"k", str(n).encode()),)) for n in range(101, 201)]
    eventually(lambda: (shelf.saved[topics[0]], shelf.saved[topics[2]]) == (200, 200), 20, pump)
    assert [len(bus.read(name)) - before[name] for name in topics] == [100, 0, 100]
    changed = ConfigResource(ConfigResourceType.TOPIC, topics[1], {"message.timestamp.after.max.ms": YEARS_MS})
    admin.alter_configs([changed])
    eventually(lambda: shelf.saved[topics[1]] == 100, 20, pump)
    assert relay.complaint == ""
    assert list(dict.fromkeys(record.value for record in bus.read(topics[1]))) == [str(n).encode() for n in range(1, 101)]
    relay.close()
    bus.close()


class Shelf:
    """Streams of entries (``events.bus.worker.Outbox``)."""

    def __init__(self, entries: Mapping[str, Sequence[Outgoing]]) -> None:
        self._entries = entries
        self.saved = dict.fromkeys(entries, 0)

    def streams(self) -> Mapping[str, int]:
        return self.saved

    def outgoing(self, stream: str, after: int, limit: int) -> Sequence[Outgoing]:
        return self._entries[stream][after : after + limit]

    def acknowledged(self, stream: str, number: int) -> None:
        self.saved[stream] = number


@pytest.mark.parametrize(("log_time", "kept"), [(True, False), (False, True)])
def test_simulated_time_stands_only_where_it_is_asked_for(kafka: EmbeddedKafka, unique: Unique, log_time: bool, kept: bool) -> None:
    topic = renamed(LEAD, unique("lead"))
    create_topics(kafka.bootstrap, 1, topics=[topic], log_time=log_time)
    bus = KafkaBus(kafka.bootstrap, "test")
    producer = bus.producer()
    stamps = [1_000_000_000_000, 4_000_000_000_000]  # 2001 and 2096
    if log_time:
        stamps = stamps[:1]
    producer.send([Message(topic.name, b"k", b"v", timestamp=stamp) for stamp in stamps]).wait(10)
    assert ([record.timestamp for record in bus.read(topic.name)] == stamps) is kept
    producer.close()
    bus.close()
