"""A whole installation as a user has it: a Kafka, three service processes, in a directory and on ports of its own.

Rows: ``start`` and ``memory``, absolute. The rows of :mod:`.latency` and :mod:`.http` are measured on it.
"""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from events.bus.kafka import KafkaBus
from handoff.client import Services
from handoff.importing.publish import publish
from handoff.importing.settled import wait_until_settled
from handoff.settings import SERVICES, Settings, load
from handoff.stack import Stack
from tests.bench.result import Measure
from tests.bench.workload import messages
from tests.ports import free_port

SETTLE_SECONDS_MAX: Final = 120.0


class Clock:
    """A reporter of the stack that notes when what was ready, in seconds from its making."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._services_began = self._began
        self.ready: dict[str, float] = {}

    def step(self, text: str) -> None:
        if text.startswith("starting "):
            self._services_began = time.perf_counter()

    def note(self, text: str) -> None:
        name, is_ready, _ = text.partition(" is ready at ")
        if is_ready:
            began = self._services_began if name in SERVICES else self._began
            self.ready[name] = time.perf_counter() - began

    @property
    def total(self) -> float:
        """Seconds until now."""
        return time.perf_counter() - self._began


class Installation:
    """The stack, started when it is first needed; whoever makes one stops it."""

    def __init__(self, folder: Path) -> None:
        ports = _ports(1 + len(SERVICES))
        names = ["kafka_port", *(f"{service}_port" for service in SERVICES)]
        self.settings: Settings = load(data_dir=folder, **dict(zip(names, ports, strict=True)))
        self.starts: list[tuple[Clock, float]] = []
        self.memory: dict[str, dict[str, float]] = {}
        self._stack: Stack | None = None
        self._loaded = 0

    def start(self) -> None:
        """Start it where it does not run."""
        if self._stack is None:
            clock = Clock()
            stack = Stack(self.settings, clock)
            stack.__enter__()
            self._stack = stack
            self.starts.append((clock, clock.total))
            if len(self.starts) == 1:
                self.memory["idle"] = self._resident()

    def stop(self) -> None:
        """Stop it where it runs."""
        stack, self._stack = self._stack, None
        if stack is not None:
            stack.__exit__(None, None, None)

    def load(self, facts: int) -> None:
        """Let it take in a load, once."""
        self.start()
        if not self._loaded:
            self._loaded = facts
            with closing(KafkaBus(self.settings.bootstrap, "bench")) as bus:
                publish(bus, messages(facts), lambda _: None)
            with Services(self.settings) as services:
                wait_until_settled(services, SETTLE_SECONDS_MAX, lambda _: None)
            self.memory["loaded"] = self._resident()

    def footprint_rows(self, facts: int) -> Iterator[Measure]:
        """Start times with an empty directory and with data, and what each process holds."""
        self.load(facts)
        self.stop()
        self.start()
        for (clock, total), when in zip(self.starts, ("in an empty directory", f"with {self._loaded:,} facts"), strict=False):
            for name, seconds in {**clock.ready, "everything": total}.items():
                yield _measure("start", f"{name}, {when}", "s", seconds)
        for state, found in self.memory.items():
            when = "after the start" if state == "idle" else f"after {self._loaded:,} facts"
            for name, mib in {**found, "all of them": sum(found.values())}.items():
                yield _measure("memory", f"{name}, {when}", "MiB", mib)

    def _resident(self) -> dict[str, float]:
        """MiB of resident memory by process."""
        folder = self.settings.data_dir.absolute()
        files: dict[str, Path] = {"Kafka": folder / "kafka" / "broker.pid"}
        files.update({name: folder / "logs" / f"{name}.pid" for name in SERVICES})
        return {name: resident(int(file.read_text())) for name, file in files.items()}


def resident(process: int) -> float:
    """MiB of memory that a process holds (``ps`` says it everywhere)."""
    said = subprocess.run(["ps", "-o", "rss=", "-p", str(process)], capture_output=True, text=True, check=True)
    return int(said.stdout) / 1024


def _measure(name: str, what: str, unit: str, figure: float) -> Measure:
    return Measure(name=name, subject=what, unit=unit, figures=(figure,))


def _ports(count: int) -> Sequence[int]:
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return sorted(found)
