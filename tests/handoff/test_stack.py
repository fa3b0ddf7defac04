"""The stack keeps its processes running, and says why when it gives up: with small programs in the place of the services."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from handoff.broker import EmbeddedKafka
from handoff.broker.ports import HOST
from handoff.commands.up import ending_by_interrupt
from handoff.errors import NOT_WELL, USAGE, CommandError
from handoff.settings import load
from handoff.stack import Program, Stack
from handoff.stack.process import Process
from tests.ports import free_port

pytestmark = pytest.mark.kafka

READY = """
import http.server, json, os, signal, sys
def end(*_):
    print("ends by itself", flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ready = not os.path.exists(sys.argv[2])
        body = json.dumps({"ready": ready, "checks": [{"name": "bus", "ok": ready, "detail": "it is away"}]}).encode()
        self.send_response(200 if ready else 503)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
"""A service that is ready unless the file exists that its second argument names."""


class Told:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def step(self, text: str) -> None:
        """Steps are for people."""

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A Kafka of its own: the stack makes the real topics there."""
    with EmbeddedKafka(tmp_path_factory.mktemp("kafka")) as kafka:
        yield kafka


@pytest.fixture
def stack(broker: EmbeddedKafka, tmp_path: Path) -> Callable[..., Stack]:
    """Makes a stack of these programs on the cluster of this module."""

    def make(*run: Program, told: Told | None = None, heed: Callable[[], None] = lambda: None) -> Stack:
        return Stack(load(kafka=broker.bootstrap, data_dir=tmp_path), told or Told(), run=run, heed=heed)

    return make


def ready(tmp_path: Path, name: str = "one") -> Program:
    port = free_port()
    command = (sys.executable, "-c", READY, str(port), str(tmp_path / "not-ready"))
    return Program(name=name, command=command, url=f"http://{HOST}:{port}", host=HOST, port=port)


def script(text: str, name: str = "broken") -> Program:
    port = free_port()
    return Program(name=name, command=(sys.executable, "-c", text), url=f"http://{HOST}:{port}", host=HOST, port=port)


def pid_of(stack: Stack, name: str) -> int:
    return int((stack.data_dir / "logs" / f"{name}.pid").read_text())


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_an_interrupt_that_was_swallowed_ends_it_all_the_same(stack: Callable[..., Stack], tmp_path: Path) -> None:
    with ending_by_interrupt() as heed, stack(ready(tmp_path), heed=heed) as running:
        running.tend()
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)  # more of them change nothing
        with pytest.raises(KeyboardInterrupt):
            running.run()


def test_everything_is_ready_inside_and_gone_after(stack: Callable[..., Stack], tmp_path: Path) -> None:
    told = Told()
    with stack(ready(tmp_path), ready(tmp_path, "two"), told=told) as running:
        assert running.obstacles() == {}
        assert {note for note in told.notes if "is ready at" in note} == {
            f"{program.name} is ready at {program.url}" for program in running.programs
        }
        pids = [pid_of(running, name) for name in ("one", "two")]
        assert all(map(alive, pids))
    assert not any(map(alive, pids))
    assert (tmp_path / "logs" / "one.log").read_text() == "ends by itself\n"


@pytest.mark.parametrize("victim", ["the process", "the shell around it"])
def test_a_process_that_was_killed_is_started_again(
    stack: Callable[..., Stack], tmp_path: Path, eventually: Callable[..., None], victim: str
) -> None:
    if victim != "the process" and not Path("/proc/self/stat").exists():
        pytest.skip("only Linux tells the parent of a process in /proc")
    told = Told()
    with stack(ready(tmp_path), told=told) as running:
        pid = pid_of(running, "one")
        os.kill(pid if victim == "the process" else parent_of(pid), signal.SIGKILL)
        eventually(lambda: "one is ready again" in told.notes, doing=running.tend)
        assert told.notes[-2].startswith("one was ended by SIGKILL" if victim == "the process" else "one ")
        assert told.notes[-2].endswith("; it is started again")
        eventually(lambda: not alive(pid))
        assert alive(pid_of(running, "one"))
        assert running.obstacles() == {}


def test_a_process_that_dies_again_and_again_stops_everything(stack: Callable[..., Stack], tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(CommandError) as caught, stack(ready(tmp_path), script("print('loading'); raise SystemExit('boom 42')")):
        pytest.fail("it was never ready")
    assert caught.value.code == NOT_WELL
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("broken died 5 times within 60 s, so everything is stopped. It ended with exit code 1: ")
    assert lines[1] == f"The end of {tmp_path / 'logs' / 'broken.log'}:"
    assert sorted(lines[2:]) == ["  boom 42", "  loading"]
    assert time.monotonic() - began < 20
    assert not alive(int((tmp_path / "logs" / "one.pid").read_text()))


def test_a_process_whose_settings_are_wrong_is_not_tried_again(stack: Callable[..., Stack], tmp_path: Path) -> None:
    refusal = "import sys; print('ERROR HANDOFF_DATABASE: use sqlite', file=sys.stderr); sys.exit(2)"
    with pytest.raises(CommandError) as caught, stack(ready(tmp_path), script(refusal)):
        pytest.fail("it was never ready")
    assert caught.value.code == USAGE
    assert str(caught.value) == "broken ended with exit code 2: ERROR HANDOFF_DATABASE: use sqlite"


def test_settings_that_were_right_once_are_not_blamed_later(
    stack: Callable[..., Stack], tmp_path: Path, eventually: Callable[..., None]
) -> None:
    told = Told()
    program = ready(tmp_path)
    refusing = READY.replace("os._exit(0)", "os._exit(2)")
    command = (sys.executable, "-c", refusing, *program.command[3:])
    with stack(Program(program.name, command, program.url, program.host, program.port), told=told) as running:
        os.kill(pid_of(running, "one"), signal.SIGTERM)
        eventually(lambda: "one is ready again" in told.notes, doing=running.tend)
    assert "one ended with exit code 2: ends by itself; it is started again" in told.notes


def test_what_is_not_ready_says_why(stack: Callable[..., Stack], tmp_path: Path) -> None:
    with stack(ready(tmp_path)) as running:
        (tmp_path / "not-ready").touch()
        assert running.obstacles() == {"one": "bus: it is away"}


def test_a_second_stack_on_the_same_directory_is_refused(stack: Callable[..., Stack], tmp_path: Path) -> None:
    with stack(ready(tmp_path)), pytest.raises(CommandError) as caught, stack(ready(tmp_path)):
        pytest.fail("the directory was claimed twice")
    assert caught.value.code == USAGE
    assert f"data directory {tmp_path} is in use by another `handoff up` or `handoff restore` (process {os.getpid()})" in str(
        caught.value
    )


def test_other_partitions_than_the_topics_have_are_refused(
    broker: EmbeddedKafka, stack: Callable[..., Stack], tmp_path: Path
) -> None:
    with stack(ready(tmp_path)):
        pass
    fewer = load(kafka=broker.bootstrap, data_dir=tmp_path, partitions=5)
    with pytest.raises(CommandError, match="set HANDOFF_PARTITIONS to what it was") as caught, Stack(fewer, Told(), run=()):
        pytest.fail("the topics have 12 partitions")
    assert caught.value.code == USAGE


def test_a_log_begins_anew_when_it_has_grown(stack: Callable[..., Stack], tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "one.log"
    log.write_bytes(b"of long ago\n" * 400_000)
    with stack(ready(tmp_path)):
        assert log.stat().st_size == 0
    assert log.with_name("one.log.1").exists()


def test_last_words_are_those_since_the_last_start(tmp_path: Path, eventually: Callable[..., None]) -> None:
    (tmp_path / "logs").mkdir()
    lock = os.open(tmp_path / "lock", os.O_CREAT)
    process = Process(script("print('said'); print(' '); exit(3)"), environment=dict(os.environ), data_dir=tmp_path, lock=lock)
    for _ in range(2):
        process.start()
        eventually(lambda: not process.running)
        assert process.last_lines(5) == ["said"]
        assert process.end() == "ended with exit code 3: said"
    process.stop()
    os.close(lock)


def test_an_error_is_quoted_rather_than_what_was_written_after_it(tmp_path: Path, eventually: Callable[..., None]) -> None:
    (tmp_path / "logs").mkdir()
    lock = os.open(tmp_path / "lock", os.O_CREAT)
    text = "print('12:00 ERROR it is broken'); print('12:01 INFO shut down'); exit(1)"
    process = Process(script(text), environment=dict(os.environ), data_dir=tmp_path, lock=lock)
    process.start()
    eventually(lambda: not process.running)
    assert process.end() == "ended with exit code 1: 12:00 ERROR it is broken"
    process.stop()
    os.close(lock)
