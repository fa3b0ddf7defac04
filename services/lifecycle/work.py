"""What a batch, or a step of a sweep, brings about: gathered while it is decided, and written in one transaction."""

from collections import defaultdict
from collections.abc import Sequence

from eventsourcing.persistence import StoredEvent
from msgspec import Struct

from events.bus.letters import DeadLetter
from events.facts import FactRef
from services.lifecycle import trace
from services.lifecycle.customers import Line
from services.lifecycle.domain.events import AnyEvent, FactAccepted
from services.lifecycle.domain.record import Accepted, Record
from services.lifecycle.mapper import FORWARDED, Forwarded, to_bytes


class Wake(Struct, frozen=True):
    """A recycled lead comes back at an instant, if the recycling still stands then."""

    customer_id: str
    at: int
    recycling: FactRef


def wake_of(record: Record) -> Wake | None:
    """When a record's lead comes back, if it waits for that."""
    lead = record.fold.state.lead if record.fold.state is not None else None
    if lead is None or lead.wake_at is None or lead.recycling is None:
        return None
    return Wake(record.customer_id, lead.wake_at, lead.recycling)


class Work(Struct):
    """What a batch brings about, to be written in one transaction.

    ``followed``: shards that must still be this worker's, and up to where (identity, offset) their records follow the topic of
    status tables now, if that is said. ``traces``: which of a shard's events are traced, by their place in ``events``, and what
    they are called. ``restated``: customers that were said anew, and ``caught_up``: shards (``services.lifecycle.catching_up``).
    """

    events: dict[int, list[StoredEvent]]
    letters: list[DeadLetter]
    wakes: dict[str, tuple[int, Wake | None]]
    lines: list[Line]
    followed: dict[int, tuple[str, int] | None]
    traces: dict[int, list[tuple[int, trace.Name]]]
    restated: set[str]
    caught_up: set[int]

    @classmethod
    def none(cls) -> "Work":
        """Nothing yet."""
        return cls(defaultdict(list), [], {}, [], {}, defaultdict(list), set(), set())

    def changed(self, shard: int, before: Record, accepted: Accepted) -> None:
        """What a customer's record has come to: its events, and when it wakes where that is another time now."""
        after = accepted.record
        self.record(shard, after.customer_id, after.version, accepted.events)
        if (wake := wake_of(after)) != wake_of(before):
            self.wakes[after.customer_id] = (shard, wake)

    def record(self, shard: int, customer_id: str, version: int, events: Sequence[AnyEvent]) -> None:
        """Events of a customer's record, whose versions end at ``version``."""
        first = version - len(events) + 1
        for place, event in enumerate(events, start=len(self.events[shard])):
            if isinstance(event, FactAccepted) and (called := trace.of_fact(event.fact)) is not None:
                self.traces[shard].append((place, called))
        self.events[shard] += [
            StoredEvent(customer_id, first + number, event.TOPIC, to_bytes(event)) for number, event in enumerate(events)
        ]

    def forward(self, shard: int, name: str, message: Forwarded) -> None:
        """A message to send from a shard, once by this name."""
        if (called := trace.of_forwarded(message)) is not None:
            self.traces[shard].append((len(self.events[shard]), called))
        self.events[shard].append(StoredEvent(ours(name), 1, FORWARDED, to_bytes(message)))


def ours(name: str) -> str:
    """A name for a message of our own in a table of customers: no customer id has a control character."""
    return f"\x01{name}"
