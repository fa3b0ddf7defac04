"""Where a stack runs: what it stands on by its layout, and what its processes are told of that.

In go a layout and a folder. Out come servers that are started again whenever they end, disks that can get full, and the environment
by which ``handoff up`` finds all this: the same variables that a user sets.
"""

import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from events.bus.database import SQLITE, Database, open_database
from tests.faults.disks import Ground, NotHere, SlowDisks, SmallDisk, ground, separate
from tests.faults.plan import BROKERS, POSTGRES, SERVICES, Kind, Layout
from tests.faults.servers import Broker, Cluster, Keeper, Postgres, Server
from tests.postgres import PostgresServer

SETTINGS: Final = {"max_wal_size": "64MB", "min_wal_size": "32MB"}
"""PostgreSQL's log shall not fill its disk by itself."""


class Site:
    """A context manager: within, all servers run."""

    def __init__(self, layout: Layout, folder: Path) -> None:
        self.layout: Final = layout
        self.data_dir: Final = folder / "data"
        self.database = SQLITE
        self.disks: dict[str, SmallDisk] = {}
        self.slow: SlowDisks | None = None
        self.keepers: dict[str, Keeper] = {}
        self.missing: dict[Kind, str] = {}
        """What this machine cannot do, and why."""
        self.environment: dict[str, str] = {}
        """Beside what ``handoff up`` is told anyway."""
        self._folder = folder
        self._cluster: Cluster | None = None
        self._held = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as held:
            self._make_disks(held.enter_context(ground()))
            if POSTGRES in self.layout.servers:
                self._start_postgres(held)
            if BROKERS[0] in self.layout.servers:
                self._start_cluster(held)
            for keeper in self.keepers.values():
                keeper.start()
                held.callback(keeper.close)
            self._held = held.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._held.close()

    def open(self, service: str) -> Database:
        """A service's database."""
        return open_database(self.database, self.data_dir / f"{service}.sqlite", schema=service)

    def whole(self) -> bool:
        """Whether all servers work, and every broker has everything."""
        working = all(keeper.server.works() for keeper in self.keepers.values())
        return working and (self._cluster is None or self._cluster.whole())

    # -------------------------------------------------------------------------------------- making it

    def _make_disks(self, place: Ground) -> None:
        try:
            self.slow = place.slow()
            self.environment |= self.slow.environment
        except NotHere as reason:
            self.missing[Kind.SLOW_DISKS] = str(reason)
        try:
            separate()  # also where this layout has no disks: for the campaigns that come after it
            for name in self.layout.disks:
                self.disks[name] = place.disk(name)
        except NotHere as reason:
            self.missing[Kind.FULL_DISK] = str(reason)
            self.disks.clear()
        self.data_dir.mkdir(parents=True)
        for name in set(SERVICES) & self.disks.keys():
            file = f"{name}.sqlite"
            (self.data_dir / file).symlink_to(self.disks[name].folder / file)

    def _start_postgres(self, held: ExitStack) -> None:
        disk = self.disks.get(POSTGRES)
        server = PostgresServer(
            fsync=True,
            data=None if disk is None else disk.folder / "data",
            settings=SETTINGS,
            environment={} if self.slow is None else self.slow.environment,
        )
        held.callback(server.close)
        self.database = server.database()
        self.environment["HANDOFF_DATABASE"] = self.database
        self._keep(POSTGRES, Postgres(server))

    def _start_cluster(self, held: ExitStack) -> None:
        folders = [self.disks[name].folder / "kafka" if name in self.disks else self._folder / name for name in BROKERS]
        cluster = Cluster(folders, {**os.environ, **({} if self.slow is None else self.slow.environment)})
        held.callback(cluster.close)
        for broker in cluster.brokers:
            held.callback(broker.stop)
        cluster.start()
        self._cluster = cluster
        self.environment |= {"HANDOFF_KAFKA": cluster.bootstrap, "HANDOFF_REPLICATION": str(cluster.replication)}
        for name, broker in zip(BROKERS, cluster.brokers, strict=True):
            self._keep(name, Broker(broker))

    def _keep(self, name: str, server: Server) -> None:
        self.keepers[name] = Keeper(name, server)
