"""What the tests of the command line share: running it, ports of one's own, and little real services to ask."""

import json
import os
import pty
import re
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

from handoff.cli import main
from handoff.settings import PREFIX, SERVICES, ServiceName
from tests.ports import free_ports


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests; addresses where nobody answers."""
    machine = {"HANDOFF_CACHE_DIR", "HANDOFF_JAVA", "HANDOFF_MAVEN_URL"}
    for name in [name for name in os.environ if name.startswith(PREFIX) and name not in machine]:
        monkeypatch.delenv(name)
    names = ("KAFKA", *(service.upper() for service in SERVICES))
    for name, port in zip(names, free_ports(len(names)), strict=True):
        monkeypatch.setenv(f"HANDOFF_{name}_PORT", str(port))


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def handoff(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Runs a command in this process: ``handoff("status", "--json")``."""

    def run(*arguments: str) -> Ended:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["handoff", *arguments])
        code = main()
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return run


@pytest.fixture
def terminal() -> Callable[..., list[str]]:
    """Runs a command at a terminal of so many columns; the lines that it shows: ``terminal(80, "config")``."""

    def run(columns: int, *arguments: str) -> list[str]:
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, columns))
        command = [sys.executable, "-m", "handoff", *arguments]
        environment = {**os.environ, "TERM": "xterm"}
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment):
            os.close(theirs)
            shown = bytearray()
            with suppress(OSError):  # how Linux says that the other end is closed
                while chunk := os.read(ours, 4096):
                    shown += chunk
        os.close(ours)
        return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in shown.decode().replace("\r", "").splitlines()]

    return run


Answer = Callable[[], tuple[int, Any]]


class Answering(ThreadingHTTPServer):
    """A server on loopback that answers each path as it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.posted: list[Any] = []
        self.clock: float | None = None
        """The time on its machine (seconds since 1970), where that is not the time here."""

    def says(self, path: str, body: Mapping[str, Any], status: int = 200) -> None:
        self.answers[path] = lambda: (status, body)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Answering)
        self.server.asked.append(self.path)
        status, body = self.server.answers[self.path.partition("?")[0]]()
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        assert isinstance(self.server, Answering)
        self.server.posted.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def date_time_string(self, timestamp: float | None = None) -> str:
        assert isinstance(self.server, Answering)
        return super().date_time_string(self.server.clock if timestamp is None else timestamp)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mapping[ServiceName, Answering]]:
    """Three servers in the place of the services, known to the settings."""
    servers = {name: Answering() for name in SERVICES}
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in servers.values()]
    for name, server in servers.items():
        monkeypatch.setenv(f"HANDOFF_{name.upper()}_PORT", str(server.server_port))
    for thread in threads:
        thread.start()
    yield servers
    for server in servers.values():
        server.shutdown()
        server.server_close()
    for thread in threads:
        thread.join()
