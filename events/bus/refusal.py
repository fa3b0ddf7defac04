"""A broker that does not take a position to read from: the log was cut below it, at one end or the other.

The broker's word is enough. Where the log reaches to the position by the time one looks, it has grown again, and what lies before
the position is not what was read.
"""

from collections.abc import Mapping

from events.bus import PositionLost
from events.bus.claims import starts
from events.record import TopicPartition


def refused(
    positions: Mapping[TopicPartition, int],
    begin: Mapping[TopicPartition, int],
    end: Mapping[TopicPartition, int],
) -> PositionLost:
    """What is to be raised for positions that were refused, by what the logs are now."""
    try:
        starts(positions, begin, end)
    except PositionLost as lost:
        return lost
    names = ", ".join(f"{place.topic}[{place.partition}] was read up to {offset}" for place, offset in sorted(positions.items()))
    return PositionLost(
        f"{names}, and was cut below that, though it has grown again since: what lies there now is not what was read (a restored"
        " backup, or an unclean leader election); restore the topic, or do what docs/how-to/recover.md says under"
        ' "A position behind the log\'s start"'
    )
