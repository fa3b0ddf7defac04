"""Publishing an import: everything arrives in order, also when Kafka was away in between."""

from collections.abc import Iterator

import pytest

from events.bus import BusError
from events.bus.memory import MemoryBus
from events.record import Message
from handoff.importing.publish import BATCH, publish

MESSAGES = [Message("facts", b"one", str(number).encode()) for number in range(2 * BATCH + 5)]


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus({"facts": 1})


def written(bus: MemoryBus) -> list[int]:
    return [int(record.value or b"") for record in bus.read("facts")]


def test_batches_in_order_each_acknowledged(bus: MemoryBus) -> None:
    told: list[int] = []
    publish(bus, MESSAGES, told.append)
    assert written(bus) == list(range(len(MESSAGES)))
    assert told == [BATCH, 2 * BATCH, 2 * BATCH + 5]


def test_nothing_to_publish_needs_no_producer(bus: MemoryBus) -> None:
    bus.away = True
    publish(bus, [], lambda written: None, away_seconds=0.0)  # a producer could not be made


@pytest.mark.parametrize("fault", ["refused", "unanswered"])
def test_a_batch_that_failed_is_written_again(bus: MemoryBus, fault: str) -> None:
    faults: Iterator[str | None] = iter([*[None] * (BATCH + 10), fault, *[None] * 10, fault])
    bus.fault = lambda message: next(faults, None)  # type: ignore[assignment, return-value]
    publish(bus, MESSAGES, lambda written: None)
    found = written(bus)
    assert sorted(set(found)) == list(range(len(MESSAGES)))
    assert list(dict.fromkeys(found)) == list(range(len(MESSAGES)))  # first occurrences are in order
    assert len(found) > len(MESSAGES)


def test_a_kafka_that_stays_away_is_given_up(bus: MemoryBus) -> None:
    bus.away = True
    with pytest.raises(BusError):
        publish(bus, MESSAGES, lambda written: None, away_seconds=0.3)
