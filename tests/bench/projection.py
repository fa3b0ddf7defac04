"""The forecast's fold into its projection, without Kafka: rows ``fold`` and ``decoded`` against raw ``executemany``."""

from collections.abc import Callable, Iterator, Sequence
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

Steps = Sequence[Callable[[], None]]
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
    """What the fold reaches of what SQLite can do with the same rows: of messages read beforehand, and from their bytes on."""
    records = published(folder, facts)
    batches = in_batches(records, BATCH)
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
    floor = f"executemany of the same {rows:,} row changes, {len(batches)} transactions"
    arms: list[tuple[str, str, Goal | None, Callable[[Inbound], Steps]]] = [
        ("fold", "folded into the projection", Goal(0.40), lambda worker: _folding(worker, batches)),
        ("decoded", "decoded and folded into the projection", None, lambda worker: [partial(worker.process, b) for b in batches]),
    ]
    for name, what, goal, steps in arms:
        laps = []
        with settled_heap():
            for turn in range(rounds):
                paths = [folder / f"{arm}-{turn}.sqlite" for arm in (name, f"raw-{name}")]
                with closing(Store(paths[0])) as store, closing(RawWriter(paths[1], blueprint)) as raw:
                    worker, _ = _worker(store, records)
                    seconds = race(steps(worker), [partial(raw.write, transaction) for transaction in transactions], turn=turn)
                if {digest(each, *VIEW) for each in paths} != {wanted}:
                    raise BrokenRunError("a projection does not have the rows of the rehearsal")
                laps.append(Lap(*(rows / each for each in seconds)))
        yield Comparison(
            name=name,
            subject=f"forecast: {len(records):,} messages {what}",
            floor=floor,
            unit="rows/s",
            laps=tuple(laps),
            goal=goal,
            sqlite=blueprint.described(),
        )


def _folding(worker: Inbound, batches: Sequence[Sequence[Record]]) -> Steps:
    """The steps that fold messages that are read beforehand."""
    read = [[worker.taking.read(record) for record in batch] for batch in batches]
    return [partial(worker.take_in, arrivals) for arrivals in read]


def _worker(store: Store, records: Sequence[Record]) -> tuple[Inbound, Ledger]:
    ledger = Ledger(store.begin, service="forecast", code_version="bench")
    worker = Inbound(ledger, Metrics(CollectorRegistry()), UTC)
    worker.claim(places(records))
    return worker, ledger
