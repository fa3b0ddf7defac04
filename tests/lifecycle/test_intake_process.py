"""The intake of the running service, on a real Kafka: what was answered is not lost, whoever dies; the how-to's examples run."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from events.bus.kafka import create_topics
from handoff.broker import EmbeddedKafka
from tests.lifecycle.test_intake import BATCH, ONE, event
from tests.lifecycle.test_postgres_process import SHARDS, Process

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "send-over-http.md"
COMMANDS = PAGE.with_name("decide-about-a-record.md")
ADDRESS = "127.0.0.1:8081"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A broker of our own: the service reads the topics by their real names, and the broker is stopped."""
    with EmbeddedKafka(tmp_path_factory.mktemp("kafka")) as running:
        create_topics(running.bootstrap, SHARDS)
        yield running


@pytest.fixture(scope="module")
def service(broker: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """The service, which is killed and started again."""
    process = Process(tmp_path_factory.mktemp("lifecycle"), broker.bootstrap, "sqlite")
    process.start()
    yield process
    assert process.running is not None
    process.running.send_signal(signal.SIGTERM)
    assert process.running.wait(timeout=30) == 0
    assert "Traceback" not in process.log.read_text()


@pytest.fixture
def ready(service: Process, eventually: Callable[..., None]) -> Process:
    """The service once it does its work."""
    eventually(lambda: service.settled(0), seconds=60)
    return service


def post(process: Process, body: Any, headers: dict[str, str] = ONE) -> httpx2.Response:
    return httpx2.post(f"http://127.0.0.1:{process.port}/v1/events", json=body, headers=headers, timeout=60)


def facts(process: Process, customer: str) -> int:
    answer = httpx2.get(f"http://127.0.0.1:{process.port}/v1/customers/{customer}", timeout=30)
    return int(answer.json()["facts"]) if answer.status_code == 200 else 0


def examples(page: Path, language: str, needle: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [each for each in found if needle in each]


def test_the_examples_send_one_event_which_counts_once(ready: Process, tmp_path: Path, eventually: Callable[..., None]) -> None:
    shells, programs = examples(PAGE, "sh", ADDRESS), examples(PAGE, "python", ADDRESS)
    assert (len(shells), len(programs)) == (3, 1)
    (readme,) = (each.replace('"acme"', '"acme-2"') for each in examples(ROOT / "README.md", "sh", "cloudevents+json"))
    commands = [[sys.executable, "-c", program] for program in programs]
    if shutil.which("curl"):
        commands += [["bash", "-c", shell] for shell in (*shells[:2], readme)]

    def run(command: list[str]) -> str:
        text = command[-1].replace(ADDRESS, f"127.0.0.1:{ready.port}")
        done = subprocess.run([*command[:-1], text], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert all("everything was written" in run(command) for command in commands)
    eventually(lambda: ready.settled(len(commands)), seconds=30)
    assert facts(ready, "acme") == 1
    assert ready.status()["dead_letters"] == 0
    if shutil.which("curl"):
        assert json.loads(run(["bash", "-c", shells[2]]))["state"] == "taken in"


def test_a_command_is_given_and_judged(ready: Process, eventually: Callable[..., None]) -> None:
    assert post(ready, event(1, data={"customer_id": "acme-3"})).status_code == 202
    eventually(lambda: facts(ready, "acme-3") == 1, seconds=30)

    def handoff(*arguments: str) -> tuple[int, str]:
        environment = {**os.environ, "HANDOFF_LIFECYCLE_PORT": str(ready.port)}
        command = [sys.executable, "-m", "handoff", "command", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    code, said = handoff("set-status", "acme-3", "Proposal", "--reason", "agreed", "--actor", "dana")
    assert (code, "lead, New → prospect, Proposal" in said) == (0, True), said
    code, said = handoff("set-status", "acme-3", "Proposal")
    assert (code, "no effect (status-is-set)\n  the record is Proposal already" in said) == (1, True), said
    code, said = handoff("set-status", "acme-3", "Propsal")
    assert (code, "did you mean 'Proposal'?" in said) == (2, True), said
    code, said = handoff("convert", "acme-4711")
    assert (code, "no fact of a customer 'acme-4711'" in said) == (1, True), said
    shells = [each.replace('"acme"', '"acme-3"') for each in examples(COMMANDS, "sh", ADDRESS)]
    assert len(shells) == 2
    if shutil.which("curl"):
        told = []
        for shell in shells:
            text = shell.replace(ADDRESS, f"127.0.0.1:{ready.port}")
            done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=60, check=True)
            told.append(json.loads(done.stdout))
        assert [each["id"] for each in told] == ["case-17", "case-17"]
        location = f"http://127.0.0.1:{ready.port}{told[0]['location']}"
        eventually(lambda: httpx2.get(location).json()["verdict"] == "effective", seconds=30)


@pytest.mark.long
def test_what_was_answered_survives_kill_9(ready: Process, eventually: Callable[..., None]) -> None:
    answered: list[int] = []
    enough, stop = threading.Event(), threading.Event()

    def send(first: int) -> None:
        with httpx2.Client(timeout=30) as client:
            for number in range(first, first + 10_000):
                try:
                    answer = client.post(
                        f"http://127.0.0.1:{ready.port}/v1/events",
                        json=event(number, data={"customer_id": f"killed-{number % 50}"}),
                        headers=ONE,
                    )
                except httpx2.HTTPError:
                    return
                assert answer.status_code == 202
                answered.append(number)
                if len(answered) > 300:
                    enough.set()
                if stop.is_set():
                    return

    threads = [threading.Thread(target=send, args=(10_000 * lane,)) for lane in range(1, 9)]
    for thread in threads:
        thread.start()
    assert enough.wait(60)
    ready.kill()
    stop.set()
    for thread in threads:
        thread.join()
    eventually(lambda: ready.settled(len(answered)), seconds=60)
    assert sum(facts(ready, f"killed-{number}") for number in range(50)) >= len(answered)


@pytest.mark.long
def test_while_kafka_is_away_it_says_so_and_afterwards_it_goes_on(
    ready: Process, broker: EmbeddedKafka, eventually: Callable[..., None]
) -> None:
    assert post(ready, event(1, data={"customer_id": "away"})).status_code == 202
    broker.stop()
    answers = [post(ready, [event(2, data={"customer_id": "away"})], BATCH) for _ in range(2)]
    assert [each.status_code for each in answers] == [503, 503]
    assert all(each.headers["retry-after"] == "5" for each in answers)
    assert "Kafka has not acknowledged" in answers[0].json()["detail"]
    broker.start()
    eventually(lambda: post(ready, event(2, data={"customer_id": "away"})).status_code == 202, seconds=60)
    eventually(lambda: facts(ready, "away") == 2, seconds=60)


def wire(process: Process, sent: bytes) -> socket.socket:
    """A connection on which a request has been sent, as it is."""
    opened = socket.create_connection(("127.0.0.1", process.port), timeout=30)
    opened.sendall(b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/cloudevents+json\r\n" + sent)
    return opened


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"Content-Length: x\r\n\r\n{}", 400),
        (b"Content-Length: -1\r\n\r\n{}", 400),
        (b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
        (b"Content-Length: 99999999999\r\n\r\n", 413),
        (b"Content-Length: 2\r\n\r\n[]extra", 422),
        (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}", 400),
    ],
)
def test_a_request_that_is_broken_is_answered(ready: Process, sent: bytes, status: int) -> None:
    with wire(ready, sent) as opened:
        assert opened.recv(65536).startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize(
    "sent",
    [
        b"Content-Length: 100\r\n\r\n{}",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}",
        b"Content-Length: 4000000\r\n\r\n" + b" " * 100_000,
    ],
)
def test_a_sender_who_hangs_up_breaks_nothing(ready: Process, sent: bytes) -> None:
    wire(ready, sent).close()
    assert post(ready, event(3, data={"customer_id": "after"})).status_code == 202


def test_a_page_of_another_site_may_not_write(ready: Process) -> None:
    url = f"http://127.0.0.1:{ready.port}/v1/events"
    asked = httpx2.options(url, headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"})
    assert "access-control-allow-origin" not in asked.headers
    for simple in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):  # what goes without being asked
        answer = httpx2.post(url, content=json.dumps(event()), headers={"content-type": simple})
        assert answer.status_code == 415
