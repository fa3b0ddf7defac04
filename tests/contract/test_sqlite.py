"""What only SQLite does: the files that a process holds open, and who waits for whom."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from eventsourcing.persistence import OperationalError

from events.bus.database import Database, open_database, sqlite
from events.bus.database.sqlite import CONNECTIONS_MAX

OPEN_FILES = Path("/proc/self/fd")

pytestmark = pytest.mark.skipif(not OPEN_FILES.exists(), reason="asks Linux which files are open")


def held(folder: Path) -> int:
    """How many files of a folder this process has open."""
    return sum(each.resolve().is_relative_to(folder) for each in OPEN_FILES.iterdir())


def read(database: Database, times: int) -> None:
    """Read so many times at once."""
    with ExitStack() as readers:
        for _ in range(times):
            readers.enter_context(database.read()).execute("SELECT count(*) FROM sqlite_master")


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """One that does not wait for long."""
    monkeypatch.setattr(sqlite, "LOCK_SECONDS_MAX", 0.05)
    database = open_database("sqlite", tmp_path / "toy.sqlite", schema="toy")
    yield database
    database.close()


def test_a_process_holds_the_same_files_however_requests_come(tmp_path: Path, database: Database) -> None:
    with database.prepare(), database.begin() as cursor:
        cursor.execute("CREATE TABLE fact (number INTEGER)")
    at_first = held(tmp_path)
    for times in range(1, CONNECTIONS_MAX + 1):
        read(database, times)
        with database.begin() as cursor:
            cursor.execute("INSERT INTO fact VALUES (?)", (times,))
        assert held(tmp_path) == at_first, f"{times} at once"
    database.close()
    assert held(tmp_path) == 0


def test_a_request_that_finds_all_connections_taken_waits_for_one_so_long(tmp_path: Path, database: Database) -> None:
    with database.prepare():
        pass
    at_first = held(tmp_path)
    with ExitStack() as readers:
        for _ in range(CONNECTIONS_MAX):
            readers.enter_context(database.read())
        with pytest.raises(OperationalError):
            read(database, 1)
        assert held(tmp_path) == at_first
    read(database, 1)
    assert held(tmp_path) == at_first


def test_a_writer_that_finds_all_connections_taken_keeps_no_other_from_writing(database: Database) -> None:
    with database.prepare():
        pass
    with ExitStack() as readers:
        for _ in range(CONNECTIONS_MAX):
            readers.enter_context(database.read())
        with pytest.raises(OperationalError), database.begin():
            pass
    with database.begin() as cursor:
        cursor.execute("CREATE TABLE fact (number INTEGER)")


def test_a_writer_that_waits_for_another_keeps_no_reader_waiting(tmp_path: Path) -> None:
    database = open_database("sqlite", tmp_path / "toy.sqlite", schema="toy")
    waits, wrote = threading.Event(), threading.Event()

    def write() -> None:
        waits.set()
        with database.begin() as cursor:
            cursor.execute("CREATE TABLE fact (number INTEGER)")
        wrote.set()

    with database.prepare():
        pass
    with ThreadPoolExecutor() as threads:
        with database.begin():
            threads.submit(write)
            assert waits.wait(20)
            for _ in range(99):
                read(database, CONNECTIONS_MAX - 1)
            assert not wrote.is_set()
        assert wrote.wait(20)
    database.close()
