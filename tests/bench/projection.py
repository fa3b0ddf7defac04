"""The forecast's fold into its projection, without Kafka: row ``fold`` against raw ``executemany`` of the same rows."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC
from functools import partial
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from events.bus.ledger import Ledger
from events.record import Record
from events.topics import PARTITIONS
from services.forecast.inbound import Inbound
from services.forecast.metrics import Metrics
from services.forecast.store import Store
from services.lifecycle.store import Store as LifecycleStore
from tests.bench.lifecycle import BATCH, rehearse, worker_on
from tests.bench.result import BrokenRunError, Comparison, Goal, Lap
from tests.bench.timing import race, settled_heap
from tests.bench.workload import as_records, in_batches, messages, places
from tests.bench.written import Blueprint, RawWriter, Watcher, digest, rows_of

VIEW: Final = ("deal_history", "status_history", "boundary", "customer")
"""The projection's own tables."""


def published(folder: Path, facts: int) -> list[Record]:
    """What lifecycle publishes of a load, in the order in which it was recorded."""
    records = as_records(messages(facts))
    path = rehearse(folder / "lifecycle.sqlite", records).path
    with closing(LifecycleStore(path, PARTITIONS, code_version="bench")) as store:
        worker = worker_on(store, records)
        sent = [m for stream in worker.streams() for entry in worker.outgoing(stream, 0, 10**9) for m in entry.messages]
    return as_records(sorted(sent, key=lambda message: message.timestamp or 0))


def fold_rows(folder: Path, facts: int, rounds: int) -> Iterator[Comparison]:
    """What the fold reaches of what SQLite can do with the same rows."""
    records = published(folder, facts)
    batches, laps = in_batches(records, BATCH), []
    path = folder / "rehearsal.sqlite"
    transactions = []
    with closing(Store(path)) as store:
        worker, ledger = _worker(store, records)
        with closing(Watcher(path, *VIEW)) as watcher:
            for batch in batches:
                worker.process(batch)
                transactions.append(watcher.look())
        with ledger.transaction() as cursor:
            blueprint = Blueprint.of(cursor)
    rows, wanted = rows_of(transactions), digest(path, *VIEW)
    with settled_heap():
        for turn in range(rounds):
            paths = [folder / f"{name}-{turn}.sqlite" for name in ("fold", "raw")]
            with closing(Store(paths[0])) as store, closing(RawWriter(paths[1], blueprint)) as raw:
                worker, _ = _worker(store, records)
                seconds = race(
                    [partial(worker.process, batch) for batch in batches],
                    [partial(raw.write, transaction) for transaction in transactions],
                    turn=turn,
                )
            if {digest(each, *VIEW) for each in paths} != {wanted}:
                raise BrokenRunError("a projection does not have the rows of the rehearsal")
            laps.append(Lap(*(rows / each for each in seconds)))
    yield Comparison(
        name="fold",
        subject=f"forecast: {len(records):,} messages decoded and folded into the projection",
        floor=f"executemany of the same {rows:,} row changes, {len(batches)} transactions",
        unit="rows/s",
        laps=tuple(laps),
        goal=Goal(0.40),
        sqlite=blueprint.described(),
    )


def _worker(store: Store, records: Sequence[Record]) -> tuple[Inbound, Ledger]:
    ledger = Ledger(store.begin, service="forecast", code_version="bench")
    worker = Inbound(ledger, Metrics(CollectorRegistry()), UTC)
    worker.claim(places(records))
    return worker, ledger
