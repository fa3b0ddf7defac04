"""Services with a fault each, for the control arms: what the simulation must find, or its silence means nothing.

Each fault gives one guard up, and is put together from the real parts: a store without its fence, an outbox that notes before the
log has answered, a cache that is filled before the commit, a projection that has no memory for versions.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import Any, Final

from msgspec.structs import replace
from rpds import HashTrieMap

from events.bus.cursor import Cursor
from events.bus.database import Database
from events.bus.ledger import Ledger, Outgoing
from events.bus.letters import DeadLetter
from events.bus.worker import Worker
from events.codec import Fact
from events.facts import FactRef
from events.record import Record, TopicPartition
from services.forecast.changes import Change
from services.forecast.inbound import Inbound as ForecastInbound
from services.forecast.metrics import Metrics
from services.forecast.taking import Arrival, Outcome, Taking
from services.forecast.view import Customer, Projection
from services.lifecycle.batch import Batch
from services.lifecycle.domain.known import Known
from services.lifecycle.domain.record import Record as CustomerRecord
from services.lifecycle.inbound import Inbound as LifecycleInbound
from services.lifecycle.store import Store as LifecycleStore
from services.lifecycle.trace import Step, Traces
from services.routing.domain.story import Customer as DeskCustomer
from services.routing.domain.story import Event, State
from services.routing.store import Store as RoutingStore
from tests.faults.unfenced import TokenlessLedger, Unfenced
from tests.simulation.services import Kinds


class Around:
    """A worker around another one, which does all the work (``events.bus.worker.Worker``)."""

    def __init__(self, worker: Worker) -> None:
        self.worker: Final = worker

    def claim(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return self.worker.claim(places)

    def release(self, places: Collection[TopicPartition]) -> None:
        self.worker.release(places)

    def process(self, records: Sequence[Record]) -> None:
        self.worker.process(records)

    def reject(self, record: Record, error: BaseException, attempts: int) -> None:
        self.worker.reject(record, error, attempts)

    def streams(self) -> Mapping[str, int]:
        return self.worker.streams()

    def outgoing(self, stream: str, after: int, limit: int) -> Sequence[Outgoing]:
        return self.worker.outgoing(stream, after, limit)

    def acknowledged(self, stream: str, number: int) -> None:
        self.worker.acknowledged(stream, number)

    def settle(self) -> None:
        self.worker.settle()

    def pending(self) -> int:
        return self.worker.pending()


class NotesTooEarly(Around):
    """The relay's position is saved before the log has acknowledged anything."""

    def outgoing(self, stream: str, after: int, limit: int) -> Sequence[Outgoing]:
        entries = self.worker.outgoing(stream, after, limit)
        if entries:
            self.worker.acknowledged(stream, entries[-1].number)
            self.worker.settle()
        return entries


class TakesTwice(LifecycleInbound):
    """A fact that comes again is taken in again."""

    def _take_in(self, records: Sequence[Record], events_max: int | None) -> None:
        if records:
            batch = ForgetfulBatch(self._store, self._tables, self._cache, events_max, self._catching_up.heard)
            batch.take_in(records)
            self._commit(records, batch)


class ForgetfulBatch(Batch):
    """What it is decided by: a record does not know the facts that come to it."""

    _coming: Sequence[Known] = ()

    def _accept(self, customer: str, arrivals: Sequence[tuple[Record, Fact]]) -> None:
        self._coming = [Known.of(fact, (*record.place, record.offset)) for record, fact in arrivals]
        super()._accept(customer, arrivals)

    def _up_to_date(self, customer: str, shard: int) -> CustomerRecord:
        record = super()._up_to_date(customer, shard)
        refs = [(FactRef(source=coming.fact.source, id=coming.fact.id), coming.digest) for coming in self._coming]
        again = {ref for ref, digest in refs if ref in record.known and record.known[ref].digest == digest}
        return replace(record, known=HashTrieMap({ref: known for ref, known in record.known.items() if ref not in again}))


class Untraceable(LifecycleStore):
    """What is stored cannot be traced once more."""

    kind: type[Traces]

    def __init__(self, database: Database, *given: Any, **more: Any) -> None:
        super().__init__(database, *given, **more)
        self.traces = self.kind(self.database.begin, self.database.read, self._tables)  # type: ignore[misc]


class NeverAsks(LifecycleStore):
    """A commit that is not answered is taken for none: the next try is refused, as if another worker had come."""

    def __init__(self, database: Database, *given: Any, **more: Any) -> None:
        super().__init__(database, *given, **more)
        self.ledger._committed = lambda moves: False  # type: ignore[method-assign]


class UnreadableTraces(Traces):
    """It fails at it."""

    def steps(self, after: tuple[int, int] = (0, 0)) -> Iterator[Step]:
        raise ValueError("what is stored cannot be read")


class HalfTraces(Traces):
    """It passes over the first of some events."""

    def steps(self, after: tuple[int, int] = (0, 0)) -> Iterator[Step]:
        return (replace(step, traces=step.traces[1:]) for step in super().steps(after))


class TracesFail(Untraceable):
    """A view cannot be made again."""

    kind = UnreadableTraces


class TracesDiffer(Untraceable):
    """A view that is made again is not whole."""

    kind = HalfTraces


class FillsCacheFirst(LifecycleInbound):
    """What a batch changes is in memory before it is committed, and stays there when it is not."""

    def _commit(self, records: Sequence[Record], batch: Any) -> None:
        self._cache.update(batch.changed)
        super()._commit(records, batch)


class Deaf(LifecycleInbound):
    """A database that was put back numbers on from where it is, whatever was published meanwhile."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self._catching_up.claim = lambda sure: None  # type: ignore[method-assign]


class Forgetful(ForecastInbound):
    """No version was ever seen: a message that comes again is taken in again."""

    def __init__(self, ledger: Ledger, metrics: Metrics, zone: tzinfo) -> None:
        super().__init__(ledger, metrics, zone)
        self.taking = ForgetfulTaking(zone)


class ForgetfulTaking(Taking):
    """What it takes in by."""

    def _take(
        self,
        cursor: Cursor,
        projection: Projection,
        arrival: Arrival,
        customers: Mapping[str, Customer],
        letters: list[DeadLetter],
    ) -> Outcome:
        if isinstance(arrival.change, Change):
            customers[arrival.change.customer_id].version = -1
        return super()._take(cursor, projection, arrival, customers, letters)


class UnfencedRouting(RoutingStore):
    """A desk's store whose ledger compares nothing, and whose events take the next free number."""

    def __init__(self, database: Database, **more: Any) -> None:
        super().__init__(database, **more)
        self.ledger = TokenlessLedger(database.begin, service="routing", dialect=database.dialect, **more)

    def append(self, cursor: Cursor, before: State, events: Sequence[Event]) -> int | None:
        cursor.execute("SELECT originator_id, max(originator_version) FROM desk_events GROUP BY originator_id")
        last = dict(cursor.fetchall())
        rules, directory = last.pop("\x01rules", 0), last.pop("\x01directory", 0)
        customers = {name: DeskCustomer(events=count) for name, count in last.items()}
        return super().append(cursor, State(customers, rules_events=rules, directory_events=directory), events)


FAULTS: Final[Mapping[str, Kinds]] = {
    "lifecycle has no fence": Kinds(lifecycle_store=Unfenced),
    "lifecycle does not ask whether it has committed": Kinds(lifecycle_store=NeverAsks),
    "lifecycle notes before the log answers": Kinds(lifecycle=NotesTooEarly),
    "the desk notes before the log answers": Kinds(desk=NotesTooEarly),
    "lifecycle keeps what was not committed": Kinds(lifecycle_inbound=FillsCacheFirst),
    "lifecycle is put back and does not look": Kinds(lifecycle_inbound=Deaf),
    "lifecycle takes repeats for new": Kinds(lifecycle_inbound=TakesTwice),
    "forecast takes repeats for new": Kinds(forecast_inbound=Forgetful),
    "routing has no fence": Kinds(routing_store=UnfencedRouting),
    "a view cannot be made again": Kinds(lifecycle_store=TracesFail),
    "a view that is made again is not whole": Kinds(lifecycle_store=TracesDiffer),
}
