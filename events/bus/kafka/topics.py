"""Creating the topics of :mod:`events.topics` on a cluster."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kafka.admin import KafkaAdminClient

from events.bus.kafka.clients import answers, connect
from events.topics import TOPICS, Topic

FOR_EVER: Final = "-1"
YEARS_MS: Final = str(100 * 365 * 24 * 3600 * 1000)
_MISSING: Final = 3


def create_topics(
    bootstrap: str,
    shards: int,
    *,
    log_time: bool = True,
    replication: int = 1,
    topics: Sequence[Topic] = TOPICS,
    security: Mapping[str, Any] | None = None,
) -> list[str]:
    """Create the topics that are missing, and answer with their names; those that exist are left as they are.

    ``log_time`` False: simulated time. Writers' timestamps stand on the inputs too, years in the past, and nothing expires.
    Raises ``ValueError`` where an existing topic has another number of partitions: customers would change their shard.
    """
    admin: Any = connect(KafkaAdminClient, bootstrap, {"client_id": "handoff-topics", **(security or {})})
    try:
        with answers(f"creating topics at {bootstrap}"):
            found = {each["name"]: each for each in admin.describe_topics([topic.name for topic in topics])}
            for topic in topics:
                _check(topic, shards, found[topic.name])
            missing = [topic for topic in topics if found[topic.name]["error_code"] == _MISSING]
            if missing:
                layout = {topic.name: _layout(topic, shards, log_time, replication) for topic in missing}
                admin.create_topics(layout, wait_for_metadata=True)
            return [topic.name for topic in missing]
    finally:
        admin.close()


def _check(topic: Topic, shards: int, found: Mapping[str, Any]) -> None:
    wanted, there = topic.partitions(shards), len(found["partitions"])
    if found["error_code"] != _MISSING and there != wanted:
        raise ValueError(
            f"topic {topic.name} has {there} partitions, and {wanted} are asked for: set HANDOFF_PARTITIONS to what it was"
            " when the topics were created, or use another cluster"
        )


def _layout(topic: Topic, shards: int, log_time: bool, replication: int) -> dict[str, Any]:
    return {
        "num_partitions": topic.partitions(shards),
        "replication_factor": replication,
        "configs": configuration(topic, log_time=log_time, replication=replication),
    }


def configuration(topic: Topic, *, log_time: bool, replication: int = 1) -> dict[str, str]:
    """The settings of a topic on the broker."""
    stamped = topic.log_time and log_time
    settings = {
        "cleanup.policy": "delete",
        "max.message.bytes": str(topic.bytes_max),
        "message.timestamp.type": "LogAppendTime" if stamped else "CreateTime",
        "retention.ms": FOR_EVER if topic.retention is None or not log_time else str(topic.retention),
        "retention.bytes": FOR_EVER,
        "min.insync.replicas": str(max(1, replication - 1)),
    }
    if not stamped:
        settings["message.timestamp.after.max.ms"] = YEARS_MS  # a broker's clock that was set back refuses nothing
    if not log_time:
        settings |= {
            "message.timestamp.before.max.ms": YEARS_MS,
            "segment.ms": YEARS_MS,  # or a simulated year of records makes 52 segments in every partition
        }
    return settings
