"""What would become of a dead letter's record if it came now.

A projection takes the messages about a customer in the order of their versions. So a message is taken in only as long as none
after it was; once one was, what it said is missing until the view is made anew.
"""

from collections.abc import Callable

from events.bus.letters.office import Verdict
from events.bus.rebuild import sets
from events.codec import Undecodable
from events.record import Record
from services.forecast import parts
from services.forecast.store import VIEW, Store
from services.forecast.taking import Arrival
from services.forecast.view import PROJECTIONS


class Rehearsal:
    """Asks the view. ``read``: the worker's."""

    def __init__(self, store: Store, read: Callable[[Record], Arrival]) -> None:
        self._store = store
        self._read = read

    def __call__(self, record: Record) -> Verdict:
        """What the record comes to."""
        change = self._read(record).change
        if isinstance(change, Undecodable):
            return Verdict("refused", "Undecodable", change.reason, change.path)
        with self._store.snapshot() as cursor:
            live = PROJECTIONS[sets.to_read(cursor, VIEW).live]
            customer = live.load(cursor, [change.customer_id])[change.customer_id]
        if change.version > customer.version:
            if parts.fits(change, customer) or change.part == 1:
                return Verdict("accepted")
            return Verdict("refused", parts.ERROR, "the part before it did not come", "$.part")
        if change.version == customer.version and change.part == 1:
            return Verdict("repeated", reason="this version was taken in")
        reason = (
            f"version {customer.version} of {change.customer_id!r} came since: an earlier one cannot be added any more;"
            " make the view again (handoff rebuild forecast)"
        )
        return Verdict("refused", "Overtaken", reason, "$.version")
