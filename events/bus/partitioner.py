"""Which partition a key belongs to: the two rules that producers use.

In goes a key, out comes a partition number. ``murmur2`` is the rule of Java clients and of kafka-python, hence of Handoff: it says
where a customer is at home. ``crc32`` is librdkafka's unless it is told otherwise (``partitioner=murmur2_random``): records that
were written by it lie elsewhere.
"""

import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Final

Partitioner = Callable[[bytes, int], int]
"""Key and number of partitions to partition."""

_MULTIPLIER: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C
_BITS: Final = 0xFFFFFFFF


@lru_cache(maxsize=1 << 14)  # a few MiB
def murmur2_hash(data: bytes) -> int:
    """MurmurHash2, 32 bits, with Kafka's seed; remembered, because the same customers come again and again."""
    hashed = _SEED ^ len(data)
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * _MULTIPLIER & _BITS
        word = (word ^ word >> 24) * _MULTIPLIER & _BITS
        hashed = hashed * _MULTIPLIER & _BITS ^ word
    if rest := data[whole:]:
        hashed = (hashed ^ int.from_bytes(rest, "little")) * _MULTIPLIER & _BITS
    hashed = (hashed ^ hashed >> 13) * _MULTIPLIER & _BITS
    return hashed ^ hashed >> 15


def murmur2(key: bytes, partitions: int) -> int:
    """The partition by Java's and kafka-python's rule."""
    return (murmur2_hash(key) & 0x7FFFFFFF) % partitions


def crc32(key: bytes, partitions: int) -> int:
    """The partition by librdkafka's default rule (``consistent_random``)."""
    return zlib.crc32(key) % partitions
