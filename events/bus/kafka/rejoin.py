"""Joining a group with kafka-python 3.0.12, whatever else the thread has to do meanwhile.

kafka-python drives a join from within ``poll`` and lets it go on when the poll's time is over. A join that is completed between two
polls it then throws away, and sends another, which makes all members join again: a group whose members poll briefly may never come
to rest (measured: two members with polls of 50 ms, stuck for minutes). Java's client keeps the finished join for the next poll,
and so does this.
"""

from collections.abc import Callable, Generator
from typing import Any

from kafka.coordinator.consumer import ConsumerCoordinator


class _Join:
    """A join on its way. One that succeeded does not count as done until it was looked at; whoever looks at it then drops it."""

    def __init__(self, future: Any) -> None:
        self._future = future

    @property
    def is_done(self) -> bool:
        return bool(self._future.failed())

    def add_callback(self, call: Callable[..., Any]) -> Any:
        return self._future.add_callback(call)

    def add_errback(self, call: Callable[..., Any]) -> Any:
        return self._future.add_errback(call)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._future.__await__()  # type: ignore[no-any-return]


class _PatientCoordinator(ConsumerCoordinator):  # type: ignore[misc]
    _join: _Join | None = None

    @property
    def _join_task(self) -> _Join | None:
        return self._join

    @_join_task.setter
    def _join_task(self, future: Any) -> None:
        self._join = None if future is None else _Join(future)


def keep_finished_joins(client: Any) -> None:
    """Let a consumer that has not joined yet keep its finished joins."""
    client._coordinator.__class__ = _PatientCoordinator  # its class cannot be chosen
