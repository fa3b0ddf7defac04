"""Run lifecycle: the only place that constructs. The loop has the main thread, HTTP another; an error ends the process."""

import logging
import os
import signal
import socket
import sys
import threading
import time
from importlib.metadata import version
from zoneinfo import ZoneInfo

import uvicorn
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from events.bus import PositionLost
from events.bus.database import TRANSIENT, CannotOpen, open_database
from events.bus.kafka import KafkaBus
from events.bus.ledger import Fenced
from events.bus.loop import Loop
from events.bus.watchdog import Watchdog
from events.environment import unknown
from events.topics import LIFECYCLE_INPUTS
from services.lifecycle.api import create_app
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import DEFAULT, Tables
from services.lifecycle.inbound import Inbound
from services.lifecycle.metrics import Counters, StateCollector
from services.lifecycle.publishing import Publisher
from services.lifecycle.settings import Settings
from services.lifecycle.store import Store

log = logging.getLogger("lifecycle")


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
    return run(settings, listener)


def listen(host: str, port: int) -> socket.socket:
    """The socket of the HTTP server: taken before anything else starts, so that a busy port is known at once."""
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio does so for sockets of its own only; 40 ms an answer
    return listener


def run(settings: Settings, listener: socket.socket) -> int:
    """Construct the service and run its loop."""
    registry = CollectorRegistry()
    policy = Policy(Tables((DEFAULT,)), ZoneInfo(settings.time_zone))
    bus = KafkaBus(settings.kafka, client_id=f"lifecycle-{settings.instance}")
    try:
        database = open_database(settings.database, settings.data_dir / "lifecycle.sqlite", schema="lifecycle")
        store = Store(database, settings.partitions, code_version=version("handoff"), identity=bus.identity)
    except CannotOpen as error:
        log.error("%s", error)
        return 2
    for written in store.fill_lists(policy):
        log.info("the lists of customers are being filled: %d records so far", written)
    clock = time.time_ns if settings.ticks else lambda: 0  # then nothing is ever due
    counters = Counters.on(registry)
    worker = Inbound(store, policy, counters, cache_records=settings.cache_records, clock=clock)
    loop = Loop(
        bus,
        worker,
        group="lifecycle",
        topics=[topic.name for topic in LIFECYCLE_INPUTS],
        instance=f"lifecycle-{settings.instance}",
        transient=TRANSIENT,
    )
    registry.register(StateCollector(loop.progress, store.ledger.dead_letters, counters.moved))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.stop())
    publisher = Publisher(bus)
    app = create_app(store, policy, loop.progress, registry, counters.moved, publisher)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    http = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="http", daemon=True)
    watchdog = Watchdog(loop.progress, settings.watchdog_seconds)
    for thread in (publisher, http, watchdog):
        thread.start()
    try:
        loop.run()
    except (Fenced, PositionLost, LookupError) as error:
        log.error("%s", error)
        return 1
    finally:
        server.should_exit = True
        watchdog.stop()
        http.join(timeout=5)
        publisher.close()
        store.close()
        bus.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
