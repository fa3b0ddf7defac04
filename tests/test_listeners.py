"""The sockets that the services listen on."""

import importlib
import socket

import pytest


@pytest.mark.parametrize("service", ["lifecycle", "routing", "forecast"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_answer_on_a_kept_connection_is_not_held_back(service: str, host: str) -> None:
    """Without it every answer but the first of a connection waits 40 ms for the acknowledgement of its own head."""
    listen = importlib.import_module(f"services.{service}.__main__").listen
    try:
        listener = listen(host, 0)
    except OSError as error:
        pytest.skip(f"this machine has no {host}: {error}")
    with listener, socket.create_connection(listener.getsockname()[:2]):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
