"""``handoff demo`` as its users have it: what it refuses, and a whole year on a real Kafka, exact to the cent."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from events.bus.partitioner import murmur2
from events.codec import Fact, content, decode
from events.record import Record
from events.topics import PARTITIONS
from handoff.broker.ports import free_port
from handoff.demo.arrival import Arrival
from handoff.demo.settings import DemoSettings
from handoff.demo.simulation import simulate
from handoff.demo.worktime import Year
from handoff.settings import SERVICES, load
from handoff.stack.folder import claim
from services.lifecycle.domain.fold import fold_of
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import DEFAULT, Tables
from services.lifecycle.settings import Settings as LifecycleSettings

from .conftest import Ended

SEED = 11
UNTIL = date(2026, 7, 1)
LEADS = 400
SECONDS_MAX = 60

Run = Callable[..., Ended]


# ------------------------------------------------------------------------------------ what it refuses


def test_a_cluster_of_others_is_left_alone(handoff: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HANDOFF_KAFKA", "kafka.example:9092")
    ended = handoff("demo", "--data-dir", str(tmp_path))
    assert ended.code == 2
    assert ended.err.splitlines() == [
        "handoff: HANDOFF_KAFKA names a cluster (kafka.example:9092), but a demo needs one of its own, made anew, "
        "with simulated time: unset HANDOFF_KAFKA"
    ]


def test_a_port_that_is_taken_is_named(handoff: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = handoff("demo", "--data-dir", str(tmp_path), "--forecast-port", str(port))
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1
    assert f"port {port} of forecast cannot be used" in ended.err


def test_a_year_in_the_future_is_refused(handoff: Run, tmp_path: Path) -> None:
    ended = handoff("demo", "--data-dir", str(tmp_path), "--until", "2999-01-01")
    assert ended.code == 2
    assert ended.err.startswith("handoff: --until: 2999-01-01 is in the future")


def test_a_directory_with_other_things_is_left_alone(handoff: Run, tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "slides.pdf").touch()
    ended = handoff("demo", "--data-dir", str(tmp_path))
    assert ended.code == 2
    assert "holds what no demo has made (slides.pdf)" in ended.err


def test_the_services_of_a_demo_leave_the_clock_to_the_simulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment = DemoSettings.of(load(data_dir=tmp_path)).environment()
    for name in ("HANDOFF_TICKS", "HANDOFF_DATA_DIR"):
        monkeypatch.setenv(name, environment[name])
    assert not LifecycleSettings().ticks
    assert LifecycleSettings().data_dir == tmp_path / "demo"


# ------------------------------------------------------------------------------------ the whole year


def recomputed(arrivals: Iterable[Arrival]) -> dict[str, tuple[int, Decimal]]:
    """Open, won and lost deals: a plain fold of each customer's well-formed facts; of two with one identity the smaller SHA-256."""
    facts: defaultdict[str, dict[tuple[str, str], Fact]] = defaultdict(dict)
    for arrival in arrivals:
        message = arrival.message
        partition = message.partition if message.partition is not None else murmur2(message.key or b"", PARTITIONS)
        fact = decode(Record(message.topic, partition, 0, message.timestamp or 0, message.key, message.value, message.headers))
        if isinstance(fact, Fact):
            known = facts[fact.customer_id].setdefault((fact.source, fact.id), fact)
            facts[fact.customer_id][fact.source, fact.id] = min(
                known, fact, key=lambda each: hashlib.sha256(content(each)).digest()
            )
    policy = Policy(Tables((DEFAULT,)), UTC)
    totals = {state: (0, Decimal(0)) for state in ("open", "won", "lost")}
    for each in facts.values():
        for history in fold_of(each.values(), policy).images.values():
            image = history[-1].what
            number, amount = totals[image.state]
            totals[image.state] = number + 1, amount + Decimal(image.figures.amount or 0) / 100
    return totals


class Demo:
    """A ``handoff demo`` of a few leads, on ports and a directory of its own."""

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.ports = {name: free_port() for name in (*SERVICES, "kafka")}
        named = {f"HANDOFF_{name.upper()}_PORT": str(port) for name, port in self.ports.items()}
        command = ["demo", "--fast", "--seed", str(SEED), "--until", str(UNTIL), "--leads", str(LEADS), *options]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "handoff", *command],
            env={**os.environ, **named, "HANDOFF_DATA_DIR": str(data_dir)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []

    def read_until(self, beginning: str) -> None:
        """Read what it says up to a line that begins so."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith(beginning):
                return
        raise AssertionError(f"it ended, and never said {beginning!r}:\n" + "\n".join(self.lines))

    def get(self, service: str, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[service]}{path}", timeout=10) as answer:
            return json.load(answer)

    def end(self, number: int | None = None) -> int:
        """Wait for its end, after a signal to it; its exit code."""
        if number is not None:
            self.process.send_signal(number)
        self.read_rest()
        return self.process.wait(30)

    def read_rest(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            self.lines += [line.rstrip("\n") for line in self.process.stdout]


@pytest.mark.kafka
@pytest.mark.timeout(2 * SECONDS_MAX)
def test_a_whole_year_adds_up_to_the_cent(tmp_path: Path) -> None:
    arrivals = list(simulate(SEED, Year(UNTIL), leads=LEADS))
    demo = Demo(tmp_path)
    try:
        demo.read_until("Ctrl-C stops it.")
        totals = demo.get("forecast", "/v1/pipeline?by=stage")["totals"]
        letters = {service: demo.get(service, "/v1/status")["dead_letters"] for service in SERVICES}
        customer = next(line.split()[-1] for line in demo.lines if " customer " in line)
        history = demo.get("lifecycle", f"/v1/customers/{customer}")["history"]
    finally:
        code = demo.end(signal.SIGINT)
    said = "\n".join(demo.lines)
    assert code == 0, said
    assert {state: (part["count"], Decimal(part["amount"])) for state, part in totals.items()} == recomputed(arrivals)
    assert letters == {"lifecycle": 33, "routing": 0, "forecast": 0}
    assert history[-1]["stage"] == "customer"
    assert (written := re.search(r"The year is over: ([\d,]+) facts, (\d+) assignments, 33 dead letters", said))
    assert int(written[1].replace(",", "")) > len(arrivals)  # what reps answered
    assert int(written[2]) > 0.8 * LEADS
    won = totals["won"]
    assert f"won {won['count']} of {Decimal(won['amount']):,.0f}" in said
    assert demo.lines[-1] == "Everything is stopped."


@pytest.mark.kafka
@pytest.mark.timeout(2 * SECONDS_MAX)
def test_with_exit_it_ends_with_the_year(tmp_path: Path) -> None:
    demo = Demo(tmp_path, "--leads", "30", "--exit")
    assert demo.end() == 0, demo.lines
    assert any(line.startswith("The year is over: ") for line in demo.lines), demo.lines
    with claim(tmp_path / "demo"):  # nothing of it runs any more
        assert {f"{service}.sqlite" for service in SERVICES} <= {path.name for path in (tmp_path / "demo").iterdir()}
