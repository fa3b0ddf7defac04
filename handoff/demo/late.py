"""Facts that come late: they are remembered while the year is played, because they are what corrects the past."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from handoff.demo.arrival import KINDS, Arrival
from handoff.demo.worktime import DAY, Year

KEPT: Final = 500


class Late(NamedTuple):
    """A fact that arrived days after it had happened (nanoseconds)."""

    customer_id: str
    type: str
    source: str
    id: str
    happened_at: int
    arrived_at: int


class LateFacts:
    """The last of them, oldest first. Written by the thread that plays."""

    def __init__(self, year: Year) -> None:
        self._year = year
        self._found: deque[Late] = deque(maxlen=KEPT)

    def of(self, arrivals: Iterable[Arrival]) -> Iterator[Arrival]:
        """The same arrivals; those that are late are remembered. What happened before the year cannot be late."""
        for arrival in arrivals:
            happening = arrival.happening
            if happening is not None and self._year.begin <= happening.at < arrival.at - DAY:
                _, type_ = KINDS[type(happening.data)]
                self._found.append(
                    Late(happening.data.customer_id, type_, happening.source, happening.id, happening.at, arrival.at)
                )
            yield arrival

    def found(self) -> tuple[Late, ...]:
        """Those that arrived so far. Once nothing more is played, from any thread."""
        return tuple(self._found)
