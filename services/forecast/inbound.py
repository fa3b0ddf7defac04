"""The worker that the loop drives: a poll's records become one transaction of histories, positions and dead letters.

Exactly-once effect: the positions move in the same transaction (:mod:`events.bus.ledger`), and a version of a customer that was
seen is a repeat and changes nothing. Nothing is published but dead letters.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import tzinfo
from typing import Final, Literal, NamedTuple

from events.bus.cursor import Cursor
from events.bus.ledger import Ledger, Outgoing
from events.bus.letters import DeadLetter
from events.bus.letters.tables import is_for_another
from events.codec import Fact, Undecodable, decode
from events.record import Record, TopicPartition
from events.topics import LIFECYCLE
from services.forecast import changes, parts, view
from services.forecast.changes import Change
from services.forecast.metrics import Metrics
from services.forecast.view import Customer

GROUP: Final = "forecast"
"""The name of the consumer group, which lag tools look for."""
TOPICS: Final = (LIFECYCLE.name,)

Outcome = Literal["applied", "held", "ignored", "repeated", "refused"]
"""Ignored: it says nothing about deals or statuses, or is a replay that routing has asked for."""


class Arrival(NamedTuple):
    """A record and what it changes, or why it cannot be read."""

    record: Record
    change: Change | Undecodable


class Inbound:
    """Takes ``crm.lifecycle.v1`` in (``events.bus.loop.Worker``)."""

    def __init__(self, ledger: Ledger, metrics: Metrics, zone: tzinfo) -> None:
        self._ledger = ledger
        self._metrics = metrics
        self._zone = zone

    # ------------------------------------------------------------------------------------ partitions

    def claim(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return self._ledger.claim(places)

    def release(self, places: Collection[TopicPartition]) -> None:
        self._ledger.release(places)

    # --------------------------------------------------------------------------------------- records

    def process(self, records: Sequence[Record]) -> None:
        fresh = self._ledger.fresh(records)
        if fresh:
            self.take_in([self.read(record) for record in fresh])

    def take_in(self, arrivals: Sequence[Arrival]) -> None:
        """Write what some records change: one transaction."""
        letters: list[DeadLetter] = []
        outcomes: Counter[str] = Counter()
        with self._ledger.transaction([arrival.record for arrival in arrivals]) as cursor:
            customers = view.load(cursor, {a.change.customer_id for a in arrivals if isinstance(a.change, Change)})
            for arrival in arrivals:
                outcomes[self._take(cursor, arrival, customers, letters)] += 1
            view.save(cursor, customers)
            self._ledger.bury(cursor, letters)
        self._metrics.took(outcomes)

    def reject(self, record: Record, error: BaseException, attempts: int) -> None:
        reason = f"{type(error).__name__}: {error}"[:2000]
        with self._ledger.transaction([record]) as cursor:
            self._ledger.bury(cursor, [DeadLetter(record=record, error="Bug", reason=reason, attempts=attempts)])
        self._metrics.took({"refused": 1})

    def read(self, record: Record) -> Arrival:
        """What a record changes, or why it cannot be read."""
        fact = decode(record)
        if isinstance(fact, Undecodable):
            return Arrival(record, fact)
        return Arrival(record, self._change(fact))

    def _change(self, fact: Fact) -> Change | Undecodable:
        try:
            return changes.read(fact, self._zone)
        except ValueError as error:
            path, _, reason = str(error).partition(": ")
            return Undecodable(reason, path)

    def _held(self, record: Record) -> Change:
        change = self.read(record).change
        assert isinstance(change, Change), "a part is held only where it could be read"
        return change

    def _take(self, cursor: Cursor, arrival: Arrival, customers: Mapping[str, Customer], letters: list[DeadLetter]) -> Outcome:
        record, change = arrival.record, arrival.change
        if is_for_another(record.headers, "forecast"):
            return "ignored"
        if isinstance(change, Undecodable):
            letters.append(DeadLetter(record=record, error="Undecodable", reason=change.reason, path=change.path))
            return "refused"
        customer = customers[change.customer_id]
        if change.version <= customer.version:
            return "repeated"
        if not parts.fits(change, customer):
            waiting = parts.release(cursor, change.customer_id, customer)
            letters.extend(parts.incomplete(waiting, f"version {change.version} came instead of the next part"))
            if change.part > 1:
                customer.version = change.version
                letters.extend(parts.incomplete([record], "the part before it did not come"))
                return "refused"
        customer.version = change.version
        if change.part < change.parts:
            parts.hold(cursor, record, change, customer)
            return "held"
        if change.parts > 1:
            held = parts.release(cursor, change.customer_id, customer)
            change = changes.gather([*(self._held(part) for part in held), change])
        view.apply(cursor, change, customer)
        return "applied" if change.status or change.deals else "ignored"

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
