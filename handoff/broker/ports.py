"""Loopback ports: choosing one, waiting for one, and asking whether a broker answers on it."""

import random
import socket
import struct
import time
from itertools import islice

from handoff.broker.errors import KafkaUnavailable

HOST = "127.0.0.1"

# Below the ranges from which Linux (32768+) and macOS (49152+) take the local ports of outgoing connections: a client
# that keeps calling an absent broker in that range can be given the broker's own port, connect to itself, and so keep
# the port from the broker that comes back.
CHOICE = range(20_000, 32_000)

_METADATA_REQUEST = struct.pack(">ihhihi", 14, 3, 1, 7, -1, 0)
"""Length, api key 3, version 1, correlation 7, no client id, no topics."""


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    return free_ports(1)[0]


def free_ports(count: int, among: range = CHOICE) -> list[int]:
    """So many different ports that nobody listens on at this moment."""
    found = list(islice((port for port in random.sample(among, 200) if obstacle(port) is None), count))
    if len(found) < count:
        raise KafkaUnavailable(f"only {len(found)} of {count} ports are free, among 200 tried in {among.start} to {among.stop}")
    return found


def await_free(port: int, wait_seconds: float) -> None:
    """Return when `port` is free; raises `KafkaUnavailable` when it still is not after `wait_seconds`."""
    deadline = time.monotonic() + wait_seconds
    while reason := obstacle(port):
        if time.monotonic() > deadline:
            raise KafkaUnavailable(
                f"port {port} cannot be used ({reason}): stop the program that uses it, "
                "or choose another port for Kafka with HANDOFF_KAFKA_PORT"
            )
        time.sleep(0.05)


def obstacle(port: int, host: str = HOST) -> str | None:
    """Why a server could not listen on `port` now, or None if it could."""
    if not 0 < port < 1 << 16:
        return "ports are numbers from 1 to 65535"
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return None
    except OSError as error:
        return (error.strerror or str(error)).partition(" (while attempting")[0]


def broker_answers(port: int) -> bool:
    """Whether a Metadata request is answered with at least one broker, that is a registered one that takes work.

    An open port says less: it opens before the broker has registered with its controller.
    """
    try:
        with socket.create_connection((HOST, port), timeout=0.5) as connection:
            connection.sendall(_METADATA_REQUEST)
            length_correlation_brokers = connection.recv(12, socket.MSG_WAITALL)
    except OSError:
        return False
    if len(length_correlation_brokers) < 12:
        return False
    _, _, brokers = struct.unpack(">iii", length_correlation_brokers)
    return bool(brokers >= 1)
