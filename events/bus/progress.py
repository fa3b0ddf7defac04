"""How far a service has come, for probes, metrics and the watchdog.

The loop assigns one immutable :class:`Snapshot` after each step; whoever asks gets a :class:`Progress`, which holds the snapshot
against the present ends of the logs. Lag is computed when it is asked for, so that nothing is counted twice a second for nobody.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from events.record import TopicPartition

State = Literal["starting", "running", "retrying", "stopped"]
"""``starting``: waits for its partitions (also in a rebalance). ``retrying``: something does not answer; nothing is lost."""


class Snapshot(Struct, frozen=True, kw_only=True):
    """What the loop knows by itself. ``positions``: the next offset of each owned log, as of the last commit.

    ``newest``: the timestamp (ms) of the last record taken in from each log. ``pending``: entries not yet acknowledged.
    """

    state: State = "starting"
    positions: Mapping[TopicPartition, int] = {}
    newest: Mapping[TopicPartition, int] = {}
    pending: int = 0
    error: str = ""
    rejected: int = 0


class Progress(Struct, frozen=True, kw_only=True):
    """``lag``: records not yet reflected, plus outgoing entries not acknowledged; 0 means settled.

    ``lag_seconds``: the age of the newest record that is reflected of the log that lags most, but not more than the time since
    the lag was last seen to be 0. ``unread``: the offsets of each log after its position, where there are any. ``error``: the last
    one, while it lasts. ``degraded``: records were rejected as bugs since the start. While the bus does not answer, ``lag`` and
    ``unread`` are those against the last known ends, and ``state`` is ``retrying``.
    """

    state: State
    lag: int
    lag_seconds: float
    positions: Mapping[TopicPartition, int]
    unread: Mapping[TopicPartition, int] = {}
    pending: int
    error: str
    degraded: bool
    rejected: int


def named(offsets: Mapping[TopicPartition, int]) -> dict[str, int]:
    """The same as it is told, by names such as ``crm.lead.v1[4]``, in order."""
    return {f"{place.topic}[{place.partition}]": offset for place, offset in sorted(offsets.items())}


def unread(positions: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
    """How many offsets of each log lie after the position, for those logs where there are any."""
    behind = {place: ends.get(place, position) - position for place, position in positions.items()}
    return {place: count for place, count in behind.items() if count > 0}


def lag_seconds(
    snapshot: Snapshot, behind: Mapping[TopicPartition, int], now: float, settled: float | None, started: float
) -> float:
    """The age described at :class:`Progress`; instants in seconds since 1970, ``settled`` None while it never was."""
    if behind:
        since = min((snapshot.newest[place] / 1000 for place in behind if place in snapshot.newest), default=started)
    else:  # all is read, but not all that came of it is published
        since = max((stamp / 1000 for stamp in snapshot.newest.values()), default=started)
    return max(0.0, now - (since if settled is None else max(since, settled)))
