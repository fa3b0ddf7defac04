"""Run lifecycle: the only place that constructs. The loop has the main thread, HTTP another; an error ends the process."""

import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Final
from zoneinfo import ZoneInfo

from eventsourcing.persistence import OperationalError
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from events.bus import PositionLost
from events.bus.database import TRANSIENT, exit_code, open_database
from events.bus.kafka import KafkaBus
from events.bus.ledger import Fenced
from events.bus.letters.forgetting import Forgetting
from events.bus.letters.office import Office
from events.bus.loop import Loop
from events.bus.rebuild.builder import Builder
from events.bus.watchdog import Watchdog
from events.environment import unknown
from events.topics import LIFECYCLE, LIFECYCLE_INPUTS
from events.web.server import Server
from services.lifecycle.api import create_app
from services.lifecycle.cache import Cache
from services.lifecycle.domain.state import Policy
from services.lifecycle.inbound import Inbound
from services.lifecycle.mass.api import Resources
from services.lifecycle.mass.batches import Batches
from services.lifecycle.mass.runner import Runner
from services.lifecycle.metrics import Counters, StateCollector
from services.lifecycle.publishing import Publisher
from services.lifecycle.rebuilding import CustomersView, TracesView, WakesView, fill_lists
from services.lifecycle.rehearsal import Rehearsal
from services.lifecycle.settings import Settings
from services.lifecycle.store import Store
from services.lifecycle.tables import StatusTables

log = logging.getLogger("lifecycle")

LOOK_SECONDS: Final = 1.0
"""How often the topic of status tables is looked at."""


def main() -> int:
    """Run until SIGTERM or SIGINT; the exit code is 0 then, 1 after an error, 2 where it cannot start as it is set up."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    if strange := unknown(os.environ):
        log.warning("%s", "; ".join(map(str, strange)))
    try:
        settings = Settings()
    except ValidationError as error:
        for each in error.errors():
            log.error("HANDOFF_%s: %s", "_".join(map(str, each["loc"])).upper(), each["msg"].removeprefix("Value error, "))
        return 2
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.error("the data directory %s cannot be made (HANDOFF_DATA_DIR): %s", settings.data_dir, error.strerror)
        return 2
    try:
        listener = listen(settings.host, settings.lifecycle_port)
    except OSError as error:
        port = settings.lifecycle_port
        log.error("cannot listen on %s port %d (HANDOFF_LIFECYCLE_PORT): %s", settings.host, port, error.strerror)
        return 2
    gc.freeze()  # what was imported lives as long as the process: the garbage collector need not go through it again and again
    return run(settings, listener)


def listen(host: str, port: int) -> socket.socket:
    """The socket of the HTTP server: taken before anything else starts, so that a busy port is known at once."""
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio does so for sockets of its own only; 40 ms an answer
    return listener


def fill_views(store: Store, policy: Callable[[], Policy]) -> None:
    """Fill tables that are made from what is stored, where a database has none, or older ones."""
    for written in fill_lists(store, policy):
        log.info("the lists of customers are being filled: %d records so far", written)
    for looked in store.traces.fill():
        log.info("the traces of events are being filled: %d so far", looked)


def builder_of(store: Store, tables: StatusTables, worker: str) -> Builder:
    """Who makes the views again."""
    views = (CustomersView(store, tables), TracesView(store), WakesView(store, tables))
    return Builder(store.ledger, store.database.read, views, worker=worker, transient=TRANSIENT)


def run(settings: Settings, listener: socket.socket) -> int:
    """Construct the service and run its loop."""
    registry = CollectorRegistry()
    bus = KafkaBus(settings.kafka, client_id=f"lifecycle-{settings.instance}")
    tables = StatusTables(bus, ZoneInfo(settings.time_zone))
    ending = threading.Event()
    try:
        database = open_database(settings.database, settings.data_dir / "lifecycle.sqlite", schema="lifecycle")
        store = Store(database, settings.partitions, code_version=version("handoff"), identity=bus.identity)
        fill_views(store, lambda: tables.await_policy(ending, LOOK_SECONDS))
    except OperationalError as error:
        log.error("%s", error)
        return exit_code(error)
    except LookupError as error:
        log.error("%s", error)
        return 1
    clock = time.time_ns if settings.ticks else lambda: 0  # then nothing is ever due
    counters = Counters.on(registry)
    cache = Cache(records_max=settings.cache_records, facts_max=settings.cache_facts)
    worker = Inbound(store, bus, tables, counters, cache=cache, clock=clock)
    loop = Loop(
        bus,
        worker,
        group="lifecycle",
        topics=[topic.name for topic in LIFECYCLE_INPUTS],
        instance=f"lifecycle-{settings.instance}",
        transient=TRANSIENT,
        beside=worker.beside,
        layout={topic.name: topic.partitions(settings.partitions) for topic in (*LIFECYCLE_INPUTS, LIFECYCLE)},
    )
    registry.register(StateCollector(loop.progress, store.ledger.dead_letters, counters.moved))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.stop())
    publisher, batches = Publisher(bus), Batches(database)
    runner = Runner(batches, store, lambda: tables.policy, publisher.publish, time.time_ns)
    mass = Resources(store, batches, runner, lambda: tables.policy, time.time_ns)
    forgetting = Forgetting(store.ledger.letters, settings.dead_letter_days, transient=TRANSIENT)
    office = Office(
        store.ledger.letters,
        database.read,
        Rehearsal(store, tables),
        ends=bus.end_offsets,
        transient=TRANSIENT,
        now=time.time_ns,
    )
    builder = builder_of(store, tables, f"lifecycle-{settings.instance}")
    app = create_app(store, tables, loop.progress, registry, counters.moved, publisher, worker.sweep, mass, office, builder)
    http = Server(app, listener)
    watchdog = Watchdog(loop.progress, settings.watchdog_seconds, done=worker.done)
    looking = threading.Thread(target=tables.watch, args=(ending, LOOK_SECONDS), name="status tables", daemon=True)
    for thread in (publisher, runner, http, watchdog, looking, forgetting, builder):
        thread.start()
    try:
        loop.run()
    except (Fenced, PositionLost, LookupError) as error:
        log.error("%s", error)
        return 2 if isinstance(error, PositionLost) else 1  # which no restart mends
    finally:
        ending.set()
        watchdog.stop()
        http.stop()
        runner.stop()
        forgetting.stop()
        builder.stop()
        publisher.close()
        looking.join(timeout=5)
        store.close()
        bus.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
