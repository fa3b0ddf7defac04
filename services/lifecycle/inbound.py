"""The frame around the fold: records in, one transaction out.

A batch is decoded, brought to the records concerned, and committed as a whole: events, positions, dead letters. What the batch
changed in memory counts only once it is committed; after a failure nothing has happened. A record that lies in another
partition than its customer's home is not folded there but sent home, bytes untouched.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from events.bus import PositionLost
from events.bus.ledger import DeadLetter, Outgoing
from events.bus.partitioner import murmur2
from events.codec import Fact, Undecodable, decode, encode
from events.facts import LifecycleTick
from events.record import Record as KafkaRecord
from events.record import TopicPartition
from events.topics import MOVED, STATUS_TABLE, TICK_TYPE, TOPICS
from services.lifecycle.admission import objection
from services.lifecycle.cache import Cache, Entry
from services.lifecycle.customers import Line
from services.lifecycle.domain.events import FactAccepted
from services.lifecycle.domain.order import key_of
from services.lifecycle.domain.record import Known, Record, accept_all, late
from services.lifecycle.domain.refold import brought_up
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.summary import summary_of
from services.lifecycle.mapper import Forwarded
from services.lifecycle.metrics import Counters
from services.lifecycle.outbound import SOURCE
from services.lifecycle.store import Store
from services.lifecycle.sweep import Sweep
from services.lifecycle.tables import StatusTables
from services.lifecycle.work import Wake, Work

_TOPIC_OF: Final = {type_: topic.name for topic in TOPICS if topic is not MOVED for type_ in topic.types}


class Inbound:
    """The worker of :class:`events.bus.loop.Loop` for lifecycle. ``clock``: nanoseconds since 1970, read for ticks only."""

    def __init__(self, store: Store, tables: StatusTables, counters: Counters, *, cache: Cache, clock: Callable[[], int]) -> None:
        self._store = store
        self._ledger = store.ledger
        self._tables = tables
        self.sweep: Final = Sweep(store, tables)
        self._counters = counters
        self._clock = clock
        self._cache = cache
        self._last: dict[int, int] = {}

    # -------------------------------------------------------------------------------------- ownership

    def claim(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        self._tables.refresh()  # so that all is known here that records were folded with elsewhere
        claimed = self._ledger.claim(places)
        shards = {place.partition for place in places}
        self._forget(shards)
        self.sweep.claim(shards)
        return claimed

    def release(self, places: Collection[TopicPartition]) -> None:
        self._ledger.release(places)
        shards = {place.partition for place in places}
        self._forget(shards)
        self.sweep.release(shards)

    def _forget(self, shards: set[int]) -> None:
        """What is cached of a shard holds only while this worker owns it."""
        self._cache.forget(shards)
        for shard in shards:
            self._last.pop(shard, None)

    # ------------------------------------------------------------------------------------------ batch

    def process(self, records: Sequence[KafkaRecord]) -> None:
        """Take a batch in: one transaction."""
        fresh = self._ledger.fresh(records)
        if not fresh:
            return
        batch = _Batch(self._store, self._tables.policy, self._cache)
        batch.take_in(fresh)
        self._commit(fresh, batch)

    def reject(self, record: KafkaRecord, error: BaseException, attempts: int) -> None:
        """Bury one record that the code cannot deal with."""
        work = Work.none()
        work.letters.append(
            DeadLetter(record=record, error="Bug", reason=f"{type(error).__name__}: {error}"[:2000], attempts=attempts)
        )
        self._store.commit([record], work)
        self._counters.records.labels(record.topic, "Bug").inc()

    def _write(self, records: Sequence[KafkaRecord], work: Work) -> None:
        try:
            self._last.update(self._store.commit(records, work))
        except BaseException:
            self._last.clear()  # it may have been written and not answered: the database knows
            raise

    def _commit(self, records: Sequence[KafkaRecord], batch: "_Batch") -> None:
        self._write(records, batch.work)
        self._cache.update(batch.changed)
        self._cache.used(batch.used)
        self._cache.trim()
        for (topic, outcome), count in batch.outcomes.items():
            self._counters.records.labels(topic, outcome).inc(count)
        if batch.moved:
            self._counters.moved.count(batch.moved)
        for events in batch.work.events.values():
            for event in events:
                self._counters.events.labels(event.topic).inc()

    def beside(self) -> bool:
        """Bring some records up to the status tables that are known; whether there may be more to do."""
        try:
            return self.sweep.step(self._cache, self._write)
        except BaseException:
            self._cache.clear()  # it may have been written and not answered: the database knows
            raise

    # ------------------------------------------------------------------------------------------ relay

    def streams(self) -> Mapping[str, int]:
        owned = sorted(self._ledger.owned())
        names = [f"{kind}[{shard}]" for shard in owned for kind in ("lifecycle", "dead-letter")]
        return self._ledger.relay_positions(names)

    def outgoing(self, stream: str, after: int, limit: int) -> Sequence[Outgoing]:
        kind, _, rest = stream.partition("[")
        shard = int(rest[:-1])
        if kind == "dead-letter":
            return self._ledger.dead_letter_stream(shard, after, limit)
        last = self._last_of(shard)
        if after >= last:
            return []
        entries = self._store.outgoing(shard, after, limit)
        if len(entries) < limit and (entries[-1].number if entries else after) < last:
            entries.append(Outgoing(last, ()))  # nothing but facts follows: they need no acknowledgement
        return entries

    def acknowledged(self, stream: str, number: int) -> None:
        self._ledger.acknowledged(stream, number)

    def settle(self) -> None:
        """Nothing else to do: save relay positions, and wake the recycled leads whose time has come."""
        self._wake()
        self._ledger.settle()

    def pending(self) -> int:
        pending = self.sweep.pending()
        for stream, number in self.streams().items():
            kind, _, rest = stream.partition("[")
            if kind == "lifecycle":
                pending += max(0, self._last_of(int(rest[:-1])) - number)
            else:
                pending += len(self._ledger.dead_letter_stream(int(rest[:-1]), number, 1000))
        return pending

    def _last_of(self, shard: int) -> int:
        if shard not in self._last:
            self._last[shard] = self._store.last_number(shard)
        return self._last[shard]

    # ------------------------------------------------------------------------------------------ ticks

    def _wake(self) -> None:
        now = self._clock()
        due = self._store.due(self._ledger.owned(), now)
        if not due:
            return
        work = Work.none()
        for shard, wake in due:
            name = f"wake/{wake.customer_id}/{wake.recycling.source}/{wake.recycling.id}"
            if not self._store.has_forwarded(shard, name):
                work.forward(shard, name, _tick(shard, wake, now))
            work.wakes[wake.customer_id] = (shard, None)
            work.followed[shard] = None  # or a worker that lost it could forget a waking that the next one has noted meanwhile
        self._write([], work)


def _tick(shard: int, wake: Wake, now: int) -> Forwarded:
    """The record that says that time has come to where a recycled lead was waiting (FOLD.md 20).

    It is recorded now, and not when it was due: that may be long ago, and the topic drops what was recorded a month ago.
    """
    message = encode(
        MOVED.name,
        TICK_TYPE,
        LifecycleTick(customer_id=wake.customer_id, recycled=wake.recycling),
        source=SOURCE,
        id=f"{wake.customer_id}/wake/{wake.recycling.source}/{wake.recycling.id}",
        occurred_at=wake.at,
        recorded_at=now,
    )
    assert message.key is not None
    assert message.value is not None
    assert message.timestamp is not None
    return Forwarded(partition=shard, key=message.key, value=message.value, headers=message.headers, timestamp=message.timestamp)


class _Batch:
    """One batch while it is being decided: what it would change, before any of it counts."""

    def __init__(self, store: Store, policy: Policy, cache: Mapping[str, Entry]) -> None:
        self._store = store
        self._policy = policy
        self._cache = cache
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
            if murmur2(fact.customer_id.encode(), self._store.shards) != record.partition:
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
        for shard, customers in missing.items():
            self._loaded.update(self._store.load(shard, customers, self._policy))

    def _record(self, customer_id: str) -> Record:
        self.used.add(customer_id)
        if customer_id in self.changed:
            return self.changed[customer_id][1]
        if customer_id in self._cache:
            return self._cache[customer_id][1]
        return self._loaded.get(customer_id) or Record(customer_id)

    def _up_to_date(self, customer: str, shard: int) -> Record:
        """The record with the status tables that are known now: it follows them before it takes facts in."""
        before = self._record(customer)
        if before.tables > self._policy.tables.through:
            raise PositionLost(f"{customer!r} was folded with a version of {STATUS_TABLE.name} that is gone: restore the topic")
        followed = brought_up(before, self._policy)
        if followed.events:
            self.changed[customer] = (shard, followed.record)
            self.work.changed(shard, before, followed)
        return followed.record

    def _accept(self, customer: str, arrivals: Sequence[tuple[KafkaRecord, Fact]]) -> None:
        shard = arrivals[0][0].partition
        before = self._up_to_date(customer, shard)
        origins = {(record.topic, record.partition, record.offset): record for record, _ in arrivals}
        accepted = accept_all(before, [(fact, origin) for origin, (_, fact) in zip(origins, arrivals, strict=True)], self._policy)
        for refused in accepted.refused:
            self._refuse(origins.get(refused.origin), refused)
        for known, over in accepted.beyond:
            self._bury(origins[known.origin], "LimitExceeded", over.reason, over.path)
        entered = {event.origin for event in accepted.events if isinstance(event, FactAccepted)}
        turned_away = {known.origin for known in (*accepted.refused, *(known for known, _ in accepted.beyond))}
        for origin in origins.keys() - turned_away:
            self.outcomes[origin[0], "accepted" if origin in entered else "repeated"] += 1
        if not accepted.events:
            return
        self.changed[customer] = (shard, accepted.record)
        self.work.changed(shard, before, accepted)

    def _refuse(self, record: KafkaRecord | None, refused: Known) -> None:
        """Bury the one of two facts of one identity that is not the fact; an earlier one is written anew from what is stored."""
        fact = refused.fact
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
        home = murmur2(fact.customer_id.encode(), self._store.shards)
        assert record.key is not None
        assert record.value is not None
        message = Forwarded(partition=home, key=record.key, value=record.value, headers=record.headers, timestamp=record.timestamp)
        self.work.forward(record.partition, f"moved/{record.topic}/{record.partition}/{record.offset}", message)
        self.outcomes[record.topic, "moved"] += 1
        self.moved[fact.source] += 1
