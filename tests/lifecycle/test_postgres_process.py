"""Lifecycle as its own process on PostgreSQL: both are killed in the middle of a load, and every fact counts once.

The records in the database and what consumers of ``crm.lifecycle.v1`` hold are compared with a plain fold of what was sent.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import httpx2
import pytest

from events.bus import Bus
from events.bus.database import open_database
from events.bus.kafka import KafkaBus, create_topics
from events.bus.partitioner import murmur2
from events.codec import Fact, decode, encode
from events.facts import Data, LeadCreated, LeadQualified, LeadUpdated, OpportunityCreated, OpportunityWon
from events.record import Message, Record
from events.topics import LIFECYCLE
from events.values import Price, parse_instant
from handoff.broker import EmbeddedKafka
from services.lifecycle.domain.fold import fold_of
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import DEFAULT, Tables
from services.lifecycle.store import Store
from tests.lifecycle.harness import HOME
from tests.lifecycle.test_exactly_once import as_consumed, as_folded
from tests.ports import free_port
from tests.postgres import PASSWORD, PostgresServer

SHARDS = 4
NOBODY = "127.0.0.1:9"
"""An address where no broker is."""


class Process:
    """``python -m services.lifecycle``, started again when it ends."""

    def __init__(self, folder: Path, bootstrap: str, database: str) -> None:
        self.port = free_port()
        self.log = folder / "log"
        self.starts = 0
        self.running: subprocess.Popen[bytes] | None = None
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("HANDOFF_", "PG"))}
        self.environment |= {
            "HANDOFF_DATA_DIR": str(folder / "data"),
            "HANDOFF_KAFKA": bootstrap,
            "HANDOFF_PARTITIONS": str(SHARDS),
            "HANDOFF_LIFECYCLE_PORT": str(self.port),
            "HANDOFF_DATABASE": database,
        }

    def start(self, **more: str) -> "subprocess.Popen[bytes]":
        self.starts += 1
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                [sys.executable, "-m", "services.lifecycle"], env={**self.environment, **more}, stderr=log
            )
        return self.running

    def revive(self) -> None:
        """As its supervisor does."""
        if self.running is None or self.running.poll() is not None:
            self.start()

    def kill(self) -> None:
        assert self.running is not None
        self.running.kill()
        self.running.wait(timeout=30)

    def status(self) -> dict[str, Any]:
        try:
            answer = httpx2.get(f"http://127.0.0.1:{self.port}/v1/status", timeout=5)
            return dict(answer.json()) if answer.status_code == 200 else {}
        except (httpx2.HTTPError, json.JSONDecodeError):
            return {}

    def position(self) -> int:
        return int(self.status().get("position", 0))

    def settled(self, position: int) -> bool:
        self.revive()
        status = self.status()
        return status.get("lag") == 0 and status.get("state") == "running" and status.get("position", 0) >= position


class Heard(NamedTuple):
    """What consumers were told."""

    facts: list[Fact]

    def published(self) -> list[Fact]:
        return self.facts


def story(first: int, customers: int) -> list[Message]:
    """Five facts of each customer, those of one customer far apart; every seventh message is sent twice."""
    price = Price(amount=Decimal(1000), currency="EUR")
    names = [f"customer-{number}" for number in range(first, first + customers)]
    rounds: list[tuple[str, Callable[[str], Data]]] = [
        ("crm.lead.created.v1", lambda name: LeadCreated(customer_id=name, company=name, owner="anna")),
        ("crm.lead.qualified.v1", lambda name: LeadQualified(customer_id=name)),
        ("crm.opportunity.created.v1", lambda name: OpportunityCreated(customer_id=name, opportunity_id="o", amount=price)),
        ("crm.lead.updated.v1", lambda name: LeadUpdated(customer_id=name, country="DE")),
        ("crm.opportunity.won.v1", lambda name: OpportunityWon(customer_id=name, opportunity_id="o")),
    ]
    messages = []
    for minute, (type_, data) in enumerate(rounds):
        at = parse_instant(f"2026-03-01T09:{minute:02d}:00Z")
        for name in names:
            message = encode(
                HOME[type_].name, type_, data(name), source="crm", id=f"{name}/{minute}", occurred_at=at, recorded_at=at
            )
            messages += [message] * (2 if len(messages) % 7 == 0 else 1)
    return messages


def heard(bus: Bus) -> Heard:
    """Everything on crm.lifecycle.v1, repeats included."""
    facts: list[Fact] = []
    with closing(bus.consumer("look", [LIFECYCLE.name], lambda places: dict.fromkeys(places, 0), lambda _: None)) as consumer:
        while not consumer.positions():
            facts += [fact for record in consumer.poll(0.2, 5000) if isinstance(fact := decode(record), Fact)]
        ends = bus.end_offsets(consumer.positions().keys())
        while any(consumer.positions()[place] < end for place, end in ends.items()):
            facts += [fact for record in consumer.poll(0.2, 5000) if isinstance(fact := decode(record), Fact)]
    return Heard(facts)


def check(database: str, told: Heard, sent: list[Message], file: Path | str = "") -> None:
    """Records and consumers are what the set of facts says."""
    policy = Policy(Tables((DEFAULT,)), ZoneInfo("UTC"))
    facts: dict[str, dict[str, Fact]] = {}
    for message in sent:
        fact = decode(Record(message.topic, 0, 0, message.timestamp or 0, message.key, message.value, message.headers))
        assert isinstance(fact, Fact)
        facts.setdefault(fact.customer_id, {})[fact.id] = fact
    with closing(Store(open_database(database, file, schema="lifecycle"), SHARDS, code_version="look")) as store:
        assert store.customers() == len(facts)
        assert store.ledger.dead_letters() == {}
        for customer, known in facts.items():
            expected = fold_of(known.values(), policy)
            record = store.load(murmur2(customer.encode(), SHARDS), [customer], policy)[customer]
            assert (record.fold.statuses, record.fold.images) == (expected.statuses, expected.images)
            assert len(record.known) == len(known)
            mine = Heard([fact for fact in told.facts if fact.customer_id == customer])
            assert as_consumed(mine, customer) == as_folded(expected)  # type: ignore[arg-type]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """A broker of our own: the service reads the topics by their real names."""
    with EmbeddedKafka(tmp_path / "kafka") as running:
        yield running


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server that is killed."""
    with PostgresServer() as running:
        yield running


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """``started(bootstrap, database)`` gives a process, which is not left behind."""
    made: list[Process] = []

    def make(bootstrap: str, database: str) -> Process:
        made.append(Process(tmp_path, bootstrap, database))
        return made[-1]

    yield make
    for each in made:
        if each.running is not None:
            each.kill()


@pytest.mark.long
@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.timeout(240)
def test_service_and_server_die_in_the_middle_and_every_fact_counts_once(
    broker: EmbeddedKafka, server: PostgresServer, started: Callable[..., Process], eventually: Callable[..., None]
) -> None:
    create_topics(broker.bootstrap, SHARDS)
    database = server.database()
    process = started(broker.bootstrap, database)
    bus = KafkaBus(broker.bootstrap, client_id="test")
    sent: list[Message] = []

    def under_load(trouble: Callable[[], None]) -> None:
        """Send, and do it as soon as the service has begun with what was sent."""
        before = process.position()
        messages = story(len(sent), 150)
        delivery = producer.send(messages)
        sent.extend(messages)
        eventually(lambda: process.position() > before, seconds=60, doing=process.revive)
        trouble()
        delivery.wait(30)

    def the_server_is_away() -> None:
        server.crash()
        eventually(lambda: b"tried again until it works" in process.log.read_bytes()[seen:], seconds=30, doing=process.revive)
        server.start()

    with closing(bus), closing(bus.producer()) as producer:
        process.start()
        under_load(process.kill)
        for _ in range(3):
            seen = len(process.log.read_bytes())
            under_load(the_server_is_away)
        under_load(process.kill)
        eventually(lambda: process.settled(len(sent)), seconds=90)
        told = heard(bus)
    assert process.running is not None
    process.running.send_signal(signal.SIGTERM)
    assert process.running.wait(timeout=30) == 0
    check(database, told, sent)
    assert PASSWORD not in process.log.read_text()
    with pytest.raises(AssertionError):  # what is compared can differ
        check(database, Heard(told.facts[len(told.facts) // 2 :]), sent)


WRONG = {
    "mysql://root:geheim@db/crm": (2, "HANDOFF_DATABASE: 'mysql' is not supported: use sqlite, or postgresql://"),
    "postgresql://u:ge@heim@db/crm": (
        2,
        "HANDOFF_DATABASE: this is not a URL such as postgresql://user:password@host:5432/database",
    ),
    "postgresql://handoff:geheim@127.0.0.1:9/crm": (1, "Connection refused"),
}
"""Somebody must correct it (2), or it is to be started again (1): at the boot of a machine its database may come later."""


@pytest.mark.parametrize("service", ["lifecycle", "routing", "forecast"])
@pytest.mark.parametrize("database", WRONG)
def test_a_database_that_cannot_be_used_is_said_in_one_line(tmp_path: Path, service: str, database: str) -> None:
    environment = {**os.environ, "HANDOFF_DATABASE": database, "HANDOFF_DATA_DIR": str(tmp_path), "HANDOFF_KAFKA": NOBODY}
    environment |= {f"HANDOFF_{service.upper()}_PORT": str(free_port())}
    done = subprocess.run(
        [sys.executable, "-m", f"services.{service}"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    (line,) = done.stderr.splitlines()
    code, said = WRONG[database]
    assert (done.returncode, said in line) == (code, True)
    assert "geheim" not in line
    assert "heim@" not in line


def test_a_driver_that_is_missing_is_said(tmp_path: Path) -> None:
    """In an interpreter in which psycopg cannot be imported."""
    (tmp_path / "psycopg.py").write_text("raise ImportError('no pq wrapper available')")
    program = "from events.bus.database import open_database; open_database('postgresql://u@h/d', '', schema='s')"
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path.cwd()}"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.splitlines()[-1].endswith(
        "CannotOpen: PostgreSQL (HANDOFF_DATABASE) needs psycopg, which cannot be loaded (no pq wrapper available):"
        " pip install 'psycopg[binary,pool]'"
    )
