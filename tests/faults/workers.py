"""Workers of lifecycle in this process, driven turn by turn, for the control arms: what happens, happens at just that place.

They are made of the real parts, or of those in which a guard is given up (``tests.simulation.services.Kinds``), on a bus and a
database file. Who is not turned is frozen; who is closed in the middle is killed.
"""

import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from prometheus_client import CollectorRegistry

from events.bus import Bus
from events.bus.database import TRANSIENT
from events.bus.database.sqlite import SQLite
from events.bus.ledger import Outgoing
from events.bus.loop import Loop
from events.bus.worker import Worker
from events.topics import LIFECYCLE_INPUTS, PARTITIONS
from services.lifecycle.cache import Cache
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import DEFAULT, Tables
from services.lifecycle.metrics import Counters
from services.lifecycle.reading import NOW, customer_view, read
from services.lifecycle.store import Store
from services.lifecycle.tables import StatusTables
from tests.faults import gathering
from tests.faults.evidence import Evidence
from tests.faults.load import Item
from tests.simulation.faulty import Around
from tests.simulation.services import Kinds

SETTLED_SECONDS_MAX: Final = 60.0
UTC: Final = ZoneInfo("UTC")
POLICY: Final = Policy(Tables((DEFAULT,)), UTC)


class Interrupted(Around):
    """A worker to which something happens when the relay has read what it is about to send."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker)
        self.before_sending: Callable[[], None] | None = None

    def outgoing(self, stream: str, after: int, limit: int) -> Sequence[Outgoing]:
        entries = self.worker.outgoing(stream, after, limit)
        if any(entry.messages for entry in entries) and self.before_sending is not None:
            happens, self.before_sending = self.before_sending, None
            happens()
        return entries


class Workers:
    """All under one name and on one database."""

    def __init__(self, bus: Bus, folder: Path, kinds: Kinds) -> None:
        self.bus = bus
        self.path = folder / "lifecycle.sqlite"
        self._kinds = kinds
        self._made: list[tuple[Loop, Store]] = []
        self.newest: Interrupted | None = None

    def start(self) -> Loop:
        """One more, which takes over from those before."""
        kinds = self._kinds
        store = kinds.lifecycle_store(self.path, PARTITIONS, code_version="test", identity=self.bus.identity)
        inbound = kinds.lifecycle_inbound(
            store,
            self.bus,
            StatusTables(self.bus, UTC),
            Counters.on(CollectorRegistry()),
            cache=Cache(records_max=20_000, facts_max=200_000),
            clock=time.time_ns,
        )
        topics = [topic.name for topic in LIFECYCLE_INPUTS]
        self.newest = Interrupted(kinds.lifecycle(inbound))
        loop = Loop(
            self.bus, self.newest, group="lifecycle", topics=topics, instance="lifecycle-1", poll_seconds=0.05, transient=TRANSIENT
        )
        self._made.append((loop, store))
        return loop

    def settle(self, loop: Loop) -> None:
        """Let one work until nothing is left to do. Raises what ends it."""
        quiet = 0

        def is_quiet() -> bool:
            nonlocal quiet
            progress = loop.progress()
            quiet = quiet + 1 if progress.state == "running" and progress.lag == 0 else 0
            return quiet == 3  # the ticks that it makes when it is idle come back to it

        self.turn(loop, is_quiet)

    def turn(self, loop: Loop, until: Callable[[], object]) -> None:
        """Let one work until a condition holds."""
        deadline = time.monotonic() + SETTLED_SECONDS_MAX
        while True:
            assert time.monotonic() < deadline, loop.progress()
            loop.turn()
            if until():
                return

    def close(self) -> None:
        for loop, store in self._made:
            loop.close()
            store.close()


@contextmanager
def nothing_fits() -> Iterator[None]:
    """No file of this process can grow, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))  # Python ignores the signal: a write fails
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def evidence_of(workers: Workers, sent: list[Item]) -> Evidence:
    """What came out of lifecycle."""
    store = Store(workers.path, PARTITIONS, code_version="test")
    try:
        customers = gathering.customers_of(store)
        return Evidence(
            sent=sent,
            partitions=PARTITIONS,
            logs=gathering.read_logs(workers.bus, "gathering"),
            accepted=gathering.stored_facts(store, customers),
            records={customer: customer_view(read(store, customer, NOW, POLICY)) for _, customer in customers},
            notifications=gathering.notifications(store),
            withheld=gathering.withheld(store),
            letters={"lifecycle": gathering.buried(SQLite(workers.path))},
        )
    finally:
        store.close()
