"""Where an event went, by what its sender knows of it: source and id.

Two tables, written in the transaction of what they are about. ``trace`` leads to the rows of the shards' tables: a fact that was
taken in, or one that was sent home from another partition. ``refused`` leads to dead letters. An identity is known per customer, so
both may lead to several. Only what comes from outside is traced: what Handoff writes itself has its customer in its id.

Kept lean, for a row is written with every fact: no text but the sender's own two, and in order of id within a source, so that ids
that rise with time (numbers, UUIDv7) are written side by side. Of both tables there are two (:mod:`events.bus.rebuild`).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from eventsourcing.persistence import Notification
from msgspec import Struct

from events.bus.cursor import Cursor, Opens
from events.bus.database import EventTable
from events.bus.letters import Buried, letters_after, letters_of
from events.bus.rebuild import SUFFIXES, Table, sets
from events.codec import Fact
from events.envelope import identity
from events.record import Record, TopicPartition
from events.submission import OPEN
from events.topics import TICK_TYPE
from services.lifecycle.domain.events import FactAccepted
from services.lifecycle.mapper import FORWARDED, Forwarded, from_bytes
from services.lifecycle.views import View, filled

VIEW: Final = "traces"
"""The name of the view that both tables are."""
_TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS trace{set} (
        source TEXT NOT NULL, id TEXT NOT NULL, shard INTEGER NOT NULL, number BIGINT NOT NULL,
        PRIMARY KEY (source, id, shard, number)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS refused{set} (
        source TEXT NOT NULL, id TEXT NOT NULL, topic TEXT NOT NULL, part INTEGER NOT NULL, record_offset BIGINT NOT NULL,
        PRIMARY KEY (source, id, topic, part, record_offset)) WITHOUT ROWID""",
)
TABLES: Final = tuple(table.format(set=suffix) for suffix in SUFFIXES for table in _TABLES)
TRACE: Final = Table("trace", ("source", "id", "shard", "number"), ())
REFUSED: Final = Table(
    "refused",
    ("source", "id", "topic", "part", "record_offset"),
    (),
    only="EXISTS (SELECT 1 FROM dead_letter AS d"
    " WHERE (d.topic, d.part, d.record_offset) = ({table}.topic, {table}.part, {table}.record_offset))",
)
"""Without what leads to no letter any more: one that was dealt with is forgotten after a while."""
KINDS: Final = (FactAccepted.TOPIC, FORWARDED)
"""The kinds of stored events that are traced."""
_TICK: Final = ("ce_type", TICK_TYPE.encode())
FOUND_MAX: Final = 100
"""How many traces of one source and id are followed."""
FILL_ROWS: Final = 1000
"""How many rows are traced in one step, where a database has no traces yet."""

_FILLED: Final = View("trace", 1)

Name = tuple[str, str]
"""What a sender calls its event: source and id."""


class Spot(Struct, frozen=True):
    """A row of a shard's table of events, by its number."""

    shard: int
    number: int


def of_fact(fact: Fact) -> Name | None:
    """By what a fact is found; None for one that is not traced."""
    return (fact.source, fact.id) if fact.type in OPEN else None


def of_forwarded(message: Forwarded) -> Name | None:
    """By what a message on its way home is found; None for a tick."""
    return None if _TICK in message.headers else identity(message.headers, message.value)


def of_stored(topic: str, state: bytes) -> Name | None:
    """By what a stored event of one of the ``KINDS`` is found."""
    event = from_bytes(topic, state)
    return of_forwarded(event) if isinstance(event, Forwarded) else of_fact(event.fact) if isinstance(event, FactAccepted) else None


def write(cursor: Cursor, number: int, traces: Iterable[tuple[Name, Spot]]) -> None:
    """Add traces to a set of tables, within a transaction. One that is there stays."""
    rows = sorted((*name, spot.shard, spot.number) for name, spot in traces)
    cursor.executemany(
        f"INSERT INTO {TRACE.of(number)} (source, id, shard, number) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", rows
    )


def write_refused(cursor: Cursor, number: int, records: Iterable[Record]) -> None:
    """Add to a set of tables the traces of records that are dead letters, within a transaction, as far as they say who they are."""
    named = ((identity(record.headers, record.value or b""), record) for record in records)
    rows = [(*name, *record.place, record.offset) for name, record in named if name is not None]
    cursor.executemany(
        f"INSERT INTO {REFUSED.of(number)} (source, id, topic, part, record_offset) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        rows,
    )


class Traces:
    """What is found by them, in a database and its shards' tables. Thread-safe."""

    def __init__(self, begin: Opens, read: Opens, tables: Sequence[EventTable]) -> None:
        self._begin = begin
        self._read = read
        self._tables = tables

    def events(self, name: Name) -> list[tuple[int, Notification]]:
        """The stored facts and messages on their way home that are called so, each with its shard."""
        with self._read() as cursor:
            live = TRACE.of(sets.to_read(cursor, VIEW).live)
            cursor.execute(f"SELECT shard, number FROM {live} WHERE source = ? AND id = ? LIMIT ?", (*_askable(name), FOUND_MAX))
            spots = [Spot(*row) for row in cursor.fetchall()]
        return [(spot.shard, row) for spot in spots for row in self._tables[spot.shard].select_notifications(spot.number, 1)]

    def of_customer(self, name: Name, shard: int, customer_id: str) -> Notification | None:
        """The stored fact of a customer that is called so, however many others have one; ``shard`` is the customer's home.

        Where another one has taken its place, the first.
        """
        table = self._tables[shard]
        with self._read() as cursor:
            live = TRACE.of(sets.to_read(cursor, VIEW).live)
            cursor.execute(
                f"SELECT number FROM {live} AS trace JOIN {table.events_table_name} AS stored ON stored.rowid = trace.number"
                " WHERE source = ? AND id = ? AND shard = ? AND originator_id = ? ORDER BY number LIMIT 1",
                (*_askable(name), shard, customer_id.replace("\0", "")),
            )
            found = cursor.fetchone()
        return table.select_notifications(found[0], 1)[0] if found else None

    def letters(self, name: Name) -> list[Buried]:
        """The dead letters that are called so."""
        with self._read() as cursor:
            live = REFUSED.of(sets.to_read(cursor, VIEW).live)
            cursor.execute(
                f"SELECT topic, part, record_offset FROM {live} WHERE source = ? AND id = ? LIMIT ?", (*_askable(name), FOUND_MAX)
            )
            places = [(TopicPartition(topic, part), offset) for topic, part, offset in cursor.fetchall()]
            found = [letter for place, offset in places for letter in letters_of(cursor, place, offset)]
        return [letter for letter in found if (letter.source, letter.id) == name]

    def fill(self) -> Iterator[int]:
        """Trace all that is stored, where this database has no traces yet; answers with how much is done, after each step."""
        return filled(self._begin, self._read, _FILLED, self._fill)

    def _fill(self) -> Iterator[int]:
        looked = 0
        for step in self.steps():
            with self._begin() as cursor:
                step.write(cursor, sets.to_read(cursor, VIEW).live)
            looked += step.rows
            yield looked

    def steps(self, after: tuple[int, int] = (0, 0)) -> Iterator["Step"]:
        """Everything that is to be traced, or what comes after a place, some rows at a time."""
        begin, number = after
        for shard, table in list(enumerate(self._tables))[begin:]:
            number = number if shard == begin else 0
            while rows := table.select_notifications(number + 1, FILL_ROWS, topics=KINDS):
                number = rows[-1].id
                named = [(of_stored(row.topic, row.state), Spot(shard, row.id)) for row in rows]
                yield Step((shard, number), len(rows), traces=[(name, spot) for name, spot in named if name is not None])
        number = number if begin == len(self._tables) else 0
        while letters := self._letters_after(number):
            number = letters[-1][0]
            yield Step((len(self._tables), number), len(letters), refused=[record for _, record in letters])

    def rows(self) -> int:
        """About how many rows all steps have."""
        return sum(table.max_notification_id() or 0 for table in self._tables)

    def _letters_after(self, number: int) -> list[tuple[int, Record]]:
        with self._read() as cursor:
            return letters_after(cursor, number, FILL_ROWS)


class Step(Struct, frozen=True):
    """Some rows that were looked at, and what there is to trace in them. ``place``: the shard and the last number."""

    place: tuple[int, int]
    rows: int
    traces: Sequence[tuple[Name, Spot]] = ()
    refused: Sequence[Record] = ()

    def write(self, cursor: Cursor, number: int) -> None:
        """Add it to a set of tables."""
        write(cursor, number, self.traces)
        write_refused(cursor, number, self.refused)


def _askable(name: Name) -> Name:
    """PostgreSQL cannot even be asked for a text with a NUL; nothing is called like what is asked instead."""
    return ("", "") if "\0" in "".join(name) else name
