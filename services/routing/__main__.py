"""Run routing: the only place that constructs. Faust has the main thread, HTTP another; an error ends the process."""

import logging
import signal
import socket
import sys
import threading
import time
from importlib.metadata import version

import uvicorn
from eventsourcing.persistence import OperationalError
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from events.bus import BusError, PositionLost
from events.bus.kafka import KafkaBus
from events.bus.loop import TRANSIENT
from events.bus.progress import Progress
from events.bus.watchdog import Watchdog
from events.topics import DIRECTORY, LIFECYCLE, REQUEST, RULES
from services.routing.api import create_app
from services.routing.app import topology
from services.routing.desk import Desk
from services.routing.feed import Hop
from services.routing.inbound import Match
from services.routing.metrics import Counters, StateCollector
from services.routing.progress import both
from services.routing.publication import Reference
from services.routing.settings import Settings
from services.routing.store import Store
from services.routing.transport import Floor, Worker

log = logging.getLogger("routing")

_TOPICS = (LIFECYCLE.name, REQUEST.name, RULES.name, DIRECTORY.name)


def main() -> int:
    """Run until SIGTERM or SIGINT; the exit code is 0 then, 1 after an error, 2 where it cannot start as it is set up."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    for noisy in ("kafka", "aiokafka", "faust", "mode"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
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
        listener = socket.create_server((settings.host, settings.routing_port), backlog=2048)
    except OSError as error:
        log.error("cannot listen on %s port %d (HANDOFF_ROUTING_PORT): %s", settings.host, settings.routing_port, error.strerror)
        return 2
    return run(settings, listener)


def run(settings: Settings, listener: socket.socket) -> int:
    """Construct the service and run it."""
    registry = CollectorRegistry()
    bus = KafkaBus(settings.kafka, client_id=f"routing-{settings.instance}")
    store = Store(settings.data_dir / "routing.sqlite", code_version=version("handoff"), identity=bus.identity)
    reference = Reference(bus, rules=settings.rules, directory=settings.directory, clock=time.time_ns)
    try:
        _await_topics(bus)
        reference.refresh()
    except (LookupError, PositionLost) as error:
        log.error("%s", error)
        return 1
    counters = Counters.on(registry)
    transient = (*TRANSIENT, OperationalError)
    match = Hop(bus, Match(bus, store.ledger, reference, counters), LIFECYCLE.name, transient)
    desk = Hop(bus, Desk(store, reference, counters), REQUEST.name, transient)

    def progress() -> Progress:
        return both([match.loop.progress, desk.loop.progress])

    registry.register(StateCollector(progress, store.ledger.dead_letters))
    app = topology(
        Floor([match, desk]),
        reference,
        servers=settings.kafka,
        instance=f"routing-{settings.instance}",
        folder=settings.data_dir / "faust",
    )
    server = uvicorn.Server(uvicorn.Config(create_app(store, reference, progress, registry), log_config=None, access_log=False))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="http", daemon=True).start()
    Watchdog(progress, settings.watchdog_seconds).start()
    Worker(app).execute_from_commandline()  # ends the process: 0 at SIGTERM, 1 after an error
    return 1


def _await_topics(bus: KafkaBus) -> None:
    """Return when Kafka answers; raise ``LookupError`` where a topic is missing (Faust would wait for it without a word)."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    while not stopped.is_set():
        try:
            for topic in _TOPICS:
                bus.partitions(topic)
        except BusError as error:
            log.warning("%s; tried again", error)
            stopped.wait(1.0)
        else:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            return
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
