"""Gathers the evidence: topics and answers while everything runs, what only the databases know when it has stopped."""

import itertools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec.structs import replace

from events.bus import Bus
from events.bus.database import Database
from events.codec import content
from events.record import Message, Record, TopicPartition
from events.topics import TOPICS
from events.values import NANOSECONDS, format_instant
from services.lifecycle.domain.events import FactAccepted
from services.lifecycle.mass.batches import Batches
from services.lifecycle.shards import table_of
from services.lifecycle.store import Store, outgoing_of
from tests.faults.evidence import LOST_NOTHING, Accepted, Answer, Lost, Place, content_of
from tests.faults.load import DAY

BATCHES_MAX: Final = 10_000
REPLAYS: Final = (
    "SELECT d.topic, d.part, d.number, a.number FROM letter_act AS a JOIN dead_letter AS d ON d.number = a.letter"
    " WHERE a.act = 'replayed'"
)
READ_SECONDS: Final = 0.1
SILENT_POLLS_MAX: Final = 300
GROUPINGS: Final = [None, "status", "stage", "rep", "team", "region", "customer_region", "product", "source", "quarter"]
GROUPINGS_OF_PERIODS: Final = [None, "rep", "region"]


def read_logs(bus: Bus, group: str) -> dict[str, list[Record]]:
    """All that lies in the topics, each partition in its order. ``group``: a name that nobody uses."""
    names = [topic.name for topic in TOPICS]
    consumer = bus.consumer(group, names, lambda places: dict.fromkeys(places, 0), lambda _: None)
    try:
        ends = bus.end_offsets([TopicPartition(name, part) for name in names for part in range(bus.partitions(name))])
        found: list[Record] = []
        silent = 0
        while any(consumer.positions().get(place, 0) < end for place, end in ends.items()):
            batch = consumer.poll(READ_SECONDS, 5_000)
            silent = 0 if batch else silent + 1
            assert silent < SILENT_POLLS_MAX, f"read up to {consumer.positions()} of {ends}, then nothing came"
            found += batch
    finally:
        consumer.close()
    return by_topic(found)


def by_topic(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records by topic, in the order of partitions and offsets."""
    logs: dict[str, list[Record]] = {topic.name: [] for topic in TOPICS}
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        logs[record.topic].append(record)
    return logs


def questions(now: int) -> list[tuple[str, dict[str, str]]]:
    """What forecast is asked: every grouping, now and at past instants; every quarter about now."""
    past = [format_instant(now - days * DAY) for days in (1, 60, 200)]
    today = datetime.fromtimestamp(now // NANOSECONDS, UTC)
    days = [today + timedelta(days=91 * n) for n in range(-4, 3)]
    quarters = sorted({f"{day.year}-Q{(day.month - 1) // 3 + 1}" for day in days})
    asked = [("/v1/pipeline", {"as_of": at, "by": by}) for at, by in itertools.product([None, *past], GROUPINGS)]
    asked += [("/v1/forecast", {"period": q, "by": by}) for q, by in itertools.product(quarters, GROUPINGS_OF_PERIODS)]
    return [
        (path, {name: value for name, value in {**said, "currency": currency}.items() if value is not None})
        for path, said in asked
        for currency in ("EUR", "USD")
    ]


def answer_of(path: str, parameters: Mapping[str, str], body: Mapping[str, Any], *, ended: int | None = None) -> Answer:
    """An answer."""
    return Answer(path, parameters, body, ended)


# ------------------------------------------------------------------------------------- from the databases


def stored_facts(store: Store, customers: Iterable[tuple[int, str]]) -> list[Accepted]:
    """Every fact that lifecycle stored, as often as it did. ``customers``: with their shards."""
    return [
        Accepted(customer, event.fact.source, event.fact.id, content(event.fact))
        for shard, customer in customers
        for _, event in store.events_of(shard, customer)
        if isinstance(event, FactAccepted)
    ]


def notifications(store: Store) -> list[Message]:
    """What lifecycle's notification log has to publish, shard by shard."""
    messages: list[Message] = []
    for shard in range(store.shards):
        after = 0
        while entries := store.outgoing(shard, after, 1_000):
            messages += [message for entry in entries for message in entry.messages]
            after = entries[-1].number
    return messages


def withheld(store: Store) -> list[Message]:
    """What is in lifecycle's notification log, and by its own word never published, shard by shard."""
    stored = [
        each
        for shard in range(store.shards)
        for number in sorted(store.withheld(shard, 0, sys.maxsize))
        for each in store.database.events(table_of(shard)).select_notifications(number, 1)
    ]
    return [message for each in stored for message in outgoing_of(each.id, each).messages]


def held(opened: Callable[[str], Database], services: Iterable[str], shards: int) -> Lost:
    """What is in the databases of some services now, and would be lost with them."""
    found = LOST_NOTHING
    for service in services:
        found = replace(found, letters={**found.letters, service: frozenset(buried(opened(service)))})
        if service == "lifecycle":
            with closing(Store(opened(service), shards, code_version="gathering")) as store:
                found = replace(
                    found,
                    notifications=frozenset(map(content_of, notifications(store))),
                    replays=replays(opened(service)),
                    batches=frozenset(batch.id for batch in Batches(store.database).newest(BATCHES_MAX)),
                )
    return found


def replays(database: Database) -> Set[tuple[str, int, str]]:
    """The replays that operators were promised, by topic, partition and name, of lifecycle's database, which is closed then."""
    with closing(database), database.read() as cursor:
        cursor.execute(REPLAYS)
        return {(topic, part, f"lifecycle/{letter}/{act}") for topic, part, letter, act in cursor.fetchall()}


def customers_of(store: Store) -> list[tuple[int, str]]:
    """The customers that lifecycle has facts of, with their shards; not from its lists, but from what is stored."""
    found: list[tuple[int, str]] = []
    with store.database.read() as cursor:
        for shard in range(store.shards):
            cursor.execute(f"SELECT DISTINCT originator_id FROM {table_of(shard)} WHERE topic = 'fact' ORDER BY 1")
            found += [(shard, customer) for (customer,) in cursor.fetchall()]
    return found


def buried(database: Database) -> Sequence[Place]:
    """The dead letters of a service's database, which is closed then."""
    with closing(database), database.read() as cursor:
        cursor.execute("SELECT topic, part, record_offset FROM dead_letter")
        return [tuple(row) for row in cursor.fetchall()]
