"""Ports for tests: every worker has a range of its own, so that no two choose the same one between the look and the use."""

import os
from typing import Final

from handoff.broker import ports

_FIRST, _EACH = 10_000, 1_000  # below the ports that the product chooses from when it is left to choose
_WORKER: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
RANGE: Final = range(_FIRST + _WORKER * _EACH, _FIRST + (_WORKER + 1) * _EACH)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """So many different ports that nobody listens on at this moment."""
    return ports.free_ports(count, RANGE)
