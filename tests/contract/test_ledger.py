"""The ledger's promises: position and effect together, one owner, nothing of a refused transaction. On every database."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from eventsourcing.persistence import IntegrityError, OperationalError

from events.bus import PositionLost
from events.bus.cursor import Cursor, Dialect
from events.bus.database import open_database
from events.bus.ledger import LETTERS_MAX, Fenced, Ledger
from events.bus.letters import DeadLetter
from events.record import Message, Record, TopicPartition
from tests.events.bus.toy import Database

PLACE = TopicPartition("in", 0)
OTHER = TopicPartition("in", 1)
Make = Callable[..., Ledger]


def records(first: int, count: int, place: TopicPartition = PLACE) -> list[Record]:
    return [
        Record(*place, first + n, 1_700_000_000_000 + first + n, b"key", f"v{first + n}".encode(), (("h", b"\xff\x00"),))
        for n in range(count)
    ]


KINDS = [
    "connection",
    "sqlite",
    pytest.param("postgres", marks=pytest.mark.postgres),
    pytest.param("postgres container", marks=pytest.mark.docker),
]


@pytest.fixture(params=KINDS)
def open_toy(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """Opens the test's database anew: a connection of SQLite, as the forecast has it, or what the other services have."""
    file = tmp_path / "toy.sqlite"
    if request.param == "connection":
        return lambda: Database(file)
    setting = "sqlite"
    if request.param == "postgres":
        setting = request.getfixturevalue("postgres").database()
    elif request.param == "postgres container":
        setting = request.getfixturevalue("container_database")

    def opened() -> Any:
        database = open_database(setting, file, schema="toy")
        with database.prepare(), database.begin() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS fact (topic TEXT, part INTEGER, record_offset BIGINT, key BLOB, value BLOB)")
        return database

    return opened


@pytest.fixture
def make(open_toy: Callable[[], Any]) -> Iterator[Make]:
    """Ledgers on one database, each with a connection of its own, as workers in several processes have it."""
    databases: list[Any] = []

    def made(kind: type[Ledger] = Ledger, identity: Callable[[str], str] = str, **options: Any) -> Ledger:
        database = open_toy()
        databases.append(database)
        options = {"begin": database.begin, "dialect": getattr(database, "dialect", Dialect()), **options}
        return kind(service="toy", code_version="7", identity=identity, **options)

    yield made
    for database in databases:
        database.close()


def write(ledger: Ledger, batch: list[Record]) -> None:
    fresh = ledger.fresh(batch)
    with ledger.transaction(fresh) as cursor:
        cursor.executemany("INSERT INTO fact VALUES (?, ?, ?, ?, ?)", [(*r.place, r.offset, r.key, r.value) for r in fresh])


def written(ledger: Ledger) -> list[int]:
    with ledger.transaction() as cursor:
        cursor.execute("SELECT record_offset FROM fact ORDER BY topic, part, record_offset")
        return [row[0] for row in cursor.fetchall()]


def test_a_claim_answers_with_what_the_last_owner_left(make: Make) -> None:
    first = make()
    assert first.claim([PLACE, OTHER]) == {PLACE: 0, OTHER: 0}
    write(first, records(0, 5))
    write(first, records(7, 3))  # offsets have gaps
    assert first.owned() == {0, 1}
    assert make().claim([PLACE, OTHER]) == {PLACE: 10, OTHER: 0}


def test_where_a_log_is_first_begun_is_written_down(make: Make) -> None:
    """So that what comes and goes before anything was read can be told."""
    assert make().claim([PLACE, OTHER], {PLACE: 5}) == {PLACE: 5, OTHER: 0}
    again = make()
    assert again.claim([PLACE, OTHER], {PLACE: 7, OTHER: 7}) == {PLACE: 5, OTHER: 0}
    write(again, records(7, 3))
    assert make().claim([PLACE], {PLACE: 20}) == {PLACE: 10}


def test_records_taken_in_before_and_those_of_others_are_not_fresh(make: Make) -> None:
    ledger = make()
    ledger.claim([PLACE])
    write(ledger, records(0, 5))
    batch = [*records(3, 4), *records(0, 2, OTHER)]
    assert ledger.fresh(batch) == records(5, 2)
    ledger.release([PLACE])
    assert ledger.fresh(batch) == []
    assert ledger.owned() == set()


def test_effect_and_position_are_written_together_or_not_at_all(make: Make) -> None:
    ledger = make()
    ledger.claim([PLACE])
    batch = records(0, 5)
    refused = pytest.raises((sqlite3.IntegrityError, IntegrityError), match=r"(?i)unique")
    with refused, ledger.transaction(batch) as cursor:
        ledger.bury(cursor, [DeadLetter(record=batch[0], error="Bug", reason="buried")])
        cursor.execute("INSERT INTO letter SELECT * FROM letter")
    assert ledger.dead_letters() == {}
    assert written(ledger) == []
    assert make().claim([PLACE]) == {PLACE: 0}


def test_a_zombie_with_an_overlapping_batch_is_refused_and_nothing_is_written(make: Make) -> None:
    zombie, owner = make(), make()
    zombie.claim([PLACE, OTHER])
    write(zombie, records(0, 100))
    held = [*records(100, 100), *records(0, 3, OTHER)]  # read, then frozen
    owner.claim([PLACE])
    write(owner, records(100, 50))
    with pytest.raises(Fenced, match=r"in\[0\] is no longer this worker's at 100"):
        write(zombie, held)
    assert written(owner) == list(range(150))  # and nothing of OTHER, which the zombie still owns
    write(owner, records(150, 50))
    assert written(owner) == list(range(200))


def test_a_zombie_is_refused_though_the_new_owner_has_written_nothing_yet(make: Make) -> None:
    zombie, owner = make(), make()
    zombie.claim([PLACE])
    owner.claim([PLACE])
    with pytest.raises(Fenced):
        write(zombie, records(0, 5))
    assert written(owner) == []


def test_a_row_that_somebody_moved_is_not_overwritten(make: Make) -> None:
    ledger, operator = make(), make()
    ledger.claim([PLACE])
    write(ledger, records(0, 10))
    with operator.transaction() as cursor:
        cursor.execute("UPDATE position SET next = 3")  # a backup that was put back, say
    with pytest.raises(Fenced):
        write(ledger, records(10, 5))
    assert make().claim([PLACE]) == {PLACE: 3}


def test_a_transaction_without_records_can_hold_a_partition(make: Make) -> None:
    zombie, owner = make(), make()
    zombie.claim([PLACE, OTHER])
    write(zombie, records(0, 5))
    with zombie.transaction(holding=[0, 1]):
        pass
    with zombie.transaction(records(5, 2), holding=[0, 1]):
        pass
    owner.claim([OTHER])
    with zombie.transaction(holding=[0]):
        pass
    with pytest.raises(Fenced), zombie.transaction(holding=[0, 1]) as cursor:
        cursor.execute("DELETE FROM fact")
    with pytest.raises(Fenced, match=r"partitions \[7\] are no longer"), zombie.transaction(holding=[0, 7]) as cursor:
        cursor.execute("DELETE FROM fact")
    assert written(owner) == [0, 1, 2, 3, 4]
    assert make().claim([PLACE]) == {PLACE: 7}


def test_without_the_token_the_zombie_gets_in(make: Make) -> None:
    """The control arm: what the fence is for. Comparing offsets alone, as trackers do, lets the overlapping batch in."""

    class Unfenced(Ledger):
        def _move(self, cursor, moves):  # type: ignore[no-untyped-def]
            for place, following in moves.items():
                cursor.execute(
                    "UPDATE position SET next = ? WHERE topic = ? AND part = ? AND next < ?", (following, *place, following)
                )
                if cursor.rowcount != 1:
                    raise Fenced

    zombie, owner = make(Unfenced), make(Unfenced)
    zombie.claim([PLACE])
    owner.claim([PLACE])
    write(owner, records(0, 50))
    write(zombie, records(0, 100))
    assert len(written(owner)) == 150


def test_a_log_that_was_never_claimed_cannot_be_moved(make: Make) -> None:
    with pytest.raises(Fenced, match=r"in\[0\]"), make().transaction(records(0, 1)):
        pass


def test_a_topic_that_was_made_again_is_a_lost_position(make: Make) -> None:
    make(identity=lambda topic: f"cluster/{topic}-1").claim([PLACE])
    with pytest.raises(PositionLost, match=r"in\[0\] was read up to 0 as cluster/in-1, and is cluster/in-2 now.*recover.md says"):
        make(identity=lambda topic: f"cluster/{topic}-2").claim([PLACE])


def test_the_cluster_is_asked_once_per_topic_and_outside_of_the_transaction(make: Make) -> None:
    asked: list[str] = []
    others = make()

    def identity(topic: str) -> str:
        asked.append(topic)
        others.claim([OTHER])  # would be locked out if the transaction were open
        return topic

    make(identity=identity).claim([TopicPartition("in", number) for number in range(12)])
    assert asked == ["in"]


def test_dead_letters_keep_the_bytes_and_say_why(make: Make) -> None:
    ledger = make()
    ledger.claim([PLACE, OTHER])
    record, last, elsewhere = *records(0, 2), *records(0, 1, OTHER)
    with ledger.transaction([record, last, elsewhere]) as cursor:
        ledger.bury(cursor, [DeadLetter(record=record, error="Undecodable", reason="no id, näh", path="$.id")])
        ledger.bury(cursor, [DeadLetter(record=elsewhere, error="Bug", reason="boom", attempts=3)])
        ledger.bury(cursor, [DeadLetter(record=last, error="Undecodable", reason="again")])
    assert ledger.dead_letters() == {"Undecodable": 2, "Bug": 1}
    outgoing = ledger.letter_stream("dead-letter[0]", 0, 10)
    assert [entry.number for entry in outgoing] == [1, 3]
    assert outgoing[0].messages == (
        Message(
            topic="toy.dead-letter.v1",
            key=b"key",
            value=b"v0",
            headers=(
                ("h", b"\xff\x00"),
                ("dl_number", b"1"),
                ("dl_topic", b"in"),
                ("dl_partition", b"0"),
                ("dl_offset", b"0"),
                ("dl_error", b"Undecodable"),
                ("dl_reason", "no id, näh".encode()),
                ("dl_path", b"$.id"),
                ("dl_attempts", b"1"),
                ("dl_code_version", b"7"),
            ),
            partition=0,
            timestamp=record.timestamp,
        ),
    )
    assert [entry.number for entry in ledger.letter_stream("dead-letter[0]", 1, 10)] == [3]
    assert [entry.number for entry in ledger.letter_stream("dead-letter[0]", 0, 1)] == [1]
    assert [entry.messages[0].value for entry in ledger.letter_stream("dead-letter[1]", 0, 10)] == [b"v0"]
    assert make().letter_stream("dead-letter[0]", 0, 10) == outgoing


def test_a_few_dead_letters_are_read_at_a_time_because_they_can_be_large(make: Make) -> None:
    ledger = make()
    ledger.claim([PLACE])
    buried = records(0, LETTERS_MAX + 4)
    with ledger.transaction(buried) as cursor:
        ledger.bury(cursor, [DeadLetter(record=record, error="Undecodable", reason="no id") for record in buried])
    first = ledger.letter_stream("dead-letter[0]", 0, 500)
    assert [entry.number for entry in first] == list(range(1, LETTERS_MAX + 1))
    assert len(ledger.letter_stream("dead-letter[0]", first[-1].number, 500)) == 4


def test_a_tombstone_without_a_key_can_be_buried(make: Make) -> None:
    ledger = make()
    ledger.claim([PLACE])
    bare = Record(*PLACE, 0, 0, None, None)
    with ledger.transaction([bare]) as cursor:
        ledger.bury(cursor, [DeadLetter(record=bare, error="Undecodable", reason="empty")])
    message = ledger.letter_stream("dead-letter[0]", 0, 1)[0].messages[0]
    assert (message.key, message.value) == (None, None)
    assert message.headers[0] == ("dl_number", b"1")


def test_relay_positions_are_saved_with_the_next_transaction(make: Make) -> None:
    ledger = make()
    ledger.claim([PLACE])
    assert ledger.relay_positions(["a", "b"]) == {"a": 0, "b": 0}
    ledger.acknowledged("a", 5)
    assert ledger.relay_positions(["a", "b"]) == {"a": 5, "b": 0}
    assert make().relay_positions(["a"]) == {"a": 0}
    write(ledger, records(0, 1))
    assert make().relay_positions(["a"]) == {"a": 5}


def test_relay_positions_are_not_saved_with_a_transaction_that_fails(make: Make) -> None:
    ledger = make()
    ledger.claim([PLACE])
    ledger.acknowledged("a", 5)
    make().claim([PLACE])
    with pytest.raises(Fenced):
        write(ledger, records(0, 1))
    assert make().relay_positions(["a"]) == {"a": 0}
    ledger.settle()
    assert make().relay_positions(["a"]) == {"a": 5}


def test_settling_with_nothing_to_save_writes_nothing(make: Make, open_toy: Callable[[], Any]) -> None:
    begun: list[str] = []
    counted = open_toy()

    @contextmanager
    def begin() -> Iterator[Cursor]:
        begun.append("a transaction")
        with counted.begin() as cursor:
            yield cursor

    ledger = make(begin=begin)
    begun.clear()
    ledger.settle()
    assert begun == []
    ledger.acknowledged("a", 1)
    ledger.settle()
    assert begun == ["a transaction"]
    counted.close()


def test_a_relay_position_never_goes_back(make: Make) -> None:
    late, owner = make(), make()
    owner.acknowledged("a", 9)
    owner.settle()
    late.acknowledged("a", 5)
    late.settle()
    assert make().relay_positions(["a"]) == {"a": 9}


def test_a_reason_may_hold_what_no_text_of_a_database_does(make: Make) -> None:
    ledger = make()
    ledger.claim([PLACE])
    (record,) = records(0, 1)
    with ledger.transaction([record]) as cursor:
        ledger.bury(cursor, [DeadLetter(record=record, error="Bug", reason="a\0b", path="$\0")])
    why = dict(ledger.letter_stream("dead-letter[0]", 0, 1)[0].messages[0].headers)
    assert (why["dl_reason"], why["dl_path"]) == (b"a\\0b", b"$\\0")


def test_workers_that_claim_the_same_logs_at_once_have_one_owner(make: Make) -> None:
    places = [TopicPartition("in", number) for number in range(24)]
    workers = [make() for _ in range(4)]
    start = threading.Barrier(len(workers))
    failed: list[BaseException] = []

    def claim(worker: Ledger, mine: list[TopicPartition]) -> None:
        start.wait()
        try:
            worker.claim(mine)
        except (sqlite3.OperationalError, OperationalError) as error:  # SQLite says that it is busy: the loop tries again
            failed.append(error)

    threads = [
        threading.Thread(target=claim, args=(worker, places[:: -1 if number % 2 else 1])) for number, worker in enumerate(workers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failed) < len(workers)
    with workers[0].transaction() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT owner), min(owner) FROM position")
        ((count, owners, owner),) = cursor.fetchall()
    assert (count, owners) == (len(places), 1)
    for worker in workers:
        if worker.owner == owner:
            write(worker, records(0, 1))
        elif worker.owned():
            with pytest.raises(Fenced):
                write(worker, records(0, 1))


class Line:
    """The way to a database, on which answers get lost: ``lose`` says how many, and whether what was said arrived before."""

    def __init__(self, begin: Callable[[], Any]) -> None:
        self._begin = begin
        self.lost = 0
        self.arrives = True

    @contextmanager
    def begin(self) -> Iterator[Cursor]:
        if self.lost > 0 and not self.arrives:
            with self._begin() as cursor:
                yield cursor
                self.lost -= 1
                raise ConnectionError("lost before the commit arrived")
        with self._begin() as cursor:
            yield cursor
        if self.lost > 0:
            self.lost -= 1
            raise ConnectionError("lost after the commit arrived")


@pytest.mark.parametrize("questions", [0, 2])
def test_a_commit_whose_answer_is_lost_counts_once(make: Make, open_toy: Callable[[], Any], questions: int) -> None:
    database = open_toy()
    line = Line(database.begin)
    ledger = make(begin=line.begin, dialect=Dialect(unanswered=(ConnectionError,)))
    ledger.claim([PLACE])
    ledger.acknowledged("a", 5)
    line.lost = 1 + questions  # the commit's, and those of the first questions whether it was one
    write(ledger, records(0, 5))
    assert ledger.fresh(records(0, 7)) == records(5, 2)
    write(ledger, records(5, 2))
    assert written(ledger) == list(range(7))
    assert make().relay_positions(["a"]) == {"a": 5}
    database.close()


def test_a_commit_that_never_arrived_is_tried_again(make: Make, open_toy: Callable[[], Any]) -> None:
    database = open_toy()
    line = Line(database.begin)
    ledger = make(begin=line.begin, dialect=Dialect(unanswered=(ConnectionError,)))
    ledger.claim([PLACE])
    line.lost, line.arrives = 1, False
    with pytest.raises(ConnectionError):
        write(ledger, records(0, 5))
    assert written(ledger) == []
    write(ledger, records(0, 5))
    assert written(ledger) == list(range(5))
    database.close()
