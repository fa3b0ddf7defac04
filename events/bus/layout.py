"""Whether topics are still what they were when everything began, and reach as far as they were read.

A customer's partition is the remainder by their number, so that a topic with more of them has its customers elsewhere: their facts,
their numbers and their order would fall apart. Kafka lets topics grow, while they are read and written. It lets them be deleted and
made again, too, and a log may lose its tail (an unclean election, a disk that was put back): no client notices all of it, and
what is written then has offsets that were read before. So all this is looked at whenever partitions are assigned, and now
and then; the number of partitions of what is written too.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from events.bus import Bus, PositionLost
from events.bus.claims import starts
from events.record import TopicPartition

LOOK_SECONDS: Final = 10.0
"""How often to look."""


class Layout:
    """Topics with the number of partitions that they must have. ``monotonic``: seconds that never go back."""

    def __init__(self, bus: Bus, partitions: Mapping[str, int], monotonic: Callable[[], float]) -> None:
        self._bus = bus
        self._partitions = partitions
        self._monotonic = monotonic
        self._identities: Mapping[str, str] = {}
        self._looked = float("-inf")

    def check(self, places: Collection[TopicPartition]) -> None:
        """Before these logs are claimed: the numbers of partitions. What the topics are is noted, to be held against later.

        Raises ``PositionLost`` where a topic has another number, ``LookupError`` where it does not exist, and ``BusError``.
        """
        self._check_partitions()
        self._identities = {topic: self._bus.identity(topic) for topic in sorted({place.topic for place in places})}
        self._looked = self._monotonic()

    def look(self, positions: Callable[[], Mapping[TopicPartition, int]]) -> None:
        """Check all, if that is some time ago: the logs' positions, too. Raises as ``check`` does."""
        if self._monotonic() - self._looked < LOOK_SECONDS:
            return
        self._check_partitions()
        self._check_identities()
        reached = positions()
        starts(reached, self._bus.begin_offsets(reached), self._bus.end_offsets(reached))
        self._looked = self._monotonic()

    def _check_partitions(self) -> None:
        for topic, wanted in self._partitions.items():
            there = self._bus.partitions(topic)
            if there != wanted:
                raise PositionLost(
                    f"{topic} has {there} partitions, and must have {wanted} (HANDOFF_PARTITIONS; one, where it is not keyed): its"
                    " customers are looked for in other partitions than theirs. A topic cannot shrink: make it anew, as"
                    ' docs/how-to/recover.md says under "A topic with another number of partitions"'
                )

    def _check_identities(self) -> None:
        for topic, before in self._identities.items():
            now = self._bus.identity(topic)
            if now != before:
                raise PositionLost(
                    f"{topic} was {before} when it was claimed, and is {now} now: the topic or the cluster was made again while it"
                    " was read; restore it, or do what docs/how-to/recover.md says under"
                    ' "A topic, or the cluster, was made again"'
                )
