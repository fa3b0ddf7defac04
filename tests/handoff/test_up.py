"""``handoff up`` as its users have it: real Kafka, real services, each a process of its own; killed in every way."""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from handoff.settings import SERVICES

from .demo_process import own_ports

pytestmark = pytest.mark.kafka

START_SECONDS_MAX = 180.0


class Up:
    """A ``handoff up`` on one data directory, started and ended in different ways."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.ports = own_ports()
        named = {f"HANDOFF_{name.upper()}_PORT": str(port) for name, port in self.ports.items()}
        inherited = {name: value for name, value in os.environ.items() if name not in {"HANDOFF_KAFKA"}}
        self.environment = {**inherited, **named, "HANDOFF_DATA_DIR": str(data_dir)}
        self.lines: list[str] = []
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and return when it says that it is ready."""
        ready = threading.Event()
        self.lines = []
        process = subprocess.Popen(
            [sys.executable, "-m", "handoff", "up"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.process = process

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                self.lines.append(line.rstrip("\n"))
                if line.startswith("Ctrl-C stops it"):
                    ready.set()
            process.wait()
            ready.set()

        threading.Thread(target=read, daemon=True).start()
        if not ready.wait(START_SECONDS_MAX) or process.poll() is not None:
            self.end(signal.SIGTERM)
            pytest.fail("\n".join(["it did not become ready:", *self.lines]))

    def end(self, number: int) -> int:
        """Send it a signal; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def pid(self, name: str) -> int:
        file = self.data_dir / "kafka" / "broker.pid" if name == "kafka" else self.data_dir / "logs" / f"{name}.pid"
        return int(file.read_text())

    def pids(self) -> dict[str, int]:
        return {name: self.pid(name) for name in (*SERVICES, "kafka")}

    def get(self, service: str, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[service]}{path}", timeout=10) as answer:
            return json.load(answer)

    def ready(self) -> bool:
        """Whether every service answers that it is."""
        try:
            return all(self.get(name, "/readyz")["ready"] for name in SERVICES)
        except OSError:  # one does not answer, or says no
            return False

    def knows(self, customer: str) -> bool:
        """Whether lifecycle has a record of the customer."""
        try:
            return bool(self.get("lifecycle", f"/v1/customers/{customer}"))
        except OSError:
            return False

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "handoff", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One that runs; a test that ends it starts it again."""
    running = Up(tmp_path_factory.mktemp("up") / "data")
    running.start()
    yield running
    assert running.end(signal.SIGTERM) == 0


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_says_where_everything_is_and_everything_is_ready(up: Up) -> None:
    printed = "\n".join(up.lines)
    assert f"Kafka      127.0.0.1:{up.ports['kafka']}" in printed
    for name in SERVICES:
        assert f"{name:<10} http://127.0.0.1:{up.ports[name]}" in printed
        assert up.get(name, "/readyz")["ready"] is True
    assert up.run("status").returncode == 0


def test_each_service_is_a_process_that_one_finds_by_its_name(up: Up) -> None:
    for name in SERVICES:
        found = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(up.pid(name))], capture_output=True, text=True, check=True)
        assert found.stdout.strip() == f"{sys.executable} -m services.{name}"


def test_a_second_one_on_the_same_directory_is_refused(up: Up) -> None:
    assert up.process is not None
    second = up.run("up")
    assert (second.returncode, second.stdout) == (2, "")
    assert second.stderr.startswith(
        f"handoff: data directory {up.data_dir} is in use by another `handoff up` or `handoff restore` (process {up.process.pid})"
    )
    assert len(second.stderr.splitlines()) == 1


def test_an_event_goes_all_the_way(up: Up) -> None:
    follower = subprocess.Popen(
        [sys.executable, "-m", "handoff", "tail", "crm.lead", "crm.lifecycle", "--from-beginning", "--limit", "3", "--json"],
        env=up.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    sent = up.run("send", "crm.lead.created.v1", '{"customer_id": "C-1", "company": "Acme"}', "--json")
    assert json.loads(sent.stdout)["topic"] == "crm.lead.v1"
    out, _ = follower.communicate(timeout=30)
    assert follower.returncode == 0
    seen = [json.loads(line) for line in out.splitlines()]
    assert {each["headers"]["ce_type"] for each in seen} == {
        "crm.lead.created.v1",
        "crm.status.changed.v1",
        "crm.record.changed.v1",  # the owner that routing gave it
    }
    assert {each["key"] for each in seen} == {"C-1"}
    shown = up.run("customer", "C-1")
    assert shown.stdout.startswith("C-1: lead, New (0 %)\n")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_that_is_killed_is_started_again(up: Up, eventually: Callable[..., None], name: str) -> None:
    others = {other: up.pid(other) for other in SERVICES if other != name}
    killed = up.pid(name)
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: f"{name} is ready again" in up.lines, seconds=30)
    assert up.pid(name) != killed
    assert {other: up.pid(other) for other in others} == others
    assert up.ready()


def test_kafka_that_is_killed_is_started_again(up: Up, eventually: Callable[..., None]) -> None:
    killed = up.pid("kafka")
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: "Kafka is ready again" in up.lines, seconds=30)
    eventually(up.ready, seconds=30)
    assert up.run("send", "crm.lead.created.v1", '{"customer_id": "C-2"}').returncode == 0
    eventually(lambda: up.knows("C-2"))


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.long)])
def test_nothing_is_left_behind_and_everything_is_kept(up: Up, eventually: Callable[..., None], number: int) -> None:
    customer = f"kept-over-{number}"
    assert up.run("send", "crm.lead.created.v1", json.dumps({"customer_id": customer})).returncode == 0
    eventually(lambda: up.knows(customer))
    pids = up.pids()
    code = up.end(number)
    if number == signal.SIGKILL:
        assert code == -signal.SIGKILL
        up.start()  # at once, while the others are still on their way out
        assert not any(map(alive, pids.values()))
    else:
        assert code == 0, up.lines
        assert not any(map(alive, pids.values()))
        assert up.lines[-1] == "Everything is stopped; what was taken in is kept."
        up.start()
    assert up.knows(customer)


def test_an_import_is_reflected_everywhere_and_the_second_one_changes_nothing(up: Up, tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text("product,sales_price\nGTX Pro,4821\n")
    (tmp_path / "sales_teams.csv").write_text("sales_agent,manager,regional_office\nAnn Adams,Mary Major,West\n")
    (tmp_path / "sales_pipeline.csv").write_text(
        "opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value\n"
        "O1,Ann Adams,GTXPro,Initech,Won,2017-01-10,2017-03-01,4514\n"
        "O2,Ann Adams,GTXPro,Initech,Engaging,2017-01-10,,\n"
        "O3,Ann Adams,GTXPro,,Prospecting,,,\n"
        "O4,Ann Adams,GTXPro,,Guessing,,,\n"
    )
    answers = []
    for _ in range(2):
        done = up.run("import", "maven", str(tmp_path), "--wait", "--json")
        assert done.returncode == 1  # one row was rejected
        assert "handoff: sales_pipeline.csv:5 deal_stage: 'Guessing' is none of" in done.stderr
        told = json.loads(done.stdout)
        assert told.pop("seconds") > 0
        assert told == {"read": 4, "published": 4, "rejected": 1}
        pipeline = up.get("forecast", "/v1/pipeline?by=region&as_of=2018-01-01&currency=USD")
        answers.append((pipeline["totals"], pipeline["groups"], up.get("lifecycle", "/v1/customers/Initech")))
    assert answers[0] == answers[1]
    totals, groups, customer = answers[0]
    assert totals == {
        "open": {"count": 2, "amount": "9642.00", "weighted": "1446.30"},
        "won": {"count": 1, "amount": "4514.00"},
        "lost": {"count": 0, "amount": "0.00"},
    }
    assert [group["key"] for group in groups] == ["West"]
    assert (customer["stage"], customer["status"], len(customer["deals"])) == ("customer", "Closed Won", 2)
    directory = up.run("tail", "crm.directory", "--from-beginning", "--limit", "2").stdout
    assert directory.splitlines()[-1].endswith("by import/maven, in force from 2016-01-01T00:00:00Z")
