"""The contract of a bus, on the memory twin and on a real Kafka: what passes on both is what services may rely on."""

from collections.abc import Callable, Collection, Mapping

import pytest
from kafka.partitioner.default import murmur2 as murmur2_of_kafka_python

from events.bus import BusError, PositionLost
from events.bus.partitioner import crc32, murmur2
from events.record import Message, Record, TopicPartition

from .conftest import SMALL, Bench, Reading
