"""Where a consumer begins: what its database claims, held against what the logs still have.

In go the claimed positions and the logs' bounds, out come the offsets to read from. Shared by all implementations of the bus, so
that a lost position is the same error everywhere.
"""

from collections.abc import Mapping
from typing import Final

from events.bus import PositionLost
from events.record import TopicPartition

_WAY_OUT: Final = 'restore the topic, or do what docs/how-to/recover.md says under "A position behind the log\'s start"'


def starts(
    claimed: Mapping[TopicPartition, int], begin: Mapping[TopicPartition, int], end: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """The offset to read first of each log: the position. A log that was never read has one, too (``Ledger.claim``).

    Raises ``PositionLost`` where records between the position and the log's begin are gone, or the log ends before the position.
    """
    for place, position in claimed.items():
        name = f"{place.topic}[{place.partition}]"
        if position < begin[place]:
            raise PositionLost(
                f"{name} was read up to {position}, but begins at {begin[place]} now: {begin[place] - position} offsets were"
                f" deleted by retention before they were read; {_WAY_OUT}"
            )
        if position > end[place]:
            raise PositionLost(
                f"{name} was read up to {position}, but ends at {end[place]}: the log lost its tail (a restored backup, or an"
                f" unclean leader election); {_WAY_OUT}"
            )
    return dict(claimed)
