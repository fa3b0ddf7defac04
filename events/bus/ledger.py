"""The exactly-once frame: what a service writes beside its own data, in the same transaction.

How far each log has been read and by whom (``position``), how far each outgoing stream has been acknowledged (``relay``), and the
records that could not be taken in (:mod:`events.bus.letters`). The database row is the truth of progress; Kafka's committed
offsets are not used.

The fence: whoever is given a log writes its token into the row. Every later transaction compares position and token with what
*this* ledger last wrote or claimed, and sets both. A worker that was frozen while another took over is refused as
a whole, whatever its batch holds (comparing offsets alone lets an overlapping batch in).
"""

import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from events.bus import PositionLost
from events.bus.cursor import Cursor, Dialect, Opens
from events.bus.letters import DeadLetter, Letters
from events.record import Message, Record, TopicPartition


class Fenced(Exception):  # noqa: N818 - the name says what happened
    """Another worker owns the log now, or the row is not where this worker left it: stop, do not fight."""


class Outgoing(Struct, frozen=True):
    """What one entry of an outgoing stream publishes: acknowledged as a whole, in order of ``number``."""

    number: int
    messages: tuple[Message, ...]


LETTERS_MAX: Final = 16
"""Dead letters, or replays, that are read for the relay at a time: each can have 1 MiB."""
TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS position (
        topic TEXT NOT NULL, part INTEGER NOT NULL, identity TEXT NOT NULL, next BIGINT NOT NULL, owner TEXT NOT NULL,
        PRIMARY KEY (topic, part))""",
    "CREATE TABLE IF NOT EXISTS relay (stream TEXT PRIMARY KEY, number BIGINT NOT NULL)",
)
ASK_AGAIN_SECONDS: Final = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0)
"""The pauses before each time a database is asked whether it has committed: long enough for its restart."""


class Ledger:
    """One worker's hold on these tables. Thread-safe; ``begin`` opens a transaction that commits at its end, or rolls back."""

    def __init__(
        self,
        begin: Opens,
        *,
        service: str,
        code_version: str,
        identity: Callable[[str], str] = str,
        dialect: Dialect = Dialect(),  # noqa: B008 - frozen
    ) -> None:
        self._begin = begin
        self.dialect: Final = dialect
        self._service = service
        self._identity = identity
        self.owner: Final = uuid.uuid4().hex
        self.lock: Final = threading.RLock()
        self.committed = 0  # transactions: it grows as long as anything is done
        self._next: dict[TopicPartition, int] = {}
        self._acknowledged: dict[str, int] = {}
        self._relayed: dict[str, int] | None = None
        with self.lock, begin() as cursor:
            for table in TABLES:
                cursor.execute(table)
        self.letters: Final = Letters(begin, service=service, code_version=code_version, lock=self.lock, dialect=dialect)

    # ------------------------------------------------------------------------------------ ownership

    def claim(
        self, places: Collection[TopicPartition], begins: Mapping[TopicPartition, int] = MappingProxyType({})
    ) -> dict[TopicPartition, int]:
        """Take logs over: write the token, and answer with the next offset of each.

        ``begins``: where a log that was never read is begun, if not at 0, since its records are not kept for ever. That is written
        down: so it is told when records come and go before one was read.
        Raises ``PositionLost`` where a stored position belongs to another topic of the same name.
        """
        claimed: dict[TopicPartition, int] = {}
        identities = {topic: self._identity(topic) for topic in {place.topic for place in places}}  # asks the cluster
        with self.lock:
            with self._begin() as cursor:
                for place in sorted(places):
                    # Writing first holds the row: nobody moves it between the question and the answer.
                    cursor.execute(
                        "INSERT INTO position (topic, part, identity, next, owner) VALUES (?, ?, ?, ?, ?)"
                        " ON CONFLICT (topic, part) DO UPDATE SET owner = excluded.owner",
                        (*place, identities[place.topic], begins.get(place, 0), self.owner),
                    )
                    cursor.execute("SELECT next, identity FROM position WHERE topic = ? AND part = ?", place)
                    claimed[place], identity = cursor.fetchone()
                    if identity != identities[place.topic]:
                        raise PositionLost(
                            f"{place.topic}[{place.partition}] was read up to {claimed[place]} as {identity}, and is"
                            f" {identities[place.topic]} now: the topic or the cluster was made again; restore it, or do"
                            ' what docs/how-to/recover.md says under "A topic, or the cluster, was made again"'
                        )
            self._next.update(claimed)
            self._relayed = None  # another worker may have written them meanwhile
            self.letters.forget()
        return claimed

    def release(self, places: Collection[TopicPartition]) -> None:
        """Forget logs that another worker may own from now on."""
        with self.lock:
            for place in places:
                self._next.pop(place, None)

    def owned(self) -> set[int]:
        """The partition numbers of which this worker owns a log."""
        return {place.partition for place in list(self._next)}

    # --------------------------------------------------------------------------------- transactions

    def fresh(self, records: Sequence[Record]) -> list[Record]:
        """The records that are this worker's to take in: of logs it owns, and not taken in before."""
        return [r for r in records if r.offset >= self._next.get(r.place, r.offset + 1)]

    @contextmanager
    def transaction(
        self,
        records: Sequence[Record] = (),
        *,
        holding: Collection[int] = (),
        reached: Mapping[TopicPartition, int] = MappingProxyType({}),
    ) -> Iterator[Cursor]:
        """One transaction in which the service writes what the records brought about, and the positions move past them.

        ``holding``: partition numbers that must be this worker's besides. ``reached``: positions to be moved without records. Relay
        positions acknowledged since are saved with it. Raises ``Fenced``, and then nothing is written.
        """
        moves = dict(reached)
        for record in records:
            moves[record.place] = max(moves.get(record.place, 0), record.offset + 1)
        with self.lock:
            acknowledged = sorted(self._acknowledged.items())
            complete = False
            try:
                with self._begin() as cursor:
                    self._move(cursor, moves | self._standing(holding, moves))
                    yield cursor
                    for stream, number in acknowledged:
                        cursor.execute(
                            "INSERT INTO relay (stream, number) VALUES (?, ?) ON CONFLICT (stream) DO UPDATE"
                            " SET number = excluded.number WHERE relay.number < excluded.number",
                            (stream, number),
                        )
                    complete = True
            except self.dialect.unanswered:
                if not (complete and moves and self._committed(moves)):
                    raise
            self.committed += 1
            self._next.update(moves)
            saved = dict(acknowledged)
            self._acknowledged = {s: n for s, n in self._acknowledged.items() if n != saved.get(s)}

    @contextmanager
    def beside(self) -> Iterator[Cursor]:
        """A transaction of another thread that moves no position.

        Where only one transaction writes at a time it waits here for its turn, and not within the database, where all that read
        would wait behind it.
        """
        with nullcontext() if self.dialect.lock else self.lock, self._begin() as cursor:
            yield cursor

    def _standing(self, holding: Collection[int], moves: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Of each partition number whose logs do not move anyway a log with its position: to be set to where it is."""
        logs = {place.partition: place for place in sorted(self._next, reverse=True)}
        if lost := set(holding) - logs.keys():
            raise Fenced(f"partitions {sorted(lost)} are no longer this worker's")
        standing = set(holding) - {place.partition for place in moves}
        return {logs[partition]: self._next[logs[partition]] for partition in standing}

    def _move(self, cursor: Cursor, moves: Mapping[TopicPartition, int]) -> None:
        """Set positions: of all logs at once, since a transaction may have dozens, and each would be a round trip."""
        if not moves:
            return
        places = sorted(moves)  # always in this order, so that no two workers wait for each other
        if strange := [place for place in places if place not in self._next]:
            raise self._lost(strange[0])
        cursor.executemany(
            "UPDATE position SET next = ? WHERE topic = ? AND part = ? AND next = ? AND owner = ?",
            [(moves[place], *place, self._next[place], self.owner) for place in places],
        )
        if cursor.rowcount == len(places):
            return
        for place in places:  # which of them was not set
            cursor.execute("SELECT next, owner FROM position WHERE topic = ? AND part = ?", place)
            if cursor.fetchone() != (moves[place], self.owner):
                raise self._lost(place)

    def _lost(self, place: TopicPartition) -> Fenced:
        return Fenced(f"{place.topic}[{place.partition}] is no longer this worker's at {self._next.get(place)}")

    def _committed(self, moves: Mapping[TopicPartition, int]) -> bool:
        """Whether a transaction whose commit was not answered was committed: then a position of it is where it moved to.

        Where even that is not answered in time, the answer is no: the next try is refused then, and the worker starts anew.
        """
        place, following = min(moves.items())
        for pause in ASK_AGAIN_SECONDS:
            time.sleep(pause)
            try:
                with self._begin() as cursor:
                    cursor.execute(  # an update, which waits for a commit that is still under way
                        "UPDATE position SET owner = owner WHERE topic = ? AND part = ? AND next = ? AND owner = ?",
                        (*place, following, self.owner),
                    )
                    return cursor.rowcount == 1
            except self.dialect.unanswered:
                continue
        return False

    # --------------------------------------------------------------------------------- dead letters

    def bury(self, cursor: Cursor, letters: Sequence[DeadLetter]) -> None:
        """Write dead letters, within a transaction."""
        self.letters.bury(cursor, letters)

    def dead_letters(self) -> dict[str, int]:
        """How many dead letters wait for somebody, by error class."""
        return self.letters.waiting()

    def letter_stream(self, stream: str, after: int, limit: int) -> list[Outgoing]:
        """Entries of a stream of letters, or of replays (:mod:`events.bus.letters.keeping`), few at a time: they can be large."""
        found = self.letters.outgoing(stream, after, min(limit, LETTERS_MAX))
        return [Outgoing(number, (message,)) for number, message in found]

    # ---------------------------------------------------------------------------------------- relay

    def relay_positions(self, streams: Collection[str]) -> dict[str, int]:
        """The number up to which each stream is acknowledged (0: nothing yet). Read once per claim: only the owner moves it."""
        with self.lock:
            if self._relayed is None:
                with self._begin() as cursor:
                    cursor.execute("SELECT stream, number FROM relay")
                    self._relayed = {**dict(cursor.fetchall()), **self._acknowledged}
            return {stream: self._relayed.get(stream, 0) for stream in streams}

    def acknowledged(self, stream: str, number: int) -> None:
        """The log has everything of a stream up to ``number``: saved with the next transaction, or by :meth:`settle`."""
        with self.lock:
            self._acknowledged[stream] = number
            if self._relayed is not None:
                self._relayed[stream] = number

    def settle(self) -> None:
        """Save acknowledged relay positions now, where there are any (idle, or closing)."""
        with self.lock:
            if self._acknowledged:
                with self.transaction():
                    pass
