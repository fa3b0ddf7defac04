"""What would become of a dead letter's record if it came now: the batch that would take it in, decided and thrown away."""

from msgspec.structs import replace

from events.bus.ledger import Fenced
from events.bus.letters.office import Verdict
from events.record import Record
from events.topics import MOVED
from services.lifecycle.batch import Batch
from services.lifecycle.store import Store
from services.lifecycle.tables import StatusTables


class Rehearsal:
    """Asks the fold, by what is stored and the status tables that are known now."""

    def __init__(self, store: Store, tables: StatusTables) -> None:
        self._store = store
        self._tables = tables

    def __call__(self, record: Record) -> Verdict:
        """What the record comes to; one that lies in another partition than its customer's is asked about where it is sent."""
        try:
            return self._decided(record)
        except Fenced:  # another worker has folded the customer's record with a status table that was new here, and is read now
            return self._decided(record)

    def _decided(self, record: Record) -> Verdict:
        batch = Batch(self._store, self._tables, {})
        batch.take_in([record])
        for letter in batch.work.letters:
            if (letter.record.place, letter.record.offset) == (record.place, record.offset):
                return Verdict("refused", letter.error, letter.reason, letter.path)
        outcomes = {outcome for _, outcome in batch.outcomes}
        if "moved" in outcomes:
            home = self._store.home((record.key or b"").decode())
            return self(replace(record, topic=MOVED.name, partition=home))
        if "repeated" in outcomes:
            return Verdict("repeated", reason="the same event was taken in before")
        return Verdict("accepted")
