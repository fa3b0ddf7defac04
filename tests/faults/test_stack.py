"""What the campaign asks before it replaces a frozen worker."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.faults.stack import locked


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
