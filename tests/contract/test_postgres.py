"""What only PostgreSQL does: several writers at once, servers that go away, workers that freeze, doors that stay shut."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from eventsourcing.persistence import OperationalError, StoredEvent

from events.bus.database import CannotOpen, Database, EventTable, open_database
from events.bus.database.connections import passes
from events.bus.ledger import Fenced, Ledger
from events.bus.letters import DeadLetter
from events.record import Record, TopicPartition
from tests.ports import free_port
from tests.postgres import PASSWORD, PostgresServer

pytestmark = pytest.mark.postgres

Open = Callable[..., Database]


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    """An empty database."""
    return postgres.database()


@pytest.fixture
def opened() -> Iterator[Open]:
    """``opened(url)``: a worker's database; closed after the test."""
    with ExitStack() as open_ones:

        def make(url: str) -> Database:
            database = open_database(url, "", schema="toy")
            open_ones.callback(database.close)
            return database

        yield make


@pytest.fixture
def mine() -> Iterator[PostgresServer]:
    """A server that may be hurt."""
    with PostgresServer() as server:
        yield server


def table_of(database: Database) -> EventTable:
    with database.prepare():
        return database.events("shard_000_events")


def event(originator: str) -> list[StoredEvent]:
    return [StoredEvent(originator, 1, "fact", b"{}")]


def waits(postgres: PostgresServer, url: str) -> bool:
    """Whether a transaction of that database waits for a lock."""
    name = urlsplit(url).path[1:]
    query = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND wait_event_type = 'Lock'"
    return postgres.sql("postgres", query) != [(0,)]


def test_numbers_rise_in_the_order_of_commits(
    postgres: PostgresServer, url: str, opened: Open, eventually: Callable[..., None]
) -> None:
    """A writer that is slow to commit cannot slip in before what a reader has passed."""
    slow, quick, reader = opened(url), opened(url), opened(url)
    slow_table, quick_table, seen = table_of(slow), table_of(quick), table_of(reader)
    done = threading.Event()

    def write() -> None:
        with quick.begin() as cursor:
            quick_table.append(cursor, event("quick"))
        done.set()

    thread = threading.Thread(target=write)
    with slow.begin() as cursor:
        slow_table.append(cursor, event("slow"))
        thread.start()
        eventually(lambda: waits(postgres, url))
        assert not done.is_set()
        assert seen.select_notifications(1, 10) == []  # and reading waits for nobody
        slow_table.append(cursor, event("slow to the end"))  # whoever waits has drawn no number
    thread.join()
    assert [row.originator_id for row in seen.select_notifications(1, 10)] == ["slow", "slow to the end", "quick"]


def test_dead_letters_of_one_number_are_in_the_order_of_commits(
    postgres: PostgresServer, url: str, opened: Open, eventually: Callable[..., None]
) -> None:
    """Two workers bury records of two topics' partition 0."""

    def ledger(place: TopicPartition) -> Ledger:
        database = opened(url)
        with database.prepare():
            made = Ledger(database.begin, service="toy", code_version="1", dialect=database.dialect)
        made.claim([place])
        return made

    def bury(worker: Ledger, place: TopicPartition, meanwhile: Callable[[], None]) -> None:
        record = Record(*place, 0, 0, b"k", place.topic.encode())
        with worker.transaction([record]) as cursor:
            worker.bury(cursor, [DeadLetter(record=record, error="Bug", reason="")])
            meanwhile()

    places = [TopicPartition("slow", 0), TopicPartition("quick", 0)]
    slow, quick = (ledger(place) for place in places)
    thread = threading.Thread(target=bury, args=(quick, places[1], lambda: None))

    def start_the_other() -> None:
        thread.start()
        eventually(lambda: waits(postgres, url))

    bury(slow, places[0], start_the_other)
    thread.join()
    letters = ledger(TopicPartition("more", 0)).letter_stream("dead-letter[0]", 0, 10)
    assert [letter.messages[0].value for letter in letters] == [b"slow", b"quick"]


def test_workers_that_write_the_same_logs_in_any_order_do_not_lock_each_other_up(url: str, opened: Open) -> None:
    places = [TopicPartition("in", number) for number in range(12)]
    database = opened(url)
    with database.prepare():
        first = Ledger(database.begin, service="toy", code_version="1", dialect=database.dialect)
    first.claim(places)
    turns = threading.Barrier(2)

    def move(worker: Ledger, order: Sequence[TopicPartition]) -> None:
        for offset in range(30):
            turns.wait()
            with worker.transaction([Record(*place, offset, 0, None, None) for place in order]):
                pass

    class Twin(Ledger):
        """A worker that has the first one's name and position: neither is fenced, so that only locks are between them."""

        def _move(self, cursor, moves):  # type: ignore[no-untyped-def]
            with suppress(Fenced):
                super()._move(cursor, moves)

    twins = []
    for _ in range(2):
        each = opened(url)
        twins.append(Twin(each.begin, service="toy", code_version="1", dialect=each.dialect))
        twins[-1].owner = first.owner  # type: ignore[misc]
        twins[-1]._next = dict.fromkeys(places, 0)
    failed: list[BaseException] = []

    def run(worker: Ledger, order: Sequence[TopicPartition]) -> None:
        try:
            move(worker, order)
        except OperationalError as error:
            failed.append(error)
            turns.abort()

    threads = [
        threading.Thread(target=run, args=(worker, order)) for worker, order in zip(twins, (places, places[::-1]), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


# ------------------------------------------------------------------------------------- going away


def test_a_server_that_restarts_costs_one_try(mine: PostgresServer, opened: Open) -> None:
    database = opened(mine.database())
    table = table_of(database)
    mine.stop()
    mine.start()
    with pytest.raises(OperationalError):
        table.max_notification_id()
    assert table.max_notification_id() is None


def test_a_server_that_is_away_is_told_at_once_and_every_time(mine: PostgresServer, opened: Open) -> None:
    database = opened(mine.database())
    table = table_of(database)

    def write_while_it_crashes() -> None:
        with database.begin() as cursor:
            table.append(cursor, event("a"))
            mine.crash()

    with pytest.raises(OperationalError):
        write_while_it_crashes()
    for _ in range(3):
        with pytest.raises(OperationalError, match="Connection refused"):
            table.max_notification_id()
    mine.start()
    assert table.max_notification_id() is None
    with database.begin() as cursor:
        table.append(cursor, event("a"))
    assert table.max_notification_id() is not None


def test_a_worker_that_is_frozen_within_a_transaction_loses_it_and_its_locks(url: str, opened: Open) -> None:
    frozen, other = opened(url), opened(url)
    table, others = table_of(frozen), table_of(other)

    def freeze() -> None:
        with frozen.begin() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '100ms'")
            table.append(cursor, event("a"))
            with other.begin() as free:  # waits until the server has had enough of the other one
                others.append(free, event("b"))

    with pytest.raises(OperationalError, match="idle-in-transaction timeout"):
        freeze()
    assert [row.originator_id for row in table.select_notifications(1, 10)] == ["b"]


def test_waiting_has_an_end(url: str, opened: Open) -> None:
    with opened(url).read() as cursor:
        cursor.execute("SELECT current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout')")
        assert cursor.fetchone() == ("15s", "15s")


def test_a_standby_may_become_the_server_again(postgres: PostgresServer, url: str, opened: Open) -> None:
    table_of(opened(url))
    name = urlsplit(url).path[1:]
    postgres.sql("postgres", f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    database = opened(url)
    with pytest.raises(OperationalError, match="read-only"), database.begin() as cursor:
        cursor.execute("CREATE TABLE more (n INTEGER)")


def test_what_is_written_may_be_at_fault_itself(url: str, opened: Open) -> None:
    database = opened(url)
    table = table_of(database)
    with pytest.raises(psycopg.DataError), database.begin() as cursor:
        table.append(cursor, event("a\0b"))
    with pytest.raises(psycopg.DataError), database.begin() as cursor:
        cursor.execute("SELECT 1 / ?", (0,))
    assert table.max_notification_id() is None


def test_http_requests_share_few_connections(postgres: PostgresServer, url: str, opened: Open) -> None:
    database = opened(url)
    table = table_of(database)
    threads = [threading.Thread(target=table.max_notification_id) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    name = urlsplit(url).path[1:]
    ((count,),) = postgres.sql("postgres", f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'")
    assert 1 <= count <= 10


# ---------------------------------------------------------------------------------------- shut doors


def refusal(url: str) -> str:
    """Why it cannot be opened: one line, and no password in it."""
    with pytest.raises(CannotOpen) as caught:
        table_of(open_database(url, "", schema="toy"))
    line = str(caught.value)
    assert "\n" not in line
    assert PASSWORD not in line
    assert "HANDOFF_DATABASE" in line
    return line


def test_nobody_answers(postgres: PostgresServer) -> None:
    line = refusal(f"postgresql://handoff:{PASSWORD}@127.0.0.1:9/crm")
    assert line.startswith("PostgreSQL at 127.0.0.1:9, database 'crm', cannot be used by 'handoff': ")
    assert "Connection refused" in line


@pytest.mark.parametrize("service", ["lifecycle", "routing", "forecast"])
def test_a_service_that_is_not_let_in_is_not_to_be_started_again(postgres: PostgresServer, tmp_path: Path, service: str) -> None:
    wrong = {"HANDOFF_DATABASE": postgres.url("postgres", password="falsch"), "HANDOFF_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", f"services.{service}"],
        env={**os.environ, **wrong, f"HANDOFF_{service.upper()}_PORT": str(free_port())},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (psycopg.OperationalError("connection failed: Connection refused"), True),
        (psycopg.OperationalError("failed to resolve host 'db': Name or service not known"), True),
        (psycopg.OperationalError("connection failed: FATAL:  the database system is starting up"), True),
        (psycopg.OperationalError("connection failed: FATAL:  sorry, too many clients already"), True),
        (psycopg.OperationalError('connection failed: FATAL:  password authentication failed for user "x"'), False),
        (psycopg.errors.LockNotAvailable("canceling statement due to lock timeout"), True),
        (psycopg.errors.CannotConnectNow("the database system is starting up"), True),
        (psycopg.errors.DiskFull("no space left on device"), False),
        (psycopg.errors.InsufficientPrivilege("permission denied for schema toy"), False),
        (psycopg.ProgrammingError("missing connection option"), False),
    ],
)
def test_what_keeps_a_service_from_starting_passes_by_itself_or_not(error: psycopg.Error, passing: bool) -> None:
    wrapped = OperationalError("in one line")
    wrapped.__cause__ = error
    assert (passes(error), passes(wrapped)) == (passing, passing)


def test_a_wrong_password(postgres: PostgresServer) -> None:
    line = refusal(postgres.url("postgres", password="falsch"))
    assert 'password authentication failed for user "handoff"' in line
    assert "falsch" not in line


def test_a_database_that_does_not_exist(postgres: PostgresServer) -> None:
    assert 'database "nowhere" does not exist' in refusal(postgres.url("nowhere"))


def test_an_option_that_does_not_exist(postgres: PostgresServer) -> None:
    assert "a part that is not known" in refusal(postgres.url("postgres") + "?colour=blue")


def test_a_user_who_may_not_make_a_schema(postgres: PostgresServer, url: str, opened: Open) -> None:
    name = urlsplit(url).path[1:]
    postgres.sql("postgres", f"CREATE ROLE guest_of_{name} LOGIN PASSWORD '{PASSWORD}'")
    guest = url.replace("handoff:", f"guest_of_{name}:")
    assert f"permission denied for database {name}" in refusal(guest)
    postgres.sql(url, f"CREATE SCHEMA toy AUTHORIZATION guest_of_{name}")
    assert table_of(opened(guest)).max_notification_id() is None


def test_the_function_that_drops_the_lock_does_not_exist(postgres: PostgresServer, url: str, opened: Open) -> None:
    table_of(opened(url))
    functions = "SELECT count(*) FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = 'toy'"
    assert postgres.sql(url, functions) == [(0,)]
