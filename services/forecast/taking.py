"""What records of ``crm.lifecycle.v1`` do to the view, whichever set of its tables it is, and for whatever reason they are read.

In: records, in the order of their log. Out: rows, what became of each record, and the dead letters of those that cannot be taken
in. A version of a customer that was seen is a repeat and changes nothing. The worker takes in what comes, and whoever makes the
view again what was; so both come to the same.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Literal, NamedTuple

from events.bus.cursor import Cursor
from events.bus.letters import DeadLetter
from events.bus.letters.tables import is_for_another
from events.codec import Fact, Undecodable, decode
from events.record import Record
from services.forecast import changes, parts
from services.forecast.changes import Change
from services.forecast.view import Customer, Projection

Outcome = Literal["applied", "held", "ignored", "repeated", "refused"]
"""Ignored: it says nothing about deals or statuses, or is a replay that routing has asked for."""


class Arrival(NamedTuple):
    """A record and what it changes, or why it cannot be read."""

    record: Record
    change: Change | Undecodable


class Taken(NamedTuple):
    """What became of records."""

    outcomes: Counter[str]
    letters: list[DeadLetter]


class Taking:
    """Reads records and takes them in. ``zone``: the business time zone."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def read(self, record: Record) -> Arrival:
        """What a record changes, or why it cannot be read."""
        fact = decode(record)
        if isinstance(fact, Undecodable):
            return Arrival(record, fact)
        return Arrival(record, self._change(fact))

    def take_in(self, cursor: Cursor, projection: Projection, arrivals: Sequence[Arrival]) -> Taken:
        """Write what some records change, within a transaction."""
        taken = Taken(Counter(), [])
        customers = projection.load(cursor, {a.change.customer_id for a in arrivals if isinstance(a.change, Change)})
        for arrival in arrivals:
            taken.outcomes[self._take(cursor, projection, arrival, customers, taken.letters)] += 1
        projection.save(cursor, customers)
        return taken

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

    def _take(
        self,
        cursor: Cursor,
        projection: Projection,
        arrival: Arrival,
        customers: Mapping[str, Customer],
        letters: list[DeadLetter],
    ) -> Outcome:
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
            waiting = parts.release(cursor, projection.held, change.customer_id, customer)
            letters.extend(parts.incomplete(waiting, f"version {change.version} came instead of the next part"))
            if change.part > 1:
                customer.version = change.version
                letters.extend(parts.incomplete([record], "the part before it did not come"))
                return "refused"
        customer.version = change.version
        if change.part < change.parts:
            parts.hold(cursor, projection.held, record, change, customer)
            return "held"
        if change.parts > 1:
            held = parts.release(cursor, projection.held, change.customer_id, customer)
            try:
                change = changes.gather([*(self._held(part) for part in held), change])
            except ValueError as error:
                letters.extend(parts.incomplete([*held, record], str(error)))
                return "refused"
        projection.apply(cursor, change, customer)
        return "applied" if change.status or change.deals else "ignored"
