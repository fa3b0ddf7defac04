"""A consumer on Kafka: kafka-python's, with the positions of the database and all callbacks on the caller's thread.

kafka-python tells of rebalances on its own I/O thread, where one must neither wait nor raise. So the listener only parks the new
partitions and takes a note; ``poll`` reads the notes, asks where to begin, and lets the partitions run. What fails there (the
database, the broker) is raised by ``poll`` and asked again by the next one; no record is read from a partition whose position is
not known.
"""

import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from kafka import ConsumerRebalanceListener, KafkaConsumer
from kafka import TopicPartition as Place
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import KafkaError, LogTruncationError, OffsetOutOfRangeError

from events.bus import Assigned, BusError, PositionLost, Revoked
from events.bus.claims import starts
from events.bus.kafka.clients import answers, connect
from events.bus.kafka.cluster import Cluster
from events.bus.kafka.rejoin import keep_finished_joins
from events.bus.refusal import refused
from events.record import Record, TopicPartition

JOIN_SECONDS: Final = 0.05
"""How often to look for notes of the listener while there is no assignment."""
LEARN_SECONDS: Final = 5.0
LEARN_PAUSE_SECONDS: Final = 0.01
CLOSE_MS: Final = 2_000
REFUSALS: Final = (OffsetOutOfRangeError, LogTruncationError)
"""The log does not reach to the position; or it does, and was cut below it and has grown again (KIP-320)."""
READER_SETTINGS: Final[Mapping[str, Any]] = {
    "isolation_level": "read_committed",
    "auto_offset_reset": "none",
    "enable_auto_commit": False,
    "allow_auto_create_topics": False,
    "fetch_max_wait_ms": 500,
    "fetch_max_bytes": 16 << 20,
    "max_partition_fetch_bytes": 4 << 20,  # above the largest record, or a fetch returns it alone
    "metrics_enabled": False,
}
GROUP_SETTINGS: Final[Mapping[str, Any]] = {
    "partition_assignment_strategy": (RangePartitionAssignor,),  # the same number of every topic goes to the same member
    "session_timeout_ms": 10_000,
    "heartbeat_interval_ms": 500,
    "max_poll_interval_ms": 300_000,
}


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Runs on the I/O thread."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.notes: deque[tuple[bool, list[TopicPartition]]] = deque()

    def on_partitions_assigned(self, assigned: Collection[Place]) -> None:
        for place in assigned:
            self._client.seek(place, 0)  # or the client asks for committed offsets, and there are none
            self._client.pause(place)
        self.notes.append((True, [TopicPartition(*place) for place in assigned]))

    def on_partitions_revoked(self, revoked: Collection[Place]) -> None:
        self.notes.append((False, [TopicPartition(*place) for place in revoked]))

    def on_partitions_lost(self, lost: Collection[Place]) -> None:
        self.on_partitions_revoked(lost)


class GroupConsumer:
    """A member of a group. Belongs to one thread."""

    def __init__(
        self,
        cluster: Cluster,
        bootstrap: str,
        settings: Mapping[str, Any],
        *,
        group: str,
        topics: Sequence[str],
        assigned: Assigned,
        revoked: Revoked,
        instance: str | None,
    ) -> None:
        self._cluster = cluster
        self._assigned = assigned
        self._revoked = revoked
        self._held: set[TopicPartition] = set()
        self._unclaimed: set[TopicPartition] | None = None
        """What was assigned and is not yet claimed, which may be nothing (a stand-by)."""
        self._joined = False
        member = {"group_id": group, "group_instance_id": instance}
        self._client: Any = connect(KafkaConsumer, bootstrap, {**READER_SETTINGS, **GROUP_SETTINGS, **settings, **member})
        keep_finished_joins(self._client)
        self._listener = _Listener(self._client)
        try:
            self._client.subscribe(list(topics), listener=self._listener)
            self._learn(topics)
        except BaseException:
            self.close()
            raise

    def poll(self, seconds: float, records: int) -> Sequence[Record]:
        deadline = time.monotonic() + seconds
        self._follow()
        while True:
            left = max(0.0, deadline - time.monotonic())
            found = self._fetch(left if self._joined else min(left, JOIN_SECONDS), records)
            self._follow()
            if found or left == 0:
                return found

    def positions(self) -> Mapping[TopicPartition, int]:
        consumed = self._client._subscription.all_consumed_offsets()  # `position()` costs a round of checks per partition
        return {place: consumed[place].offset for place in self._held if place in consumed}

    def close(self) -> None:
        with suppress(KafkaError):  # the broker may be away: the session expires by itself
            self._client.close(autocommit=False, timeout_ms=CLOSE_MS)
        self._listener.notes.clear()
        self._give_back(self._held | (self._unclaimed or set()))

    def _learn(self, topics: Sequence[str]) -> None:
        """Wait for the layout of the topics.

        Without it kafka-python joins the group all the same, is assigned nothing, and now and then stays so: the answer to a
        request for no topics, sent by its constructor, counts as the answer to the one that ``subscribe`` asked for.
        """
        layout = self._client._cluster
        deadline = time.monotonic() + LEARN_SECONDS
        while missing := [topic for topic in topics if not layout.partitions_for_topic(topic)]:
            if time.monotonic() > deadline:
                raise BusError(f"no layout of {', '.join(missing)} within {LEARN_SECONDS:g} s")
            layout.request_update()
            time.sleep(LEARN_PAUSE_SECONDS)

    def _fetch(self, seconds: float, records: int) -> list[Record]:
        try:
            with answers("poll"):
                batches = self._client.poll(timeout_ms=seconds * 1000, max_records=records)
        except REFUSALS as error:
            raise self._lost(error) from None
        held = ((place, batch) for place, batch in batches.items() if place in self._held)
        return [record_of(place.topic, place.partition, each) for place, batch in held for each in batch]

    def _follow(self) -> None:
        """Do what the listener noted; ask where to begin in new partitions."""
        notes = self._listener.notes
        while notes:
            gained, places = notes.popleft()
            if not gained:
                self._joined = False
                self._give_back(places)
            else:
                self._joined = True
                self._unclaimed = set(places)
        if self._unclaimed is not None:
            self._claim(sorted(self._unclaimed))

    def _claim(self, places: Sequence[TopicPartition]) -> None:
        claimed = self._assigned(places)
        offsets = starts(claimed, self._cluster.begins(places), self._cluster.ends(places))
        for place in places:
            self._client.seek(Place(*place), offsets[place])
            self._client.resume(Place(*place))
        self._held.update(places)
        self._unclaimed = None

    def _give_back(self, places: Collection[TopicPartition]) -> None:
        unclaimed = self._unclaimed or set()
        known = [place for place in places if place in self._held or place in unclaimed]
        self._held.difference_update(known)
        self._unclaimed = unclaimed.difference(known) or None
        if known:
            self._revoked(known)

    def _lost(self, error: Exception) -> PositionLost:
        """A log was cut below its position while it was being read: say which, by the same rule as at the start."""
        positions = self.positions()
        cut = error.divergent_offsets if isinstance(error, LogTruncationError) else error.args[0]
        lost = {place: offset for place, offset in positions.items() if place in cut}
        return refused(lost or positions, self._cluster.begins(positions), self._cluster.ends(positions))


def record_of(topic: str, partition: int, read: Any) -> Record:
    """A record as kafka-python reads it, as one of ours."""
    headers = tuple((name, value or b"") for name, value in read.headers)
    return Record(topic, partition, read.offset, read.timestamp, read.key, read.value, headers)
