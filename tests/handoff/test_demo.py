"""``handoff demo`` as its users have it: what it refuses, and a whole year on a real Kafka, exact to the cent."""

import csv
import hashlib
import io
import re
import signal
import socket
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date
from decimal import Decimal
from pathlib import Path

import pytest

from events.bus.partitioner import murmur2
from events.codec import Fact, content, decode
from events.record import Record
from events.topics import PARTITIONS
from handoff.demo.arrival import Arrival
from handoff.demo.folder import make_anew
from handoff.demo.settings import DemoSettings
from handoff.demo.simulation import simulate
from handoff.demo.worktime import Year
from handoff.settings import SERVICES, load
from services.lifecycle.domain.fold import fold_of
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import DEFAULT, Tables
from services.lifecycle.settings import Settings as LifecycleSettings

from .conftest import Ended
from .demo_process import Demo, nothing_runs

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


def test_up_does_not_take_over_what_a_demo_has_made(handoff: Run, tmp_path: Path) -> None:
    make_anew(tmp_path / "demo")
    ended = handoff("up", "--data-dir", str(tmp_path / "demo"))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines() == [
        f"handoff: data directory {tmp_path / 'demo'} was made by `handoff demo`: its topics keep simulated time, "
        "and the next demo deletes everything in it; choose another directory with HANDOFF_DATA_DIR"
    ]


def test_the_services_of_a_demo_leave_the_clock_to_the_simulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HANDOFF_DATABASE", "postgresql://handoff@db/production")
    environment = DemoSettings.of(load(data_dir=tmp_path)).environment()
    for name in ("HANDOFF_TICKS", "HANDOFF_DATA_DIR", "HANDOFF_DATABASE"):
        monkeypatch.setenv(name, environment[name])
    assert not LifecycleSettings().ticks
    assert LifecycleSettings().database == "sqlite"
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


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A year that is over; everything still runs."""
    data_dir = tmp_path_factory.mktemp("demo")
    running = Demo(data_dir, "--fast", "--seed", str(SEED), "--until", str(UNTIL), "--leads", str(LEADS))
    try:
        running.read_until("Ctrl-C stops it.")
        yield running
    finally:
        code = running.end(signal.SIGINT)
    assert (code, running.lines[-1]) == (0, "Everything is stopped."), running.lines


@pytest.mark.long
@pytest.mark.kafka
@pytest.mark.timeout(2 * SECONDS_MAX)
def test_a_whole_year_adds_up_to_the_cent(demo: Demo) -> None:
    arrivals = list(simulate(SEED, Year(UNTIL), leads=LEADS))
    totals = demo.get("forecast", "/v1/pipeline?by=stage")["totals"]
    letters = {service: demo.get(service, "/v1/status")["dead_letters"] for service in SERVICES}
    said = "\n".join(demo.lines)
    assert {state: (part["count"], Decimal(part["amount"])) for state, part in totals.items()} == recomputed(arrivals)
    assert letters == {"lifecycle": 33, "routing": 0, "forecast": 0}
    written = re.search(r"The year is over: ([\d,]+) facts, (\d+) assignments, 33 dead letters", said)
    assert written
    assert int(written[1].replace(",", "")) > len(arrivals)  # what reps answered
    assert int(written[2]) > 0.8 * LEADS
    won = totals["won"]
    assert f"won {won['count']} of {Decimal(won['amount']):,.0f}" in said


@pytest.mark.long
@pytest.mark.kafka
@pytest.mark.timeout(2 * SECONDS_MAX)
def test_each_of_the_six_commands_shows_what_it_promises(demo: Demo) -> None:
    explained, as_of, known, corrected, buried, spreadsheet = demo.tried()

    asked = re.match(r"Why (\w+) got (C-\d+)(?: and (\w+) did not: (.+))?", explained.why)
    assert asked
    rep, customer, other, reason = asked.groups()
    assert explained.out.startswith(f"{rep} has {customer} since ")
    assert re.search(rf"^{rep} .* picked: the lowest pointer$|, fixed rep", explained.out, re.MULTILINE)
    assert other is None or re.search(rf"^{other} .* not available: {re.escape(reason)}$", explained.out, re.MULTILINE)

    stood = re.match(r"The pipeline as it stood on (\S+): (\d+) deals open, ([\d,]+) EUR", as_of.why)
    assert stood
    day, count, amount = stood.groups()
    assert as_of.out.startswith(f"Pipeline as of {day} 23:59:59, in EUR")
    now, then = (_numbers(each.out, "all") for each in (as_of, known))
    assert (now["open"], now["amount"]) == (Decimal(count), Decimal(amount.replace(",", "")))

    assert known.out.startswith(f"Pipeline as of {day} 23:59:59, as known at {day} 23:59:59, in EUR")
    differs = re.search(r": ([\d,]+) EUR (less|more) (won|open)$", known.why)
    assert differs, known.why
    column = {"won": "amount won", "open": "amount"}[differs[3]]
    difference = Decimal(differs[1].replace(",", "")) * (1 if differs[2] == "less" else -1)
    assert now[column] - then[column] == difference != 0

    fact = re.match(r"The past of (C-\d+): (.+) (\S+), known only on (\S+)", corrected.why)
    assert fact
    customer, told, happened, arrived = fact.groups()
    assert happened < arrived
    states = demo.get("lifecycle", f"/v1/customers/{customer}")["history"]
    type_ = f"crm.{told.replace(' ', '.')}.v1"
    late = next(state for state in states if state["effective_at"].startswith(happened) and state["cause"]["type"] == type_)
    assert late["recorded_at"] >= arrived
    assert any(state["effective_at"] > late["effective_at"] and state["recorded_at"] < late["recorded_at"] for state in states)
    assert re.search(rf"^{happened}.*{re.escape(type_)}\s+{late['recorded_at'][:10]}", corrected.out, re.MULTILINE)

    assert buried.why.startswith("The 33 records that were wrong")
    letters = buried.out.splitlines()
    assert len(letters) == 33
    assert [letter[:19] for letter in letters] == sorted(letter[:19] for letter in letters)
    assert all(
        re.search(r"lifecycle\.dead-letter\.v1  (Undecodable|IdentityConflict) of crm\.\w+\.v1\[\d+\] at \d+: .+", each)
        for each in letters
    )

    behind = re.match(r"The (\d+) deals behind ([\d,]+) EUR won by (.+) until then", spreadsheet.why)
    assert behind
    deals = list(csv.DictReader(io.StringIO(spreadsheet.out)))
    assert len(deals) == int(behind[1])
    assert sum(Decimal(deal["amount"]) for deal in deals) == _numbers(as_of.out, behind[3])["amount won"]


def _numbers(table: str, label: str) -> dict[str, Decimal]:
    """A row of the pipeline, by column."""
    columns = ("open", "amount", "weighted", "won", "amount won", "lost", "amount lost")
    row = next(line for line in table.splitlines() if line.startswith(f"{label} "))
    return dict(zip(columns, (Decimal(cell.replace(",", "")) for cell in row.removeprefix(label).split()), strict=True))


@pytest.mark.long
@pytest.mark.kafka
def test_what_it_suggests_can_be_read_and_copied(demo: Demo) -> None:
    assert len(demo.suggested()) == 6
    assert [why for why, _ in demo.suggested() if len(why) + len("1. ") > 80] == []
    assert all(line.count("HANDOFF_") == 4 for line in demo.lines if line.startswith("   export "))


@pytest.mark.long
@pytest.mark.kafka
@pytest.mark.timeout(2 * SECONDS_MAX)
def test_with_exit_it_ends_with_the_year(tmp_path: Path) -> None:
    demo = Demo(tmp_path, "--fast", "--seed", str(SEED), "--until", str(UNTIL), "--leads", "30", "--exit")
    assert demo.end() == 0, demo.lines
    assert any(line.startswith("The year is over: ") for line in demo.lines), demo.lines
    assert demo.suggested() == []  # there is nothing left to ask
    assert nothing_runs(tmp_path / "demo")
    assert {f"{service}.sqlite" for service in SERVICES} <= {path.name for path in (tmp_path / "demo").iterdir()}
