"""Lifecycle's store on PostgreSQL against raw pipelined ``executemany`` of the same rows; commits are on the disk.

The load is that of row ``store``, decided once on SQLite. Subject and floor have a database each on one server, with the same
tables and indexes; the floor sends all statements of a transaction, and waits for no answer before the commit.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from hashlib import sha256
from pathlib import Path

import psycopg

from events.bus.database import open_database
from events.record import Record
from events.topics import PARTITIONS
from services.lifecycle.store import Store
from tests.bench.lifecycle import TABLES, Rehearsal, rehearse
from tests.bench.result import BrokenRunError, Comparison, Goal, Lap
from tests.bench.timing import race, settled_heap
from tests.bench.workload import as_records, messages, places
from tests.bench.written import Transaction, rows_of
from tests.postgres import PostgresServer, binaries

SCHEMA = "lifecycle"


class RawPostgres:
    """A connection that writes without a thought, into the tables that the store made."""

    def __init__(self, url: str) -> None:
        opened(url).close()
        self._connection = psycopg.connect(url, autocommit=True, options=f"-c search_path={SCHEMA}")

    def write(self, transaction: Transaction) -> None:
        """Commit one transaction."""
        with self._connection.pipeline(), self._connection.transaction(), self._connection.cursor() as cursor:
            for statement in transaction:
                cursor.executemany(statement.sql.replace("?", "%s").encode(), statement.parameters)

    def close(self) -> None:
        self._connection.close()


def opened(url: str) -> Store:
    """Lifecycle's store in a database."""
    return Store(open_database(url, "", schema=SCHEMA), PARTITIONS, code_version="bench")


def postgres_rows(folder: Path, facts: int, rounds: int) -> Iterator[Comparison]:
    """What lifecycle's store reaches of what PostgreSQL can do with the same rows; nothing where no wheel brings it."""
    if binaries() is None:
        return
    records = as_records(messages(facts))
    rehearsal = rehearse(folder / "rehearsal.sqlite", records)
    rows = rows_of(rehearsal.transactions)
    with PostgresServer(fsync=True) as server, settled_heap():
        _round(server, rehearsal, records, 0)  # the first transactions of a server are slower, whoever's they are
        laps = [_round(server, rehearsal, records, turn) for turn in range(rounds)]
    yield Comparison(
        name="postgres",
        subject="lifecycle's store on PostgreSQL: decided events, lists, traces and positions, committed",
        floor=f"pipelined executemany of the same {rows:,} rows, {len(rehearsal.batches)} transactions",
        unit="rows/s",
        laps=tuple(Lap(rows / storing, rows / raw) for storing, raw in laps),
        goal=Goal(0.35),
    )


def _round(server: PostgresServer, rehearsal: Rehearsal, records: Sequence[Record], turn: int) -> list[float]:
    urls = [server.database(), server.database()]
    with closing(opened(urls[0])) as storing, closing(RawPostgres(urls[1])) as raw:
        storing.ledger.claim(places(records))
        seconds = race(
            [partial(storing.commit, *commit) for commit in rehearsal.commits],
            [partial(raw.write, transaction) for transaction in rehearsal.transactions],
            turn=turn,
        )
    if digest(urls[0]) != digest(urls[1]):
        raise BrokenRunError("store and floor did not write the same rows to PostgreSQL")
    for url in urls:
        server.drop(url)
    return seconds


def digest(url: str) -> str:
    """One number for all rows of the tables that lifecycle writes for every fact: equal where the rows are."""
    found = sha256()
    with psycopg.connect(url, autocommit=True, options=f"-c search_path={SCHEMA}") as connection:
        names = "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY tablename"
        for (name,) in connection.execute(names, (SCHEMA,)).fetchall():
            if name.startswith(TABLES):
                rows = connection.execute(f"SELECT {name}::text FROM {name} ORDER BY 1".encode()).fetchall()
                found.update(repr((name, len(rows), rows)).encode())
    return found.hexdigest()
