"""The one-machine stack: Kafka, the topics and the three services, kept running for as long as this process lives.

In go the settings and a reporter. Inside the ``with`` block everything is ready, and :meth:`Stack.run` (or :meth:`Stack.tend`, in
a loop of the caller's own) keeps it so. At its end everything is stopped: services first, then Kafka. A SIGKILL of this process
ends them too, through their leashes (:mod:`handoff.broker.leash`).
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from textwrap import indent
from types import TracebackType
from typing import Final, Protocol, Self

from events.bus import BusError
from events.bus.kafka import create_topics
from handoff.broker import EmbeddedKafka, KafkaUnavailable
from handoff.errors import CommandError
from handoff.settings import SERVICES, Settings
from handoff.stack.folder import check_databases, claim
from handoff.stack.kafka import KafkaProcess
from handoff.stack.keeper import Keeper
from handoff.stack.process import Process, Program, port_conflict, programs

LOOK_SECONDS: Final = 0.1
"""How often the processes are looked at."""
PATIENCE_SECONDS: Final = 10.0
"""After so long without everything being ready the user is told what is missing; again when that has changed."""
TOPIC_ATTEMPTS_MAX: Final = 3


class Reporter(Protocol):
    """Is told about progress, in a few words."""

    def step(self, text: str) -> None:
        """What is being done now."""

    def note(self, text: str) -> None:
        """What happened, to be kept on the screen."""


class Stack:
    """Everything that Handoff needs on one machine; a context manager.

    ``log_time`` False: topics for simulated time (:func:`events.bus.kafka.create_topics`). ``run``: what is started in place of
    the three services. ``heed``: called again and again, and may raise what ends everything. Raises ``CommandError`` for
    what is in the way, and for what cannot be kept alive.
    """

    def __init__(
        self,
        settings: Settings,
        report: Reporter,
        *,
        log_time: bool = True,
        run: Sequence[Program] | None = None,
        heed: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings = settings
        self.data_dir = settings.data_dir.absolute()
        self.programs = programs(settings, SERVICES) if run is None else tuple(run)
        self._report = report
        self._heed = heed
        self._log_time = log_time
        self._broker: EmbeddedKafka | None = None
        self._kafka: Keeper | None = None
        self._processes: list[Process] = []
        self._services: list[Keeper] = []
        self._ready: set[str] = set()
        self._were_ready: set[str] = set()
        self._held = ExitStack()

    @property
    def bootstrap(self) -> str:
        """Kafka's address for clients."""
        return self.settings.bootstrap

    def __enter__(self) -> Self:
        with ExitStack() as held:
            lock = held.enter_context(claim(self.data_dir))
            self._check()
            held.callback(self._stop_kafka)
            self._start_kafka()
            self._create_topics()
            held.callback(self._stop_services)
            self._start_services(lock)
            self._await_ready()
            self._held = held.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._held.close()

    def run(self) -> None:
        """Keep everything running until an exception."""
        while True:
            time.sleep(LOOK_SECONDS)
            self.tend()

    def tend(self) -> None:
        """Look at every process once, and start again what has died. Raises ``CommandError`` when one dies too often."""
        self._heed()
        now = time.monotonic()
        if self._kafka and self._broker:
            ran = self._broker.running
            self._kafka.tend(now)
            if not self._broker.running:
                return  # without Kafka a service could only die again
            if not ran:
                self._report.note("Kafka is ready again")
        for keeper in self._services:
            keeper.tend(now)
        self._look_for_ready()

    def obstacles(self) -> dict[str, str]:
        """The services that are not ready, and why."""
        return {process.name: reason for process in self._processes if (reason := process.obstacle())}

    # --------------------------------------------------------------------------------------- starting

    def _check(self) -> None:
        check_databases(self.data_dir, [program.name for program in self.programs])
        if conflicts := [conflict for program in self.programs if (conflict := port_conflict(program))]:
            raise CommandError("\n".join(conflicts))

    def _start_kafka(self) -> None:
        if self.settings.kafka:
            self._report.step(f"Kafka: the cluster at {self.bootstrap}")
            return
        self._broker = EmbeddedKafka(
            self.data_dir / "kafka",
            self.settings.kafka_port,
            lasting=True,
            on_progress=lambda text: self._report.step(f"Kafka: {text}"),
        )
        self._report.step("Kafka: starting")
        began = time.monotonic()
        try:
            self._broker.start()
        except KafkaUnavailable as error:
            raise CommandError(str(error)) from error
        self._kafka = Keeper(KafkaProcess(self._broker), self._report.note)
        self._report.note(f"Kafka is ready at {self.bootstrap} ({time.monotonic() - began:.1f} s)")

    def _create_topics(self) -> None:
        self._report.step("topics: looking for missing ones")
        for attempt in range(1, TOPIC_ATTEMPTS_MAX + 1):
            try:
                replication = self.settings.replication if self.settings.kafka else 1
                made = create_topics(self.bootstrap, self.settings.partitions, log_time=self._log_time, replication=replication)
            except BusError as error:
                if attempt == TOPIC_ATTEMPTS_MAX or self.settings.kafka:
                    named = "the cluster that HANDOFF_KAFKA names" if self.settings.kafka else "the embedded Kafka"
                    raise CommandError(f"{named} does not work: {error}") from error
            except ValueError as error:
                raise CommandError(str(error)) from error
            else:
                if made:
                    self._report.note(f"{len(made)} topics were created")
                return

    def _start_services(self, lock: int) -> None:
        environment = self.settings.environment()
        for program in self.programs:
            process = Process(program, environment=environment, data_dir=self.data_dir, lock=lock)
            self._processes.append(process)  # before it is started, or an interrupt just then would leave it running
            self._services.append(Keeper(process, self._report.note))
            process.start()

    def _await_ready(self) -> None:
        self._report.step(f"starting {', '.join(process.name for process in self._processes)}")
        patience, told = time.monotonic() + PATIENCE_SECONDS, ""
        while len(self._ready) < len(self._processes):
            time.sleep(LOOK_SECONDS)
            self.tend()
            if time.monotonic() > patience:
                patience += PATIENCE_SECONDS
                missing = "\n".join(f"{name}: {reason}" for name, reason in self.obstacles().items())
                if missing and missing != told:
                    self._report.note(f"not ready yet (logs in {self.data_dir / 'logs'}):\n{indent(missing, '  ')}")
                    told = missing

    def _look_for_ready(self) -> None:
        """Note who has become ready; who is, is asked no more until it dies."""
        for process, keeper in zip(self._processes, self._services, strict=True):
            if not process.running:
                self._ready.discard(process.name)
            elif process.name not in self._ready and not process.obstacle():
                self._ready.add(process.name)
                keeper.proven()
                again = " again" if process.name in self._were_ready else f" at {process.program.url}"
                self._were_ready.add(process.name)
                self._report.note(f"{process.name} is ready{again}")

    # --------------------------------------------------------------------------------------- stopping

    def _stop_services(self) -> None:
        """All at once; whoever does not end in time is killed."""
        self._report.step("stopping the services")
        if self._processes:
            with ThreadPoolExecutor(len(self._processes)) as pool:
                list(pool.map(Process.stop, self._processes))

    def _stop_kafka(self) -> None:
        if self._broker:
            self._report.step("stopping Kafka")
            self._broker.stop()
