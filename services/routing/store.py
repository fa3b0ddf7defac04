"""The desk's log: the eventsourcing library's recorder and notification log, in one database with the positions.

A row is an event of a customer, or a version of rules or directory that was applied. The order of rows is the order of all
decisions, and the notification log is the outgoing stream.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from eventsourcing.persistence import IntegrityError, StoredEvent

from events.bus.cursor import Cursor
from events.bus.database import Database
from events.bus.database.sqlite import SQLite
from events.bus.ledger import Fenced, Ledger, Outgoing
from services.routing.domain.story import (
    Assigned,
    Confirmed,
    DirectoryApplied,
    Event,
    NotAssigned,
    OwnerCleared,
    OwnerKept,
    Passed,
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
    "passed": Passed,
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
    """The database of routing. Thread-safe for reading; one thread writes. A path stands for an SQLite file."""

    def __init__(self, database: Database | Path | str, *, code_version: str, identity: Callable[[str], str] = str) -> None:
        self._database = SQLite(database) if isinstance(database, Path | str) else database
        self.read: Final = self._database.read
        self._names = {event: name for name, event in NAMES.items()}
        self._decoders = {name: msgspec.json.Decoder(event) for name, event in NAMES.items()}
        self._encoder = msgspec.json.Encoder(order="deterministic")
        with self._database.prepare():
            self._table = self._database.events("desk_events")
            self.ledger: Final = Ledger(
                self._database.begin,
                service="routing",
                code_version=code_version,
                identity=identity,
                dialect=self._database.dialect,
            )

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def append(self, cursor: Cursor, before: State, events: Sequence[Event]) -> int | None:
        """Write events that follow a state, within a transaction of the ledger; the number of the last one."""
        rows = []
        grown: dict[str, int] = {}
        for event in events:
            stream, count = _stream(before, event)
            grown[stream] = grown.get(stream, count) + 1
            rows.append(StoredEvent(stream, grown[stream], self._names[type(event)], self._encoder.encode(event)))
        try:
            numbers = self._table.append(cursor, rows)
        except IntegrityError as error:
            raise Fenced(f"another desk has written to the log: {error}") from error
        return numbers[-1] if numbers else None

    def replay(self) -> Iterator[Event]:
        """Every event, in the order of decisions."""
        after = 0
        while rows := self._table.select_notifications(after + 1, _REPLAY_ROWS):
            for row in rows:
                yield self._decoders[row.topic].decode(row.state)
            after = rows[-1].id

    def events_of(self, customer_id: str) -> list[Event]:
        """Everything that was decided about a record, oldest first."""
        if "\0" in customer_id:  # PostgreSQL cannot be asked that, no id has it
            return []
        return [self._decoders[row.topic].decode(row.state) for row in self._table.select_events(customer_id)]

    def last_number(self) -> int:
        """The number of the newest entry of the outgoing stream."""
        return self._table.max_notification_id() or 0

    def outgoing(self, after: int, limit: int) -> list[Outgoing]:
        """Entries of the outgoing stream: what each event publishes."""
        rows = self._table.select_notifications(after + 1, limit)
        return [Outgoing(row.id, messages_of(self._decoders[row.topic].decode(row.state))) for row in rows]


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
