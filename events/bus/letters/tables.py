"""The tables of dead letters, and how one is written into them."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from events.bus.cursor import Cursor
from events.envelope import identity, type_of
from events.record import Headers, Record

TABLES: Final = (
    """CREATE TABLE IF NOT EXISTS dead_letter (
        number INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, part INTEGER NOT NULL, record_offset BIGINT NOT NULL,
        timestamp BIGINT NOT NULL, key BLOB, value BLOB, headers TEXT NOT NULL,
        error TEXT NOT NULL, reason TEXT NOT NULL, path TEXT NOT NULL, attempts INTEGER NOT NULL, code_version TEXT NOT NULL,
        resolved TEXT)""",
    """CREATE INDEX IF NOT EXISTS dead_letter_place ON dead_letter (topic, part, record_offset)""",
    """CREATE INDEX IF NOT EXISTS dead_letter_stream ON dead_letter (part, number)""",
    """CREATE TABLE IF NOT EXISTS letter (
        number BIGINT PRIMARY KEY, state TEXT NOT NULL, changed_at BIGINT NOT NULL, topic TEXT NOT NULL, part INTEGER NOT NULL,
        timestamp BIGINT NOT NULL, error TEXT NOT NULL, path TEXT NOT NULL, pattern TEXT NOT NULL,
        source TEXT, id TEXT, type TEXT, customer_id TEXT, replay_of BIGINT, replay_act BIGINT)""",
    """CREATE INDEX IF NOT EXISTS letter_by_state ON letter (state, number)""",
    """CREATE INDEX IF NOT EXISTS letter_by_id ON letter (id)""",
    """CREATE INDEX IF NOT EXISTS letter_by_first ON letter (replay_of) WHERE replay_of IS NOT NULL""",
    """CREATE INDEX IF NOT EXISTS letter_by_act ON letter (replay_act) WHERE replay_act IS NOT NULL""",
    """CREATE TABLE IF NOT EXISTS letter_act (
        number INTEGER PRIMARY KEY AUTOINCREMENT, letter BIGINT NOT NULL, part INTEGER NOT NULL, act TEXT NOT NULL,
        at BIGINT NOT NULL, actor TEXT NOT NULL, why TEXT NOT NULL)""",
    """CREATE INDEX IF NOT EXISTS letter_act_stream ON letter_act (act, part, number)""",
    """CREATE INDEX IF NOT EXISTS letter_act_of ON letter_act (letter)""",
    """CREATE TABLE IF NOT EXISTS letter_count (error TEXT PRIMARY KEY, waiting BIGINT NOT NULL)""",
)
"""``resolved`` was written by hand before there were acts; it is read once, when the lines are made."""

REPLAY: Final = "dl_replay"
"""The header that a replayed record has besides its own: service, letter and act, by their numbers: ``lifecycle/17/4``."""
TEXT_MAX: Final = 640
"""Characters of a name that are kept in a line: as long as the longest id that Handoff derives."""
PATTERN_MAX: Final = 200
FILL_ROWS: Final = 100

_REPLAY: Final = re.compile(r"(\w+)/([0-9]{1,18})/([0-9]{1,18})")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d)?)?")
_QUOTED: Final = re.compile(r"(?<!\w)(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")")
_NUMBER: Final = re.compile(r"(?<![\w.])-?\d+(?:[.,]\d+)*")
_INSERT: Final = (
    "INSERT INTO dead_letter (topic, part, record_offset, timestamp, key, value, headers,"
    " error, reason, path, attempts, code_version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_LINE: Final = (
    "INSERT INTO letter (number, state, changed_at, topic, part, timestamp, error, path, pattern, source, id, type, customer_id,"
    " replay_act, replay_of) SELECT d.number, 'waiting', 0, d.topic, d.part, d.timestamp, d.error, d.path, ?, ?, ?, ?, ?, ?,"
    " (SELECT coalesce(l.replay_of, l.number) FROM letter AS l WHERE l.number = ?)"
    " FROM dead_letter AS d LEFT JOIN letter AS known ON known.number = d.number"
    " WHERE d.topic = ? AND d.part = ? AND d.record_offset = ? AND known.number IS NULL ORDER BY d.number LIMIT 1"
)
"""Lines are made in the order of their letters: of several at one place each is the first that has none yet."""
_CONFLICT: Final = "IdentityConflict"
"""The error of letters whose record may have been written anew, in other bytes, from what is stored of a fact."""


class DeadLetter(Struct, frozen=True, kw_only=True):
    """A record that could not be taken in. ``error`` is a stable class (Undecodable, Bug, ...), ``path`` is JSON's."""

    record: Record
    error: str
    reason: str
    path: str = ""
    attempts: int = 1


def write(cursor: Cursor, letters: Sequence[DeadLetter], *, service: str, code_version: str) -> None:
    """Write letters, which wait from now on. No other transaction writes letters meanwhile.

    The relay publishes at least once: of replays of one act that fail alike, the first is a letter. Where a topic is read once more
    from its beginning, what is a letter already stays that one; in a topic that was made again, another record may have its place.
    """
    letters = _without_repeats(cursor, letters, service)
    cursor.executemany(
        _INSERT,
        [
            (
                *letter.record.place,
                letter.record.offset,
                letter.record.timestamp,
                letter.record.key,
                letter.record.value,
                json.dumps([(name, value.hex()) for name, value in letter.record.headers]),
                letter.error,
                stored_text(letter.reason),
                stored_text(letter.path),
                letter.attempts,
                code_version,
            )
            for letter in letters
        ],
    )
    _write_lines(cursor, [(letter.record, letter.reason) for letter in letters], service)
    count(cursor, Counter(letter.error for letter in letters))


def count(cursor: Cursor, more: Counter[str]) -> None:
    """So many letters more wait, or fewer."""
    cursor.executemany(
        "INSERT INTO letter_count (error, waiting) VALUES (?, ?) ON CONFLICT (error) DO UPDATE"
        " SET waiting = letter_count.waiting + excluded.waiting",
        sorted(more.items()),
    )


def is_complete(cursor: Cursor) -> bool:
    """Whether every letter has its line: not so in a database that is older than lines."""
    cursor.execute("SELECT (SELECT count(*) FROM dead_letter) = (SELECT count(*) FROM letter)")
    return bool(cursor.fetchone()[0])


def complete(cursor: Cursor, *, service: str, now: int) -> None:
    """Make the lines of letters that have none, and count anew how many wait. No other transaction writes letters meanwhile."""
    cursor.execute("DELETE FROM letter_count")  # first: in SQLite whoever writes first keeps others from writing
    number = 0
    while rows := _without_line(cursor, number):
        number = rows[-1][0]
        _write_lines(cursor, [(record, reason) for _, record, reason, _ in rows], service)
        by_hand = [(number, record.partition, resolved) for number, record, _, resolved in rows if resolved is not None]
        cursor.executemany(
            "UPDATE letter SET state = 'dropped', changed_at = ? WHERE number = ?", [(now, n) for n, _, _ in by_hand]
        )
        cursor.executemany(
            "INSERT INTO letter_act (letter, part, act, at, actor, why) VALUES (?, ?, 'dropped', ?, '', ?)",
            [(number, part, now, resolved) for number, part, resolved in by_hand],
        )
    cursor.execute(
        "INSERT INTO letter_count (error, waiting) SELECT error, count(*) FROM letter WHERE state = 'waiting' GROUP BY error"
    )


def _without_line(cursor: Cursor, after: int) -> list[tuple[int, Record, str, str | None]]:
    cursor.execute(
        "SELECT d.number, d.topic, d.part, d.record_offset, d.timestamp, d.key, d.value, d.headers, d.reason, d.resolved"
        " FROM dead_letter AS d LEFT JOIN letter AS l ON l.number = d.number WHERE d.number > ? AND l.number IS NULL"
        " ORDER BY d.number LIMIT ?",
        (after, FILL_ROWS),
    )
    return [
        (number, Record(*record, headers_of(headers)), reason, resolved)  # type: ignore[call-arg]
        for number, *record, headers, reason, resolved in cursor.fetchall()
    ]


def _write_lines(cursor: Cursor, letters: Iterable[tuple[Record, str]], service: str) -> None:
    cursor.executemany(_LINE, [_line(record, reason, service) for record, reason in letters])


def _line(record: Record, reason: str, service: str) -> tuple[object, ...]:
    source, id_ = identity(record.headers, record.value or b"") or (None, None)
    type_ = type_of(record.headers, record.value or b"")
    key = None if record.key is None else record.key.decode(errors="replace")
    names = (None if name is None else stored_text(name)[:TEXT_MAX] for name in (source, id_, type_, key))
    origin = replayed(record.headers, service)
    of = (None, None) if origin is None else (origin.act, origin.letter)
    return (stored_text(pattern_of(reason)), *names, *of, *record.place, record.offset)


def _without_repeats(cursor: Cursor, letters: Sequence[DeadLetter], service: str) -> list[DeadLetter]:
    """The letters without those of records that are letters already, and of replays that are."""
    found: list[DeadLetter] = []
    replays: set[tuple[object, ...]] = set()
    for letter in letters:
        record = letter.record
        if _is_known(cursor, letter):
            continue
        origin = replayed(record.headers, service)
        if origin is not None:
            replay = (origin, record.topic, record.key, record.value)
            if replay in replays or _is_held(cursor, origin.act, replay, service):
                continue
            replays.add(replay)
        found.append(letter)
    return found


def _is_known(cursor: Cursor, letter: DeadLetter) -> bool:
    """Whether the very record is a letter: the same at the same place, or another writing of a fact whose identity others have."""
    record = letter.record
    cursor.execute(
        "SELECT error, key, value, headers FROM dead_letter WHERE topic = ? AND part = ? AND record_offset = ?",
        (*record.place, record.offset),
    )
    name = identity(record.headers, record.value or b"")
    for error, key, value, headers in cursor.fetchall():
        if (key, value, headers_of(headers)) == (record.key, record.value, record.headers):
            return True
        if error == letter.error == _CONFLICT and name is not None and name == identity(headers_of(headers), value or b""):
            return True
    return False


def _is_held(cursor: Cursor, act: int, replay: tuple[object, ...], service: str) -> bool:
    """Whether a letter is that very replay. Where an older database was put back, acts have numbers of earlier ones again."""
    cursor.execute(
        "SELECT d.headers, d.topic, d.key, d.value FROM letter AS l JOIN dead_letter AS d ON d.number = l.number"
        " WHERE l.replay_act = ?",
        (act,),
    )
    return any((replayed(headers_of(headers), service), *rest) == replay for headers, *rest in cursor.fetchall())


class Origin(NamedTuple):
    """Of which letter a record is the replay, and by which act."""

    letter: int
    act: int


def replayed(headers: Headers, service: str) -> Origin | None:
    """What a record is a replay of, where it says so."""
    said = _said(headers)
    return Origin(int(said[2]), int(said[3])) if said is not None and said[1] == service else None


def is_for_another(headers: Headers, service: str) -> bool:
    """Whether a record is a replay that another service has asked for: whoever else reads its topic has had it before."""
    said = _said(headers)
    return said is not None and said[1] != service


def _said(headers: Headers) -> re.Match[str] | None:
    return _REPLAY.fullmatch(dict(headers).get(REPLAY, b"").decode(errors="replace"))


def pattern_of(reason: str) -> str:
    """What reasons of one kind have in common: without the names, numbers and times that they quote."""
    line = _TIME.sub("<time>", reason.partition("\n")[0])
    return _NUMBER.sub("<n>", _QUOTED.sub("'…'", line))[:PATTERN_MAX]


def stored_text(text: str) -> str:
    """A text as databases keep it: PostgreSQL's have no NUL character, and no halves of characters."""
    return text.replace("\0", "\\0").encode(errors="replace").decode()


def letters_after(cursor: Cursor, number: int, limit: int) -> list[tuple[int, Record]]:
    """The records of the dead letters with greater numbers, in order, each with its number."""
    cursor.execute(
        "SELECT number, topic, part, record_offset, timestamp, key, value, headers FROM dead_letter"
        " WHERE number > ? ORDER BY number LIMIT ?",
        (number, limit),
    )
    return [(number, Record(*record, headers_of(headers))) for number, *record, headers in cursor.fetchall()]  # type: ignore[call-arg]


def headers_of(text: str) -> Headers:
    """The headers of a record, as they are kept."""
    return tuple((name, bytes.fromhex(value)) for name, value in json.loads(text))
