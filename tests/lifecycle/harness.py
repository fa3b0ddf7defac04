"""Lifecycle on the memory bus and a real database: publish facts, let it settle, look at what came out."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from prometheus_client import CollectorRegistry

from events.bus.database import SQLITE, TRANSIENT, open_database
from events.bus.loop import Loop
from events.bus.memory import MemoryBus, drain
from events.bus.rebuild.builder import Builder
from events.bus.versions import message_of, raw
from events.codec import Fact, decode, encode
from events.facts import Data
from events.record import Message, Record
from events.reference import Version
from events.topics import LIFECYCLE, LIFECYCLE_INPUTS, STATUS_TABLE, TOPICS
from events.values import parse_instant
from services.lifecycle.cache import Cache
from services.lifecycle.domain.process import SalesProcess
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import StatusRow
from services.lifecycle.inbound import Inbound
from services.lifecycle.metrics import Counters
from services.lifecycle.rebuilding import CustomersView, TracesView, WakesView
from services.lifecycle.store import Store
from services.lifecycle.tables import StatusTables
from tests.lifecycle.reference_facts import Table

SHARDS = 4
HOME = {type_: topic for topic in LIFECYCLE_INPUTS for type_ in topic.types if topic.name != "lifecycle.moved.v1"}


def process_of(table: Table) -> SalesProcess:
    """A table of the reference fold as a version says it."""
    statuses = tuple(StatusRow(*row) for row in table.rows)
    return SalesProcess(statuses=statuses, triggers=table.triggers, opportunities_enabled=table.opportunities_enabled)


class Lifecycle:
    """One worker of lifecycle over a memory bus. ``crash`` forgets it as it is and starts another on the same database."""

    def __init__(
        self,
        path: Path,
        *,
        seed: int | None = None,
        clock: Callable[[], int] = lambda: 0,
        database: str = SQLITE,
        zone: str = "UTC",
    ) -> None:
        self.path = path
        self.database = database
        self.clock = clock
        self.zone = ZoneInfo(zone)
        self.bus = MemoryBus({topic.name: topic.partitions(SHARDS) for topic in TOPICS}, seed=seed)
        self.ids = itertools.count(1)
        self.stores: list[Store] = []
        self.store, self.worker, self.loop = self.start()

    def start(self, instance: str = "lifecycle-1", *, records_max: int = 7) -> tuple[Store, Inbound, Loop]:
        """Another worker on the same database; it takes so many records at a time."""
        database = open_database(self.database, self.path, schema="lifecycle")
        store = Store(database, SHARDS, code_version="test", identity=self.bus.identity)
        self.stores.append(store)
        self.registry = CollectorRegistry()
        self.counters = Counters.on(self.registry)
        self.tables = StatusTables(self.bus, self.zone)
        cache = Cache(records_max=50, facts_max=500)
        worker = Inbound(store, self.bus, self.tables, self.counters, cache=cache, clock=self._now)
        known = self.tables
        views = (CustomersView(store, known, records_a_step=2), TracesView(store), WakesView(store, known, records_a_step=2))
        self.builder = Builder(store.ledger, store.database.read, views, worker=instance, transient=TRANSIENT)
        topics = [topic.name for topic in LIFECYCLE_INPUTS]
        loop = Loop(
            self.bus,
            worker,
            group="lifecycle",
            topics=topics,
            instance=instance,
            records_max=records_max,
            poll_seconds=0,
            transient=TRANSIENT,
            beside=worker.beside,
        )
        return store, worker, loop

    @property
    def policy(self) -> Policy:
        """What the newest worker folds by."""
        return self.tables.policy

    def _now(self) -> int:
        return self.clock()

    def crash(self, *, records_max: int = 7) -> None:
        """As after kill -9: nothing is closed, nothing is saved; another process takes over under the same name."""
        self.store, self.worker, self.loop = self.start(records_max=records_max)

    def message(self, type_: str, data: Data, at: str, *, id: str | None = None, source: str = "crm") -> Message:
        """A fact as a message; recorded when it occurred."""
        occurred_at = parse_instant(at)
        name = id or f"fact-{next(self.ids)}"
        return encode(HOME[type_].name, type_, data, source=source, id=name, occurred_at=occurred_at, recorded_at=occurred_at)

    def publish(self, type_: str, data: Data, at: str, *, id: str | None = None, source: str = "crm") -> Record:
        """A fact into its topic."""
        return self.bus.append(self.message(type_, data, at, id=id, source=source))

    def publish_table(self, process: SalesProcess, since: str, *, version: int, recorded_at: int | None = None) -> Record:
        """A version of the status table onto its topic; ``recorded_at`` in milliseconds."""
        said = Version(version=version, effective_from=since, author="ops", content=raw(process))
        message = message_of(STATUS_TABLE.name, said)
        return self.bus.append(msgspec.structs.replace(message, timestamp=recorded_at))

    def settle(self) -> None:
        """Until all that was published is reflected and relayed."""
        self.tables.look()
        drain([self.loop])

    def published(self) -> list[Fact]:
        """What consumers see on crm.lifecycle.v1, repeats included, by partition and offset."""
        return [fact for record in self.bus.records(LIFECYCLE.name) if isinstance(fact := decode(record), Fact)]

    def counted(self, topic: str, outcome: str) -> float:
        """How many records of a topic had this outcome, by the metrics."""
        labels = {"topic": topic, "outcome": outcome}
        return self.registry.get_sample_value("handoff_events_consumed_total", labels) or 0

    def letters(self) -> Sequence[Record]:
        """What lies on lifecycle's dead-letter topic."""
        return self.bus.records("lifecycle.dead-letter.v1")
