"""The writer's side of dead letters: they are kept, counted, published with their reasons, and published again when replayed.

Both go out by the relay, as entries of streams: ``dead-letter[n]`` has the letters of a partition number for the service's own
topic, ``replay[n]`` the replays of them for the logs that they came from. A replay is an act in the database before it is a
message: so it is done once whoever asks for it, published though the service or Kafka dies meanwhile, and in the order of acts.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Literal

from msgspec import Struct

from events.bus.cursor import Cursor, Dialect, Opens
from events.bus.letters.tables import REPLAY, TABLES, DeadLetter, complete, count, headers_of, is_complete, stored_text, write
from events.record import Headers, Message, Record
from events.topics import TOPICS

State = Literal["waiting", "replayed", "dropped"]
Act = Literal["replayed", "dropped"]
ACTS_AT_ONCE_MAX: Final = 1000
FORGOTTEN: Final = "forgotten"
"""The act that says that letters were deleted: of none of them, and how many is its reason."""
_MILLISECOND: Final = 1_000_000
_RETENTION: Final = {topic.name: topic.retention for topic in TOPICS}
_STREAMS: Final = ("dead-letter", "replay")


class Seen(Struct, frozen=True):
    """A letter as whoever decided about it has seen it. What has changed since is not done to it."""

    number: int
    state: State
    changed_at: int
    error: str


class Letters:
    """One worker's hold on the tables. Thread-safe. ``lock``: held around every transaction. ``now``: nanoseconds since 1970."""

    def __init__(
        self,
        begin: Opens,
        *,
        service: str,
        code_version: str,
        lock: AbstractContextManager[Any],
        dialect: Dialect,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._begin = begin
        self.service: Final = service
        self._code_version = code_version
        self._lock = lock
        self._dialect = dialect
        self._looked = False
        self._newest: tuple[Any, ...] = ()
        self._last: dict[str, int] = {}
        with lock, begin() as cursor:
            for table in TABLES:
                cursor.execute(table)
            whole = is_complete(cursor)
        if not whole:
            with lock, begin() as cursor:
                self._hold(cursor)
                complete(cursor, service=service, now=now())

    def bury(self, cursor: Cursor, letters: Sequence[DeadLetter]) -> None:
        """Write dead letters, within a transaction."""
        if letters:
            self.forget()
            self._hold(cursor)
            write(cursor, letters, service=self.service, code_version=self._code_version)

    def waiting(self) -> dict[str, int]:
        """How many letters wait for somebody, by error class."""
        with self._lock, self._begin() as cursor:
            return waiting(cursor)

    def act(self, letters: Sequence[Seen], act: Act, *, at: int, actor: str, why: str) -> set[int]:
        """Replay or drop those letters that are as they were seen; answers with their numbers. ``at``: nanoseconds since 1970.

        What somebody else has done something with meanwhile stays as that left it.
        """
        if len(letters) > ACTS_AT_ONCE_MAX:
            raise ValueError(f"{len(letters)} letters at once, at most {ACTS_AT_ONCE_MAX} can be dealt with in one transaction")
        done: list[Seen] = []
        with self._lock, self._begin() as cursor:
            self._hold(cursor)
            for letter in sorted(letters, key=lambda letter: letter.number):
                cursor.execute(
                    "UPDATE letter SET state = ?, changed_at = ? WHERE number = ? AND state = ? AND changed_at = ?",
                    (act, max(at, letter.changed_at + 1), letter.number, letter.state, letter.changed_at),
                )
                done += [letter] * cursor.rowcount
            cursor.executemany(
                "INSERT INTO letter_act (letter, part, act, at, actor, why) SELECT number, part, ?, ?, ?, ? FROM letter"
                " WHERE number = ?",
                [(act, at, stored_text(actor), stored_text(why), letter.number) for letter in done],
            )
            count(cursor, Counter({error: -n for error, n in Counter(_waited(done)).items()}))
        self.forget()
        return {letter.number for letter in done}

    def prune(self, before: int, *, at: int, limit: int = ACTS_AT_ONCE_MAX) -> int:
        """Delete letters that were dealt with before an instant (nanoseconds), and published; how many. One that waits stays."""
        with self._lock, self._begin() as cursor:
            self._hold(cursor)
            cursor.execute("UPDATE letter_count SET waiting = waiting")  # write first: the snapshot is then the newest
            cursor.execute("SELECT stream, number FROM relay")
            relayed = dict(cursor.fetchall())
            cursor.execute(
                "SELECT l.number, l.part,"
                " (SELECT max(a.number) FROM letter_act AS a WHERE a.letter = l.number AND a.act = 'replayed')"
                " FROM letter AS l WHERE l.state <> 'waiting' AND l.changed_at < ? ORDER BY l.number LIMIT ?",
                (before, limit),
            )
            gone = [
                (number,)
                for number, part, replay in cursor.fetchall()
                if number <= relayed.get(f"dead-letter[{part}]", 0) and (replay or 0) <= relayed.get(f"replay[{part}]", 0)
            ]
            for table, column in (("letter_act", "letter"), ("letter", "number"), ("dead_letter", "number")):
                cursor.executemany(f"DELETE FROM {table} WHERE {column} = ?", gone)
            if gone:
                cursor.execute(
                    "INSERT INTO letter_act (letter, part, act, at, actor, why) VALUES (0, -1, ?, ?, '', ?)",
                    (FORGOTTEN, at, f"{len(gone)} letters"),
                )
        return len(gone)

    # ---------------------------------------------------------------------------------------- streams

    def forget(self) -> None:
        """Something was written, or may have been: look again."""
        self._looked = False

    def streams(self, partitions: Sequence[int]) -> list[str]:
        """The streams of these partition numbers."""
        return [f"{kind}[{partition}]" for partition in partitions for kind in _STREAMS]

    def carries(self, stream: str) -> bool:
        """Whether a stream is one of letters."""
        return stream.partition("[")[0] in _STREAMS

    def outgoing(self, stream: str, after: int, limit: int) -> list[tuple[int, Message]]:
        """Entries of a stream with greater numbers than ``after``, in order."""
        if after >= self._last_of(stream):
            return []  # the relay asks every turn
        kind, partition = _parts(stream)
        with self._lock, self._begin() as cursor:
            if kind == "replay":
                return [(row[0], self._replay(row)) for row in _rows(cursor, _REPLAYS, partition, after, limit)]
            return [(row[0], self._letter(row)) for row in _rows(cursor, _LETTERS, partition, after, limit)]

    def pending(self, acknowledged: Mapping[str, int]) -> int:
        """How many entries of the streams of letters among these have greater numbers than is acknowledged.

        Asked every turn, it looks for what other processes have written: a replay may be asked for at any of them.
        """
        self.forget()
        count = 0
        for stream, after in acknowledged.items():
            if self.carries(stream) and after < self._last_of(stream):
                count += self._count(stream, after)
        return count

    def _count(self, stream: str, after: int) -> int:
        kind, partition = _parts(stream)
        table = "letter_act WHERE act = 'replayed' AND" if kind == "replay" else "dead_letter WHERE"
        with self._lock, self._begin() as cursor:
            cursor.execute(f"SELECT count(*) FROM {table} part = ? AND number > ?", (partition, after))
            return int(cursor.fetchone()[0])

    def _last_of(self, stream: str) -> int:
        with self._lock:
            if not self._looked:
                with self._begin() as cursor:
                    self._look(cursor)
                self._looked = True
            return self._last.get(stream, 0)

    def _look(self, cursor: Cursor) -> None:
        cursor.execute("SELECT (SELECT max(number) FROM dead_letter), (SELECT max(number) FROM letter_act)")
        newest = tuple(cursor.fetchone())
        if newest != self._newest:
            cursor.execute("SELECT part, max(number) FROM dead_letter GROUP BY part")
            self._last = {f"dead-letter[{part}]": number for part, number in cursor.fetchall()}
            cursor.execute("SELECT part, max(number) FROM letter_act WHERE act = 'replayed' GROUP BY part")
            self._last |= {f"replay[{part}]": number for part, number in cursor.fetchall()}
            self._newest = newest

    def _letter(self, row: Sequence[Any]) -> Message:
        number, topic, part, offset, timestamp, key, value, headers, error, reason, path, attempts, code_version = row
        why = {
            "dl_number": number,
            "dl_topic": topic,
            "dl_partition": part,
            "dl_offset": offset,
            "dl_error": error,
            "dl_reason": reason,
            "dl_path": path,
            "dl_attempts": attempts,
            "dl_code_version": code_version,
        }
        return Message(
            topic=f"{self.service}.dead-letter.v1",
            partition=0,
            key=key,
            value=value,
            headers=(*headers_of(headers), *((name, str(text).encode()) for name, text in why.items())),
            timestamp=timestamp,
        )

    def _replay(self, row: Sequence[Any]) -> Message:
        act, at, number, topic, part, offset, timestamp, key, value, headers = row
        record = Record(topic, part, offset, timestamp, key, value, headers_of(headers))
        return replay_of(record, f"{self.service}/{number}/{act}", at)

    def _hold(self, cursor: Cursor) -> None:
        """Letters of one partition number may come from several workers, and are relayed by number."""
        if self._dialect.lock:
            cursor.execute(self._dialect.lock.format("dead_letter"))


_LETTERS: Final = (
    "SELECT number, topic, part, record_offset, timestamp, key, value, headers, error, reason, path, attempts, code_version"
    " FROM dead_letter WHERE part = ? AND number > ? ORDER BY number LIMIT ?"
)
_REPLAYS: Final = (
    "SELECT a.number, a.at, d.number, d.topic, d.part, d.record_offset, d.timestamp, d.key, d.value, d.headers"
    " FROM letter_act AS a JOIN dead_letter AS d ON d.number = a.letter"
    " WHERE a.act = 'replayed' AND a.part = ? AND a.number > ? ORDER BY a.number LIMIT ?"
)


def waiting(cursor: Cursor) -> dict[str, int]:
    """How many letters wait for somebody, by error class."""
    cursor.execute("SELECT error, waiting FROM letter_count WHERE waiting > 0")
    return dict(cursor.fetchall())


def replay_of(record: Record, origin: str, at: int) -> Message:
    """The message that says a record once more, to the log in which it lay: its own bytes, and in a header whose replay it is.

    It keeps its time where the topic keeps records for ever, or for long enough; else it has that of the replay (``at``,
    nanoseconds), so that it is not deleted before it is read. Topics whose records the broker stamps stamp this one too.
    """
    headers: Headers = (*((n, v) for n, v in record.headers if n != REPLAY), (REPLAY, origin.encode()))
    return Message(
        topic=record.topic,
        key=record.key,
        value=record.value,
        headers=headers,
        partition=record.partition,
        timestamp=_stamp(record, at // _MILLISECOND),
    )


def _stamp(record: Record, now: int) -> int:
    retention = _RETENTION.get(record.topic)
    old = retention is not None and now - record.timestamp > retention // 2
    return now if old or record.timestamp < 0 else record.timestamp


def _waited(letters: Sequence[Seen]) -> list[str]:
    return [letter.error for letter in letters if letter.state == "waiting"]


def _parts(stream: str) -> tuple[str, int]:
    kind, _, rest = stream.partition("[")
    return kind, int(rest[:-1])


def _rows(cursor: Cursor, sql: str, partition: int, after: int, limit: int) -> list[Any]:
    cursor.execute(sql, (partition, after, limit))
    return cursor.fetchall()
