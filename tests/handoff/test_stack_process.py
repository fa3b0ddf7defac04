"""One process of the stack: what it answers, how it ended, and what is said where that cannot be told."""

import os
import socket
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from handoff.broker import EmbeddedKafka, KafkaUnavailable
from handoff.broker.ports import HOST
from handoff.errors import CommandError
from handoff.settings import load
from handoff.stack import Stack
from handoff.stack.kafka import KafkaProcess
from handoff.stack.keeper import Keeper
from handoff.stack.process import Process, Program
from tests.ports import free_port

HEAD = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\nConnection: close\r\n\r\n"


def program(port: int, text: str = "import time; time.sleep(60)") -> Program:
    return Program(name="one", command=(sys.executable, "-c", text), url=f"http://{HOST}:{port}", host=HOST, port=port)


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "logs").mkdir()
    descriptor = os.open(tmp_path / "lock", os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def process(folder: Path, lock: int, port: int | None = None, text: str = "import time; time.sleep(60)") -> Process:
    return Process(program(port or free_port(), text), environment=dict(os.environ), data_dir=folder, lock=lock)


@pytest.mark.parametrize("answer", [HEAD + b'{"checks": [', HEAD, HEAD[:5], b"", b"no HTTP at all\r\n\r\n"])
def test_an_answer_that_breaks_off_is_none(tmp_path: Path, lock: int, answer: bytes) -> None:
    with socket.create_server((HOST, 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        one = process(tmp_path, lock)
        one.start()  # on another port: this one is taken
        one.program = program(server.getsockname()[1])
        thread = Thread(target=serve, daemon=True)
        thread.start()
        assert one.obstacle() == "does not answer yet"
        thread.join()
        one.stop()


def test_a_log_that_is_gone_says_nothing_and_ends_nothing(tmp_path: Path, lock: int) -> None:
    one, notes = process(tmp_path, lock, text="print('said'); exit(3)"), list[str]()
    one.start()
    while one.running:
        pass
    one.log_file.unlink()
    assert one.last_lines(5) == []
    Keeper(one, notes.append).tend(0.0)
    one.stop()
    assert notes == ["one ended with exit code 3; it is started again"]


def test_a_start_that_fails_is_one_more_death(tmp_path: Path, lock: int) -> None:
    one, notes = process(tmp_path, lock, text="exit(2)"), list[str]()
    keeper = Keeper(one, notes.append)
    keeper.proven()
    one.start()
    while one.running:
        pass
    (tmp_path / "logs").rename(tmp_path / "moved")
    with pytest.raises(CommandError, match="one died 5 times within 60 s") as caught:
        deque(map(keeper.tend, map(float, range(20))), maxlen=0)
    assert "It did not start: [Errno 2] No such file or directory: " in str(caught.value)
    assert (one.running, one.code) == (False, None)
    assert notes[0] == "one ended with exit code 2; it is started again"
    assert notes[1].startswith("one did not start: ")
    (tmp_path / "moved").rename(tmp_path / "logs")
    one.start()
    while one.running:
        pass
    assert one.end() == "ended with exit code 2"
    one.stop()


@pytest.mark.parametrize("failure", [KafkaUnavailable("it is broken"), OSError(28, "No space left on device")])
def test_a_kafka_that_does_not_start_is_one_more_death(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    def fails(*_: object) -> None:
        raise failure

    monkeypatch.setattr(EmbeddedKafka, "start", fails)
    kafka = KafkaProcess(EmbeddedKafka(tmp_path))
    kafka.start()
    assert kafka.end() == f"did not start: {failure}"
    assert kafka.last_lines(5) == []  # it never had a log


def test_an_interrupt_while_a_service_is_started_leaves_none(tmp_path: Path, lock: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack(load(kafka="127.0.0.1:1", data_dir=tmp_path), Silent(), run=[program(free_port())])
    start, started = Process.start, list[Process]()

    def interrupted(one: Process) -> None:
        start(one)
        started.append(one)
        raise KeyboardInterrupt

    monkeypatch.setattr(Process, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stack._start_services(lock)
    assert started[0].running
    stack._stop_services()
    assert not started[0].running


class Silent:
    """A reporter that tells nobody."""

    def step(self, text: str) -> None:
        """Not told."""

    def note(self, text: str) -> None:
        """Not told."""
