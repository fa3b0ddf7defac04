"""Records: bytes of every topic into the codec, into the intake's diagnosis, and into the three services whole.

A record is written as a request is in HTTP, so that an input that fails can be read: topic, timestamp and key, headers, an empty
line, the value. Keys and values of headers are percent-encoded. ``---`` on a line of its own comes between records.
"""

import json
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec
from msgspec.structs import replace

from events.bus.letters.keeping import replay_of
from events.bus.letters.selection import Selection, page, record_of
from events.bus.letters.tables import TABLES, DeadLetter, write
from events.codec import Fact, Undecodable, content, decode, encode
from events.envelope import identity, type_of
from events.record import Message, Record
from events.submission import OPEN, Refused, Submission, examine
from events.topics import LIFECYCLE, LIFECYCLE_INPUTS, TOPICS, VALUE_BYTES_MAX
from services.lifecycle.admission import admit
from services.lifecycle.domain.table import Tables
from services.lifecycle.statuses import built_in
from tests.forecast.harness import Forecast
from tests.fuzz.target import Run, Target, always
from tests.lifecycle.harness import Lifecycle
from tests.routing.harness import Routing

GOLDEN: Final = Path(__file__).parents[2] / "events" / "golden"
BETWEEN: Final = b"\n---\n"
RECORDS_MAX: Final = 40
"""Of one input, for services: each is a transaction."""
REASON_CHARACTERS_MAX: Final = 4_000
NOW_MS: Final = 1_772_446_501_250

_NAMES: Final = [topic.name for topic in TOPICS]
_SAFE: Final = "/-_.:+"


def written(record: Record | Message) -> bytes:
    """A record as an input."""
    key = "-" if record.key is None else f"={quote_from_bytes(record.key, _SAFE)}"
    stamp = NOW_MS if record.timestamp is None else record.timestamp
    headers = [f"{name}: {quote_from_bytes(value, _SAFE)}" for name, value in record.headers]
    return "\n".join([f"{record.topic} {stamp} {key}", *headers, "", ""]).encode() + (record.value or b"")


def read(data: bytes, offset: int = 0) -> Record:
    """The record that an input is: any bytes are one."""
    head, _, value = data.partition(b"\n\n")
    first, *lines = head.decode("utf-8", "replace").split("\n")
    topic, stamp, key = (*first.split(" "), "", "", "")[:3]
    headers = tuple((name[:300], unquote_to_bytes(text)) for name, _, text in (line.partition(": ") for line in lines))
    return Record(
        topic=topic if topic in _NAMES else _NAMES[len(topic) % len(_NAMES)],
        partition=0,
        offset=offset,
        timestamp=int(stamp) if re.fullmatch(r"-?[0-9]{1,18}", stamp) else NOW_MS,
        key=unquote_to_bytes(key[1:]) if key.startswith("=") else None,
        value=value or None,
        headers=headers,
    )


def golden() -> list[Record]:
    """The golden records: one for each type."""
    found = []
    for path in sorted(GOLDEN.glob("*.json")):
        said = json.loads(path.read_text(encoding="utf-8"))["record"]
        headers = tuple((name, text.encode()) for name, text in said["headers"].items())
        found.append(Record(said["topic"], 0, 0, said["timestamp"], said["key"].encode(), said["value"].encode(), headers))
    return found


def structured(record: Record) -> Record:
    """The same in structured mode."""
    attributes = {name[3:]: value.decode() for name, value in record.headers if name.startswith("ce_")}
    event = {**attributes, "datacontenttype": "application/json", "data": json.loads(record.value or b"null")}
    return replace(record, value=json.dumps(event).encode(), headers=(("content-type", b"application/cloudevents+json"),))


# ------------------------------------------------------------------------------------------- the codec


def codec(data: bytes) -> None:
    """A fact or the reason why not; a fact says the same after it was written and read again."""
    record = read(data)
    found = decode(record)
    type_of(record.headers, record.value or b"")
    identity(record.headers, record.value or b"")
    if isinstance(found, Undecodable):
        assert found.reason, "no reason is given"
        _is_told(found)
        return
    said = content(found)
    assert found.customer_id.encode() == record.key
    again = decode(_record(encode(record.topic, found.type, found.data, source=found.source, id=found.id, **_times(found))))
    assert isinstance(again, Fact), f"what is written cannot be read: {again}"
    assert content(again) == said, "it says something else after it was written"


def _record(message: Message) -> Record:
    return Record(message.topic, 0, 0, message.timestamp or 0, message.key, message.value, message.headers)


def _times(fact: Fact) -> dict[str, int]:
    return {"occurred_at": fact.occurred_at, "recorded_at": fact.recorded_at}


def _is_told(refused: Undecodable) -> None:
    """A reason goes into a header, a database and JSON: UTF-8, without NUL, and no longer than people read."""
    for text in (refused.reason, refused.path):
        text.encode()
        assert len(text) <= REASON_CHARACTERS_MAX, f"{len(text)} characters: {text[:200]}"


def intake(data: bytes) -> None:
    """What the intake accepts the codec takes in, and the reverse; what it refuses it gives reasons for."""
    record = read(data)
    now = max(0, record.timestamp) * 1_000_000
    found = examine(record.headers, record.value or b"", now)
    admit(record.headers, record.value or b"", now, Tables((built_in(),)))
    if isinstance(found, Refused):
        assert found.reasons
        for each in found.reasons:
            _is_told(each)
        msgspec.json.encode(found)
        fact = decode(record)
        known = record.topic in {topic.name for topic in OPEN.values()}
        assert not isinstance(fact, Fact) or not known, f"refused, but the topic takes it in: {found.reasons}"
        return
    assert isinstance(found, Submission)
    assert isinstance(decode(_record(replace(found.message, timestamp=now // 1_000_000))), Fact), "accepted, and not taken in"
    assert len(record.value or b"") <= VALUE_BYTES_MAX


@contextmanager
def _letters() -> Iterator[Run]:
    """A dead letter of any record can be kept, found by what it says, and replayed with the bytes that it had."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for table in TABLES:
        connection.execute(table)

    def keep(data: bytes) -> None:
        record = read(data)
        cursor = connection.cursor()
        cursor.execute("BEGIN")
        try:
            refused = decode(record)
            said = refused if isinstance(refused, Undecodable) else Undecodable("none")
            write(
                cursor, [DeadLetter(record=record, error="Test", reason=said.reason, path=said.path)], service="t", code_version="1"
            )
            line = page(cursor, Selection(), limit=1)[0]
            assert record_of(cursor, line.number) == record, "the letter holds another record"
            for name in ("source", "type", "id", "customer_id"):
                if value := getattr(line, name):
                    assert page(cursor, Selection(**{name: (value,)}), limit=1), f"not found by {name}"
            again = replay_of(record, "t/1/1", NOW_MS * 1_000_000)
            assert (again.topic, again.key, again.value) == (record.topic, record.key, record.value)
        finally:
            cursor.execute("ROLLBACK")

    with closing(connection):
        yield keep


# ---------------------------------------------------------------------------------------- the services


def _records(data: bytes) -> list[Message]:
    found = [read(each) for each in data.split(BETWEEN)[:RECORDS_MAX]]
    return [Message(each.topic, each.key, each.value, each.headers, timestamp=each.timestamp) for each in found]


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _no_bugs(letters: Iterable[Record]) -> None:
    for letter in letters:
        said = dict(letter.headers)
        assert said["dl_error"] != b"Bug", said["dl_reason"].decode(errors="replace")


def lifecycle(data: bytes) -> None:
    """Whatever lies on its topics, lifecycle goes on, and what it publishes can be read."""
    inputs = {topic.name for topic in LIFECYCLE_INPUTS}
    with _folder() as folder:
        world = Lifecycle(folder / "lifecycle.sqlite")
        try:
            for message in _records(data):
                topic = message.topic if message.topic in inputs else LIFECYCLE_INPUTS[0].name
                world.bus.append(replace(message, topic=topic))
            world.settle()
            _no_bugs(world.letters())
            for record in world.bus.records(LIFECYCLE.name):
                assert isinstance(decode(record), Fact)
        finally:
            for store in world.stores:
                store.close()


def forecast(data: bytes) -> None:
    """Whatever lies on ``crm.lifecycle.v1``, parts that are missing, doubled or out of order included."""
    with _folder() as folder:
        world = Forecast(folder / "forecast.sqlite", records_max=50)
        try:
            for message in _records(data):
                world.bus.append(replace(message, topic=LIFECYCLE.name))
            world.settle()
            _no_bugs(world.bus.records("forecast.dead-letter.v1"))
            for path in ("/v1/pipeline?by=stage", "/v1/pipeline?by=quarter", "/v1/forecast?period=2026", "/v1/deals"):
                assert world.http.get(path).status_code == 200, path
        finally:
            world.close()


def routing(data: bytes) -> None:
    """Whatever lies on ``crm.lifecycle.v1`` and ``routing.request.v1``."""
    with _folder() as folder:
        world = Routing(folder)
        try:
            for message in _records(data):
                topic = message.topic if message.topic == "routing.request.v1" else LIFECYCLE.name
                world.bus.append(replace(message, topic=topic))
            world.settle()
            _no_bugs(world.letters())
        finally:
            world.close()


# ----------------------------------------------------------------------------------------------- inputs


def corpus() -> list[bytes]:
    """Every type in both modes."""
    return [written(form) for each in golden() for form in (each, structured(each))]


def stories() -> list[bytes]:
    """Several records of one customer at a time, and each by itself."""
    whole = golden()
    inputs = {topic.name for topic in LIFECYCLE_INPUTS}
    facts = [each for each in whole if each.topic in inputs]
    said = [each for each in whole if each.topic == LIFECYCLE.name]
    requests = [each for each in whole if each.topic == "routing.request.v1"]
    return [*map(written, [*facts, *said, *requests]), *(BETWEEN.join(map(written, group)) for group in (facts, said, requests))]


def _parts() -> list[bytes]:
    """Messages in parts: whole, without a part, doubled, in the wrong order, and far too many."""
    whole = next(each for each in golden() if dict(each.headers)["ce_type"] == b"crm.deals.changed.v1")

    def part(version: int, number: int, parts: int) -> Record:
        said: dict[str, Any] = {**json.loads(whole.value or b""), "version": version, "part": number, "parts": parts}
        return replace(whole, value=json.dumps(said).encode())

    stories = [[(1, 1, 2), (2, 2, 2)], [(1, 1, 3), (3, 3, 3)], [(1, 1, 2), (1, 1, 2), (2, 2, 2)], [(2, 2, 2), (1, 1, 2)]]
    stories += [[(1, 1, 2**31), (2, 2, 2**31), (3, 1, 1)], [(1, 0, 0)], [(1, 2, 1)], [(2**62, 1, 1), (1, 1, 1)]]
    return [BETWEEN.join(written(part(*each)) for each in story) for story in stories]


WORDS: Final = (
    *(b"null", b"true", b"1e400", b"-0", b"1E-400", b"9" * 40, b"0.1", b'"\\ud800"', b'"\\u0000"', b"[]", b"{}", b"---"),
    *(b'"part": 1', b'"parts": 2147483648', b'"version": 9223372036854775807', b'"customer_id": ', b"application/cloudevents+json"),
    *(b"2026-02-29T24:00:60Z", b"9999-12-31", b"0000-00-00", b"2262-04-11T23:47:16Z", b"1677-09-21", b"data_base64", b"charset=x"),
    *(name.encode() for topic in TOPICS for name in topic.types),
)


TARGETS: Final = (
    Target("codec", always(codec), corpus, WORDS),
    Target("intake", always(intake), corpus, WORDS),
    Target("dead-letters", _letters, corpus, WORDS),
    Target("lifecycle", always(lifecycle), stories, WORDS, cpu_seconds_max=30),
    Target("forecast", always(forecast), lambda: [*stories(), *_parts()], WORDS, cpu_seconds_max=30),
    Target("routing", always(routing), stories, WORDS, cpu_seconds_max=30),
)
