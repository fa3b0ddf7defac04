"""Kafka and PostgreSQL in containers, for the contract suites: fixtures that give an address.

Tests that use them are marked ``docker`` and skipped, with the reason, where no engine answers. Kafka runs in the image and with
the environment of docker-compose.yml, so a setting that is wrong there fails here. (testcontainers' own KafkaContainer starts
Confluent's image, whose scripts ``apache/kafka`` does not have.)
"""

import gc
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Final

import docker
import psycopg
import pytest
from docker.errors import DockerException
from psycopg import sql
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import ExecWaitStrategy

from tests.deploy.composition import compose, environment
from tests.ports import free_port

POSTGRES: Final = "postgres:18-alpine"
ANSWER_SECONDS_MAX: Final = 5
START_SECONDS_MAX: Final = 120
HOST_PORT: Final = 9092
"""Kafka's listener for programs outside its container."""


def engine_away() -> str:
    """Why no container can be started here; empty where a Docker engine answers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the client leaves a socket that could not connect to the collector
        try:
            with closing(docker.from_env(timeout=ANSWER_SECONDS_MAX)) as client:  # asks for the engine's version
                client.ping()
                return ""
        except (DockerException, OSError) as error:
            reason = f"no Docker engine answers: {error}"
        gc.collect()
    return reason


class ApacheKafka(DockerContainer):
    """The Kafka of docker-compose.yml, its listener for the host published at a port that is known before it starts."""

    def __init__(self) -> None:
        self.port = free_port()
        kafka = compose({"HANDOFF_KAFKA_PORT": str(self.port)})["services"]["kafka"]
        super().__init__(kafka["image"], env=environment(kafka), hostname=kafka["hostname"])
        self.with_bind_ports(HOST_PORT, self.port)
        _, *probe = kafka["healthcheck"]["test"]
        self.waiting_for(ExecWaitStrategy(probe).with_startup_timeout(START_SECONDS_MAX))

    @property
    def bootstrap(self) -> str:
        """Its address for clients."""
        return f"127.0.0.1:{self.port}"


def skip_without_engine(items: Iterable[pytest.Item]) -> None:
    """Skip what is marked ``docker`` where no engine answers; as a mark, so that the summary says it once for each file."""
    marked = [item for item in items if item.get_closest_marker("docker")]
    if marked and (reason := engine_away()):
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def kafka_container() -> Iterator[str]:
    """The bootstrap address of a Kafka in a container of this test session."""
    with ApacheKafka() as kafka:
        yield kafka.bootstrap


@pytest.fixture(scope="session")
def postgres_container() -> Iterator[str]:
    """The URL of a PostgreSQL in a container of this test session; its user may create databases."""
    with PostgresContainer(POSTGRES, username="handoff", password="handoff", dbname="handoff", driver=None) as server:
        yield server.get_connection_url()


@pytest.fixture
def container_database(postgres_container: str, unique: Callable[[str], str]) -> str:
    """The URL of an empty database of that PostgreSQL: one for each test."""
    return empty_database(postgres_container, unique("test").replace("-", "_"))


def empty_database(url: str, name: str) -> str:
    """Make a database on the server of a URL; its own URL."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return f"{url.rpartition('/')[0]}/{name}"
