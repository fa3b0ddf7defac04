"""What the campaign asks before it replaces a frozen worker, and which ends of services it has caused."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.faults.stack import locked, unforeseen


def test_a_file_is_locked_while_somebody_writes_to_it_and_not_while_somebody_reads(tmp_path: Path) -> None:
    file = tmp_path / "lifecycle.sqlite"
    with closing(sqlite3.connect(file, isolation_level=None)) as worker:
        worker.execute("PRAGMA journal_mode = WAL")
        worker.execute("CREATE TABLE fact (id TEXT)")
        assert not locked(file)
        worker.execute("BEGIN")
        worker.execute("SELECT * FROM fact").fetchall()
        assert not locked(file)
        worker.execute("INSERT INTO fact VALUES ('n1')")
        assert locked(file)
        worker.execute("COMMIT")
        assert not locked(file)


def test_an_end_is_foreseen_where_the_service_tells_why_or_what_it_stands_on_was_away() -> None:
    at = "2026-11-27 16:12:55,216"
    foreseen = [
        f"forecast ended with exit code 1: {at} ERROR forecast crm.lifecycle.v1[0] is no longer this worker's at 42",
        f"lifecycle ended with exit code 0: {at} INFO lifecycle whatever it said last",
        "lifecycle ended with exit code 0",
        f"lifecycle ended with exit code 2: {at} ERROR lifecycle the server does not answer (HANDOFF_DATABASE)",
        "lifecycle ended with exit code 1: eventsourcing.persistence.OperationalError: database or disk is full",
        "routing ended with exit code 1: KeyError: 'acme'",
    ]
    assert unforeseen(foreseen) == []
    others = [
        "lifecycle ended with exit code 1: KeyError: 'acme'",
        "forecast ended with exit code 1",
        f"lifecycle ended with exit code 70: {at} CRITICAL events.bus.watchdog nothing has moved for 60 s although there is lag",
        f"forecast ended with exit code 1: {at} ERROR events.bus.loop something went wrong",
    ]
    assert unforeseen(others) == others
