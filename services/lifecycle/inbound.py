"""The frame around the fold: records in, one transaction out.

What a batch comes to (:mod:`services.lifecycle.batch`) is committed as a whole: events, positions, dead letters. What the batch
changed in memory counts only once it is committed; after a failure nothing has happened.
"""

from collections import ChainMap, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from eventsourcing.persistence import StoredEvent

from events.bus import Bus
from events.bus.ledger import Outgoing
from events.bus.letters import DeadLetter
from events.record import Record as KafkaRecord
from events.record import TopicPartition
from events.topics import LIFECYCLE_INPUTS
from services.lifecycle import wakes
from services.lifecycle.batch import Batch, customer_of
from services.lifecycle.cache import Cache
from services.lifecycle.catching_up import CatchingUp, published_of, stream_of
from services.lifecycle.metrics import Counters
from services.lifecycle.portions import TooMuch, portions
from services.lifecycle.store import PUBLISHED, Store, outgoing_of
from services.lifecycle.sweep import Sweep
from services.lifecycle.tables import StatusTables
from services.lifecycle.work import Work

_EXPIRING: Final = frozenset(topic.name for topic in LIFECYCLE_INPUTS if topic.retention is not None)
"""Whatever is left of these is where a new database begins; of the others all must be there."""


class _Written(NamedTuple):
    """What the last transaction wrote to a shard's stream that publishes something, and the number right before its first."""

    after: int
    events: Sequence[tuple[int, StoredEvent]]


class Inbound:
    """The worker of :class:`events.bus.loop.Loop` for lifecycle. ``clock``: nanoseconds since 1970, read for ticks only."""

    def __init__(
        self, store: Store, bus: Bus, tables: StatusTables, counters: Counters, *, cache: Cache, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._ledger = store.ledger
        self._bus = bus
        self._tables = tables
        self._catching_up = CatchingUp(store, bus, tables)
        self.sweep: Final = Sweep(store, tables, apart=self._catching_up.heard)
        self._counters = counters
        self._clock = clock
        self._cache = cache
        self._last: dict[int, int] = {}
        self._written: dict[int, _Written] = {}

    # -------------------------------------------------------------------------------------- ownership

    def claim(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        self._tables.refresh()  # so that all is known here that records were folded with elsewhere
        shards = {place.partition for place in places}
        published = {published_of(shard) for shard in shards}
        begins = self._bus.begin_offsets([place for place in places if place.topic in _EXPIRING])
        claimed = self._ledger.claim({*places, *published}, begins)
        self._forget(shards)
        self.sweep.claim(shards)
        self._catching_up.claim({place: claimed.pop(place) for place in sorted(published)})
        return claimed

    def release(self, places: Collection[TopicPartition]) -> None:
        shards = {place.partition for place in places}
        self._ledger.release({*places, *map(published_of, shards)})
        self._forget(shards)
        self.sweep.release(shards)
        self._catching_up.release(shards)

    def _forget(self, shards: set[int]) -> None:
        """What is cached of a shard holds only while this worker owns it."""
        self._cache.forget(shards)
        for shard in shards:
            self._last.pop(shard, None)
            self._written.pop(shard, None)

    # ------------------------------------------------------------------------------------------ batch

    def process(self, records: Sequence[KafkaRecord]) -> None:
        """Take a batch in: one transaction, or several where the records of its customers are too long to be read at once."""
        self._catching_up.look_again()
        fresh = self._ledger.fresh(records)
        try:
            self._take_in(fresh, self._store.read_max)
        except TooMuch:
            for portion in self._portions(fresh):
                self._take_in(portion, None)

    def _take_in(self, records: Sequence[KafkaRecord], events_max: int | None) -> None:
        if records:
            batch = Batch(self._store, self._tables, self._cache, events_max, self._catching_up.heard)
            batch.take_in(records)
            self._commit(records, batch)

    def _portions(self, records: Sequence[KafkaRecord]) -> Iterator[Sequence[KafkaRecord]]:
        sizes = self._sizes(records)

        def unread(customer: str) -> int:
            return 0 if customer in self._cache else sizes.get(customer, 0)

        return portions(records, customer_of, unread, self._store.read_max)

    def _sizes(self, records: Sequence[KafkaRecord]) -> Mapping[str, int]:
        """How many events are stored of each customer whose record is not in memory."""
        customers: defaultdict[int, set[str]] = defaultdict(set)
        for record in records:
            if (name := customer_of(record)) not in self._cache:
                customers[record.partition].add(name)
        return ChainMap(*(self._store.sizes(shard, names) for shard, names in customers.items()))

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
            given = self._store.commit(records, work)
        except BaseException:
            self._last.clear()  # it may have been written and not answered: the database knows
            self._written.clear()
            raise
        for shard, numbers in given.items():
            before, told = numbers[0] - 1, zip(numbers, work.events[shard], strict=True)
            if self._last.get(shard) == before:
                self._written[shard] = _Written(before, [each for each in told if each[1].topic in PUBLISHED])
            else:  # in between may be what was written and not answered: the database knows
                self._written.pop(shard, None)
            self._last[shard] = numbers[-1]

    def _commit(self, records: Sequence[KafkaRecord], batch: Batch) -> None:
        self._write(records, batch.work)
        self._catching_up.touched(batch.changed.keys())
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

    def beside(self, positions: Mapping[TopicPartition, int]) -> bool:
        """Wake recycled leads, and bring some records up to what is known; whether there may be more to do.

        However many facts come: whoever waits must not wait for a quiet moment.
        """
        self._wake()
        self._catching_up.note()
        return self._catching_up.step(positions, self._cache, self._write_beside) or self.sweep.step(
            self._cache, self._write_beside
        )

    def _write_beside(self, records: Sequence[KafkaRecord], work: Work) -> None:
        try:
            self._write(records, work)
        except BaseException:
            self._cache.clear()  # it may have been written and not answered: the database knows
            raise

    # ------------------------------------------------------------------------------------------ relay

    def streams(self) -> Mapping[str, int]:
        owned = sorted(self._ledger.owned())
        return self._ledger.relay_positions([*map(stream_of, owned), *self._ledger.letters.streams(owned)])

    def outgoing(self, stream: str, after: int, limit: int) -> Sequence[Outgoing]:
        if self._ledger.letters.carries(stream):
            return self._ledger.letter_stream(stream, after, limit)
        shard = _shard_of(stream)
        last = self._last_of(shard)
        if after >= last:
            return []
        entries = self._just_written(shard, after, limit)
        if entries is None:
            entries = self._store.outgoing(shard, after, limit)
        if len(entries) < limit and (entries[-1].number if entries else after) < last:
            entries.append(Outgoing(last, ()))  # nothing but facts follows: they need no acknowledgement
        return entries

    def _just_written(self, shard: int, after: int, limit: int) -> list[Outgoing] | None:
        """The same as the store would read, where it is what was written last; None where it is not, or was asked for before.

        None of it is withheld: that is only what was stored before the shard was claimed.
        """
        written = self._written.pop(shard, None)
        if written is None or written.after != after or len(written.events) > limit:
            return None
        return [outgoing_of(number, event) for number, event in written.events]

    def acknowledged(self, stream: str, number: int) -> None:
        self._catching_up.acknowledged(number - self._ledger.relay_positions([stream])[stream])
        self._ledger.acknowledged(stream, number)

    def settle(self) -> None:
        self._ledger.settle()

    def done(self) -> object:
        """Another one whenever anything has been done, however small: for the watchdog."""
        return self._ledger.committed, self.sweep.progress.records, self._catching_up.looked

    def pending(self) -> int:
        streams, letters = self.streams(), self._ledger.letters
        pending = self.sweep.pending() + self._catching_up.pending() + letters.pending(streams)
        for stream, number in streams.items():
            if not letters.carries(stream):
                pending += max(0, self._last_of(_shard_of(stream)) - number)
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
            path = wakes.unsent(wake, partial(self._store.forwarded, shard))
            if path is not None:
                work.forward(shard, wakes.name_of(wake, path), wakes.tick(shard, path, wake, now))
            work.wakes[wake.customer_id] = (shard, None)
            work.followed[shard] = None  # or a worker that lost it could forget a waking that the next one has noted meanwhile
        self._write([], work)


def _shard_of(stream: str) -> int:
    """Of :func:`stream_of`."""
    return int(stream.partition("[")[2][:-1])
