"""Every socket of a client is closed, however its connections end: none is left to the garbage collector."""

import gc
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest
from kafka.protocol.metadata import MetadataRequest

from events.bus.kafka.network import NetworkClient
from handoff.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka
BOOTSTRAP = "bootstrap-0"


@contextmanager
def nothing_left() -> Iterator[None]:
    """Decorates what must not forget a socket; its variables are gone when it is looked."""
    gc.collect()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    assert [str(warning.message) for warning in seen] == []


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """What pytest keeps of the log would keep the errors in it, and with them the sockets."""
    caplog.set_level("CRITICAL", "kafka")


@pytest.fixture
def full() -> Iterator[tuple[str, int]]:
    """An address where connecting takes for ever: its queue is full, and nobody takes from it."""
    with ExitStack() as held:
        server = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = server.getsockname()
        for _ in range(3):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield address


def connecting(address: tuple[str, int], **settings: Any) -> Any:
    """A client, as consumers have one, whose thread tries to connect."""
    client = NetworkClient(bootstrap_servers=[f"{address[0]}:{address[1]}"], **settings)
    client._net.start()
    client._net.run(client.maybe_connect, BOOTSTRAP)
    return client


@nothing_left()
def test_a_connection_that_is_refused(eventually: Callable[..., None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        nobody = server.getsockname()
    with closing(connecting(nobody)) as client:
        eventually(lambda: client.connection_delay(BOOTSTRAP) > 0)


@nothing_left()
def test_a_connection_that_takes_too_long(full: tuple[str, int], eventually: Callable[..., None]) -> None:
    with closing(connecting(full, socket_connection_setup_timeout_ms=50)) as client:
        eventually(lambda: client.connection_delay(BOOTSTRAP) > 0)


@nothing_left()
def test_a_client_that_is_closed_while_it_connects(full: tuple[str, int], eventually: Callable[..., None]) -> None:
    with closing(connecting(full)) as client:
        eventually(lambda: len(client._net._selector.get_map()) > 1)  # one is what wakes the loop


@nothing_left()
def test_a_client_that_is_closed_before_its_request_is_written(kafka: EmbeddedKafka) -> None:
    with closing(NetworkClient(bootstrap_servers=[kafka.bootstrap])) as client:
        client.await_ready(BOOTSTRAP)
        client.send(BOOTSTRAP, MetadataRequest())
