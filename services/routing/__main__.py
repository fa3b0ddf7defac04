"""Run routing: the only place that constructs. Faust has the main thread, HTTP another; an error ends the process."""

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

from events.bus import BusError
from events.bus.database import TRANSIENT, exit_code, open_database
from events.bus.kafka import KafkaBus
from events.bus.letters.forgetting import Forgetting
from events.bus.letters.office import Office
from events.bus.progress import Progress
from events.bus.watchdog import Watchdog
from events.environment import unknown
from events.topics import ASSIGNMENT, LIFECYCLE, REQUEST
from events.web.server import Server
from services.routing.api import create_app
from services.routing.app import topology
from services.routing.desk import Desk
from services.routing.feed import Hop
from services.routing.floor import Floor
from services.routing.inbound import Match
from services.routing.metrics import Counters, StateCollector
from services.routing.progress import both
from services.routing.publication import Reference
from services.routing.rehearsal import Rehearsal
from services.routing.settings import Settings
from services.routing.store import Store
from services.routing.transport import Worker

log = logging.getLogger("routing")

SILENT = logging.CRITICAL + 1
"""For clients that log every attempt to connect, and Faust, whose crashes are told once, by the worker."""


def main() -> int:
    """Run until SIGTERM or SIGINT; the exit code is 0 then, 1 after an error, 2 where it cannot start as it is set up."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    for chatty in ("kafka", "aiokafka", "faust", "mode", "asyncio"):
        logging.getLogger(chatty).setLevel(SILENT)
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
    bus = KafkaBus(settings.kafka, client_id=f"routing-{settings.instance}")
    try:
        database = open_database(settings.database, settings.data_dir / "routing.sqlite", schema="routing")
        store = Store(database, code_version=version("handoff"), identity=bus.identity)
    except OperationalError as error:
        log.error("%s", error)
        return exit_code(error)
    try:
        listener = listen(settings.host, settings.routing_port)
    except OSError as error:
        log.error("cannot listen on %s port %d (HANDOFF_ROUTING_PORT): %s", settings.host, settings.routing_port, error.strerror)
        return 2
    return run(settings, bus, store, listener)


def listen(host: str, port: int) -> socket.socket:
    """The socket of the HTTP server: taken before anything else starts, so that a busy port is known at once."""
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio does so for sockets of its own only; 40 ms an answer
    return listener


def run(settings: Settings, bus: KafkaBus, store: Store, listener: socket.socket) -> int:
    """Construct the service and run it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until Faust has its own
    registry = CollectorRegistry()
    counters = Counters.on(registry)
    reference = Reference(bus, rules=settings.rules, directory=settings.directory, clock=time.time_ns)
    layout = {topic.name: topic.partitions(settings.partitions) for topic in (LIFECYCLE, REQUEST, ASSIGNMENT)}
    match = Hop(bus, Match(bus, store.ledger, reference, counters), LIFECYCLE.name, layout)
    desk = Hop(bus, Desk(store, reference, counters), REQUEST.name, layout)

    def progress() -> Progress:
        return both([match.loop.progress, desk.loop.progress])

    registry.register(StateCollector(progress, store.ledger.dead_letters))
    letters = store.ledger.letters
    forgetting = Forgetting(letters, settings.dead_letter_days, transient=TRANSIENT)
    rehearsal = Rehearsal(store, reference)
    office = Office(letters, store.read, rehearsal, ends=bus.end_offsets, transient=TRANSIENT, now=time.time_ns)
    app = create_app(store, reference, progress, registry, office)
    http = Server(app, listener)
    http.start()
    watchdogs = [Watchdog(hop.loop.progress, settings.watchdog_seconds) for hop in (match, desk)]
    try:
        await_kafka(bus, reference)
        if (why := reference.unusable()) is not None:
            log.error("%s", why)
            return 2
        flow = topology(
            Floor([match, desk]),
            reference,
            servers=settings.kafka,
            instance=f"routing-{settings.instance}",
            folder=settings.data_dir / "faust",
        )
        for watchdog in watchdogs:
            watchdog.start()
        forgetting.start()
        return Worker(flow).run()
    except LookupError as error:
        log.error("%s", error)
        return 1
    finally:
        for watchdog in watchdogs:
            watchdog.stop()
        http.stop()
        forgetting.stop()
        for hop in (match, desk):
            hop.loop.close()
        store.close()
        bus.close()


def await_kafka(bus: KafkaBus, reference: Reference) -> None:
    """Return when Kafka answers. Raises ``LookupError`` where a topic is missing: Faust would wait for it without a word."""
    told = False
    while True:
        try:
            for topic in (LIFECYCLE.name, REQUEST.name):
                bus.partitions(topic)
            return reference.refresh()
        except BusError as error:
            if not told:
                log.warning("%s; tried again until it works", error)
            told = True
            time.sleep(1.0)


if __name__ == "__main__":
    sys.exit(main())
