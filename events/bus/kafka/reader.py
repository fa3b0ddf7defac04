"""A reader of logs on Kafka: kafka-python's consumer without a group, at one log at a time."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from kafka import KafkaConsumer
from kafka import TopicPartition as Place
from kafka.errors import KafkaError

from events.bus import BusError
from events.bus.kafka.clients import answers, connect
from events.bus.kafka.cluster import Cluster
from events.bus.kafka.consumer import CLOSE_MS, READER_SETTINGS, REFUSALS, record_of
from events.bus.refusal import refused
from events.record import Record, TopicPartition

WAIT_MS: Final = 500
"""How long to wait for records: as long as the broker does, where there are none."""


class LogReader:
    """Reads any log (``events.bus.Reader``). What it has fetched is kept for as long as whoever reads goes on where he was."""

    def __init__(self, cluster: Cluster, bootstrap: str, settings: Mapping[str, Any]) -> None:
        self._cluster = cluster
        self._bootstrap = bootstrap
        self._settings = settings
        self._client: Any = None
        self._at: tuple[TopicPartition, int] | None = None

    def read(self, place: TopicPartition, offset: int, records: int) -> tuple[Sequence[Record], int]:
        where = Place(*place)
        try:
            if self._client is None:
                self._client = connect(KafkaConsumer, self._bootstrap, {**READER_SETTINGS, **self._settings})
            with answers(f"reading {place.topic}[{place.partition}]"):
                if self._at != (place, offset):
                    self._client.assign([where])
                    self._client.seek(where, offset)
                batch = self._client.poll(timeout_ms=WAIT_MS, max_records=records).get(where, [])
                following = self._client.position(where)
        except BusError:
            self.close()
            raise
        except REFUSALS as error:
            self.close()
            raise refused({place: offset}, self._cluster.begins([place]), self._cluster.ends([place])) from error
        self._at = (place, following)
        return [record_of(place.topic, place.partition, each) for each in batch], following

    def close(self) -> None:
        client, self._client, self._at = self._client, None, None
        if client is not None:
            with suppress(KafkaError):
                client.close(autocommit=False, timeout_ms=CLOSE_MS)
