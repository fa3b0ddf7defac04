"""Lifecycle without its fence: what the control arms run, to show that the checker sees what the fence prevents.

Two things refuse a worker that was replaced: the ledger compares position and owner token, and the table of events takes a version
of a customer once. :class:`Tokenless` gives up the first, :class:`Unfenced` both. Nothing but tests may use them.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from eventsourcing.persistence import StoredEvent

from events.bus.cursor import Cursor
from events.bus.ledger import Ledger
from events.record import TopicPartition
from services.lifecycle.store import Store


class TokenlessLedger(Ledger):
    """Whoever comes writes the position."""

    def _move(self, cursor: Cursor, moves: Mapping[TopicPartition, int]) -> None:
        for place, following in moves.items():
            cursor.execute("UPDATE position SET next = ? WHERE topic = ? AND part = ?", (following, *place))


class Tokenless(Store):
    """A store whose ledger compares nothing."""

    def __init__(self, database: Path, shards: int, *, code_version: str, identity: Callable[[str], str] = str) -> None:
        super().__init__(database, shards, code_version=code_version, identity=identity)
        self.ledger = TokenlessLedger(
            self._begin, service="lifecycle", code_version=code_version, identity=identity, dialect=self.database.dialect
        )


class Unfenced(Tokenless):
    """And whose events take the next free number, whatever the worker believed it to be."""

    def _insert(self, cursor: Cursor, shard: int, events: Sequence[StoredEvent]) -> Sequence[int]:
        table = self._tables[shard].events_table_name
        last: dict[str, int] = {}
        numbered = []
        for event in events:
            customer = str(event.originator_id)
            if customer not in last:
                cursor.execute(f"SELECT coalesce(max(originator_version), 0) FROM {table} WHERE originator_id = ?", (customer,))
                last[customer] = cursor.fetchone()[0]
            last[customer] += 1
            numbered.append(StoredEvent(customer, last[customer], event.topic, event.state))
        return super()._insert(cursor, shard, numbered)
