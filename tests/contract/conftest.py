"""The fixtures of the contract suites."""

from collections.abc import Callable, Iterator, Sequence

import pytest

from events.record import TopicPartition
from tests.containers import container_database, kafka_container, postgres_container, skip_without_engine  # noqa: F401 - fixtures
from tests.contract.bench import Bench, KafkaBench, MemoryBench, Reader, Reading

KINDS = ["memory", pytest.param("kafka", marks=pytest.mark.kafka), pytest.param("kafka_container", marks=pytest.mark.docker)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip_without_engine(items)


@pytest.fixture(params=KINDS)
def bench(request: pytest.FixtureRequest, unique: Callable[[str], str]) -> Iterator[Bench]:
    """A bus of each kind."""
    if request.param == "memory":
        yield MemoryBench(unique)
    else:
        broker = request.getfixturevalue(request.param)
        real = KafkaBench(broker if isinstance(broker, str) else broker.bootstrap, unique)
        yield real
        real.close()


@pytest.fixture
def reading(bench: Bench, unique: Callable[[str], str]) -> Iterator[Reading]:
    """``reading(topics, group=…, positions=…, instance=…)``: a reader that is closed after the test."""
    readers: list[Reader] = []

    def read(
        topics: Sequence[str],
        group: str | None = None,
        positions: dict[TopicPartition, int] | None = None,
        instance: str | None = None,
    ) -> Reader:
        reader = Reader({} if positions is None else positions)
        reader.consumer = bench.bus.consumer(group or unique("group"), topics, reader.assigned, reader.revoked, instance)
        readers.append(reader)
        return reader

    yield read
    for reader in readers:
        reader.consumer.close()
