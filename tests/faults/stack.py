"""The stack under fire: ``handoff up`` in a process of its own, and what a campaign does to it.

It also keeps count of deaths. ``handoff up`` gives up a process that dies five times within a minute, as it should; a campaign that
came near to that would test nothing but this rule, so it crashes everything instead, and begins anew.
"""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from events.bus.database import SQLITE
from handoff.client import Services
from handoff.importing.settled import wait_until_settled
from handoff.settings import Settings
from handoff.stack.revival import DEATHS_MAX, WINDOW_SECONDS
from tests.faults.plan import KAFKA, SERVICES
from tests.faults.site import Site
from tests.handoff.test_up import Up
from tests.ports import free_port

LOOK_SECONDS: Final = 0.02
READY_SECONDS_MAX: Final = 180.0
"""As all limits here, for a machine on which others work, too."""
TAKE_OVER_SECONDS_MAX: Final = 90.0
REFUSED_SECONDS_MAX: Final = 10.0
AGAIN: Final = "; it is started again"
ENDED: Final = " ended with exit code "
_FORESEEN: Final = re.compile(
    r"(lifecycle|forecast) ended with exit code (0\b|\d+: \S+ \S+ ERROR \1 |1: [\w.]*(OperationalError|InterfaceError|BusError)\b)"
)
"""Asked to; for a reason that the service gives itself, such as its fence; or what it stands on was away while it started."""


class Stack(Up):
    """A ``handoff up`` that is killed, frozen, replaced and restarted."""

    def __init__(self, site: Site) -> None:
        super().__init__(site.data_dir)
        self.environment |= site.environment
        self._site = site
        self.deaths: list[tuple[float, str]] = []
        self.ended: list[str] = []
        """The services that have ended by themselves: what ``handoff up`` says of each, with its exit code."""
        self._seen = 0
        self._patience = threading.Event()  # never set: to wait for a moment

    @property
    def settings(self) -> Settings:
        """The settings of this stack."""
        ports = {f"{name}_port": port for name, port in self.ports.items()}
        return Settings(data_dir=self.data_dir, kafka=self._site.environment.get("HANDOFF_KAFKA"), **ports)

    # -------------------------------------------------------------------------------------- waiting

    def pass_time(self, seconds: float) -> None:
        """Let a moment pass that chance has chosen."""
        self._patience.wait(seconds)
        self._count()

    def until(self, condition: Callable[[], object], seconds: float, what: str) -> None:
        """Return when a condition holds; fails when it does not within the time."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process is not None
            assert self.process.poll() is None, "\n".join(["the stack has ended:", *self.lines[-10:]])
            assert time.monotonic() < deadline, "\n".join([f"{what}: not within {seconds:g} s", *self.lines[-10:]])
            self.pass_time(LOOK_SECONDS)

    def told_at(self, port: int, what: str) -> int:
        """What a worker at a port tells of itself; 0 where it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/status", timeout=10) as answer:
                return int(json.load(answer)[what])
        except OSError:
            return 0

    def await_ready(self) -> None:
        """Return when everything works."""
        self.until(lambda: self._site.whole() and self.ready(), READY_SECONDS_MAX, "ready")

    def settle(self, seconds: float = 300.0) -> None:
        """Return when everything that was published is reflected everywhere."""
        with Services(self.settings) as services:
            wait_until_settled(services, seconds, lambda _: None)

    # --------------------------------------------------------------------------------------- faults

    def worn(self, name: str) -> bool:
        """Whether one more death or two could be too many for a process (its end by the fence is one, too)."""
        self._count()
        recent = [at for at, dead in self.deaths if dead == name and at > time.monotonic() - WINDOW_SECONDS]
        return len(recent) >= DEATHS_MAX - 2

    def kill(self, name: str) -> int:
        """kill -9 of a service or a server, as soon as there is one; answers with the id of its first process."""
        killed: list[int] = []

        def strike() -> bool:
            killed[:] = [pid for pid in self.pids_of(name) if self._send(pid, signal.SIGKILL)]
            return bool(killed)

        self.until(strike, TAKE_OVER_SECONDS_MAX, f"{name} is there to be killed")
        return killed[0]

    def await_successor(self, name: str, killed: int) -> None:
        """Return when a killed process was started again, though it is not ready yet."""
        self.until(lambda: self._pid_if_known(name) not in (None, killed), TAKE_OVER_SECONDS_MAX, f"{name} is started again")

    def restart(self, name: str) -> None:
        """Ask a process to end cleanly; it is started again as after any end."""
        keeper = self._site.keepers.get(name)
        pid = self.pids_of(name)[0]
        self._send(pid, signal.SIGTERM if keeper is None else keeper.server.ends_by)
        self.await_successor(name, pid)

    @contextmanager
    def frozen(self, name: str) -> Iterator[int]:
        """SIGSTOP of all processes of a service or a server, and SIGCONT at the end."""
        pids = self.pids_of(name)
        for pid in pids:
            self._send(pid, signal.SIGSTOP)
        try:
            yield pids[0]
        finally:
            for pid in pids:
                self._send(pid, signal.SIGCONT)

    def freeze(self, name: str, seconds: float) -> None:
        """A process stands still until its session is over, and goes on."""
        with self.frozen(name):
            self.pass_time(seconds)

    @contextmanager
    def away(self, name: str) -> Iterator[None]:
        """kill -9 of a server, which is not started again before the end."""
        with self._site.keepers[name].away():
            self.kill(name)
            yield

    def replace(self, name: str, work: Callable[[], object]) -> str:
        """A frozen worker is replaced by another of the same name, and wakes up; answers with who was refused, if one was.

        Kafka gives the name to whoever joined last, and the fence lets only that one write. So the frozen one is refused, or it
        joins again and the other one is; with little to take in, neither may have tried to write by the time this one is killed.
        ``work``: gives both something to take in.
        """
        with self.heir(name) as heir:
            with self._frozen_between_transactions(name) as pid:
                work()
                self.until(lambda: heir.position() > 0 or not heir.running, TAKE_OVER_SECONDS_MAX, f"another {name} takes over")
                work()
            deadline = time.monotonic() + REFUSED_SECONDS_MAX
            while time.monotonic() < deadline:
                if self._pid_if_known(name) not in (None, pid):
                    return "the frozen one was refused"
                if not heir.running:
                    return "the other one was refused"
                work()
                self.pass_time(LOOK_SECONDS)
        return ""

    @contextmanager
    def _frozen_between_transactions(self, name: str) -> Iterator[int]:
        """SIGSTOP at a moment at which another worker can take over: of who writes to an SQLite file nobody can, by its lock."""
        while True:
            with self.frozen(name) as pid:
                if self._site.database != SQLITE or not locked(self.data_dir / f"{name}.sqlite"):
                    yield pid
                    return
            self.pass_time(LOOK_SECONDS)

    @contextmanager
    def heir(self, name: str) -> Iterator["Heir"]:
        """Another worker of a service, on the same database; killed at the end."""
        heir = Heir(self, name)
        try:
            yield heir
        finally:
            heir.kill()

    def ends(self, name: str) -> int:
        """How often a server that the stack stands on has ended."""
        keeper = self._site.keepers.get(name)
        return keeper.ends if keeper else 0

    def position(self, name: str) -> int:
        """How far a service has come, by its own account; 0 where it does not answer."""
        return self.told_at(self.ports[name], "position")

    def lag(self, name: str) -> int:
        """How much a service has still to do, by its own account; 0 where it does not answer."""
        return self.told_at(self.ports[name], "lag")

    def troubles(self) -> dict[str, str]:
        """The services that are not ready, and why."""
        found = {name: self._trouble(name) for name in SERVICES}
        return {name: trouble for name, trouble in found.items() if trouble}

    def _trouble(self, name: str) -> str:
        try:
            self.get(name, "/readyz")
        except urllib.error.HTTPError as error:
            with error:
                return "; ".join(check["detail"] for check in json.load(error)["checks"] if not check["ok"])
        except OSError as error:
            return f"it does not answer: {error}"
        return ""

    def crash(self) -> None:
        """kill -9 of everything at once, the stack first, so that only the servers that it stands on are started again."""
        assert self.process is not None
        pids = [pid for name in self._site.layout.targets for pid in self.pids_of(name)]
        for pid in (self.process.pid, *pids):
            self._send(pid, signal.SIGKILL)
        self.end(signal.SIGKILL)

    def stop(self) -> int:
        """A clean end of everything; its exit code."""
        self._count()
        return self.end(signal.SIGTERM)

    def start_anew(self, victim: str, seconds: float) -> None:
        """Start the stack again, and kill a service while it starts. The servers that it stands on are waited for."""
        self._count()
        self.deaths, self._seen = [], 0
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not self._site.whole():
            assert time.monotonic() < deadline, f"the servers are not back within {READY_SECONDS_MAX:g} s"
            self._patience.wait(LOOK_SECONDS)
        before = self._pid_if_known(victim)
        failures: list[BaseException] = []

        def start() -> None:
            try:
                self.start()
            except BaseException as error:  # told by the campaign's own thread
                failures.append(error)

        starting = threading.Thread(target=start)
        starting.start()
        deadline = time.monotonic() + READY_SECONDS_MAX
        while self._pid_if_known(victim) in (before, None) and starting.is_alive() and time.monotonic() < deadline:
            self._patience.wait(LOOK_SECONDS)
        self._patience.wait(seconds)
        self.kill(victim)
        starting.join(READY_SECONDS_MAX)
        for failure in failures:
            raise failure

    # --------------------------------------------------------------------------------------- inside

    def pids_of(self, name: str) -> Sequence[int]:
        """The process ids of a service or a server, the first one first; nothing where it is not started yet."""
        keeper = self._site.keepers.get(name)
        if keeper is not None:
            return keeper.server.pids()
        try:
            return [self.pid(name)]
        except (OSError, ValueError):  # not started yet, or about to be written
            return []

    def _pid_if_known(self, name: str) -> int | None:
        return next(iter(self.pids_of(name)), None)

    def _send(self, pid: int, number: int) -> bool:
        """Send a signal; whether there was somebody to get it."""
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def _count(self) -> None:
        for line in self.lines[self._seen :]:
            name = line.partition(" ")[0].lower()
            if line.endswith(AGAIN) and name in (*SERVICES, KAFKA):
                self.deaths.append((time.monotonic(), name))
                if name in SERVICES and ENDED in line:
                    self.ended.append(line.removesuffix(AGAIN))
            self._seen += 1


def unforeseen(ended: Sequence[str]) -> list[str]:
    """The ends of lifecycle and forecast that no fault explains: an exception that nobody expected, or the watchdog.

    ``ended``: what ``handoff up`` says of them. Routing's are not judged: Faust has more reasons to end.
    """
    return [line for line in ended if line.startswith(("lifecycle", "forecast")) and not _FORESEEN.match(line)]


def locked(file: Path) -> bool:
    """Whether somebody is within a transaction that writes to an SQLite file."""
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as database:
        try:
            database.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        database.execute("ROLLBACK")
        return False


class Heir:
    """A worker of a service beside the stack's own: the same database and the same name in the group, another port."""

    def __init__(self, stack: Stack, name: str) -> None:
        self._port = free_port()
        self._service = name
        self._stack = stack
        environment = {**stack.environment, **stack.settings.environment(), f"HANDOFF_{name.upper()}_PORT": str(self._port)}
        self._log = (stack.data_dir / "logs" / f"{name}-heir.log").open("ab")
        command = [sys.executable, "-m", f"services.{name}"]
        self._process = subprocess.Popen(command, env=environment, stdout=self._log, stderr=self._log)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def position(self) -> int:
        """How far it has come; 0 while it has nothing."""
        return self._stack.told_at(self._port, "position")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()
