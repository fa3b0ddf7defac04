"""The store of lifecycle: the eventsourcing library's recorders, one table of events per shard, in one database.

What a poll brings about is one transaction: events, positions, dead letters (:class:`events.bus.ledger.Ledger`), the instants at
which recycled leads come back, and the lines of lists (:mod:`services.lifecycle.customers`). The notification log of each shard's
table is its outgoing stream.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from eventsourcing.persistence import IntegrityError, StoredEvent

from events.bus.cursor import Cursor
from events.bus.database import Database
from events.bus.database.sqlite import SQLite
from events.bus.ledger import Fenced, Ledger, Outgoing
from events.bus.partitioner import murmur2
from events.bus.rebuild import jobs, sets
from events.record import Record as KafkaRecord
from services.lifecycle import customers, keys, restorations, trace, views, wakes
from services.lifecycle.customers import Line, Selection, Sort
from services.lifecycle.domain.events import EVENTS, UNTOLD, AnyEvent, FactAccepted, TablesApplied
from services.lifecycle.domain.record import Record, restore
from services.lifecycle.domain.state import Policy
from services.lifecycle.keys import Keys
from services.lifecycle.mapper import FORWARDED, Forwarded, from_bytes, kept_from_bytes
from services.lifecycle.outbound import messages_of
from services.lifecycle.portions import EVENTS_MAX, TooMuch, portions
from services.lifecycle.shards import table_of
from services.lifecycle.trace import Spot, Traces
from services.lifecycle.views import View
from services.lifecycle.work import Wake, Work, ours

_FOLLOWED_TABLE: Final = """CREATE TABLE IF NOT EXISTS followed (
    shard INTEGER PRIMARY KEY, identity TEXT NOT NULL, through BIGINT NOT NULL)"""
"""Up to where on its topic the versions of the status table are that all records of a shard are folded with."""
_TABLES: Final = (*wakes.TABLES, _FOLLOWED_TABLE, *customers.TABLES, *trace.TABLES, *keys.TABLES, views.TABLE, *restorations.TABLES)
_LISTS: Final = View("customer", 1)
_QUERY_VALUES_MAX: Final = 500
_PAGE_ROWS: Final = 500
_VERSION_MAX: Final = 2**63 - 1
RECORD_TOPICS: Final = tuple(event.TOPIC for event in EVENTS)
"""The durable names of all events of records."""
PUBLISHED: Final = (*(event.TOPIC for event in EVENTS if event not in UNTOLD), FORWARDED)
"""The durable names of all stored events that publish something."""


class Store:
    """Records by customer, in shards. Thread-safe for reading; one thread writes. A path stands for an SQLite file.

    ``read_max``: how many stored events are read at once, where it can be helped.
    """

    read_max = EVENTS_MAX

    def __init__(
        self, database: Database | Path | str, shards: int, *, code_version: str, identity: Callable[[str], str] = str
    ) -> None:
        self.database: Final = SQLite(database) if isinstance(database, Path | str) else database
        self._begin, self._read = self.database.begin, self.database.read
        with self.database.prepare():
            self._tables = [self.database.events(table_of(shard)) for shard in range(shards)]
            with self._begin() as cursor:
                for statement in _TABLES:
                    cursor.execute(statement)
                sets.prepare(cursor, [customers.VIEW, trace.VIEW, wakes.VIEW])
                jobs.prepare(cursor)
            self.keys: Final = Keys(self._begin, self._read)
            self.traces: Final = Traces(self._begin, self._read, self._tables)
            self.ledger: Final = Ledger(
                self._begin, service="lifecycle", code_version=code_version, identity=identity, dialect=self.database.dialect
            )

    @property
    def shards(self) -> int:
        """How many shards there are: partitions of every customer-keyed topic."""
        return len(self._tables)

    def home(self, customer_id: str) -> int:
        """The shard of a customer's record."""
        return murmur2(customer_id.encode(errors="replace"), self.shards)

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    # ---------------------------------------------------------------------------------------- records

    def load(
        self,
        shard: int,
        customers: Collection[str],
        policy: Policy,
        *,
        dated_since: int | None = None,
        events_max: int | None = None,
    ) -> dict[str, Record]:
        """The records of some customers of a shard; one that nothing is known of is left out.

        Each is folded with the versions of the status table that were known when it last was: as it was published.
        ``dated_since``: leave out those without a fact of that instant (nanoseconds) or later. Raises ``TooMuch`` where more
        than ``events_max`` events are stored of them, before it reads these.
        """
        stored: defaultdict[str, list[FactAccepted | TablesApplied]] = defaultdict(list)
        asked = _askable(customers)
        with self._read() as cursor:
            versions = self._versions(cursor, shard, asked)
            if events_max is not None and sum(versions.values()) > events_max:
                raise TooMuch
            for start in range(0, len(asked), _QUERY_VALUES_MAX):
                some = asked[start : start + _QUERY_VALUES_MAX]
                cursor.execute(
                    f"SELECT originator_id, topic, state FROM {self._tables[shard].events_table_name}"
                    f" WHERE originator_id IN ({','.join('?' * len(some))}) AND topic IN ('fact', 'tables')"
                    " ORDER BY originator_id, originator_version",
                    some,
                )
                for customer, topic, state in cursor.fetchall():
                    stored[customer].append(kept_from_bytes(topic, state))
        return {
            customer: restore(customer, events, versions[customer], max(event.recorded_at for event in events), policy)
            for customer, events in stored.items()
            if dated_since is None or any(isinstance(e, FactAccepted) and e.fact.occurred_at >= dated_since for e in events)
        }

    def sizes(self, shard: int, customers: Collection[str]) -> dict[str, int]:
        """How many events are stored of each of some customers of a shard; one that nothing is known of is left out."""
        with self._read() as cursor:
            return self._versions(cursor, shard, _askable(customers))

    def _versions(self, cursor: Cursor, shard: int, customers: Sequence[str]) -> dict[str, int]:
        versions: dict[str, int] = {}
        for start in range(0, len(customers), _QUERY_VALUES_MAX):
            some = customers[start : start + _QUERY_VALUES_MAX]
            cursor.execute(
                f"SELECT originator_id, max(originator_version) FROM {self._tables[shard].events_table_name}"
                f" WHERE originator_id IN ({','.join('?' * len(some))}) GROUP BY originator_id",
                some,
            )
            versions.update(cursor.fetchall())
        return versions

    def portions(self, shard: int, customers: Collection[str]) -> Iterator[Sequence[str]]:
        """The same customers in parts, none with more stored events than are read at once, unless it is one customer's."""
        sizes = self.sizes(shard, customers)
        return portions(customers, str, lambda customer: sizes.get(customer, 0), self.read_max)

    def events_of(
        self, shard: int, customer_id: str, *, after: int = 0, until: int | None = None, topics: Sequence[str] = RECORD_TOPICS
    ) -> list[tuple[int, AnyEvent]]:
        """Events of a customer's record with their versions, oldest first: those after a version, up to one, of some kinds."""
        if not _askable([customer_id]):
            return []
        marks = ",".join("?" * len(topics))
        last = _VERSION_MAX if until is None else until
        with self._read() as cursor:
            cursor.execute(
                f"SELECT originator_version, topic, state FROM {self._tables[shard].events_table_name}"
                f" WHERE originator_id = ? AND originator_version > ? AND originator_version <= ? AND topic IN ({marks})"
                " ORDER BY originator_version",
                (customer_id, after, last, *topics),
            )
            rows = cursor.fetchall()
        events = ((version, from_bytes(topic, state)) for version, topic, state in rows)
        return [(version, event) for version, event in events if not isinstance(event, Forwarded)]

    def version_of(self, shard: int, customer_id: str) -> int:
        """How many events are stored of a customer's record: 0 of one that nothing is known of."""
        if not _askable([customer_id]):
            return 0
        marks = ",".join("?" * len(RECORD_TOPICS))
        with self._read() as cursor:
            cursor.execute(
                f"SELECT coalesce(max(originator_version), 0) FROM {self._tables[shard].events_table_name}"
                f" WHERE originator_id = ? AND topic IN ({marks})",
                (customer_id, *RECORD_TOPICS),
            )
            return int(cursor.fetchone()[0])

    def stream(self, shard: int, topics: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """All events of some topics of a shard (customer, bytes) in the order in which they were stored.

        Page by page, each in a transaction of its own, so that nobody waits for whoever reads, however long that takes.
        """
        table, marks = self._tables[shard].events_table_name, ",".join("?" * len(topics))
        after, full = 0, True
        while full:
            with self._read() as cursor:
                cursor.execute(
                    f"SELECT rowid, originator_id, state FROM {table} WHERE rowid > ? AND topic IN ({marks})"
                    " ORDER BY rowid LIMIT ?",
                    (after, *topics, _PAGE_ROWS),
                )
                page = cursor.fetchall()
            full = len(page) == _PAGE_ROWS
            for after, customer, state in page:  # noqa: B007 - where the next page begins
                yield customer, state

    def forwarded(self, shard: int, name: str) -> Forwarded | None:
        """The message of that name that was sent from a shard, if one ever was."""
        for stored in self._tables[shard].select_events(ours(name), limit=1):
            event = from_bytes(stored.topic, stored.state)
            return event if isinstance(event, Forwarded) else None
        return None

    def commit(self, records: Sequence[KafkaRecord], work: Work) -> dict[int, Sequence[int]]:
        """Write a batch's outcome and its positions in one transaction; answers with the numbers that its events have, by shard.

        Raises ``Fenced`` where another worker owns a log or has written a record.
        """
        given: dict[int, Sequence[int]] = {}
        with self.ledger.transaction(records, holding=work.followed) as cursor:
            traces: list[tuple[trace.Name, Spot]] = []
            for shard in sorted(work.events):  # always in this order, so that no two workers wait for each other
                numbers = self._insert(cursor, shard, work.events[shard])
                given[shard] = numbers
                traces += [(name, Spot(shard, numbers[place])) for place, name in work.traces[shard]]
            if work.letters:
                self.ledger.bury(cursor, work.letters)
            self._write_views(cursor, work, traces)
            if work.restated or work.caught_up:
                restorations.settled(cursor, work.restated, work.caught_up)
            cursor.executemany(
                "INSERT INTO followed (shard, identity, through) VALUES (?, ?, ?) ON CONFLICT (shard) DO UPDATE"
                " SET identity = excluded.identity, through = excluded.through",
                [(shard, *known) for shard, known in sorted(work.followed.items()) if known is not None],
            )
        return given

    def _write_views(self, cursor: Cursor, work: Work, traces: Sequence[tuple[trace.Name, Spot]]) -> None:
        standing = sets.to_write(cursor, self.database.dialect)
        for number in standing[trace.VIEW].written:
            trace.write(cursor, number, traces)
            trace.write_refused(cursor, number, (letter.record for letter in work.letters))
        for number in standing[customers.VIEW].written:
            customers.write(cursor, customers.TABLE.of(number), work.lines)
        for number in standing[wakes.VIEW].written:
            for customer_id, (shard, wake) in work.wakes.items():
                wakes.write(cursor, wakes.TABLE.of(number), shard, customer_id, wake)

    def _insert(self, cursor: Cursor, shard: int, events: Sequence[StoredEvent]) -> Sequence[int]:
        try:
            numbers = self._tables[shard].append(cursor, events)
        except IntegrityError as error:
            raise Fenced(f"another worker has written to shard {shard}: {error}") from error
        assert numbers
        return numbers

    # ---------------------------------------------------------------------------------- status tables

    def followed(self, shard: int) -> tuple[str, int] | None:
        """Which topic of status tables all records of a shard are known to have followed, and up to where; None for never."""
        with self._read() as cursor:
            cursor.execute("SELECT identity, through FROM followed WHERE shard = ?", (shard,))
            row = cursor.fetchone()
        return None if row is None else (row[0], row[1])

    # ------------------------------------------------------------------------------------------ lists

    def customers(self, selection: Selection = Selection()) -> int:  # noqa: B008 - frozen
        """How many customer records there are, or of those that are meant."""
        with self._read() as cursor:
            return customers.count(cursor, selection)

    def listed(
        self,
        selection: Selection,
        *,
        sort: Sort = "customer_id",
        descending: bool = False,
        after: tuple[Any, str] | None = None,
        limit: int,
    ) -> Sequence[Line]:
        """A page of the customers that are meant (:func:`services.lifecycle.customers.page`)."""
        with self._read() as cursor:
            return customers.page(cursor, selection, sort=sort, descending=descending, after=after, limit=limit)

    def customers_after(self, shard: int, last: str, limit: int) -> Sequence[str]:
        """The next customers of a shard, in order of their ids."""
        with self._read() as cursor:
            cursor.execute(
                f"SELECT DISTINCT originator_id FROM {self._tables[shard].events_table_name}"
                " WHERE originator_id > ? AND topic = 'fact' ORDER BY originator_id LIMIT ?",
                (last, limit),
            )
            return [customer for (customer,) in cursor.fetchall()]

    # ------------------------------------------------------------------------------- outgoing streams

    def last_number(self, shard: int) -> int:
        """The number of the newest entry of a shard's stream."""
        return self._tables[shard].max_notification_id() or 0

    def outgoing(self, shard: int, after: int, limit: int) -> list[Outgoing]:
        """Entries of a shard's stream: what each stored event publishes; nothing, where it is withheld (``restorations``).

        Accepted facts, which publish nothing, are left out.
        """
        notifications = self._tables[shard].select_notifications(after + 1, limit, topics=PUBLISHED)
        withheld = self.withheld(shard, after, notifications[-1].id) if notifications else ()
        return [Outgoing(each.id, ()) if each.id in withheld else outgoing_of(each.id, each) for each in notifications]

    def withheld(self, shard: int, after: int, until: int) -> Collection[int]:
        """The numbers of the entries of a shard's stream that are never published: of those after a number, up to one."""
        with self._read() as cursor:
            return restorations.withheld(cursor, shard, after, until)

    # ------------------------------------------------------------------------------------------ wakes

    def due(self, shards: Collection[int], instant: int) -> list[tuple[int, Wake]]:
        """The recycled leads whose time has come, with their shard."""
        if not shards:
            return []
        with self._read() as cursor:
            return wakes.due(cursor, shards, instant)


def outgoing_of(number: int, stored: StoredEvent) -> Outgoing:
    """What a stored event publishes, which has that number in its shard's stream."""
    event = from_bytes(stored.topic, stored.state)
    return Outgoing(number, messages_of(str(stored.originator_id), stored.originator_version, event))


def _askable(customers: Collection[str]) -> list[str]:
    """PostgreSQL cannot even be asked for a text with a NUL; no id has one."""
    return [customer for customer in customers if "\0" not in customer]
