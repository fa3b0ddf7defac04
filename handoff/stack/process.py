"""One service of the stack as a process of its own: started on a leash, with its output in a file.

In go a :class:`Program` and where its files are; out comes whether it runs, whether it is ready by its own account
(``/readyz``), and, when it has ended, its last words. The service needs to know nothing of all this.
"""

import http.client
import json
import re
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from handoff.broker import ports
from handoff.broker.leash import Leash
from handoff.broker.logfile import open_for_append
from handoff.settings import Settings, variable

PROBE_SECONDS_MAX: Final = 2.0
STOP_SECONDS_MAX: Final = 20.0
PORT_SECONDS_MAX: Final = 2.0
"""How long a start waits for the port that a process killed a moment ago may still hold."""
SIGNALLED: Final = 128
"""What a shell adds to the number of the signal that ended a command."""
WORDS_MAX: Final = 300
"""Characters of a log line that is quoted."""
LINES_SEARCHED: Final = 20
"""How far back the line is looked for that says why it ended: what shuts down afterwards writes lines too."""

_FAILURE: Final = re.compile(r" (ERROR|CRITICAL) ")
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""A probe of this machine never goes through a proxy."""


class Program(Struct, frozen=True):
    """What is run for a service, and where it answers."""

    name: str
    command: tuple[str, ...]
    url: str
    host: str
    port: int


def programs(settings: Settings, names: Sequence[Any]) -> tuple[Program, ...]:
    """The services, each run by the Python that runs this."""
    return tuple(
        Program(
            name=name,
            command=(sys.executable, "-m", f"services.{name}"),
            url=settings.url(name),
            host=settings.host,
            port=settings.port(name),
        )
        for name in names
    )


class Process:
    """A program while it runs, and after it has ended."""

    def __init__(self, program: Program, *, environment: Mapping[str, str], data_dir: Path, lock: int) -> None:
        """``lock``: the descriptor that is kept open for as long as anything of the process lives."""
        self.program = program
        self.name = program.name
        self.log_file = data_dir / "logs" / f"{program.name}.log"
        self._pid_file = data_dir / "logs" / f"{program.name}.pid"
        self._environment = environment
        self._lock = lock
        self._leash: Leash | None = None
        self._log_start = 0
        self._failure = ""

    def start(self) -> None:
        """Start it; it is not ready yet. What may be left of the one before is ended first. A failure is one more death."""
        self._failure = ""
        try:
            self._start()
        except OSError as error:  # the disk is full, say
            self._failure = f"did not start: {error}"

    def _start(self) -> None:
        if self._leash:
            self._leash.kill()
        deadline = time.monotonic() + PORT_SECONDS_MAX
        while ports.obstacle(self.program.port, self.program.host) and time.monotonic() < deadline:
            time.sleep(0.05)
        with open_for_append(self.log_file) as log:
            self._log_start = log.tell()
            self._leash = Leash(
                self.program.command,
                cwd=Path.cwd(),
                pid_file=self._pid_file,
                output=log,
                lock=self._lock,
                environment=self._environment,
            )

    @property
    def running(self) -> bool:
        return self._leash is not None and self._leash.running

    @property
    def code(self) -> int | None:
        """The exit code, once it has ended (128 + the signal that ended it)."""
        return self._leash.code if self._leash and not self._failure else None

    def stop(self) -> None:
        """Ask it to end and wait for that; by force after 20 s."""
        if self._leash:
            self._leash.stop(STOP_SECONDS_MAX)

    def obstacle(self) -> str:
        """Why it is not ready; empty when it is."""
        if not self.running:
            return "is not running"
        try:
            return _readiness(f"{self.program.url}/readyz")
        except (OSError, http.client.HTTPException):  # nobody is there, or the answer breaks off
            return "does not answer yet"

    def end(self) -> str:
        """How it ended, with its last error, or the last line of what it wrote."""
        if self._failure:
            return self._failure
        code = self.code or 0
        if (number := code - SIGNALLED) in set(signal.Signals):
            return f"was ended by {signal.Signals(number).name}"
        lines = self.last_lines(LINES_SEARCHED)
        words = next((line for line in reversed(lines) if _FAILURE.search(line)), lines[-1] if lines else "")
        return f"ended with exit code {code}" + (f": {words}" if words else "")

    def last_lines(self, count: int) -> list[str]:
        """The last lines that it wrote since it was started; none where the file is gone."""
        try:
            with self.log_file.open("rb") as log:
                log.seek(max(self._log_start, self.log_file.stat().st_size - (64 << 10)))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError:
            return []
        return [line[:WORDS_MAX] for line in lines if line.strip()][-count:]


def port_conflict(program: Program) -> str | None:
    """What to say when the program's port cannot be used."""
    reason = ports.obstacle(program.port, program.host)
    if reason is None:
        return None
    place = "" if program.host == ports.HOST else f" at {program.host} (HANDOFF_HOST)"
    return (
        f"port {program.port} of {program.name}{place} cannot be used ({reason}): stop the program that uses it, "
        f"or choose another with {variable(f'{program.name}_port')}"
    )


def _readiness(url: str) -> str:
    """Why a service says that it is not ready; empty when it is. Raises ``OSError`` or ``HTTPException`` for no whole answer."""
    try:
        with _DIRECT.open(url, timeout=PROBE_SECONDS_MAX):
            return ""
    except urllib.error.HTTPError as error:
        with error:
            return _failed_checks(error.read()) or f"/readyz answers {error.code}"


def _failed_checks(body: bytes) -> str:
    """What a service says is not well."""
    try:
        checks = json.loads(body)["checks"]
        return "; ".join(f"{check['name']}: {check['detail']}" for check in checks if not check["ok"])
    except (ValueError, KeyError, TypeError):
        return ""
