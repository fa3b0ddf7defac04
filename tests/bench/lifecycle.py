"""Lifecycle without Kafka: the records of a load in memory, its database on disk.

Rows: ``decide`` and ``store`` against raw ``executemany`` of the same rows, ``exactly-once`` against itself without the frame.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from events.bus.cursor import Cursor
from events.bus.ledger import Ledger
from events.bus.letters import DeadLetter
from events.bus.memory import MemoryBus
from events.record import Record, TopicPartition
from events.topics import PARTITIONS, TOPICS
from services.lifecycle.cache import Cache
from services.lifecycle.inbound import Inbound
from services.lifecycle.metrics import Counters
from services.lifecycle.settings import Settings
from services.lifecycle.store import Store
from services.lifecycle.tables import StatusTables
from services.lifecycle.work import Work
from tests.bench.result import BrokenRunError, Comparison, Goal, Lap
from tests.bench.timing import race, settled_heap
from tests.bench.workload import as_records, in_batches, messages, places
from tests.bench.written import Blueprint, RawWriter, Transaction, Watcher, digest, rows_of

BATCH: Final = 2000
"""Records of one transaction: what the loop takes at most from a poll, and does take where many wait."""
EVENTS: Final = "shard_"
"""How the names of the tables of events begin."""
TABLES: Final = (EVENTS, "customer", "trace")
"""The same of all tables that lifecycle writes for every fact: events, the lines of lists, traces."""
POISON_EVERY: Final = 200
"""One record in so many is a dead letter where the frame is measured."""


class RecordingStore(Store):
    """A store that remembers what it was given."""

    def __init__(self, path: Path, shards: int) -> None:
        super().__init__(path, shards, code_version="bench")
        self.commits: list[tuple[Sequence[Record], Work]] = []

    def commit(self, records: Sequence[Record], work: Work) -> dict[int, int]:
        self.commits.append((records, work))
        return super().commit(records, work)


class Frameless(Ledger):
    """The ledger without exactly-once: nothing is known of what was read, nobody is fenced, what cannot be read is dropped."""

    def claim(
        self, places: Collection[TopicPartition], begins: Mapping[TopicPartition, int] = MappingProxyType({})
    ) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 0)

    def fresh(self, records: Sequence[Record]) -> list[Record]:
        return list(records)

    @contextmanager
    def transaction(self, records: Sequence[Record] = (), *, holding: Collection[int] = ()) -> Iterator[Cursor]:
        with self.lock, self._begin() as cursor:
            yield cursor

    def bury(self, cursor: Cursor, letters: Sequence[DeadLetter]) -> None:
        """Drop them."""


class FramelessStore(Store):
    """A store on such a ledger."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, PARTITIONS, code_version="bench")
        self.ledger = Frameless(self._begin, service="lifecycle", code_version="bench")  # type: ignore[misc]


class Rehearsal(NamedTuple):
    """A load as lifecycle takes it in, and what it comes to."""

    batches: list[Sequence[Record]]
    commits: list[tuple[Sequence[Record], Work]]
    transactions: list[Transaction]
    blueprint: Blueprint
    digest: str
    path: Path


def worker_on(store: Store, records: Sequence[Record]) -> Inbound:
    """Lifecycle's worker over a store, with all logs of some records."""
    return worker_on_logs(store, places(records))


def worker_on_logs(store: Store, logs: Collection[TopicPartition]) -> Inbound:
    """Lifecycle's worker over a store, with some logs."""
    bus = MemoryBus({topic.name: topic.partitions(store.shards) for topic in TOPICS})
    worker = Inbound(
        store,
        bus,
        StatusTables(bus, ZoneInfo("UTC")),
        Counters.on(CollectorRegistry()),
        cache=Cache(
            records_max=Settings.model_fields["cache_records"].default, facts_max=Settings.model_fields["cache_facts"].default
        ),
        clock=lambda: 0,
    )
    worker.claim(logs)
    return worker


def rehearse(path: Path, records: Sequence[Record]) -> Rehearsal:
    """Take a load in once, untimed; the database is left at ``path``."""
    batches = in_batches(records, BATCH)
    with closing(RecordingStore(path, PARTITIONS)) as store, closing(Watcher(path, *TABLES)) as watcher:
        worker = worker_on(store, records)
        transactions = []
        for batch in batches:
            worker.process(batch)
            transactions.append(watcher.look())
        with store.ledger.transaction() as cursor:
            blueprint = Blueprint.of(cursor)
    return Rehearsal(batches, store.commits, transactions, blueprint, digest(path, *TABLES), path)


def store_rows(folder: Path, facts: int, rounds: int) -> Iterator[Comparison]:
    """What lifecycle's store reaches of what SQLite can do with the same rows: with the decisions, and without."""
    records = as_records(messages(facts))
    rehearsal = rehearse(folder / "rehearsal.sqlite", records)
    rows = rows_of(rehearsal.transactions)
    decide, store = [], []
    with settled_heap():
        for turn in range(rounds):
            seconds = _store_round(folder / f"round-{turn}", rehearsal, records, turn)
            whole, alone, raw = (rows / each for each in seconds)
            decide.append(Lap(whole, raw))
            store.append(Lap(alone, raw))
    floor = f"executemany of the same {rows:,} rows of events, lists and traces, {len(rehearsal.batches)} transactions"
    yield Comparison(
        name="store",
        subject="lifecycle's store: decided events, lists, traces and positions, committed",
        floor=floor,
        unit="rows/s",
        laps=tuple(store),
        goal=Goal(0.30),
        sqlite=rehearsal.blueprint.described(),
    )
    yield Comparison(
        name="decide",
        subject=f"lifecycle: {len(records):,} records decoded, decided and stored",
        floor=floor,
        unit="rows/s",
        laps=tuple(decide),
        sqlite=rehearsal.blueprint.described(),
    )


def _store_round(folder: Path, rehearsal: Rehearsal, records: Sequence[Record], turn: int) -> list[float]:
    folder.mkdir()
    paths = [folder / f"{name}.sqlite" for name in ("decide", "store", "raw")]
    with (
        closing(Store(paths[0], PARTITIONS, code_version="bench")) as deciding,
        closing(Store(paths[1], PARTITIONS, code_version="bench")) as storing,
        closing(RawWriter(paths[2], rehearsal.blueprint)) as raw,
    ):
        worker = worker_on(deciding, records)
        storing.ledger.claim(places(records))
        seconds = race(
            [partial(worker.process, batch) for batch in rehearsal.batches],
            [partial(storing.commit, *commit) for commit in rehearsal.commits],
            [partial(raw.write, transaction) for transaction in rehearsal.transactions],
            turn=turn,
        )
    for path in paths:
        if digest(path, *TABLES) != rehearsal.digest:
            raise BrokenRunError(f"{path.stem} did not write the rows of the rehearsal")
    return seconds


def frame_rows(folder: Path, facts: int, rounds: int) -> Iterator[Comparison]:
    """What exactly-once costs: the same worker with the frame and without, batch by batch in turn."""
    records = _with_poison(as_records(messages(facts)))
    with settled_heap():
        _frame_round(folder / "warm", records[:BATCH], 0)
        laps = [_frame_round(folder / f"round-{turn}", records, turn) for turn in range(rounds)]
    yield Comparison(
        name="exactly-once",
        subject="lifecycle with fence, positions and dead letters",
        floor="the same worker without them",
        unit="facts/s",
        laps=tuple(laps),
        goal=Goal(0.97),
    )


def _frame_round(folder: Path, records: Sequence[Record], turn: int) -> Lap:
    folder.mkdir()
    batches, paths = in_batches(records, BATCH), [folder / "on.sqlite", folder / "off.sqlite"]
    with closing(Store(paths[0], PARTITIONS, code_version="bench")) as on, closing(FramelessStore(paths[1])) as off:
        framed, bare = worker_on(on, records), worker_on(off, records)
        seconds = race(
            [partial(framed.process, each) for each in batches], [partial(bare.process, each) for each in batches], turn=turn
        )
        _check_letters(on.ledger.dead_letters(), off.ledger.dead_letters(), len(records))
    if digest(paths[0], *TABLES) != digest(paths[1], *TABLES):
        raise BrokenRunError("with exactly-once on and off, different events were stored")
    return Lap(*(len(records) / each for each in seconds))


def _with_poison(records: Sequence[Record]) -> list[Record]:
    return [replace(r, value=b"{") if number % POISON_EVERY == 0 else r for number, r in enumerate(records)]


def _check_letters(on: Mapping[str, int], off: Mapping[str, int], records: int) -> None:
    wanted = {"Undecodable": -(-records // POISON_EVERY)}
    if on != wanted or off:
        raise BrokenRunError(f"dead letters are {dict(on)} and {dict(off)} with exactly-once on and off, not {wanted} and none")
