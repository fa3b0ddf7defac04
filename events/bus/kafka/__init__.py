"""The bus on a real Kafka, by kafka-python."""

from events.bus.kafka.bus import KafkaBus
from events.bus.kafka.topics import create_topics

__all__ = ["KafkaBus", "create_topics"]
