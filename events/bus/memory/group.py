"""A consumer group in memory: members, generations, and the range assignment.

As Kafka's classic protocol with eager rebalancing: when somebody joins, leaves or expires, everybody gives all partitions back and
joins again, and the new assignment is handed out when all have.
"""

from collections.abc import Callable, Collection, Sequence

from events.record import TopicPartition


class Group:
    """Who is in, and who has what. Members are known by name: the static one, or one made up in the order of joining."""

    def __init__(self, partitions: Callable[[str], int]) -> None:
        self._partitions = partitions
        self._topics: dict[str, Sequence[str]] = {}
        self._holders: dict[str, object] = {}
        self._joined: set[str] = set()
        self._names = 0
        self.generation = 0
        self._assignment: dict[str, list[TopicPartition]] = {}

    @property
    def members(self) -> list[str]:
        """The names of the members, in their order of assignment."""
        return sorted(self._topics)

    def enter(self, topics: Sequence[str], instance: str | None, holder: object) -> str:
        """Become a member. A static name that is in already keeps its partitions; anybody else causes a rebalance."""
        if instance is not None and instance in self._topics:
            self._holders[instance] = holder
            return instance
        self._names += 1
        name = instance or f"member-{self._names:04}"
        self._topics[name] = topics
        self._holders[name] = holder
        self.rebalance()
        return name

    def replaced(self, name: str, holder: object) -> bool:
        """Whether somebody else is the member of this name now."""
        return name in self._holders and self._holders[name] is not holder

    def leave(self, name: str) -> None:
        """Go, or be gone: the others share the partitions."""
        self._holders.pop(name, None)
        if self._topics.pop(name, None) is not None:
            self.rebalance()

    def reads(self, topic: str) -> bool:
        """Whether any member reads a topic."""
        return any(topic in topics for topics in self._topics.values())

    def join(self, name: str) -> Collection[TopicPartition] | None:
        """Take part in the present generation: what it gives this member, None while others have not joined it."""
        self._joined.add(name)
        if not self._topics.keys() <= self._joined:
            return None
        if not self._assignment:
            self._assign()
        return self._assignment[name]

    def rebalance(self) -> None:
        """All partitions are given back, to be shared out anew."""
        self.generation += 1
        self._joined.clear()
        self._assignment = {}

    def _assign(self) -> None:
        """Range: of every topic the first member gets the first partitions, so that equal numbers go together."""
        self._assignment = {name: [] for name in self.members}
        for topic in sorted({topic for topics in self._topics.values() for topic in topics}):
            takers = [name for name in self.members if topic in self._topics[name]]
            share, more = divmod(self._partitions(topic), len(takers))
            first = 0
            for at, name in enumerate(takers):
                count = share + (at < more)
                self._assignment[name].extend(TopicPartition(topic, first + n) for n in range(count))
                first += count
