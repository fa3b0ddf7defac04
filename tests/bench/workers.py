"""What a worker's death and a second worker cost: lifecycle's processes on a real Kafka and a real PostgreSQL, fsync on.

Rows: ``revival``, from the start of a worker to the first event that it publishes, after kill -9 against after a clean end, under
the same name in the group; ``two workers``, the CPU time that facts cost two workers against one, each time with an empty database
and a Kafka of their own. This takes minutes, so it is not in ``make bench``.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

import httpx2

from events.bus.kafka import KafkaBus, create_topics
from events.record import Message
from events.topics import LIFECYCLE, PARTITIONS
from handoff.broker import EmbeddedKafka
from tests.bench.latency import STATUS, Listener, lead
from tests.bench.result import BrokenRunError, Comparison, Goal, Lap
from tests.bench.workload import messages
from tests.ports import free_port
from tests.postgres import PostgresServer

WAIT_SECONDS_MAX: Final = 120.0
LOOK_SECONDS: Final = 0.5
"""Seldom: what a worker is asked costs it CPU time, which is measured."""
RATE: Final = 500
"""Facts a second where they come steadily."""
TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


class Worker:
    """One process of lifecycle."""

    def __init__(self, folder: Path, bootstrap: str, database: str, name: str) -> None:
        self._url = ""
        self._log = folder / f"{name}.log"
        self._settings = {
            "HANDOFF_DATA_DIR": str(folder / name),
            "HANDOFF_KAFKA": bootstrap,
            "HANDOFF_DATABASE": database,
            "HANDOFF_INSTANCE": name,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it is not waited for."""
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HANDOFF_")}
        environment = {**inherited, **self._settings, "HANDOFF_LIFECYCLE_PORT": str(port)}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([sys.executable, "-m", "services.lifecycle"], env=environment, stderr=log)

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal, and wait until it is gone."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=30)
            self._process = None

    def status(self) -> dict[str, Any]:
        """What it says of itself; nothing where it says nothing."""
        try:
            return dict(httpx2.get(f"{self._url}/v1/status", timeout=10, trust_env=False).json())
        except httpx2.HTTPError:
            return {}

    def cpu_seconds(self) -> float:
        """What it has spent until now, in user and system mode."""
        assert self._process is not None
        times = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(times[11]) + int(times[12])) / TICKS_PER_SECOND

    def told(self) -> str:
        """The end of its log."""
        return self._log.read_text()[-1000:]


def workers_rows(folder: Path, rounds: int, facts: int) -> Iterator[Comparison]:
    """Both rows."""
    with closing(PostgresServer(fsync=True)) as postgres:
        yield _revival_row(folder / "revival", postgres, rounds)
        sent = messages(facts)
        for name, rate in (("two workers", None), ("two workers (steady)", RATE)):
            laps = [_cpu_lap(folder / f"{name}-{turn}", postgres, sent, rate, turn) for turn in range(rounds)]
            how = "as fast as they are taken in" if rate is None else f"{rate} a second"
            yield Comparison(
                name=name,
                subject=f"CPU time of two workers of lifecycle, {facts:,} facts, {how}",
                floor="that of one worker",
                unit="ms/1,000 facts",
                laps=tuple(laps),
                goal=Goal(1.15, at_most=True) if rate is None else None,  # DECISIONS 67
            )


# ------------------------------------------------------------------------------------------- revival


def _revival_row(folder: Path, postgres: PostgresServer, rounds: int) -> Comparison:
    folder.mkdir(parents=True)
    with EmbeddedKafka(folder / "kafka") as kafka, ExitStack() as held:
        create_topics(kafka.bootstrap, PARTITIONS)
        bus = held.enter_context(closing(KafkaBus(kafka.bootstrap, "bench")))
        producer = held.enter_context(closing(bus.producer()))
        worker = Worker(folder, kafka.bootstrap, postgres.database(), "1")
        held.callback(worker.end)
        worker.start()
        _await([worker], 0)
        listener = held.enter_context(closing(Listener(kafka.bootstrap, LIFECYCLE.name)))

        def seconds(customer: str) -> float:
            """Start it with a lead waiting; how long it takes until the lead's status is out."""
            producer.send([lead(customer)]).wait(30)
            began = time.perf_counter()
            worker.start()
            return listener.latencies(STATUS, {customer.encode(): began})[0] / 1000

        laps = []
        for turn in range(rounds):
            found = {}
            for how in (signal.SIGTERM, signal.SIGKILL) if turn % 2 else (signal.SIGKILL, signal.SIGTERM):
                _await([worker], 0)
                worker.end(how)
                found[how] = seconds(f"{how.name}-{turn}")
            laps.append(Lap(found[signal.SIGKILL], found[signal.SIGTERM]))
    return Comparison(
        name="revival",
        subject="kill -9 of lifecycle, start → the first event that it publishes",
        floor="a clean end, start → the first event",
        unit="s",
        laps=tuple(laps),
        goal=Goal(1.3, at_most=True),
    )


# ----------------------------------------------------------------------------------------------- CPU


def _cpu_lap(folder: Path, postgres: PostgresServer, sent: Sequence[Message], rate: int | None, turn: int) -> Lap:
    folder.mkdir(parents=True)
    found = {}
    for count in (1, 2) if turn % 2 else (2, 1):
        found[count] = _cpu(folder / str(count), postgres, sent, rate, count) * 1e6 / len(sent)
    return Lap(found[2], found[1])


def _cpu(folder: Path, postgres: PostgresServer, sent: Sequence[Message], rate: int | None, count: int) -> float:
    """The CPU seconds that so many workers together spend on facts."""
    folder.mkdir()
    with EmbeddedKafka(folder / "kafka") as kafka, ExitStack() as held:
        create_topics(kafka.bootstrap, PARTITIONS)
        bus = held.enter_context(closing(KafkaBus(kafka.bootstrap, "bench")))
        producer = held.enter_context(closing(bus.producer()))
        database = postgres.database()
        workers = [Worker(folder, kafka.bootstrap, database, str(number)) for number in range(count)]
        for worker in workers:
            held.callback(worker.end)
            worker.start()
            _await([worker], 0)  # one after the other: the first one makes the tables
        _await(workers, 0)
        before = [worker.cpu_seconds() for worker in workers]
        _publish(producer, sent, rate)
        _await(workers, len(sent))
        return sum(worker.cpu_seconds() - spent for worker, spent in zip(workers, before, strict=True))


def _publish(producer: Any, sent: Sequence[Message], rate: int | None) -> None:
    if rate is None:
        producer.send(sent).wait(WAIT_SECONDS_MAX)
        return
    began, step = time.perf_counter(), max(1, rate // 100)
    for first in range(0, len(sent), step):
        time.sleep(max(0.0, began + first / rate - time.perf_counter()))
        producer.send(sent[first : first + step])


def _await(workers: Sequence[Worker], position: int) -> None:
    """Return when all have partitions, and have taken in and published everything up to a position."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        said = [worker.status() for worker in workers]
        running = all(each.get("state") == "running" and each["lag"] == 0 and each["positions"] for each in said)
        if running and sum(each["position"] for each in said) >= position:
            return
        if time.monotonic() > deadline:
            raise BrokenRunError(f"the workers are not there after {WAIT_SECONDS_MAX:g} s: {said} {[w.told() for w in workers]}")
        time.sleep(LOOK_SECONDS)
