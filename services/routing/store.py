"""The desk's log: the eventsourcing library's recorder and notification log, in one database with the positions.

A row is an event of a customer, or a version of rules or directory that was applied. The order of rows is the order of all
decisions, and the notification log is the outgoing stream.

Of the whole log only the cursors of pools are needed at once, so they are written down now and then (a snapshot): whoever
begins reads what came after. Customers are read when something is asked about them.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, MutableMapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from eventsourcing.persistence import IntegrityError, StoredEvent

from events.bus.cursor import Cursor
from events.bus.database import Database
from events.bus.database.sqlite import SQLite
from events.bus.ledger import Fenced, Ledger, Outgoing
from services.routing.domain.story import (
    NOBODY,
    Assigned,
    Confirmed,
    Customer,
    CustomerEvent,
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
    evolve,
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
_ASSIGNED: Final = "assigned"
_ASKED_MAX: Final = 500
_SNAPSHOT: Final = """CREATE TABLE IF NOT EXISTS desk_snapshot (
    name TEXT PRIMARY KEY, number BIGINT NOT NULL, state TEXT NOT NULL)"""
_CURSORS: Final = "cursors"


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
            with self._database.begin() as cursor:
                cursor.execute(_SNAPSHOT)

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

    def replay(self, after: int = 0, topics: Sequence[str] = ()) -> Iterator[Event]:
        """Every event after a number, in the order of decisions; where names of events are given, only those."""
        while rows := self._table.select_notifications(after + 1, _REPLAY_ROWS, topics=topics):
            for row in rows:
                yield self._decoders[row.topic].decode(row.state)
            after = rows[-1].id

    def state(self, customers: MutableMapping[str, Customer]) -> tuple[State, int]:
        """What decisions depend on, with the customers that are given; and the number up to which the snapshot of it goes."""
        with self.read() as cursor:
            cursor.execute("SELECT number, state FROM desk_snapshot WHERE name = ?", (_CURSORS,))
            number, cursors = cursor.fetchone() or (0, "{}")
            state = State(customers, msgspec.json.decode(cursors, type=dict[str, dict[str, str]]))
            versions = [self._newest(cursor, stream) for stream in (_RULES, _DIRECTORY)]
        for event, _ in filter(None, versions):
            state.apply(event)
        state.rules_events, state.directory_events = (found[1] if found else 0 for found in versions)
        for event in self.replay(number, [_ASSIGNED]):
            assert isinstance(event, Assigned)
            state.turn(event)
        return state, number

    def _newest(self, cursor: Cursor, stream: str) -> tuple[Event, int] | None:
        """The last event of a stream, and how many it has."""
        cursor.execute(
            f"SELECT topic, state, originator_version FROM {self._table.events_table_name}"
            " WHERE originator_id = ? ORDER BY originator_version DESC LIMIT 1",
            (stream,),
        )
        row = cursor.fetchone()
        return None if row is None else (self._decoders[row[0]].decode(row[1]), row[2])

    def snapshot(self, cursor: Cursor, state: State, number: int) -> None:
        """Write down what the log up to a number comes to for all customers alike, within a transaction."""
        cursor.execute(
            "INSERT INTO desk_snapshot (name, number, state) VALUES (?, ?, ?)"
            " ON CONFLICT (name) DO UPDATE SET number = excluded.number, state = excluded.state",
            (_CURSORS, number, self._encoder.encode(dict(state.cursors)).decode()),
        )

    def customers(self, wanted: Collection[str]) -> dict[str, Customer]:
        """What the log says of some customers; of whom it says nothing is left out."""
        found: defaultdict[str, Customer] = defaultdict(lambda: NOBODY)
        asked = [customer for customer in wanted if "\0" not in customer]  # PostgreSQL cannot be asked that, no id has it
        with self.read() as cursor:
            for start in range(0, len(asked), _ASKED_MAX):
                some = asked[start : start + _ASKED_MAX]
                cursor.execute(
                    f"SELECT originator_id, topic, state FROM {self._table.events_table_name}"
                    f" WHERE originator_id IN ({', '.join('?' * len(some))}) ORDER BY originator_id, originator_version",
                    some,
                )
                for customer, topic, stored in cursor.fetchall():
                    event = self._decoders[topic].decode(stored)
                    assert isinstance(event, CustomerEvent)
                    found[customer] = evolve(found[customer], event)
        return dict(found)

    def events_of(self, customer_id: str) -> list[Event]:
        """Everything that was decided about a record, oldest first."""
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
