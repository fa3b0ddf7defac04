"""A small service on SQLite, as real as the others: it copies every record to a topic, numbered per stream.

In go records with any value; ``poison…`` is buried, ``bug…`` makes it fail. Out go an ``entry`` per record in the same transaction,
and from there a message ``<number>:<value>`` under the record's key.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from events.bus import Bus
from events.bus.ledger import Ledger, Outgoing
from events.bus.letters import DeadLetter
from events.record import Message, Record, TopicPartition

TABLES = """
CREATE TABLE IF NOT EXISTS fact (topic TEXT, part INTEGER, record_offset INTEGER, key BLOB, value BLOB);
CREATE TABLE IF NOT EXISTS entry (stream TEXT, number INTEGER, key BLOB, value BLOB, PRIMARY KEY (stream, number));
"""
OUT = "out"
LETTERS = "toy.dead-letter.v1"
TOPICS = {"in": 4, "more": 4, OUT: 4, LETTERS: 1}


class Database:
    """One connection, as a service has it."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
        self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;" + TABLES)

    @contextmanager
    def begin(self) -> Iterator[sqlite3.Cursor]:
        cursor = self._connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        try:
            yield cursor
            cursor.execute("COMMIT")
        except BaseException:
            self._connection.rollback()
            raise

    def rows(self, sql: str) -> list[tuple]:
        return self._connection.execute(sql).fetchall()

    def close(self) -> None:
        self._connection.close()


class Toy:
    """A worker. ``at(point)`` is called at ``begin``, ``written``, ``committed``, ``acknowledged``, ``settle``: to fail there."""

    def __init__(self, bus: Bus, path: Path, *, out: str = OUT, ledger: type[Ledger] = Ledger) -> None:
        self.database = Database(path)
        self.ledger = ledger(self.database.begin, service="toy", code_version="1", identity=bus.identity)
        self.at: Callable[[str], None] = lambda point: None
        self.batches: list[int] = []
        self._out = out

    # ---------------------------------------------------------------------------------- what a worker is asked

    def claim(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return self.ledger.claim(places)

    def release(self, places: Collection[TopicPartition]) -> None:
        self.ledger.release(places)

    def process(self, records: Sequence[Record]) -> None:
        self.batches.append(len(records))
        self.at("begin")
        fresh = self.ledger.fresh(records)
        with self.ledger.transaction(fresh) as cursor:
            for record in fresh:
                self._take(cursor, record)
            self.at("written")
        self.at("committed")

    def reject(self, record: Record, error: BaseException, attempts: int) -> None:
        with self.ledger.transaction([record]) as cursor:
            self.ledger.bury(cursor, [DeadLetter(record=record, error="Bug", reason=str(error), attempts=attempts)])

    def streams(self) -> Mapping[str, int]:
        numbers = sorted(self.ledger.owned())
        return self.ledger.relay_positions([*(f"out[{number}]" for number in numbers), *self.ledger.letters.streams(numbers)])

    def outgoing(self, stream: str, after: int, limit: int) -> Sequence[Outgoing]:
        if self.ledger.letters.carries(stream):
            return self.ledger.letter_stream(stream, after, limit)
        with self.ledger.lock, self.database.begin() as cursor:
            cursor.execute(
                "SELECT number, key, value FROM entry WHERE stream = ? AND number > ? ORDER BY number LIMIT ?",
                (stream, after, limit),
            )
            return [
                Outgoing(number, (Message(self._out, key, f"{number}:".encode() + value),))
                for number, key, value in cursor.fetchall()
            ]

    def acknowledged(self, stream: str, number: int) -> None:
        self.at("acknowledged")
        self.ledger.acknowledged(stream, number)

    def settle(self) -> None:
        self.at("settle")
        self.ledger.settle()

    def pending(self) -> int:
        streams = self.streams()
        count = self.ledger.letters.pending(streams)
        with self.ledger.lock, self.database.begin() as cursor:
            for stream, after in streams.items():
                if stream.startswith("out"):
                    cursor.execute("SELECT count(*) FROM entry WHERE stream = ? AND number > ?", (stream, after))
                    count += cursor.fetchone()[0]
        return count

    def _take(self, cursor: sqlite3.Cursor, record: Record) -> None:
        value = record.value or b""
        if value.startswith(b"bug"):
            raise ValueError(f"cannot stand {value!r}")
        if value.startswith(b"poison"):
            self.ledger.bury(cursor, [DeadLetter(record=record, error="Undecodable", reason="poison", path="$")])
            return
        cursor.execute("INSERT INTO fact VALUES (?, ?, ?, ?, ?)", (*record.place, record.offset, record.key, value))
        cursor.execute(
            "INSERT INTO entry SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3 FROM entry WHERE stream = ?1",
            (f"out[{record.partition}]", record.key, value),
        )

    # ------------------------------------------------------------------------------------- what tests look at

    def facts(self) -> list[tuple[bytes, bytes]]:
        """Key and value of all facts, in the order in which they were taken in."""
        return self.database.rows("SELECT key, value FROM fact ORDER BY rowid")

    def entries(self) -> list[tuple[bytes, bytes]]:
        """Key and value of everything that must be published, by stream and number."""
        rows = self.database.rows("SELECT number, key, value FROM entry ORDER BY stream, number")
        return [(key, f"{number}:".encode() + value) for number, key, value in rows]

    def letters(self) -> list[tuple]:
        """Value, error and attempts of the dead letters."""
        return self.database.rows("SELECT value, error, attempts FROM dead_letter ORDER BY number")


def by_key(pairs: Collection[tuple[bytes | None, bytes | None]]) -> dict[bytes | None, list[bytes | None]]:
    """Values by key, in order."""
    values: dict[bytes | None, list[bytes | None]] = {}
    for key, value in pairs:
        values.setdefault(key, []).append(value)
    return values


def first_occurrences(records: Collection[Record]) -> dict[bytes | None, list[bytes | None]]:
    """What a consumer holds that ignores repeats, by key."""
    return {key: list(dict.fromkeys(values)) for key, values in by_key([(r.key, r.value) for r in records]).items()}
