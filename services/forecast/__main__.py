"""Run forecast: the only place that constructs. The loop has the main thread, HTTP another; an error ends the process."""

import logging
import signal
import sys
import threading
import time
from importlib.metadata import version

import uvicorn
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from events.bus import PositionLost
from events.bus.kafka import KafkaBus
from events.bus.ledger import Fenced, Ledger
from events.bus.loop import Loop
from events.bus.watchdog import Watchdog
from events.record import TopicPartition
from events.topics import DIRECTORY
from services.forecast.api import create_app
from services.forecast.directory import Directories, Refresher
from services.forecast.inbound import GROUP, TOPICS, Inbound
from services.forecast.metrics import Metrics, StateCollector
from services.forecast.settings import Settings
from services.forecast.store import Readers, Store

log = logging.getLogger("forecast")


def main() -> int:
    """Run until SIGTERM or SIGINT; the exit code is 0 then, 1 after an error, 2 for a wrong setting."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    try:
        settings = Settings()
    except ValidationError as error:
        for each in error.errors():
            log.error("HANDOFF_%s: %s", "_".join(map(str, each["loc"])).upper(), each["msg"])
        return 2
    return run(settings)


def run(settings: Settings) -> int:
    """Construct the service and run its loop."""
    path = settings.data_dir / "forecast.sqlite"
    code_version = version("handoff")
    registry = CollectorRegistry()
    bus = KafkaBus(settings.kafka, client_id=f"forecast-{settings.instance}")
    store = Store(path)
    store.adopt_time_zone(settings.zone)
    ledger = Ledger(store.begin, service="forecast", code_version=code_version, identity=bus.identity)
    worker = Inbound(store, ledger, Metrics(registry), settings.zone)
    loop = Loop(bus, worker, group=GROUP, topics=TOPICS, instance=f"forecast-{settings.instance}")
    readers = Readers(path)
    place = TopicPartition(DIRECTORY.name, 0)
    directories = Directories(lambda offset: bus.read(DIRECTORY.name, offset), lambda: bus.end_offsets([place])[place])
    refresher = Refresher(directories, settings.directory_seconds)
    registry.register(StateCollector(readers, loop.progress, code_version))
    app = create_app(readers, directories, loop.progress, registry, settings, time.time_ns)
    server = uvicorn.Server(uvicorn.Config(app, host=settings.host, port=settings.forecast_port, log_config=None, access_log=False))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.stop())
    http = threading.Thread(target=server.run, name="http", daemon=True)
    http.start()
    refresher.start()
    Watchdog(loop.progress, settings.watchdog_seconds).start()
    try:
        loop.run()
    except (Fenced, PositionLost, LookupError) as error:
        log.error("%s", error)
        return 1
    finally:
        server.should_exit = True
        http.join(timeout=5)
        refresher.stop()
        readers.close()
        store.close()
        bus.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
