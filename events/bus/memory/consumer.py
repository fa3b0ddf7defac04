"""A consumer on the memory bus: never waits, and reads in an order that a seed decides."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from events.bus import Assigned, Revoked
from events.bus.claims import starts
from events.bus.memory.group import Group
from events.record import Record, TopicPartition

if TYPE_CHECKING:
    from events.bus.memory.bus import MemoryBus


class MemoryConsumer:
    """A member of a group. All callbacks come from within ``poll`` and ``close``.

    A static member that was replaced under its name is never told, and goes on reading what it had: as with kafka-python, only the
    fence in the database keeps it from doing harm.
    """

    def __init__(
        self,
        bus: "MemoryBus",
        group: Group,
        topics: Sequence[str],
        *,
        assigned: Assigned,
        revoked: Revoked,
        instance: str | None,
    ) -> None:
        self._bus = bus
        self._group = group
        self._assigned = assigned
        self._revoked = revoked
        self._topics = topics
        self._instance = instance
        self._generation = -1
        self._waiting = False
        self._unclaimed: list[TopicPartition] | None = None
        """What was assigned and is not yet claimed, which may be nothing (a stand-by)."""
        self._positions: dict[TopicPartition, int] = {}
        self._turns = 0
        self._closed = False
        self.name = group.enter(topics, instance, self)

    def poll(self, seconds: float, records: int) -> Sequence[Record]:
        """Up to ``records`` records. Returns at once: in memory nothing comes while one waits."""
        if self._closed:
            raise ValueError(f"consumer {self.name} is closed")
        if self._bus.away:
            return []
        if not self._group.replaced(self.name, self):
            self._rebalance()
        if self._unclaimed is not None:
            self._claim(self._unclaimed)
        self._turns += 1
        return self._fetch(records)

    def positions(self) -> Mapping[TopicPartition, int]:
        return dict(self._positions)

    def close(self) -> None:
        """Give the partitions back; a static member stays in the group until its session expires."""
        if not self._closed:
            self._closed = True
            self._give_back()
            if self._instance is None:
                self._group.leave(self.name)

    def _rebalance(self) -> None:
        if self.name not in self._group.members:  # the session expired
            self._give_back()
            self.name = self._group.enter(self._topics, self._instance, self)
        if self._generation != self._group.generation:
            self._give_back()
            self._generation = self._group.generation
            self._waiting = True
        if self._waiting:
            places = self._group.join(self.name)
            if places is not None:
                self._waiting = False
                self._unclaimed = list(places)

    def _give_back(self) -> None:
        held = [*self._positions, *(self._unclaimed or ())]
        self._positions, self._unclaimed = {}, None
        if held:
            self._revoked(held)

    def _claim(self, places: Collection[TopicPartition]) -> None:
        """Ask where to begin; what fails is asked again at the next poll."""
        claimed = self._assigned(places)
        self._positions = starts(claimed, self._bus.begin_offsets(places), self._bus.last_offsets(places))
        self._unclaimed = None

    def _fetch(self, most: int) -> list[Record]:
        order: Collection[TopicPartition]
        places = sorted(self._positions)
        self._positions = starts(self._positions, self._bus.begin_offsets(places), self._bus.last_offsets(places))
        random = self._bus.random
        if random is None:
            first = self._turns % len(places) if places else 0
            order = places[first:] + places[:first]
        else:
            random.shuffle(places)
            order = places
            most = random.randint(1, most)
        found: list[Record] = []
        for place in order:
            if len(found) == most:
                break
            wanted = most - len(found)
            if random is not None:
                wanted = random.randint(1, wanted)
            records, self._positions[place] = self._bus.log(place).read(self._positions[place], wanted)
            found += records
        return found
