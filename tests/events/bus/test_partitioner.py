"""The two rules, against vectors of the clients that use them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as reference

from events.bus.partitioner import crc32, murmur2, murmur2_hash


@pytest.mark.parametrize(
    ("key", "signed"),  # from UtilsTest.testMurmur2 of Apache Kafka
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_java_s(key: bytes, signed: int) -> None:
    assert murmur2_hash(key) == signed & 0xFFFFFFFF
    assert murmur2(key, 12) == (signed & 0x7FFFFFFF) % 12


@given(st.binary(max_size=70))
def test_murmur2_is_kafka_python_s(key: bytes) -> None:
    assert murmur2_hash(key) == reference(key)


@pytest.mark.parametrize(("key", "unsigned"), [(b"123456789", 0xCBF43926), (b"", 0)])
def test_crc32_is_librdkafka_s(key: bytes, unsigned: int) -> None:
    assert crc32(key, 12) == unsigned % 12
