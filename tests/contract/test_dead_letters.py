"""Dead letters on every database: written once, counted unread, dealt with once, made whole where a database is older."""

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from eventsourcing.persistence import OperationalError

from events.bus import BusError
from events.bus.database import Database, open_database
from events.bus.ledger import Ledger
from events.bus.letters import DeadLetter
from events.bus.letters.forgetting import DAY, Forgetting
from events.bus.letters.keeping import ACTS_AT_ONCE_MAX, Seen, replay_of
from events.bus.letters.office import Ends, Office, Underway, Verdict
from events.bus.letters.selection import Selection, acts_of, groups, page, record_of, total, unpublished
from events.bus.letters.tables import pattern_of, replayed
from events.record import Record, TopicPartition
from events.topics import DAYS_30

PLACE = TopicPartition("in", 0)
NOW = 1_800_000_000_000_000_000
HEADERS = (("ce_id", b"1"), ("ce_source", b"/web"), ("ce_type", b"t.v1"), ("\xe4 \x00", b"\xff\x00"))
Open = Callable[[], Database]


@pytest.fixture
def opened(database: str, tmp_path: Path) -> Iterator[Open]:
    """Opens the test's database anew, as another process does."""
    made: list[Database] = []

    def open_() -> Database:
        made.append(open_database(database, tmp_path / "toy.sqlite", schema="toy"))
        return made[-1]

    yield open_
    for each in made:
        each.close()


def ledger_on(database: Database) -> Ledger:
    with database.prepare():
        return Ledger(database.begin, service="toy", code_version="7", dialect=database.dialect)


def buried(ledger: Ledger, first: int, count: int, error: str = "Bug", headers: tuple[tuple[str, bytes], ...] = HEADERS) -> None:
    records = [Record(*PLACE, first + n, 1_700_000_000_000, b"k", f"v{first + n}".encode(), headers) for n in range(count)]
    with ledger.transaction(records) as cursor:
        ledger.bury(cursor, [DeadLetter(record=record, error=error, reason=f"no '{record.offset}'") for record in records])


def seen(database: Database, selection: Selection = Selection()) -> list[Seen]:  # noqa: B008 - frozen
    with database.read() as cursor:
        return [line.seen for line in page(cursor, selection, limit=1000, rising=True)]


def test_what_waits_is_counted_as_it_is_written(opened: Open) -> None:
    database = opened()
    ledger = ledger_on(database)
    ledger.claim([PLACE])
    buried(ledger, 0, 3)
    buried(ledger, 3, 2, "Undecodable")
    assert ledger.dead_letters() == {"Bug": 3, "Undecodable": 2}
    assert ledger.letters.act(seen(database)[1:4], "dropped", at=NOW, actor="dana", why="known") == {2, 3, 4}
    assert ledger.dead_letters() == {"Bug": 1, "Undecodable": 1}
    other = opened()
    assert ledger_on(other).dead_letters() == {"Bug": 1, "Undecodable": 1}
    buried(ledger, 5, 1)
    buried(ledger, 0, 1)  # the same record again
    assert len(seen(database)) == 6
    assert ledger.dead_letters() == {"Bug": 2, "Undecodable": 1}


def test_a_letter_is_dealt_with_once_by_however_many(opened: Open) -> None:
    workers = [ledger_on(opened()) for _ in range(3)]
    workers[0].claim([PLACE])
    buried(workers[0], 0, 40)
    wanted = seen(opened())

    def act(number: int) -> set[int]:
        while True:
            try:
                return workers[number % 3].letters.act(wanted, "replayed", at=NOW + number, actor=f"{number}", why="")
            except OperationalError:  # SQLite says that it is busy
                continue

    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(act, range(6)))
    assert sorted(len(each) for each in done) == [0, 0, 0, 0, 0, 40]
    database = opened()
    with database.read() as cursor:
        assert {len(acts_of(cursor, number)) for number in range(1, 41)} == {1}
        assert unpublished(cursor) == 40
    assert workers[0].dead_letters() == {}
    assert [number for number, _ in workers[0].letters.outgoing("replay[0]", 0, 100)] == list(range(1, 41))


def test_ten_thousand_are_listed_replayed_published_and_forgotten(opened: Open) -> None:
    database = opened()
    ledger = ledger_on(database)
    ledger.claim([PLACE])
    for first in range(0, 10_000, 1000):
        buried(ledger, first, 1000)
    found: list[int] = []
    while not found or found[-1] > 1:
        with database.read() as cursor:
            found += [line.number for line in page(cursor, Selection(), after=found[-1] if found else None, limit=1000)]
    assert found == list(range(10_000, 0, -1))
    after = 0
    while some := [each for each in seen(database, Selection(newer_than=after, state=("waiting",))) if each.number > after]:
        after = some[-1].number
        assert len(ledger.letters.act(some, "replayed", at=NOW, actor="dana", why="")) == len(some)
    assert ledger.dead_letters() == {}
    streams = ["dead-letter[0]", "replay[0]"]
    assert ledger.letters.pending(dict.fromkeys(streams, 0)) == 20_000
    published: list[bytes | None] = []
    acknowledged = 0
    while entries := ledger.letter_stream("replay[0]", acknowledged, 500):
        published += [message.value for entry in entries for message in entry.messages]
        acknowledged = entries[-1].number
    assert published == [b"v%d" % number for number in range(10_000)]  # in the order in which they came
    assert ledger.letters.prune(NOW + 1, at=NOW) == 0  # nothing of it is known to be in Kafka
    ledger.acknowledged("replay[0]", acknowledged)
    ledger.acknowledged("dead-letter[0]", 10_000)
    ledger.settle()
    assert [ledger.letters.prune(NOW + 1, at=NOW) for _ in range(11)] == [1000] * 10 + [0]
    with database.read() as cursor:
        assert total(cursor, Selection()) == 0


def test_what_has_changed_since_it_was_seen_stays(opened: Open) -> None:
    database = opened()
    ledger = ledger_on(database)
    ledger.claim([PLACE])
    buried(ledger, 0, 1)
    (before,) = seen(database)
    assert ledger.letters.act([before], "dropped", at=5, actor="a", why="") == {1}
    assert ledger.letters.act([before], "replayed", at=6, actor="b", why="") == set()
    (dropped,) = seen(database)
    assert ledger.letters.act([dropped], "replayed", at=5, actor="b", why="") == {1}  # a clock that stands still
    assert ledger.letters.act([dropped], "replayed", at=5, actor="c", why="") == set()
    with database.read() as cursor:
        assert [(act.act, act.actor, act.published) for act in acts_of(cursor, 1)] == [
            ("dropped", "a", None),
            ("replayed", "b", False),
        ]
    with pytest.raises(ValueError, match="at most 1000"):
        ledger.letters.act([before] * (ACTS_AT_ONCE_MAX + 1), "dropped", at=7, actor="a", why="")


def test_a_replay_is_published_with_the_bytes_that_came(opened: Open) -> None:
    database = opened()
    ledger = ledger_on(database)
    ledger.claim([PLACE])
    buried(ledger, 7, 1)
    with database.read() as cursor:
        record = record_of(cursor, 1)
    assert record == Record(*PLACE, 7, 1_700_000_000_000, b"k", b"v7", HEADERS)
    ledger.letters.act(seen(database), "replayed", at=NOW, actor="a", why="")
    ((number, message),) = ledger.letters.outgoing("replay[0]", 0, 10)
    assert message == replay_of(record, "toy/1/1", NOW)
    assert (message.key, message.value, message.partition) == (b"k", b"v7", 0)
    assert message.headers == (*HEADERS, ("dl_replay", b"toy/1/1"))
    assert ledger.letters.pending({"replay[0]": number - 1, "dead-letter[0]": 1, "other[0]": 0}) == 1
    assert ledger.letters.pending({"replay[0]": number, "dead-letter[0]": 0}) == 1
    assert ledger.letters.pending({"replay[0]": number, "dead-letter[0]": 1}) == 0
    assert ledger.letters.outgoing("replay[1]", 0, 10) == []


def test_how_far_replays_are_is_known_of_logs_that_another_worker_reads(opened: Open) -> None:
    database, another = opened(), opened()
    mine, other = ledger_on(database), ledger_on(another)
    other.claim([PLACE])
    buried(other, 7, 2)

    def away(places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        raise BusError("away")

    def office(ends: Ends) -> Office:
        return Office(mine.letters, database.read, lambda _: Verdict("accepted"), ends=ends, transient=(), now=lambda: NOW)

    known = office(lambda places: dict.fromkeys(places, 12))
    assert known.underway() == Underway(0, {}, {}), "nothing is replayed, and the bus is not asked"
    mine.letters.act(seen(database)[:1], "replayed", at=NOW, actor="a", why="")
    assert known.underway() == Underway(1, {PLACE: 9}, {PLACE: 12})
    other.acknowledged("replay[0]", 1)
    with other.transaction([Record(*PLACE, 11, 0, b"k", b"v", ())]):
        pass
    assert known.underway() == Underway(0, {PLACE: 12}, {PLACE: 12})
    assert office(away).underway() == Underway(0, {PLACE: 12}, {})


def test_a_replay_that_fails_names_the_first_letter_and_only_one_of_this_service(opened: Open) -> None:
    database = opened()
    ledger = ledger_on(database)
    ledger.claim([PLACE])
    buried(ledger, 0, 1)
    said_by = (b"toy/1/1", b"toy/2/2", b"other/1/1", b"toy/999/9", b"toy/x/1", b"\xff", b"toy/1/" + b"9" * 30)
    for number, said in enumerate(said_by, start=1):
        buried(ledger, number, 1, headers=(*HEADERS, ("dl_replay", said)))
    with database.read() as cursor:
        assert [line.replay_of for line in page(cursor, Selection(), limit=9, rising=True)] == [None, 1, 1] + [None] * 5
        assert total(cursor, Selection(again=True)) == 2


def test_an_older_database_gets_its_lines_and_keeps_what_was_done_by_hand(opened: Open) -> None:
    database = opened()
    ledger = ledger_on(database)
    ledger.claim([PLACE])
    buried(ledger, 0, 230)
    with database.begin() as cursor:
        cursor.execute("UPDATE dead_letter SET resolved = 'sent again as crm-18' WHERE number = 3")
        for table in ("letter", "letter_act", "letter_count"):
            cursor.execute(f"DROP TABLE {table}")
    again = ledger_on(opened())
    assert again.dead_letters() == {"Bug": 229}
    with database.read() as cursor:
        (line,) = page(cursor, Selection(number=(3,)), limit=2)
        assert (line.state, line.source, line.id, line.type, line.customer_id) == ("dropped", "/web", "1", "t.v1", "k")
        assert acts_of(cursor, 3)[0].why == "sent again as crm-18"
    again.claim([PLACE])
    buried(again, 230, 1)
    assert ledger_on(opened()).dead_letters() == {"Bug": 230}


def test_a_thread_forgets_now_and_then_and_outlives_a_database_that_is_away(
    opened: Open, eventually: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    database = opened()
    ledger = ledger_on(database)
    ledger.claim([PLACE])
    buried(ledger, 0, 3)
    ledger.acknowledged("dead-letter[0]", 3)
    ledger.settle()
    ledger.letters.act(seen(database)[:2], "dropped", at=NOW, actor="a", why="")
    times = iter([NOW + 29 * DAY])
    failures = iter([ConnectionError("away")])

    def now() -> int:
        if failure := next(failures, None):
            raise failure
        return next(times, NOW + 31 * DAY)

    forgetting = Forgetting(ledger.letters, 30, transient=(ConnectionError,), now=now, pause_seconds=0.001)
    forgetting.start()
    eventually(lambda: len(seen(database)) == 1)
    forgetting.stop()
    assert not forgetting.is_alive()
    assert [letter.number for letter in seen(database)] == [3]
    assert "will be later: away" in caplog.text


def test_reasons_that_differ_in_what_they_quote_are_one(opened: Open) -> None:
    database = opened()
    ledger = ledger_on(database)
    ledger.claim([PLACE])
    buried(ledger, 0, 12)
    with database.read() as cursor:
        ((group,),) = [groups(cursor, Selection(), "reason", 10)]
    assert (group.key, group.count, group.newest) == (("Bug", "", "no '…'"), 12, 12)


@pytest.mark.parametrize(
    ("reason", "pattern"),
    [
        ("has 262145 bytes, at most 262144 are taken in", "has <n> bytes, at most <n> are taken in"),
        ("EUR has 2 decimals, 1.005 has more", "EUR has <n> decimals, <n> has more"),
        ("check the sender's clock, the customer's key", "check the sender's clock, the customer's key"),
        ("'it\\'s' is not \"x'\"", "'…' is not '…'"),
        ("crm.lead.v1 at 2026-01-05T12:00:00.5Z or 2026-01-05", "crm.lead.v1 at <time> or <time>"),
        ("one\ntwo", "one"),
        ("", ""),
        ("'" * 5000, "'…'" * 66 + "'…"),
    ],
)
def test_the_pattern_of_a_reason(reason: str, pattern: str) -> None:
    assert pattern_of(reason) == pattern


def test_the_time_of_a_replay_is_kept_where_the_topic_keeps_it() -> None:
    old, young = NOW // 1_000_000 - DAYS_30, NOW // 1_000_000 - 1000

    def stamp(topic: str, timestamp: int) -> int | None:
        return replay_of(Record(topic, 0, 0, timestamp, None, None), "toy/1/1", NOW).timestamp

    assert stamp("lifecycle.moved.v1", young) == young
    assert stamp("lifecycle.moved.v1", old) == NOW // 1_000_000  # or it would be deleted before it is read
    assert stamp("crm.lifecycle.v1", old) == old
    assert stamp("crm.lifecycle.v1", -1) == NOW // 1_000_000


def test_whose_replay_a_record_is() -> None:
    assert replayed((("dl_replay", b"toy/17/4"),), "toy") == (17, 4)
    assert replayed((), "toy") is None


def test_a_replay_that_is_published_twice_and_fails_is_one_letter(opened: Open) -> None:
    """The relay sends again what it does not know to be there; a record that only says that it is a replay is another one."""
    database = opened()
    ledger = ledger_on(database)
    ledger.claim([PLACE])
    buried(ledger, 0, 1)

    def arrives(offset: int, value: bytes, act: bytes = b"toy/1/1", *, twice: bool = False) -> None:
        headers = (*HEADERS, ("dl_replay", act))
        records = [Record(*PLACE, offset + n, 0, b"k", value, headers) for n in range(2 if twice else 1)]
        with ledger.transaction(records) as cursor:
            ledger.bury(cursor, [DeadLetter(record=record, error="Bug", reason="") for record in records])

    arrives(1, b"v0", twice=True)
    arrives(3, b"v0")
    assert ledger.dead_letters() == {"Bug": 2}
    arrives(4, b"v1")  # copied from a replay, and changed
    arrives(5, b"v0", b"toy/1/2")  # another act
    arrives(6, b"v0", b"toy/2/1")  # an act of a database that was lost had that number, and another letter
    assert ledger.dead_letters() == {"Bug": 5}
    with database.read() as cursor:
        assert [line.offset for line in page(cursor, Selection(again=True), limit=9, rising=True)] == [1, 4, 5, 6]


def test_what_another_process_has_written_is_seen_within_a_turn(opened: Open) -> None:
    ledger, other = ledger_on(opened()), ledger_on(opened())
    ledger.claim([PLACE])
    assert other.letter_stream("dead-letter[0]", 0, 10) == []
    buried(ledger, 0, 1)
    assert other.letters.pending({"dead-letter[0]": 0, "replay[0]": 0}) == 1
    assert len(other.letter_stream("dead-letter[0]", 0, 10)) == 1
