"""A batch while it is being decided: records are decoded and brought to the records of their customers.

In go Kafka's records, out comes the work that they bring about (:mod:`services.lifecycle.work`), to be written in one transaction.
A record that lies in another partition than its customer's home is not folded there but sent home, bytes untouched.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from hashlib import sha256
from types import MappingProxyType
from typing import Final, NoReturn

from events.bus import PositionLost
from events.bus.ledger import Fenced
from events.bus.letters import DeadLetter
from events.codec import Fact, Undecodable, decode, encode
from events.record import Record as KafkaRecord
from events.topics import MOVED, STATUS_TABLE, TOPICS
from services.lifecycle.admission import objection
from services.lifecycle.cache import Entry
from services.lifecycle.customers import Line
from services.lifecycle.domain.events import FactAccepted
from services.lifecycle.domain.known import Known
from services.lifecycle.domain.order import key_of
from services.lifecycle.domain.record import Accepted, Record, accept_all, late
from services.lifecycle.domain.refold import brought_up
from services.lifecycle.domain.restated import Heard, quiet, raised
from services.lifecycle.domain.summary import summary_of
from services.lifecycle.mapper import Forwarded, to_bytes
from services.lifecycle.store import Store
from services.lifecycle.tables import StatusTables
from services.lifecycle.work import Work

_TOPIC_OF: Final = {type_: topic.name for topic in TOPICS if topic is not MOVED for type_ in topic.types}


def customer_of(record: KafkaRecord) -> str:
    """Whom a record is about, if it is right: its key."""
    return (record.key or b"").decode(errors="replace")


class Batch:
    """One batch while it is being decided: what it would change, before any of it counts.

    ``events_max``: how many stored events it may read; ``take_in`` raises ``TooMuch`` where it would be more. ``heard``: customers
    whose facts are taken in quietly, and what consumers have heard of them (:mod:`services.lifecycle.catching_up`).
    """

    def __init__(
        self,
        store: Store,
        tables: StatusTables,
        cache: Mapping[str, Entry],
        events_max: int | None = None,
        heard: Mapping[str, Heard] = MappingProxyType({}),
    ) -> None:
        self._store = store
        self._tables = tables
        self._policy = tables.policy
        self._cache = cache
        self._events_max = events_max
        self._heard = heard
        self._loaded: dict[str, Record] = {}
        self.work: Final = Work.none()
        self.changed: Final[dict[str, tuple[int, Record]]] = {}
        self.used: Final[set[str]] = set()
        self.outcomes: Final[Counter[tuple[str, str]]] = Counter()
        self.moved: Final[Counter[str]] = Counter()

    def take_in(self, records: Sequence[KafkaRecord]) -> None:
        """Decode and decide. Facts are taken in fold order, whatever order the topics came in: fewer of them are late then."""
        decoded = [(record, self._decode(record)) for record in records]
        facts = [(record, fact) for record, fact in decoded if isinstance(fact, Fact)]
        customers: defaultdict[str, list[tuple[KafkaRecord, Fact]]] = defaultdict(list)
        for record, fact in sorted(facts, key=lambda pair: key_of(pair[1])):
            if self._store.home(fact.customer_id) != record.partition:
                self._send_home(record, fact)
            else:
                customers[fact.customer_id].append((record, fact))
        self._load({customer: arrivals[0][0].partition for customer, arrivals in customers.items()})
        for customer, arrivals in customers.items():
            count = late(self._record(customer), [fact for _, fact in arrivals])
            if count:
                self._accept(customer, arrivals[:count])
            for arrival in arrivals[count:]:
                self._accept(customer, [arrival])
        for record, undecodable in decoded:
            if isinstance(undecodable, Undecodable):
                self._bury(record, "Undecodable", undecodable.reason, undecodable.path)
        for customer, (shard, changed) in self.changed.items():
            self.work.lines.append(Line(customer, shard, changed.version, summary_of(changed.fold)))

    def _decode(self, record: KafkaRecord) -> Fact | Undecodable:
        fact = decode(record)
        return fact if isinstance(fact, Undecodable) else objection(fact, self._policy.tables) or fact

    def _load(self, shards: Mapping[str, int]) -> None:
        """Read the records of these customers, each in its shard, that are not in memory."""
        missing: defaultdict[int, list[str]] = defaultdict(list)
        for customer, shard in shards.items():
            if customer not in self._cache:
                missing[shard].append(customer)
        free = self._events_max
        for shard, customers in missing.items():
            loaded = self._store.load(shard, customers, self._policy, events_max=free)
            free = None if free is None else free - sum(record.version for record in loaded.values())
            self._loaded.update(loaded)

    def _record(self, customer_id: str) -> Record:
        self.used.add(customer_id)
        if customer_id in self.changed:
            return self.changed[customer_id][1]
        if customer_id in self._cache:
            return self._cache[customer_id][1]
        record = self._loaded.get(customer_id) or Record(customer_id)
        return raised(record, self._heard[customer_id]) if customer_id in self._heard else record

    def _up_to_date(self, customer: str, shard: int) -> Record:
        """The record with the status tables that are known now: it follows them before it takes facts in."""
        before = self._record(customer)
        if before.tables > self._policy.tables.through:
            self._raise_unknown(before)
        followed = self._heeded(before, brought_up(before, self._policy))
        if followed.events:
            self.changed[customer] = (shard, followed.record)
            self.work.changed(shard, before, followed)
        return followed.record

    def _raise_unknown(self, record: Record) -> NoReturn:
        """The record was folded with a version that was not known here when its shard was claimed."""
        self._tables.refresh()
        if record.tables <= self._tables.policy.tables.through:
            raise Fenced(
                f"{record.customer_id!r} was folded by another worker, with a version of {STATUS_TABLE.name} that is new here"
            )
        raise PositionLost(
            f"{record.customer_id!r} was folded with a version of {STATUS_TABLE.name} that is gone: restore the topic"
        )

    def _accept(self, customer: str, arrivals: Sequence[tuple[KafkaRecord, Fact]]) -> None:
        shard = arrivals[0][0].partition
        before = self._up_to_date(customer, shard)
        came = {(record.topic, record.partition, record.offset): (record, fact) for record, fact in arrivals}
        facts = [(fact, origin) for origin, (_, fact) in came.items()]
        accepted = self._heeded(before, accept_all(before, facts, self._policy))
        turned_away = {known.origin for known, _ in accepted.beyond}
        for refused in accepted.refused:
            record, fact = came.get(refused.origin, (None, None))
            # An earlier fact may have the same place: in a topic that was made again, another record has it now.
            arrived = fact is not None and Known.of(fact, refused.origin).digest == refused.digest
            if arrived:
                turned_away.add(refused.origin)
            self._refuse(record if arrived else None, refused)
        for known, over in accepted.beyond:
            self._bury(came[known.origin][0], "LimitExceeded", over.reason, over.path)
        entered = {event.origin for event in accepted.events if isinstance(event, FactAccepted)}
        for origin in came.keys() - turned_away:
            self.outcomes[origin[0], "accepted" if origin in entered else "repeated"] += 1
        if not accepted.events:
            return
        self.changed[customer] = (shard, accepted.record)
        self.work.changed(shard, before, accepted)

    def _heeded(self, before: Record, accepted: Accepted) -> Accepted:
        return quiet(before, accepted) if before.customer_id in self._heard else accepted

    def _refuse(self, record: KafkaRecord | None, refused: Known) -> None:
        """Bury the one of two facts of one identity that is not the fact; an earlier one is written anew from what is stored."""
        fact = refused.whole
        if record is None:
            message = encode(
                _TOPIC_OF.get(fact.type, MOVED.name),
                fact.type,
                fact.data,
                source=fact.source,
                id=fact.id,
                occurred_at=fact.occurred_at,
                recorded_at=fact.recorded_at,
            )
            stamp = message.timestamp or 0
            record = KafkaRecord(*refused.origin, stamp, message.key, message.value, message.headers)
        reason = (
            f"another fact of {fact.customer_id!r} has the same source {fact.source!r} and id {fact.id!r}, and other content: "
            "a correction is a new fact with an id of its own"
        )
        self._bury(record, "IdentityConflict", reason, "header ce_id")

    def _bury(self, record: KafkaRecord, error: str, reason: str, path: str) -> None:
        self.work.letters.append(DeadLetter(record=record, error=error, reason=reason, path=path))
        self.outcomes[record.topic, error] += 1

    def _send_home(self, record: KafkaRecord, fact: Fact) -> None:
        home = self._store.home(fact.customer_id)
        assert record.key is not None
        assert record.value is not None
        message = Forwarded(partition=home, key=record.key, value=record.value, headers=record.headers, timestamp=record.timestamp)
        digest = sha256(to_bytes(message)).hexdigest()[:16]  # a topic that was made again has the same places
        name = f"moved/{record.topic}/{record.partition}/{record.offset}/{digest}"
        if self._store.forwarded(record.partition, name) is None:  # else the topic is read once more from its beginning
            self.work.forward(record.partition, name, message)
        self.outcomes[record.topic, "moved"] += 1
        self.moved[fact.source] += 1
