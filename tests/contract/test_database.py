"""What services rely on, whatever ``HANDOFF_DATABASE`` says: transactions, snapshots, tables of events, several at once."""

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eventsourcing.persistence import IntegrityError, StoredEvent

from events.bus.database import Database, EventTable, open_database
from events.bus.database.setting import checked

Open = Callable[..., Database]


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("postgres container", marks=pytest.mark.docker),
    ]
)
def database(request: pytest.FixtureRequest) -> str:
    """The setting of each kind, PostgreSQL's image among them."""
    match request.param:
        case "sqlite":
            return "sqlite"
        case "postgres":
            url: str = request.getfixturevalue("postgres").database()
        case _:
            url = request.getfixturevalue("container_database")
    return url


@pytest.fixture
def opened(tmp_path: Path, database: str) -> Iterator[Open]:
    """``opened(schema)``: the test's database, anew, as another process has it."""
    made: list[Database] = []

    def make(schema: str = "toy") -> Database:
        made.append(open_database(database, tmp_path / f"{schema}.sqlite", schema=schema))
        return made[-1]

    yield make
    for each in made:
        each.close()


def table_of(database: Database, name: str = "shard_000_events") -> EventTable:
    with database.prepare():
        return database.events(name)


def stored(originator: str, *versions: int) -> list[StoredEvent]:
    return [StoredEvent(originator, version, "fact", f"{originator}{version}".encode() + b"\0\xff") for version in versions]


def test_events_are_numbered_in_order_and_read_again(opened: Open) -> None:
    database = opened()
    table = table_of(database)
    with database.begin() as cursor:
        first = table.append(cursor, stored("a", 1, 2))
        second = table.append(cursor, stored("näh\x01", 1))
    assert [*first, *second] == sorted({*first, *second})
    assert table.max_notification_id() == second[0]
    again = table_of(opened())
    assert [(row.originator_id, row.originator_version, row.state) for row in again.select_notifications(1, 10)] == [
        ("a", 1, b"a1\0\xff"),
        ("a", 2, b"a2\0\xff"),
        ("näh\x01", 1, "näh\x011".encode() + b"\0\xff"),
    ]
    assert [row.originator_version for row in again.select_notifications(first[1], 1)] == [2]
    assert [row.originator_version for row in again.select_events("a")] == [1, 2]
    assert [row.originator_version for row in again.select_events("a", limit=1)] == [1]
    assert again.select_events("b") == []


def test_it_says_which_tables_there_are(opened: Open) -> None:
    database = opened()
    assert list(database.tables()) == []
    table_of(database)
    assert "shard_000_events" in database.tables()
    assert list(opened("another").tables()) == []


def test_a_version_that_exists_is_refused_and_the_transaction_with_it(opened: Open) -> None:
    database = opened()
    table = table_of(database)
    with database.begin() as cursor:
        table.append(cursor, stored("a", 1))
    with pytest.raises(IntegrityError), database.begin() as cursor:
        table.append(cursor, stored("b", 1) + stored("a", 1))
    assert table.select_events("b") == []
    with database.begin() as cursor:  # numbers may be left out, and never come again
        (number,) = table.append(cursor, stored("b", 1))
    assert [row.id for row in table.select_notifications(1, 10)] == [1, number]


def test_nothing_is_an_event_too_few_for_nothing(opened: Open) -> None:
    database = opened()
    table = table_of(database)
    with database.begin() as cursor:
        assert list(table.append(cursor, [])) == []
    assert table.max_notification_id() is None


def test_an_error_rolls_back(opened: Open) -> None:
    database = opened()
    table = table_of(database)

    def fail() -> None:
        with database.begin() as cursor:
            table.append(cursor, stored("a", 1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert table.select_notifications(1, 10) == []


def test_a_snapshot_is_of_one_moment(opened: Open) -> None:
    database, other = opened(), opened()
    table, others = table_of(database), table_of(other)
    with database.begin() as cursor:
        table.append(cursor, stored("a", 1))
    with database.read() as cursor:
        cursor.execute("SELECT count(*) FROM shard_000_events WHERE topic = ?", ("fact",))
        assert tuple(cursor.fetchone()) == (1,)
        with other.begin() as writing:
            others.append(writing, stored("a", 2))
        cursor.execute("SELECT max(originator_version) FROM shard_000_events")
        assert tuple(cursor.fetchone()) == (1,)
    with database.read() as cursor:
        cursor.execute("SELECT max(originator_version) FROM shard_000_events")
        assert tuple(cursor.fetchone()) == (2,)


def test_what_is_asked_may_have_a_percent_sign(opened: Open) -> None:
    with opened().read() as cursor:
        cursor.execute("SELECT '100 %', 7 % 4, ?", ("?%s",))
        assert tuple(cursor.fetchone()) == ("100 %", 3, "?%s")


def test_services_that_share_a_server_do_not_meet(opened: Open) -> None:
    one, two = opened("one"), opened("two")
    tables = [table_of(each, "desk_events") for each in (one, two)]
    with one.begin() as cursor:
        tables[0].append(cursor, stored("a", 1))
    assert tables[1].max_notification_id() is None


def test_workers_that_start_at_once_on_nothing(opened: Open) -> None:
    workers = [opened() for _ in range(5)]
    start = threading.Barrier(len(workers))
    tables: list[EventTable] = []

    def begin(worker: Database) -> None:
        start.wait()
        with worker.prepare():
            tables.extend(worker.events(f"shard_{number:03d}_events") for number in range(3))

    threads = [threading.Thread(target=begin, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tables) == 15
    assert {table.max_notification_id() for table in tables} == {None}


# -------------------------------------------------------------------------------------------- setting

GOOD = [
    "sqlite",
    "postgresql://handoff:secret@db.example:5432/handoff",
    "postgres://handoff@db/handoff?sslmode=require",
    "postgresql://h%40ndoff:p%2Fw%23%3F@[::1]:5432/crm",
    "postgresql://one:5432,two:5432/crm?target_session_attrs=read-write",
    "postgresql://handoff:x@/crm?host=/run/postgresql",
]
BAD = [
    ("mysql://root:secret@db/crm", "'mysql' is not supported: use sqlite, or postgresql://user:password@host:5432/database"),
    ("postgresql+psycopg://u:secret@db/crm", "'postgresql+psycopg' is not supported"),
    ("oracle", "'oracle' is not supported"),
    ("host=db password=secret", "this is not supported"),
    ("secret:word@db/crm", "'secret' is not supported"),
    ("postgresql:secret", "'postgresql' is not supported"),
    ("postgresql://u:sec@ret@db/crm", "write @ as %40"),
    ("postgresql://u:sec/ret@db/crm", "write @ as %40, / as %2F"),
    ("postgresql://u:sec#ret@db/crm", "# as %23"),
    ("postgresql://u:sec?ret@db/crm", "? as %3F"),
    ("postgresql://u:sec:ret@db/crm", ": as %3A"),
    ("postgresql://u:secret@db:port/crm", "this is not a URL such as"),
    ("postgresql://u:secret@db/crm/more", "this is not a URL such as"),
    ("postgresql://u:sec ret@db/crm", "this is not a URL such as"),
    ("postgresql:///crm", "this is not a URL such as"),
    ("postgresql://u:secret@db", "the URL names no database"),
    ("postgresql://u:secret@db/", "the URL names no database"),
]


@pytest.mark.parametrize("setting", GOOD)
def test_a_setting_that_is_one(setting: str) -> None:
    assert checked(setting) == setting


@pytest.mark.parametrize(("setting", "message"), BAD)
def test_a_setting_that_is_none_is_told_without_its_password(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        checked(setting)
    assert "ret" not in str(caught.value).replace("'secret'", "")
