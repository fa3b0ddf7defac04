"""How clients of kafka-python are made here: settings with their reasons, no leaked threads, errors sorted.

A constructor of kafka-python that fails leaves its I/O thread running; so the network client underneath is caught as it is made and
closed when the constructor raises. A broker that is not there is noticed by a plain connection first: that takes milliseconds
and not the whole bootstrap time.
"""

import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

from kafka.errors import (
    BrokerNotAvailableError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    UnknownBrokerIdError,
    UnknownError,
    UnknownMemberIdError,
)

from events.bus import BusError
from events.bus.kafka.network import NetworkClient

Client = TypeVar("Client")

CONNECT_SECONDS: Final = 1.0
REQUEST_MS: Final = 3_000
"""How long one request may take. Short, so that a frozen broker is noticed; producers try again for as long as it takes."""
SHARED: Final[Mapping[str, Any]] = {
    "request_timeout_ms": REQUEST_MS,
    "bootstrap_timeout_ms": 3_000,
    "reconnect_backoff_max_ms": 1_000,
    "metadata_max_age_ms": 60_000,
}
_PORT: Final = re.compile(r"[0-9]{1,5}")
_PASSING: Final = (
    BrokerNotAvailableError,
    IllegalGenerationError,
    RebalanceInProgressError,
    UnknownBrokerIdError,
    UnknownError,
    UnknownMemberIdError,
)
"""Errors that kafka-python does not call retriable, but that pass: the member joins again, the broker comes back."""


@contextmanager
def answers(what: str) -> Iterator[None]:
    """Turn errors that pass into ``BusError``; the others (authorization, wrong settings) stay what they are."""
    try:
        yield
    except KafkaError as error:
        if error.retriable or isinstance(error, _PASSING):
            raise BusError(f"{what}: {type(error).__name__}: {error}") from error
        raise


def addresses(bootstrap: str) -> list[tuple[str, int]]:
    """The hosts and ports of ``host:port,host:port``. Raises ``ValueError`` for anything else."""
    found: list[tuple[str, int]] = []
    for server in bootstrap.split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or _PORT.fullmatch(port) is None or not 1 <= int(port) <= 65535:
            raise ValueError(f"Kafka bootstrap servers {bootstrap[:200]!r}: {server.strip()[:200]!r} is not host:port")
        found.append((host.strip("[]"), int(port)))
    return found


def reach(bootstrap: str) -> None:
    """Return when one of the servers takes connections; raise ``BusError`` when none does."""
    failures = []
    for address in addresses(bootstrap):
        try:
            with socket.create_connection(address, CONNECT_SECONDS):
                return
        except OSError as error:
            failures.append(f"{address[0]}:{address[1]}: {error}")
    raise BusError(f"Kafka does not answer at {'; '.join(failures)}")


def connect(make: Callable[..., Client], bootstrap: str, settings: Mapping[str, Any]) -> Client:
    """Construct a client. Raises ``BusError`` when no broker answers; nothing is left behind then."""
    reach(bootstrap)
    networks: list[NetworkClient] = []

    def network(**configuration: Any) -> NetworkClient:
        networks.append(NetworkClient(**configuration))
        return networks[-1]

    try:
        with answers(f"Kafka at {bootstrap}"):
            return make(bootstrap_servers=bootstrap.split(","), kafka_client=network, **SHARED, **settings)
    except BaseException:
        for made in networks:
            with suppress(KafkaError, RuntimeError, OSError):  # it failed already: the first error is the one to report
                made.close()
        raise
