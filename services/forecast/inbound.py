"""The worker that the loop drives: a poll's records become one transaction of histories, positions and dead letters.

Exactly-once effect: the positions move in the same transaction (:mod:`events.bus.ledger`), and a version of a customer that was
seen is a repeat and changes nothing. Nothing is published but dead letters.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import tzinfo
from typing import Final

from events.bus.ledger import Ledger, Outgoing
from events.bus.letters import DeadLetter
from events.bus.rebuild import sets
from events.record import Record, TopicPartition
from events.topics import LIFECYCLE
from services.forecast.metrics import Metrics
from services.forecast.store import VIEW
from services.forecast.taking import Arrival, Taking
from services.forecast.view import PROJECTIONS

GROUP: Final = "forecast"
"""The name of the consumer group, which lag tools look for."""
TOPICS: Final = (LIFECYCLE.name,)


class Inbound:
    """Takes ``crm.lifecycle.v1`` in (``events.bus.loop.Worker``)."""

    def __init__(self, ledger: Ledger, metrics: Metrics, zone: tzinfo) -> None:
        self._ledger = ledger
        self._metrics = metrics
        self.taking = Taking(zone)

    # ------------------------------------------------------------------------------------ partitions

    def claim(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return self._ledger.claim(places)

    def release(self, places: Collection[TopicPartition]) -> None:
        self._ledger.release(places)

    # --------------------------------------------------------------------------------------- records

    def process(self, records: Sequence[Record]) -> None:
        fresh = self._ledger.fresh(records)
        if fresh:
            self.take_in([self.taking.read(record) for record in fresh])

    def take_in(self, arrivals: Sequence[Arrival]) -> None:
        """Write what some records change: one transaction. Dead letters are those of the live view."""
        with self._ledger.transaction([arrival.record for arrival in arrivals]) as cursor:
            live, *others = sets.to_write(cursor, self._ledger.dialect)[VIEW].written
            taken = self.taking.take_in(cursor, PROJECTIONS[live], arrivals)
            for other in others:
                self.taking.take_in(cursor, PROJECTIONS[other], arrivals)
            self._ledger.bury(cursor, taken.letters)
        self._metrics.took(taken.outcomes)

    def reject(self, record: Record, error: BaseException, attempts: int) -> None:
        reason = f"{type(error).__name__}: {error}"[:2000]
        with self._ledger.transaction([record]) as cursor:
            self._ledger.bury(cursor, [DeadLetter(record=record, error="Bug", reason=reason, attempts=attempts)])
        self._metrics.took({"refused": 1})

    # -------------------------------------------------------------------------- outgoing: dead letters

    def streams(self) -> Mapping[str, int]:
        return self._ledger.relay_positions(self._ledger.letters.streams(sorted(self._ledger.owned())))

    def outgoing(self, stream: str, after: int, limit: int) -> Sequence[Outgoing]:
        return self._ledger.letter_stream(stream, after, limit)

    def acknowledged(self, stream: str, number: int) -> None:
        self._ledger.acknowledged(stream, number)

    def settle(self) -> None:
        self._ledger.settle()

    def pending(self) -> int:
        return self._ledger.letters.pending(self.streams())
