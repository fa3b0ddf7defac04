"""What a cluster that answers says of itself: versions, topics with their settings, and the bounds of every log.

One client for all questions, made by the same rules as the services' clients.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kafka import TopicPartition as Place
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, OffsetSpec
from msgspec import Struct

from events.bus.kafka.clients import answers, connect
from events.record import TopicPartition
from events.topics import TOPICS
from handoff.doctor.finding import Outcome, error
from handoff.doctor.layout import Laid

VERSION_MIN: Final = (3, 0)
"""The first release that names topics by id in all that is asked here, and that always knows the newest timestamp of a log."""

_UNKNOWN_TOPIC: Final = 3


class Bounds(Struct, frozen=True):
    """A log: its first offset, the one after its last, and the newest timestamp on it (ms; None where it is empty)."""

    begin: int
    end: int
    newest: int | None


class Cluster(Struct, frozen=True):
    """The facts. ``identities``: what a topic is besides its name, as the services note it."""

    version: tuple[int, ...]
    topics: Mapping[str, Laid]
    identities: Mapping[str, str]
    bounds: Mapping[TopicPartition, Bounds]


def describe(bootstrap: str) -> Cluster:
    """Ask it. Raises ``BusError``, or ``KafkaError`` for what does not pass."""
    admin: Any = connect(KafkaAdminClient, bootstrap, {"client_id": "handoff-doctor"})
    try:
        with answers(f"the cluster at {bootstrap}"):
            return _described(admin)
    finally:
        admin.close()


def broker_version(version: Sequence[int]) -> Outcome:
    """Whether the broker is recent enough."""
    told = ".".join(map(str, version))
    if tuple(version) >= VERSION_MIN:
        return Outcome(check="kafka", said=f"speaks the protocol of {told} or newer")
    wanted = ".".join(map(str, VERSION_MIN))
    found = error(
        f"the broker speaks the protocol of Kafka {told}, and Handoff needs {wanted}",
        where="kafka",
        fix=f"upgrade the brokers to {wanted} or newer",
    )
    return Outcome(check="kafka", said=f"speaks the protocol of {told}", findings=(found,))


def _described(admin: Any) -> Cluster:
    layout = admin.describe_cluster()
    oldest = min(tuple(admin.get_broker_version_data(each["broker_id"]).broker_version) for each in layout["brokers"])
    found = [each for each in admin.describe_topics([topic.name for topic in TOPICS]) if each["error_code"] != _UNKNOWN_TOPIC]
    partitions = {each["name"]: len(each["partitions"]) for each in found}
    settings: dict[str, dict[str, str]] = {}
    if found:
        asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in partitions]
        for by_name in admin.describe_configs(asked, config_filter="all").values():
            settings |= {name: {key: str(said["value"]) for key, said in configs.items()} for name, configs in by_name.items()}
    return Cluster(
        version=oldest,
        topics={name: Laid(count, settings.get(name, {})) for name, count in partitions.items()},
        identities={each["name"]: f"{layout['cluster_id']}/{each['topic_id']}" for each in found},
        bounds=_bounds(admin, [Place(name, number) for name, count in partitions.items() for number in range(count)]),
    )


def _bounds(admin: Any, places: Sequence[Place]) -> dict[TopicPartition, Bounds]:
    if not places:
        return {}
    begins, ends, newest = (
        admin.list_partition_offsets(dict.fromkeys(places, spec))
        for spec in (OffsetSpec.EARLIEST, OffsetSpec.LATEST, OffsetSpec.MAX_TIMESTAMP)
    )
    return {
        TopicPartition(*place): Bounds(
            begins[place].offset, ends[place].offset, newest[place].timestamp if newest[place].timestamp >= 0 else None
        )
        for place in places
    }
