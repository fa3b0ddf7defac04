"""What the stack stands on and does not keep itself: the brokers of a cluster, and PostgreSQL. Each is started again when it ends.

``handoff up`` is given an existing cluster and an existing database, as in production; so somebody else must look after these. Here
it is a thread per server, which never gives up: a server whose disk is full comes back when there is space.
"""

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from events.bus import BusError
from events.bus.kafka.clients import connect
from handoff.broker import EmbeddedKafka, KafkaUnavailable
from handoff.broker.embedded import new_cluster_id
from tests.ports import free_ports
from tests.postgres import PostgresServer

LOOK_SECONDS: Final = 0.05
PAUSE_SECONDS: Final = 0.5
"""Between an end and the next start, as a supervisor has it."""
START_SECONDS_MAX: Final = 90.0


class Server(Protocol):
    """A server as its keeper sees it."""

    @property
    def running(self) -> bool:
        """Whether its first process lives."""

    def pids(self) -> Sequence[int]:
        """The ids of its processes, the first one first; nothing when none runs."""

    def works(self) -> bool:
        """Whether clients can work with it now."""

    def start(self) -> object:
        """Start it, and return when it works. Raises where it does not."""

    @property
    def ends_by(self) -> int:
        """The signal that asks its first process to end cleanly."""


class Broker:
    """One broker of a cluster."""

    ends_by = signal.SIGTERM

    def __init__(self, kafka: EmbeddedKafka) -> None:
        self._kafka = kafka
        self.start = kafka.start
        self.works = kafka.ready

    @property
    def running(self) -> bool:
        return self._kafka.running

    def pids(self) -> Sequence[int]:
        with suppress(OSError, ValueError):  # not written yet
            return [self._kafka.pid] if self.running else []
        return []


class Postgres:
    """PostgreSQL: killed and frozen with all its processes, as when its container is."""

    ends_by = signal.SIGINT

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self.start = server.start
        self.pids = server.pids
        self.works = server.answers

    @property
    def running(self) -> bool:
        return self._server.running


class Cluster:
    """So many brokers that are controllers too. What is asked of it is asked of all of them."""

    def __init__(self, folders: Sequence[Path], environment: Mapping[str, str]) -> None:
        ports = free_ports(2 * len(folders))
        own, controllers = ports[: len(folders)], ports[len(folders) :]
        copies = str(len(folders))
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in enumerate(controllers, 1))
        cluster_id = new_cluster_id()
        self.replication: Final = len(folders)
        self.bootstrap: Final = ",".join(f"127.0.0.1:{port}" for port in own)
        self._admin: Any = None
        self.brokers: Final = [
            EmbeddedKafka(
                folder,
                own[place],
                {
                    "node.id": str(place + 1),
                    "listeners": f"BROKER://127.0.0.1:{own[place]},CONTROLLER://127.0.0.1:{controllers[place]}",
                    "controller.quorum.voters": voters,
                    "offsets.topic.replication.factor": copies,
                    "transaction.state.log.replication.factor": copies,
                    "share.coordinator.state.topic.replication.factor": copies,
                },
                cluster_id=cluster_id,
                environment=environment,
            )
            for place, folder in enumerate(folders)
        ]

    def start(self) -> None:
        """Start all at once: none is ready alone."""
        with ThreadPoolExecutor(len(self.brokers)) as pool:
            list(pool.map(EmbeddedKafka.start, self.brokers))

    def whole(self) -> bool:
        """Whether every copy of every partition is in sync: only then may one broker be lost."""
        try:
            if self._admin is None:
                self._admin = connect(KafkaAdminClient, self.bootstrap, {"client_id": "campaign"})
            topics = self._admin.describe_topics()
            return all(len(part["isr_nodes"]) == self.replication for topic in topics for part in topic["partitions"])
        except (BusError, KafkaError):
            self.close()
            return False

    def close(self) -> None:
        """Free the client."""
        admin, self._admin = self._admin, None
        if admin is not None:
            admin.close()


class Keeper:
    """Starts a server again whenever it has ended, unless it is to be ``away``, until ``close``."""

    def __init__(self, name: str, server: Server) -> None:
        self.server: Final = server
        self.ends = 0
        """How often it has ended."""
        self._away = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"keeper of {name}", daemon=True)

    def start(self) -> None:
        """Begin to look after it."""
        self._thread.start()

    @contextmanager
    def away(self) -> Iterator[None]:
        """It is not started again before the end."""
        self._away.set()
        try:
            yield
        finally:
            self._away.clear()

    def close(self) -> None:
        """Let it end."""
        self._ending.set()
        self._thread.join(START_SECONDS_MAX)

    def _keep(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            if self.server.running or self._away.is_set():
                continue
            self.ends += 1
            if not self._ending.wait(PAUSE_SECONDS):
                with suppress(KafkaUnavailable, AssertionError):  # it did not start: one more end, and the next try
                    self.server.start()
