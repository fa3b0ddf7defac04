"""Run forecast: the only place that constructs. The loop has the main thread, HTTP another; an error ends the process."""

import logging
import os
import signal
import socket
import sys
import time
from importlib.metadata import version

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
from events.record import TopicPartition
from events.topics import DIRECTORY, LIFECYCLE
from events.web.server import Server
from services.forecast.api import create_app
from services.forecast.directory import Directories, Refresher
from services.forecast.inbound import GROUP, TOPICS, Inbound
from services.forecast.metrics import Metrics, StateCollector
from services.forecast.rebuilding import ForecastView
from services.forecast.rehearsal import Rehearsal
from services.forecast.settings import Settings
from services.forecast.store import Store

log = logging.getLogger("forecast")


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
        listener = listen(settings.host, settings.forecast_port)
    except OSError as error:
        log.error("cannot listen on %s port %d (HANDOFF_FORECAST_PORT): %s", settings.host, settings.forecast_port, error.strerror)
        return 2
    return run(settings, listener)


def listen(host: str, port: int) -> socket.socket:
    """The socket of the HTTP server: taken before anything else starts, so that a busy port is known at once."""
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio does so for sockets of its own only; 40 ms an answer
    return listener


def run(settings: Settings, listener: socket.socket) -> int:
    """Construct the service and run its loop."""
    code_version = version("handoff")
    registry = CollectorRegistry()
    bus = KafkaBus(settings.kafka, client_id=f"forecast-{settings.instance}")
    try:
        database = open_database(settings.database, settings.data_dir / "forecast.sqlite", schema="forecast")
        store = Store(database, code_version=code_version, identity=bus.identity)
        store.adopt_time_zone(settings.zone)
    except OperationalError as error:
        log.error("%s", error)
        return exit_code(error)
    worker = Inbound(store.ledger, Metrics(registry), settings.zone)
    loop = Loop(
        bus,
        worker,
        group=GROUP,
        topics=TOPICS,
        instance=f"forecast-{settings.instance}",
        transient=TRANSIENT,
        layout={LIFECYCLE.name: LIFECYCLE.partitions(settings.partitions)},
    )
    place = TopicPartition(DIRECTORY.name, 0)
    directories = Directories(lambda offset: bus.read(DIRECTORY.name, offset), lambda: bus.end_offsets([place])[place])
    refresher = Refresher(directories, settings.directory_seconds)
    registry.register(StateCollector(store, loop.progress, code_version))
    forgetting = Forgetting(store.ledger.letters, settings.dead_letter_days, transient=TRANSIENT)
    rehearsal = Rehearsal(store, worker.taking.read)
    office = Office(store.ledger.letters, store.snapshot, rehearsal, ends=bus.end_offsets, transient=TRANSIENT, now=time.time_ns)
    instance = f"forecast-{settings.instance}"
    view = ForecastView(bus, store.snapshot, worker.taking, TRANSIENT)
    builder = Builder(store.ledger, store.snapshot, [view], worker=instance, transient=TRANSIENT)
    app = create_app(store, directories, loop.progress, registry, settings, time.time_ns, office, builder)
    http = Server(app, listener)
    watchdog = Watchdog(loop.progress, settings.watchdog_seconds)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.stop())
    for thread in (http, refresher, watchdog, forgetting, builder):
        thread.start()
    try:
        loop.run()
    except (Fenced, PositionLost, LookupError) as error:
        log.error("%s", error)
        return 2 if isinstance(error, PositionLost) else 1  # which no restart mends
    finally:
        watchdog.stop()
        forgetting.stop()
        builder.stop()
        refresher.stop()
        http.stop()
        store.close()
        bus.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
