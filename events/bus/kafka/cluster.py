"""Questions to the cluster: which topics there are, and where their logs begin and end. Thread-safe."""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeVar

from kafka import TopicPartition as Place
from kafka.admin import KafkaAdminClient, OffsetSpec
from kafka.errors import KafkaError, for_code
from kafka.protocol.consumer import IsolationLevel

from events.bus import BusError
from events.bus.kafka.clients import answers, connect
from events.record import TopicPartition

Answer = TypeVar("Answer")

AWAY_SECONDS: Final = 1.0
"""For so long after a failure everybody is told at once, so that probes do not queue up for a broker that is away."""
_UNKNOWN_TOPIC: Final = 3


class Description(NamedTuple):
    """A topic: how many partitions it has, and what it is besides its name."""

    partitions: int
    identity: str


class Cluster:
    """One admin client, made when it is first needed and made anew after it failed."""

    def __init__(self, bootstrap: str, settings: Mapping[str, Any]) -> None:
        self._bootstrap = bootstrap
        self._settings = settings
        self._lock = threading.Lock()
        self._admin: Any = None
        self._cluster_id = ""
        self._failed_at = float("-inf")
        self._failure = ""

    def describe(self, topic: str) -> Description:
        """Partitions and identity. Raises ``LookupError`` where there is no such topic."""
        found = self._ask(f"topic {topic}", lambda admin: admin.describe_topics([topic]))[0]
        if found["error_code"] == _UNKNOWN_TOPIC:
            raise LookupError(f"topic {topic} does not exist at {self._bootstrap}: create the topics with `handoff topics create`")
        with answers(f"topic {topic} at {self._bootstrap}"):
            if found["error_code"]:
                raise for_code(found["error_code"])
        return Description(len(found["partitions"]), f"{self._cluster()}/{found['topic_id']}")

    def committed_ends(self, places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset after the last record that readers of committed records see."""
        return self._offsets(places, OffsetSpec.LATEST, IsolationLevel.READ_COMMITTED)

    def ends(self, places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset after the last record, those of open transactions included."""
        return self._offsets(places, OffsetSpec.LATEST, IsolationLevel.READ_UNCOMMITTED)

    def begins(self, places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset of the first record that is still kept."""
        return self._offsets(places, OffsetSpec.EARLIEST, IsolationLevel.READ_UNCOMMITTED)

    def close(self) -> None:
        """Free the client. A later question makes another."""
        with self._lock:
            self._drop()

    def _cluster(self) -> str:
        if not self._cluster_id:
            self._cluster_id = self._ask("cluster", lambda admin: str(admin.describe_cluster()["cluster_id"]))
        return self._cluster_id

    def _offsets(self, places: Collection[TopicPartition], spec: Any, level: Any) -> dict[TopicPartition, int]:
        if not places:
            return {}
        asked = {Place(*place): spec for place in places}
        found = self._ask("offsets", lambda admin: admin.list_partition_offsets(asked, isolation_level=level))
        return {TopicPartition(place.topic, place.partition): answer.offset for place, answer in found.items()}

    def _ask(self, what: str, question: Callable[[Any], Answer]) -> Answer:
        with self._lock:
            if time.monotonic() - self._failed_at < AWAY_SECONDS:
                raise BusError(self._failure)
            try:
                if self._admin is None:
                    self._admin = connect(KafkaAdminClient, self._bootstrap, self._settings)
                with answers(f"{what} at {self._bootstrap}"):
                    return question(self._admin)
            except BusError as error:
                self._failure, self._failed_at = str(error), time.monotonic()
                self._drop()
                raise

    def _drop(self) -> None:
        admin, self._admin, self._cluster_id = self._admin, None, ""
        if admin is not None:
            with suppress(KafkaError):
                admin.close()
