"""Big stores: what an event costs where a million are stored, and what it takes on the disk. Without Kafka.

A store of ten thousand events is made by lifecycle itself, of the load. The big one has each of its rows a hundred times, under
the names of as many customers, each in the shard of its name, inserted in the order in which lifecycle wrote them: the tables, the
indexes and the disorder in these are those of a store that has grown, only the thoughts are left out. Both then take in what
comes next in the same load, batch by batch in turn.

It is measured twice. Where ids rise with time, as those that a CRM gives do, and customers come and go, those to whom something
happens share pages in a big store too (``RISING``). Where ids are drawn by lot, they lie evenly among a hundred times as many to
whom nothing happens, each on pages of its own in every index: the worst case (``SCATTERED``).
"""

import shutil
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from events.bus.partitioner import murmur2
from events.record import Record
from events.topics import PARTITIONS
from services.lifecycle.store import Store
from tests.bench.lifecycle import worker_on
from tests.bench.result import Comparison, Goal, Lap
from tests.bench.timing import no_collector, race_by
from tests.bench.workload import as_records, in_batches, messages

STORED: Final = 10_000
"""Events of the small store; the big one has a hundred times as many."""
COPIES: Final = 100
FACTS_PER_ROUND: Final = 4_000
BATCH: Final = 250
"""Records of one transaction here: those of a busy poll, not of the largest."""


class Layout(NamedTuple):
    """Where the customers of the copies lie among those to whom something happens."""

    name: str
    described: str
    customer: Callable[[str, int], str]
    """What a customer is called in a copy."""
    fact: str
    """What a fact is called there: SQL, of the ``id`` it had and of its ``customer``."""
    goals: Mapping[str, Goal]
    """By clock."""


AT_MOST: Final = Goal(1.10, at_most=True)
RISING: Final = Layout(
    "grown",
    "those who came before them in front of the busy customers",
    lambda customer, copy: f"{copy:03d}.{customer}",
    "substr(customer, 1, instr(customer, '.')) || id",
    {"wall": AT_MOST, "cpu": AT_MOST},
)
SCATTERED: Final = Layout(
    "scattered",
    "the busy customers evenly among them",
    lambda customer, copy: f"{customer}.{copy:03d}",
    "id || substr(customer, instr(customer || '.', '.'))",
    {"cpu": AT_MOST},
)
"""Time on the wall has no goal here: beyond the processor's it is the disk's, for pages that every store with such ids writes."""


def grown_rows(
    folder: Path, rounds: int, *, stored: int = STORED, copies: int = COPIES, facts: int = FACTS_PER_ROUND
) -> Iterator[Comparison]:
    """The cost of an event in a big store against one in a small one, and bytes on the disk against bytes of events."""
    records = as_records(messages(stored // 2 + (rounds + 1) * facts))
    for layout in (RISING, SCATTERED):
        paths = folder / f"{layout.name}-small.sqlite", folder / f"{layout.name}-big.sqlite"
        read = filled(paths[0], records, stored)
        shutil.copy(paths[0], paths[1])
        copied(paths[1], copies, layout)
        yield from _cost_rows(layout, paths, records, read, rounds, facts)
    yield _disk_row(paths[1])


def _cost_rows(
    layout: Layout, paths: tuple[Path, Path], records: Sequence[Record], read: int, rounds: int, facts: int
) -> Iterator[Comparison]:
    """A row for each clock, of what both stores take in from ``records``, of which so many were ``read``.

    A round ends with what it wrote in the file itself, not in the write-ahead log: that is put off and not free. A first round,
    which is not counted, fills the caches and brings the log to its length.
    """
    events = [_stored(path) for path in paths]
    laps: dict[str, list[Lap]] = {"wall": [], "cpu": []}
    with closing(_store(paths[0])) as small, closing(_store(paths[1])) as big, no_collector():
        workers = [worker_on(store, records) for store in (small, big)]
        for turn, batches in enumerate(in_batches(in_batches(records[read:], BATCH), max(1, facts // BATCH))[: rounds + 1]):
            before = _stored(paths[0])
            arms = [
                [*(partial(worker.process, batch) for batch in batches), partial(_checkpoint, path)]
                for worker, path in zip(workers, paths, strict=True)
            ]
            spent = race_by((time.perf_counter, time.process_time), *arms, turn=turn)
            written = _stored(paths[0]) - before
            for clock, (floor, subject) in zip(laps, spent, strict=True) if turn else ():  # the first warms both up
                laps[clock].append(Lap(subject / written * 1e6, floor / written * 1e6))
    for clock, of_clock in laps.items():
        yield Comparison(
            name=layout.name if clock == "wall" else f"{layout.name} ({clock})",
            subject=f"an event where {events[1]:,} are stored, {layout.described}, {clock} time",
            floor=f"the same event where {events[0]:,} are",
            unit="µs/event",
            laps=tuple(of_clock),
            goal=layout.goals.get(clock),
        )


def _disk_row(path: Path) -> Comparison:
    """Bytes of the file against bytes of the stored events' state."""
    with closing(sqlite3.connect(path)) as connection:
        state = sum(connection.execute(f"SELECT sum(length(state)) FROM {_table(n)}").fetchone()[0] or 0 for n in range(PARTITIONS))
    return Comparison(
        name="disk",
        subject="lifecycle's file after a checkpoint: tables, indexes, lists, free space",
        floor="the state of its events: facts, and what they changed, as JSON",
        unit="MiB",
        laps=(Lap(path.stat().st_size / 2**20, state / 2**20),),
        goal=Goal(2.0, at_most=True),
    )


def _store(path: Path) -> Store:
    return Store(path, PARTITIONS, code_version="bench")


def _stored(path: Path) -> int:
    """How many events are stored."""
    with closing(sqlite3.connect(path)) as connection:
        return sum(connection.execute(f"SELECT coalesce(max(rowid), 0) FROM {_table(n)}").fetchone()[0] for n in range(PARTITIONS))


def _checkpoint(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()  # the log keeps its length, as it does in a service


def filled(path: Path, records: Sequence[Record], stored: int) -> int:
    """A store that lifecycle has filled until it has so many events; answers with how many records it took."""
    with closing(_store(path)) as store:
        worker = worker_on(store, records)
        read = 0
        for batch in in_batches(records, BATCH):
            worker.process(batch)
            read += len(batch)
            if sum(store.last_number(shard) for shard in range(PARTITIONS)) >= stored:
                break
    return read


def copied(path: Path, copies: int, layout: Layout) -> None:
    """All rows so many times: as they are, and under the names of other customers."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -500000")
        connection.execute("BEGIN")
        lines = connection.execute("SELECT * FROM customer ORDER BY began_at").fetchall()
        names = {line[0]: [line[0], *(layout.customer(line[0], copy) for copy in range(1, copies))] for line in lines}
        _copy_lines(connection, lines, names)
        _copy_events(connection, names)
        connection.execute("DELETE FROM trace")
        for shard in range(PARTITIONS):
            connection.execute(_TRACES.format(shard=shard, table=_table(shard), id=layout.fact))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _copy_lines(connection: sqlite3.Connection, lines: Sequence[Any], names: Mapping[str, Sequence[str]]) -> None:
    connection.execute("DELETE FROM customer")
    marks = ", ".join("?" * len(lines[0]))
    copies = [(name, _shard(name), *rest) for customer, _, *rest in lines for name in names[customer]]  # its first two columns
    connection.executemany(f"INSERT INTO customer VALUES ({marks})", copies)


def _copy_events(connection: sqlite3.Connection, names: Mapping[str, Sequence[str]]) -> None:
    waiting: defaultdict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for shard in range(PARTITIONS):
        rows = connection.execute(f"SELECT originator_id, originator_version, topic, state FROM {_table(shard)} ORDER BY rowid")
        for customer, version, topic, state in rows:
            for name in names[customer]:
                waiting[_shard(name)].append((name, version, topic, state.replace(customer.encode(), name.encode())))
    for shard, some in waiting.items():
        connection.execute(f"DELETE FROM {_table(shard)}")
        connection.executemany(f"INSERT INTO {_table(shard)} VALUES (?, ?, ?, ?)", some)


def _shard(name: str) -> int:
    return murmur2(name.encode(), PARTITIONS)


_TRACES: Final = """INSERT INTO trace
    SELECT source, {id}, {shard}, number
    FROM (SELECT fact ->> 'source' AS source, fact ->> 'id' AS id, customer, number
          FROM (SELECT CAST(state AS TEXT) -> 'fact' AS fact, originator_id AS customer, rowid AS number
                FROM {table} WHERE topic = 'fact'))"""
"""A trace of each fact; those of copied customers have ids of their own."""


def _table(shard: int) -> str:
    return f"shard_{shard:03d}_events"
