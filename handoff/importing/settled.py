"""Waiting until everything that was published is reflected everywhere.

The services feed each other: a fact becomes a change of the record, that an assignment, that a fact. So one look at three lags can
miss what is just on its way between them. Two looks with all lags 0 and the same positions cannot: whatever was on its way at
the first one would have moved a position by the second.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from handoff.client import ServiceDown, Services
from handoff.errors import NOT_WELL, CommandError
from handoff.settings import SERVICES, ServiceName

LOOK_SECONDS: Final = 0.25

Look = Mapping[ServiceName, Mapping[str, Any] | None]
"""What each service says of itself (``/v1/status``); None where it does not answer."""


def wait_until_settled(services: Services, seconds: float, progress: Callable[[str], None]) -> None:
    """Return when lifecycle, routing and forecast have caught up. Raises ``CommandError`` (1) when they have not in time."""
    deadline = time.monotonic() + seconds
    before: Look = {}
    while True:
        now = _look(services)
        if settled(before, now):
            return
        if time.monotonic() > deadline:
            raise CommandError(f"not everything is reflected after {seconds:g} s: {_described(now)}", NOT_WELL)
        progress(f"waiting: {_described(now)}")
        before = now
        time.sleep(LOOK_SECONDS)


def settled(before: Look, now: Look) -> bool:
    """Whether two looks in a row show that nothing is on its way."""
    quiet = all(_idle(look.get(name)) for look in (before, now) for name in SERVICES)
    return quiet and _positions(before) == _positions(now)


def _idle(status: Mapping[str, Any] | None) -> bool:
    return status is not None and status["state"] == "running" and status["lag"] == 0


def _positions(look: Look) -> list[Any]:
    return [status["positions"] for status in look.values() if status is not None]


def _look(services: Services) -> Look:
    found: dict[ServiceName, Mapping[str, Any] | None] = {}
    for name in SERVICES:
        try:
            found[name] = services.status(name)
        except ServiceDown:
            found[name] = None
    return found


def _described(look: Look) -> str:
    return ", ".join(_one(name, status) for name, status in look.items())


def _one(name: str, status: Mapping[str, Any] | None) -> str:
    if status is None:
        return f"{name} does not answer"
    state = "" if status["state"] == "running" else f" ({status['state']})"
    return f"{name} is {status['lag']:,} behind{state}"
