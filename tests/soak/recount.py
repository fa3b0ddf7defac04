"""The end of a soak, counted anew: every fact that lies in the inputs, folded plainly, against what forecast and lifecycle answer.

An hour has too many facts for one list, so it goes partition by partition, in processes side by side: all facts of a customer lie
in one, or were sent there by lifecycle. Only the present is counted, the last state of each deal: the history of every record is
what the fault campaign looks at.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from multiprocessing import get_context
from typing import Any, Final, NamedTuple

import msgspec
from kafka import KafkaConsumer
from kafka import TopicPartition as Place

from events.bus.kafka.clients import connect
from events.bus.kafka.consumer import READER_SETTINGS, record_of
from events.bus.partitioner import murmur2
from events.codec import Fact, decode
from events.record import Record
from events.reference import Directory, Version
from events.topics import DIRECTORY, LIFECYCLE_INPUTS, MOVED, TICK_TYPE
from handoff.client import Services
from tests.faults.evidence import Answer
from tests.faults.inputs import SENT_TO, Identity
from tests.faults.totals import History, Teams, check_answers
from tests.lifecycle.reference_facts import DEFAULT
from tests.lifecycle.reference_fold import Reference

SPOILED: Final = "crm/spoiled"
"""The source of what the load has spoiled: no fact, whatever can be read of it."""
GROUPINGS: Final = (None, "status", "stage", "rep", "team", "region", "customer_region", "product", "source", "quarter")
CURRENCIES: Final = ("EUR", "USD")
COUNTED: Final = ("status", "probability", "state", "closed_at", "close_date", "figures", "currency", "owner", "product", "origin")
"""What totals are made of."""


def recount(bootstrap: str, services: Services, *, sent: int, partitions: int, processes: int) -> dict[str, Any]:
    """How much there was, and what is not as the inputs say."""
    began = time.time_ns()
    answers = [
        Answer("/v1/pipeline", asked, services.get("forecast", "/v1/pipeline", **asked), time.time_ns())
        for by in GROUPINGS
        for currency in CURRENCIES
        for asked in [{"currency": currency} | ({} if by is None else {"by": by})]
    ]
    listed = services.get("lifecycle", "/v1/customers", count="true", limit="1")["count"]
    with get_context("spawn").Pool(processes) as pool:
        shards = pool.starmap(read_shard, [(bootstrap, shard, partitions) for shard in range(partitions)], chunksize=1)
    histories = [history for shard in shards for history in shard.histories]
    lying = sum(shard.sent for shard in shards)
    return {
        "customers": len(histories),
        "deals": sum(len(history.images) for history in histories),
        "answers": len(answers),
        "findings": [
            *check_answers(answers, histories, lambda _: _teams(bootstrap), began),
            *compared(listed=listed, customers=len(histories), sent=sent, lying=lying),
            *forwarded([shard.astray for shard in shards]),
        ],
    }


def compared(*, listed: int, customers: int, sent: int, lying: int) -> Iterator[str]:
    """Counts that must be the same."""
    if listed != customers:
        yield f"lifecycle lists {listed:,} customers, the facts are about {customers:,}"
    if lying != sent:
        yield f"{sent:,} facts were sent, {lying:,} lie in the topics"


def forwarded(astray: Sequence["Astray"]) -> Iterator[str]:
    """Whether lifecycle has sent home whatever lay in a partition that is not its own, and nothing else."""
    seen = {each for shard in astray for each in shard.seen}
    sent = {each for shard in astray for each in shard.forwarded}
    if left := seen - sent:
        yield f"{len(left):,} facts lie in another partition than their customer's and were not sent there, as {min(left)}"
    if more := sent - seen:
        yield f"{len(more):,} facts were sent to their customer's partition and lay in no other one, as {min(more)}"


class Shard(NamedTuple):
    """What the customers of a shard have come to; how many records systems have sent to its partitions; and which went astray."""

    histories: list[History]
    sent: int
    astray: "Astray"


def read_shard(bootstrap: str, shard: int, shards: int) -> Shard:
    """All of a shard."""
    astray = Astray(shard, shards)
    return Shard(*present(astray.noting(read(bootstrap, [topic.name for topic in LIFECYCLE_INPUTS], shard)), shard, shards), astray)


class Astray:
    """The facts that lie in a shard's partitions and belong elsewhere, and those that lifecycle has sent there from elsewhere.

    ``present`` counts the former where lifecycle has sent them: one that it has not would be missing on both sides.
    """

    def __init__(self, shard: int, shards: int) -> None:
        self.seen: set[Identity] = set()
        self.forwarded: set[Identity] = set()
        self._shard = shard
        self._shards = shards

    def noting(self, records: Iterable[Record]) -> Iterator[Record]:
        """The same records, looked at."""
        for record in records:
            moved = record.topic == MOVED.name
            if moved or (record.key is not None and murmur2(record.key, self._shards) != self._shard):
                fact = decode(record)
                if isinstance(fact, Fact) and fact.source != SPOILED and not (moved and fact.type == TICK_TYPE):
                    (self.forwarded if moved else self.seen).add((fact.customer_id, fact.source, fact.id))
            yield record


def present(records: Iterable[Record], shard: int, shards: int) -> tuple[list[History], int]:
    """The customers of what lies in a shard's partitions, and how many records were sent there.

    What lies there and belongs elsewhere counts where lifecycle has sent it.
    """
    facts: defaultdict[str, list[Fact]] = defaultdict(list)
    sent = 0
    for record in records:
        sent += record.topic in SENT_TO
        fact = decode(record)
        if isinstance(fact, Fact) and fact.source != SPOILED and murmur2(fact.customer_id.encode(), shards) == shard:
            facts[fact.customer_id].append(fact)
    return [_present(Reference(some, [DEFAULT])) for some in facts.values()], sent


def _present(reference: Reference) -> History:
    """The last states of a customer, as if they had always been."""
    end = len(reference.facts)
    images = [reference.image(deal, end) for deal in reference.deals]
    return History(
        statuses=[(0, reference.records[-1][:3], "")],
        images=[[(0, {name: image[name] for name in COUNTED}, "")] for image in images],
    )


def read(bootstrap: str, topics: Sequence[str], partition: int) -> Iterator[Record]:
    """All that lies in one partition of some topics."""
    with closing(connect(KafkaConsumer, bootstrap, READER_SETTINGS)) as consumer:
        places = [Place(topic, partition) for topic in topics]
        consumer.assign(places)
        ends = consumer.end_offsets(places)
        for place, begin in consumer.beginning_offsets(places).items():
            consumer.seek(place, begin)
        while any(consumer.position(place) < end for place, end in ends.items()):
            for place, records in consumer.poll(timeout_ms=1_000).items():
                yield from (record_of(place.topic, place.partition, each) for each in records)


def _teams(bootstrap: str) -> Teams:
    """Team and region of each rep, by the last directory."""
    *_, last = read(bootstrap, [DIRECTORY.name], 0)
    directory = msgspec.json.decode(msgspec.json.decode(last.value or b"", type=Version).content, type=Directory)
    return {rep.rep_id: (rep.team, rep.region) for rep in directory.reps}
