"""What the tests of the command line share: running it, ports of one's own, and little real services to ask."""

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest

from handoff.broker.ports import free_port
from handoff.cli import main
from handoff.settings import PREFIX, SERVICES, ServiceName


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests; addresses where nobody answers."""
    machine = {"HANDOFF_CACHE_DIR", "HANDOFF_JAVA", "HANDOFF_MAVEN_URL"}
    for name in [name for name in os.environ if name.startswith(PREFIX) and name not in machine]:
        monkeypatch.delenv(name)
    for name in ("KAFKA", *(service.upper() for service in SERVICES)):
        monkeypatch.setenv(f"HANDOFF_{name}_PORT", str(free_port()))


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


Answer = Callable[[], tuple[int, Any]]


class Answering(ThreadingHTTPServer):
    """A server on loopback that answers each path as it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []

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
