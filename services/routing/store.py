"""The desk's log: the eventsourcing library's recorder and notification log, in one SQLite file with the positions.

A row is an event of a customer, or a version of rules or directory that was applied. The order of rows is the order of all
decisions, and the notification log is the outgoing stream.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from eventsourcing.persistence import IntegrityError, StoredEvent
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

from events.bus.ledger import Cursor, Fenced, Ledger, Outgoing
from services.routing.domain.story import (
    Assigned,
    Confirmed,
    DirectoryApplied,
    Event,
    NotAssigned,
    OwnerCleared,
    OwnerKept,
    Progressed,
    Reinstated,
    Rejected,
    RulesApplied,
    State,
    Superseded,
)
from services.routing.outbound import messages_of

NAMES: Final[dict[str, type[Event]]] = {
    "rules-applied": RulesApplied,
    "directory-applied": DirectoryApplied,
    "assigned": Assigned,
    "not-assigned": NotAssigned,
    "owner-kept": OwnerKept,
    "owner-cleared": OwnerCleared,
    "rejected": Rejected,
    "progressed": Progressed,
    "confirmed": Confirmed,
    "superseded": Superseded,
    "reinstated": Reinstated,
}
"""The durable names of stored events: part of the data, never changed."""

_REPLAY_ROWS: Final = 5_000
_RULES: Final = "\x01rules"
_DIRECTORY: Final = "\x01directory"
"""Where versions are kept among the customers: no customer id has a control character."""


class Store:
    """The database of routing. Thread-safe for reading; one thread writes."""

    def __init__(self, path: Path | str, *, code_version: str, identity: Callable[[str], str] = str) -> None:
        self._datastore = SQLiteDatastore(str(path), originator_id_type="text", lock_timeout=15)
        self._recorder = SQLiteApplicationRecorder(self._datastore, events_table_name="desk_events")
        self._recorder.create_table()
        self._names = {event: name for name, event in NAMES.items()}
        self._decoders = {name: msgspec.json.Decoder(event) for name, event in NAMES.items()}
        self._encoder = msgspec.json.Encoder(order="deterministic")
        self.ledger: Final = Ledger(self._begin, service="routing", code_version=code_version, identity=identity)

    def close(self) -> None:
        """Close the file."""
        self._datastore.close()

    def append(self, cursor: Cursor, before: State, events: Sequence[Event]) -> int | None:
        """Write events that follow a state, within a transaction of the ledger; the number of the last one."""
        rows = []
        grown: dict[str, int] = {}
        for event in events:
            stream, count = _stream(before, event)
            grown[stream] = grown.get(stream, count) + 1
            rows.append(StoredEvent(stream, grown[stream], self._names[type(event)], self._encoder.encode(event)))
        try:
            numbers = self._recorder._insert_events(cursor, rows)  # type: ignore[arg-type]
        except (IntegrityError, sqlite3.IntegrityError) as error:
            raise Fenced(f"another desk has written to the log: {error}") from error
        return numbers[-1] if numbers else None

    def replay(self) -> Iterator[Event]:
        """Every event, in the order of decisions."""
        after = 0
        while rows := self._recorder.select_notifications(after + 1, _REPLAY_ROWS):
            for row in rows:
                yield self._decoders[row.topic].decode(row.state)
            after = rows[-1].id

    def events_of(self, customer_id: str) -> list[Event]:
        """Everything that was decided about a record, oldest first."""
        return [self._decoders[row.topic].decode(row.state) for row in self._recorder.select_events(customer_id)]

    def last_number(self) -> int:
        """The number of the newest entry of the outgoing stream."""
        return self._recorder.max_notification_id() or 0

    def outgoing(self, after: int, limit: int) -> list[Outgoing]:
        """Entries of the outgoing stream: what each event publishes."""
        rows = self._recorder.select_notifications(after + 1, limit)
        return [Outgoing(row.id, messages_of(self._decoders[row.topic].decode(row.state))) for row in rows]

    @contextmanager
    def _begin(self) -> Iterator[sqlite3.Cursor]:
        with self._datastore.transaction(commit=True) as cursor:
            yield cursor.sqlite_cursor


def _stream(state: State, event: Event) -> tuple[str, int]:
    """The stream of rows that an event belongs to, and how many it has."""
    match event:
        case RulesApplied():
            return _RULES, state.rules_events
        case DirectoryApplied():
            return _DIRECTORY, state.directory_events
        case _:
            known = state.customers.get(event.customer_id)
            return event.customer_id, known.events if known else 0
