"""How many partitions topics have, against how many they had when everything began.

A customer's partition is the remainder by their number, so that a topic with more of them has its customers elsewhere: their facts,
their numbers and their order would fall apart. Kafka lets topics grow, while they are read and written. So the number is looked
at whenever partitions are assigned, and now and then, of what is written too.
"""

from collections.abc import Callable, Mapping
from typing import Final

from events.bus import Bus, PositionLost

LOOK_SECONDS: Final = 10.0
"""How often to look."""


class Layout:
    """Topics with the number of partitions that they must have. ``monotonic``: seconds that never go back."""

    def __init__(self, bus: Bus, partitions: Mapping[str, int], monotonic: Callable[[], float]) -> None:
        self._bus = bus
        self._partitions = partitions
        self._monotonic = monotonic
        self._looked = float("-inf")

    def check(self) -> None:
        """Raises ``PositionLost`` where a topic has another number, ``LookupError`` where it does not exist, and ``BusError``."""
        for topic, wanted in self._partitions.items():
            there = self._bus.partitions(topic)
            if there != wanted:
                raise PositionLost(
                    f"{topic} has {there} partitions, and must have {wanted} (HANDOFF_PARTITIONS; one, where it is not keyed): its"
                    " customers are looked for in other partitions than theirs. A topic cannot shrink: make it anew, as"
                    ' docs/how-to/recover.md says under "A topic with another number of partitions"'
                )
        self._looked = self._monotonic()

    def look(self) -> None:
        """Check, if that is some time ago."""
        if self._partitions and self._monotonic() - self._looked >= LOOK_SECONDS:
            self.check()
