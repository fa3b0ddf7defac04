"""How a process of each service is made: as its ``__main__`` makes it, without threads, on what the simulation gives it.

What a control arm replaces is a field of :class:`Kinds`.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final
from zoneinfo import ZoneInfo

from msgspec import Struct
from prometheus_client import CollectorRegistry

from events.bus import Bus
from events.bus.database import TRANSIENT, Database
from events.bus.ledger import Ledger
from events.bus.letters.office import Office
from events.bus.loop import Loop
from events.bus.rebuild import View
from events.bus.rebuild.builder import Builder
from events.bus.worker import Worker
from events.record import Message
from events.topics import LIFECYCLE, LIFECYCLE_INPUTS, REQUEST
from services.forecast.inbound import GROUP
from services.forecast.inbound import TOPICS as FORECAST_INPUTS
from services.forecast.inbound import Inbound as ForecastInbound
from services.forecast.metrics import Metrics
from services.forecast.rebuilding import ForecastView
from services.forecast.store import Store as ForecastStore
from services.lifecycle.cache import Cache
from services.lifecycle.inbound import Inbound as LifecycleInbound
from services.lifecycle.mass.api import Resources
from services.lifecycle.mass.batches import Batches
from services.lifecycle.mass.runner import NOT_NOW, Runner
from services.lifecycle.metrics import Counters as LifecycleCounters
from services.lifecycle.rebuilding import CustomersView, TracesView, WakesView
from services.lifecycle.rehearsal import Rehearsal
from services.lifecycle.store import Store as LifecycleStore
from services.lifecycle.tables import StatusTables
from services.routing.desk import Desk
from services.routing.inbound import Match
from services.routing.metrics import Counters as RoutingCounters
from services.routing.publication import Reference
from services.routing.store import Store as RoutingStore
from tests.simulation.process import Border, BorderBus, BorderDatabase, Process
from tests.simulation.steps import Service, Shape

EVENTS_AT_ONCE: Final = 12
"""So few stored events are read at once that a poll becomes several transactions, as with long records."""
FOLDING: Final = "lifecycle"
MATCHING: Final = f"routing: {LIFECYCLE.name}"
DESKING: Final = f"routing: {REQUEST.name}"
GROUPS: Final = (FOLDING, MATCHING, DESKING, GROUP)
"""All consumer groups."""
UTC: Final = ZoneInfo("UTC")


def as_it_is(worker: Any) -> Any:
    """The worker itself."""
    return worker


class Kinds(Struct, frozen=True, kw_only=True):
    """What processes are made of. ``lifecycle``, ``desk`` and ``forecast`` may put something around a worker."""

    lifecycle_store: Callable[..., LifecycleStore] = LifecycleStore
    lifecycle_inbound: Callable[..., LifecycleInbound] = LifecycleInbound
    routing_store: Callable[..., RoutingStore] = RoutingStore
    forecast_inbound: Callable[..., ForecastInbound] = ForecastInbound
    lifecycle: Callable[[Worker], Worker] = as_it_is
    desk: Callable[[Worker], Worker] = as_it_is
    forecast: Callable[[Worker], Worker] = as_it_is


REAL: Final = Kinds()


class Site(Struct, frozen=True, kw_only=True):
    """Where processes run. ``open``: opens the database of that name; ``clock``: milliseconds since 1970.

    ``new_id``: a name that nothing has.
    """

    open: Callable[[str], Database]
    bus: Bus
    shape: Shape
    clock: Callable[[], int]
    new_id: Callable[[], str] = str
    kinds: Kinds = REAL

    def rows(self, database: str, sql: str) -> list[tuple[Any, ...]]:
        """What a database holds."""
        opened = self.open(database)
        try:
            with opened.read() as cursor:
                cursor.execute(sql)
                return [tuple(row) for row in cursor.fetchall()]
        finally:
            opened.close()


def start(site: Site, service: Service, name: str, border: Border) -> Process:
    """A process, on what those before it have left. Raises what ends it at once."""
    database = BorderDatabase(site.open(service), border)
    make = {"lifecycle": _lifecycle, "routing": _routing, "forecast": _forecast}[service]
    try:
        return make(site, name, border, database)
    except BaseException:
        database.close()
        raise


def _lifecycle(site: Site, name: str, border: Border, database: Database) -> Process:
    kinds, bus, clock = site.kinds, BorderBus(site.bus, border), lambda: site.clock() * 1_000_000
    store = kinds.lifecycle_store(database, site.shape.shards, code_version="simulation", identity=bus.identity)
    store.read_max = EVENTS_AT_ONCE
    tables = StatusTables(bus, UTC)
    counters = LifecycleCounters.on(CollectorRegistry())
    cache = Cache(records_max=5, facts_max=60)  # so small that records are let go of
    worker = kinds.lifecycle_inbound(store, bus, tables, counters, cache=cache, clock=clock)
    topics = [topic.name for topic in LIFECYCLE_INPUTS]
    loop = _loop(site, bus, kinds.lifecycle(worker), FOLDING, topics, name, beside=worker.beside)
    batches = Batches(database)
    runner = Runner(batches, store, lambda: tables.policy, lambda messages: _publish(bus, messages), clock, step_records=2)
    mass = Resources(store, batches, runner, lambda: tables.policy, clock, new_id=lambda _: site.new_id())

    def change_some() -> None:
        with suppress(*NOT_NOW):
            runner.step()

    works = [loop.turn, change_some]
    office = Office(
        store.ledger.letters, database.read, Rehearsal(store, tables), ends=bus.end_offsets, transient=TRANSIENT, now=clock
    )
    views = (
        CustomersView(store, tables, records_a_step=2),
        TracesView(store),
        WakesView(store, tables, records_a_step=2),
    )
    return Process(
        name=name,
        border=border,
        bus=bus,
        loops=[loop],
        works=works,
        mass=mass,
        office=office,
        builder=_builder(site, store.ledger, database, name, *views),
        look=tables.look,
        free=store.close,
    )


def _publish(bus: Bus, messages: Sequence[Message]) -> None:
    """Write, and return when all is acknowledged, as :class:`services.lifecycle.publishing.Publisher` does with a thread."""
    producer = bus.producer()
    try:
        producer.send(messages).wait(0)
    finally:
        producer.close()


def _routing(site: Site, name: str, border: Border, database: Database) -> Process:
    kinds, bus = site.kinds, BorderBus(site.bus, border)
    store = kinds.routing_store(database, code_version="simulation", identity=bus.identity)
    reference = Reference(bus, rules=None, directory=None, clock=lambda: site.clock() * 1_000_000)
    counters = RoutingCounters.on(CollectorRegistry())
    match = Match(bus, store.ledger, reference, counters)
    desk = Desk(store, reference, counters, customers_max=2, snapshot_events=5)
    loops = [
        _loop(site, bus, match, MATCHING, [LIFECYCLE.name], name),
        _loop(site, bus, kinds.desk(desk), DESKING, [REQUEST.name], name),
    ]
    reference.look()
    works = [loop.turn for loop in loops]
    return Process(name=name, border=border, bus=bus, loops=loops, works=works, look=reference.look, free=store.close)


def _forecast(site: Site, name: str, border: Border, database: Database) -> Process:
    kinds, bus = site.kinds, BorderBus(site.bus, border)
    store = ForecastStore(database, code_version="simulation", identity=bus.identity)
    store.adopt_time_zone(UTC)
    worker = kinds.forecast_inbound(store.ledger, Metrics(CollectorRegistry()), UTC)
    loop = _loop(site, bus, kinds.forecast(worker), GROUP, FORECAST_INPUTS, name)
    view = ForecastView(bus, database.read, worker.taking, TRANSIENT, records_a_step=4, left_max=3)
    return Process(
        name=name,
        border=border,
        bus=bus,
        loops=[loop],
        works=[loop.turn],
        builder=_builder(site, store.ledger, database, name, view),
        look=lambda: None,
        free=store.close,
    )


def _builder(site: Site, ledger: Ledger, database: Database, name: str, *views: View) -> Builder:
    return Builder(
        ledger, database.read, views, worker=name, transient=TRANSIENT, alone=False, now=lambda: site.clock() * 1_000_000
    )


def _loop(site: Site, bus: Bus, worker: Worker, group: str, topics: Any, name: str, **more: Any) -> Loop:
    return Loop(
        bus,
        worker,
        group=group,
        topics=topics,
        instance=name if site.shape.static else None,
        records_max=site.shape.records_max,
        poll_seconds=0,
        transient=TRANSIENT,
        clock=lambda: site.clock() / 1000,
        monotonic=lambda: site.clock() / 1000,
        **more,
    )
