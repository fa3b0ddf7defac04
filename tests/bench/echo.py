"""The other side of two raw round trips: sends every record of one topic to another, as it is, in a process of its own.

``python -m tests.bench.echo BOOTSTRAP FROM TO``. Says ``ready`` when it reads, and ends when its standard input does.
"""

import os
import sys
import threading
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka import TopicPartition as Place

from events.bus.kafka.clients import connect
from events.bus.kafka.consumer import READER_SETTINGS
from events.bus.kafka.producer import SETTINGS


def reader(bootstrap: str, *topics: str) -> Any:
    """A consumer of all partitions of some topics, from their present ends on."""
    consumer: Any = connect(KafkaConsumer, bootstrap, READER_SETTINGS)
    places = [Place(topic, number) for topic in topics for number in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(places)
    for place, end in consumer.end_offsets(places).items():
        consumer.seek(place, end)
    return consumer


def main(bootstrap: str, source: str, target: str) -> None:
    """Echo for ever."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    consumer = reader(bootstrap, source)
    producer: Any = connect(KafkaProducer, bootstrap, SETTINGS)
    print("ready", flush=True)
    while True:
        for place, records in consumer.poll(timeout_ms=1000).items():
            for record in records:
                producer.send(target, value=record.value, key=record.key, headers=record.headers, partition=place.partition)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
