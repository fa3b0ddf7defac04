"""Lag, from positions and ends."""

import pytest

from events.bus.progress import Snapshot, lag_seconds, unread
from events.record import TopicPartition

ONE, TWO = TopicPartition("in", 0), TopicPartition("in", 1)


def test_only_logs_that_are_behind_are_counted() -> None:
    assert unread({ONE: 3, TWO: 5}, {ONE: 10, TWO: 5}) == {ONE: 7}
    assert unread({ONE: 3}, {ONE: 1}) == {}  # the ends are older than the positions
    assert unread({ONE: 3}, {}) == {}  # the ends were never known
    assert unread({}, {ONE: 10}) == {}


@pytest.mark.parametrize(
    ("newest", "behind", "settled", "seconds"),
    [
        ({ONE: 940_000, TWO: 990_000}, {ONE: 1, TWO: 1}, None, 60.0),  # the log that lags most
        ({ONE: 940_000, TWO: 990_000}, {TWO: 1}, None, 10.0),
        ({ONE: 940_000}, {ONE: 1}, 980.0, 20.0),  # no longer than since it was seen to be settled
        ({ONE: 940_000}, {ONE: 1}, 900.0, 60.0),
        ({}, {ONE: 1}, None, 100.0),  # nothing read yet: since the start
        ({ONE: 940_000, TWO: 990_000}, {}, None, 10.0),  # all is read, something is not published
        ({ONE: 1_100_000}, {ONE: 1}, None, 0.0),  # a log whose clock is ahead
    ],
)
def test_the_age_of_the_lag(newest: dict, behind: dict, settled: float | None, seconds: float) -> None:
    assert lag_seconds(Snapshot(newest=newest), behind, now=1_000.0, settled=settled, started=900.0) == seconds
