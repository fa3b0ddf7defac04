"""What the loop does about crashes, bugs, outages, and what cannot be retried; with a real ledger on SQLite."""

import sqlite3
from collections.abc import Callable

import pytest

from events.bus import BusError, PositionLost
from events.bus.layout import LOOK_SECONDS
from events.bus.ledger import Fenced, Outgoing
from events.bus.loop import BUGGY_KEYS_MAX
from events.bus.memory import MemoryBus, drain
from events.record import Message, TopicPartition
from tests.events.bus.stage import Crash, MakeToy, assert_exact, crash_at, fill, inputs, loop_on, turn
from tests.events.bus.toy import LETTERS, OUT, TOPICS, Database, by_key

# ------------------------------------------------------------------------------------------------------ crashes


@pytest.mark.parametrize("point", ["begin", "written", "committed", "acknowledged", "settle"])
@pytest.mark.parametrize("times", [1, 3])
def test_a_crash_loses_and_doubles_nothing(bus: MemoryBus, toy: MakeToy, point: str, times: int) -> None:
    fill(bus, 100)
    victim = toy(bus)
    victim.at = crash_at(point, times)
    loop = loop_on(bus, victim, records_max=20)
    with pytest.raises(Crash):
        turn(loop, 20)
    bus.expire("toy", "member-0001")
    worker = toy(bus)
    drain([loop_on(bus, worker, records_max=20)])
    assert_exact(bus, worker)


def test_after_a_crash_between_commit_and_relay_all_is_published(bus: MemoryBus, toy: MakeToy) -> None:
    fill(bus, 10)
    victim = toy(bus)
    victim.at = crash_at("committed")
    with pytest.raises(Crash):
        loop_on(bus, victim).turn()
    assert len(victim.facts()) == 10
    assert bus.records(OUT) == []
    bus.expire("toy", "member-0001")
    drain([loop_on(bus, toy(bus))])
    assert len(bus.records(OUT)) == 10
    assert_exact(bus, victim)


def test_after_a_crash_between_relay_and_save_repeats_are_byte_identical(bus: MemoryBus, toy: MakeToy) -> None:
    fill(bus, 10, keys=1)
    victim = toy(bus)
    victim.at = crash_at("acknowledged")
    loop = loop_on(bus, victim)
    with pytest.raises(Crash):
        turn(loop, 3)
    assert len(bus.records(OUT)) == 10
    bus.expire("toy", "member-0001")
    worker = toy(bus)
    drain([loop_on(bus, worker)])
    sent = [(r.key, r.value, r.headers) for r in bus.records(OUT)]
    assert len(sent) == 20
    assert sent[:10] == sent[10:]
    assert_exact(bus, worker)


@pytest.mark.parametrize("fault", ["refused", "unanswered"])
def test_a_failed_producer_is_replaced_and_the_rest_sent_again(bus: MemoryBus, toy: MakeToy, fault: str) -> None:
    fill(bus, 200)
    worker = toy(bus)
    loop = loop_on(bus, worker, records_max=30)
    sent = [0]

    def every_37th(message: Message) -> str | None:
        sent[0] += 1
        return fault if sent[0] % 37 == 0 else None

    bus.fault = every_37th  # type: ignore[assignment]
    states = set()
    for _ in range(40):
        loop.turn()
        states.add(loop.progress().state)
    assert "retrying" in states
    bus.fault = None
    drain([loop])
    assert loop.progress().error == ""
    assert_exact(bus, worker)
    if fault == "unanswered":
        assert len(bus.records(OUT)) > 200  # the control: something was repeated


def test_a_message_that_is_refused_is_told_and_holds_up_nothing_else(bus: MemoryBus, toy: MakeToy) -> None:
    fill(bus, 200)
    worker = toy(bus)
    passed = [0.0]
    loop = loop_on(bus, worker, records_max=30, monotonic=lambda: passed[0])
    bus.fault = lambda message: "refused" if message.key == b"customer-3" else None
    delays = []
    for _ in range(200):
        delays.append(loop.turn())
        passed[0] += 0.1
    assert len([delay for delay in delays if delay]) == 1  # the producer that was shared has failed once
    progress = loop.progress()
    assert (progress.state, progress.error) == ("retrying", f"{OUT}: refused")
    assert len(worker.facts()) == 200
    held_up = {record.partition for record in bus.records("in") if record.key == b"customer-3"}
    sent = {record.value.split(b":", 1)[1] for record in bus.records(OUT) if record.value}
    assert sent >= {record.value for record in bus.records("in") if record.partition not in held_up}
    bus.fault = None
    for _ in range(300):
        loop.turn()
        passed[0] += 0.1
    assert (loop.progress().state, loop.progress().error, loop.progress().lag) == ("running", "", 0)
    assert_exact(bus, worker)


# --------------------------------------------------------------------------------------------------- bugs


def test_a_bug_is_isolated_and_its_record_alone_is_rejected(bus: MemoryBus, toy: MakeToy, caplog: pytest.LogCaptureFixture) -> None:
    fill(bus, 50)
    bus.append(Message("in", b"customer-3", b"bug"))
    fill(bus, 50, start=50)
    worker = toy(bus)
    loop = loop_on(bus, worker)
    assert not loop.progress().degraded
    drain([loop])
    assert worker.letters() == [(b"bug", "Bug", 3)]
    assert len(worker.facts()) == 100
    facts = by_key(worker.facts())
    assert all(values == [v for v in inputs(bus)[key] if v != b"bug"] for key, values in facts.items())
    assert loop.progress().degraded
    assert loop.progress().rejected == 1
    assert len(worker.batches) < 2 * 7 + 3 + 2  # a bisection, not a hundred single transactions
    assert [record.value for record in bus.records(LETTERS)] == [b"bug"]
    assert "is rejected as a bug" in caplog.text


def test_a_bug_that_passes_by_itself_costs_nothing(bus: MemoryBus, toy: MakeToy) -> None:
    fill(bus, 4)
    worker = toy(bus)
    failures = iter([KeyError("once"), KeyError("twice")])

    def at(point: str) -> None:
        if point == "begin" and (failure := next(failures, None)):
            raise failure

    worker.at = at
    loop = loop_on(bus, worker)
    drain([loop])
    assert worker.letters() == []
    assert not loop.progress().degraded
    assert_exact(bus, worker)


def test_many_bugs_are_all_found_in_order(bus: MemoryBus, toy: MakeToy) -> None:
    for n in range(40):
        bus.append(Message("in", b"k", f"{'bug' if n % 5 == 0 else 'in'}-{n}".encode()))
    worker = toy(bus)
    drain([loop_on(bus, worker)])
    assert [value for value, _, _ in worker.letters()] == [f"bug-{n}".encode() for n in range(0, 40, 5)]
    assert [value for _, value in worker.facts()] == [f"in-{n}".encode() for n in range(40) if n % 5]


# --------------------------------------------------------------------------------------------------- transient


def test_a_database_that_is_locked_is_waited_for(bus: MemoryBus, toy: MakeToy) -> None:
    fill(bus, 30)
    worker, blocker = toy(bus), toy(bus)
    loop = loop_on(bus, worker)
    loop.turn()
    fill(bus, 30, start=30)
    with blocker.database.begin():
        delays = [loop.turn() for _ in range(8)]
        progress = loop.progress()
        assert progress.state == "retrying"
        assert "OperationalError: database is locked" in progress.error
        assert progress.lag >= 30
        assert not progress.degraded
    assert delays[0] == pytest.approx(0.1)
    assert delays[2] == pytest.approx(0.4)
    assert max(delays) == 5.0
    assert loop.turn() == 0.0
    drain([loop])
    assert loop.progress().error == ""
    assert_exact(bus, worker)


def disk_full(database: Database) -> None:
    database.rows(f"PRAGMA max_page_count = {database.rows('PRAGMA page_count')[0][0]}")


def disk_with_room(database: Database) -> None:
    database.rows("PRAGMA max_page_count = 1000000")


def table_gone(database: Database) -> None:
    database.rows("ALTER TABLE fact RENAME TO lost")


def table_back(database: Database) -> None:
    database.rows("ALTER TABLE lost RENAME TO fact")


def read_only(database: Database) -> None:
    database.rows("PRAGMA query_only = ON")


def writable(database: Database) -> None:
    database.rows("PRAGMA query_only = OFF")


@pytest.mark.parametrize(
    ("harm", "repair", "error"),
    [
        (disk_full, disk_with_room, "database or disk is full"),
        (table_gone, table_back, "no such table: fact"),
        (read_only, writable, "attempt to write a readonly database"),
    ],
)
def test_a_database_that_cannot_do_its_work_is_waited_for_and_no_record_pays_for_it(
    bus: MemoryBus, toy: MakeToy, harm: Callable[[Database], None], repair: Callable[[Database], None], error: str
) -> None:
    fill(bus, 30)
    worker = toy(bus)
    loop = loop_on(bus, worker)
    drain([loop])
    harm(worker.database)
    for n in range(30, 60):
        bus.append(Message("in", f"customer-{n}".encode(), f"in-{n}-{'x' * 4000}".encode()))
    turn(loop, 20)
    progress = loop.progress()
    assert progress.state == "retrying"
    assert f"OperationalError: {error}" in progress.error
    assert progress.rejected == 0
    repair(worker.database)
    drain([loop])
    assert worker.letters() == []
    assert_exact(bus, worker)


def test_when_one_customer_after_the_other_fails_nothing_more_is_rejected(
    bus: MemoryBus, toy: MakeToy, caplog: pytest.LogCaptureFixture
) -> None:
    for n in range(100):
        bus.append(Message("in", f"customer-{n}".encode(), f"in-{n}".encode()))
    worker = toy(bus)

    def broken(point: str) -> None:
        if point == "begin":
            raise KeyError("a wrong release")

    worker.at = broken
    loop = loop_on(bus, worker)
    turn(loop, 30)
    assert len(worker.letters()) == BUGGY_KEYS_MAX
    progress = loop.progress()
    assert (progress.state, progress.rejected, progress.lag) == ("retrying", BUGGY_KEYS_MAX, 100)
    assert "10 keys in a row were rejected" in progress.error
    assert "KeyError: 'a wrong release'" in progress.error
    assert caplog.text.count("tried again until it works") == 1
    worker.at = lambda point: None
    drain([loop])
    assert len(worker.letters()) == BUGGY_KEYS_MAX
    assert len(worker.facts()) == 90
    assert loop.progress().error == ""


def test_bugs_between_records_that_are_well_are_all_rejected(bus: MemoryBus, toy: MakeToy) -> None:
    """The control: so many keys are not in a row."""
    for n in range(60):
        bus.append(Message("in", f"customer-{n}".encode(), f"{'in' if n % 6 == 5 else 'bug'}-{n}".encode(), partition=0))
    worker = toy(bus)
    drain([loop_on(bus, worker)])
    assert len(worker.letters()) == 50
    assert len(worker.facts()) == 10


def test_replays_that_fail_stop_nobody(bus: MemoryBus, toy: MakeToy) -> None:
    """They are letters already: that somebody asks for many of them too early says nothing of the records of today."""
    for n in range(60):
        headers = (("dl_replay", b"toy/%d/%d" % (n, n)),)
        bus.append(Message("in", f"customer-{n}".encode(), f"bug-{n}".encode(), headers, partition=0))
    bus.append(Message("in", b"sound", b"in-61", partition=0))
    worker = toy(bus)
    drain([loop_on(bus, worker)])
    assert (len(worker.letters()), len(worker.facts())) == (60, 1)


def test_a_service_says_what_is_transient(bus: MemoryBus, toy: MakeToy) -> None:
    fill(bus, 3)
    worker = toy(bus)
    failures = iter([ConnectionResetError("database")])

    def at(point: str) -> None:
        if point == "begin" and (failure := next(failures, None)):
            raise failure

    worker.at = at
    loop = loop_on(bus, worker, transient=(BusError, sqlite3.OperationalError, ConnectionError))
    assert loop.turn() == pytest.approx(0.1)
    drain([loop])
    assert worker.batches == [3, 3]  # the same again, as a whole


def test_a_bus_that_is_away_is_waited_for(bus: MemoryBus, toy: MakeToy) -> None:
    fill(bus, 20)
    bus.away = True
    worker = toy(bus)
    loop = loop_on(bus, worker)
    loop.turn()
    assert loop.progress().state == "retrying"
    bus.away = False
    loop.turn()
    bus.away = True
    fill(bus, 20, start=20)
    for _ in range(3):
        loop.turn()
    assert loop.progress().state == "retrying"
    assert "away" in loop.progress().error
    bus.away = False
    drain([loop])
    assert_exact(bus, worker)


# --------------------------------------------------------------------------------------------------- final errors


def test_a_fenced_worker_stops_and_writes_nothing(bus: MemoryBus, toy: MakeToy) -> None:
    fill(bus, 20)
    victim = toy(bus)
    loop = loop_on(bus, victim, records_max=5)
    loop.turn()
    before = len(victim.facts())
    thief = toy(bus)
    thief.claim([TopicPartition(topic, number) for topic in ("in", "more") for number in range(4)])
    with pytest.raises(Fenced):
        loop.run()
    assert len(thief.facts()) == before
    assert loop.progress().state == "stopped"
    assert bus.members("toy") == []


def test_a_static_zombie_is_fenced_though_nobody_tells_it(bus: MemoryBus, toy: MakeToy) -> None:
    fill(bus, 20)
    zombie = loop_on(bus, toy(bus), instance="one", records_max=5)
    zombie.turn()
    worker = toy(bus)
    owner = loop_on(bus, worker, instance="one", records_max=5)
    owner.turn()
    with pytest.raises(Fenced):
        turn(zombie, 10)
    drain([owner])
    assert_exact(bus, worker)


def test_a_lost_position_stops_the_service_with_what_to_do(bus: MemoryBus, toy: MakeToy) -> None:
    fill(bus, 20, keys=1)
    drain([first := loop_on(bus, toy(bus))])
    first.close()
    place = bus.records("in")[0].place
    fill(bus, 20, keys=1)
    bus.log(place).truncate(30)
    with pytest.raises(PositionLost, match="deleted by retention"):
        loop_on(bus, toy(bus)).run()
    bus.delete("in")
    bus.create("in", TOPICS["in"])
    with pytest.raises(PositionLost, match="made again"):
        loop_on(bus, toy(bus)).run()


def test_a_topic_that_grew_stops_the_service_before_it_reads_what_is_new(bus: MemoryBus, toy: MakeToy) -> None:
    fill(bus, 20)
    worker = toy(bus)
    loop = loop_on(bus, worker, layout=TOPICS)
    drain([loop])
    bus.grow("in", 8)
    fill(bus, 20, start=20)
    with pytest.raises(PositionLost, match="in has 8 partitions, and must have 4"):
        turn(loop, 3)
    loop.close()
    assert len(worker.facts()) == 20
    with pytest.raises(PositionLost, match="in has 8 partitions, and must have 4"):  # a restart mends nothing
        loop_on(bus, worker, layout=TOPICS).run()


def test_a_topic_that_grew_is_noticed_where_it_is_only_written_to(bus: MemoryBus, toy: MakeToy) -> None:
    passed = [0.0]
    loop = loop_on(bus, toy(bus), layout=TOPICS, monotonic=lambda: passed[0])
    fill(bus, 20)
    drain([loop])
    bus.grow(OUT, 8)
    turn(loop, 3)
    passed[0] += LOOK_SECONDS
    with pytest.raises(PositionLost, match="out has 8 partitions, and must have 4"):
        loop.turn()


def test_a_topic_that_is_made_again_while_it_is_read_stops_the_service(bus: MemoryBus, toy: MakeToy) -> None:
    """It has as many records as were read of the old one, and all of them are new."""
    passed = [0.0]
    worker = toy(bus)
    loop = loop_on(bus, worker, monotonic=lambda: passed[0])
    fill(bus, 20)
    drain([loop])
    bus.delete("in")
    bus.create("in", TOPICS["in"])
    fill(bus, 20)
    turn(loop, 3)
    passed[0] += LOOK_SECONDS
    fill(bus, 20, start=20)
    with pytest.raises(PositionLost, match="in was memory/in-1 when it was claimed, and is memory/in-2 now"):
        loop.turn()
    assert len(worker.facts()) == 20


def test_a_missing_topic_stops_the_service(bus: MemoryBus, toy: MakeToy) -> None:
    worker = toy(bus, out="nowhere")
    fill(bus, 1)
    loop = loop_on(bus, worker)
    with pytest.raises(LookupError, match=r"topic nowhere does not exist"):
        loop.run()
    bus.delete("more")
    with pytest.raises(LookupError, match=r"topic more does not exist"):
        loop_on(bus, worker).run()


def test_a_stream_whose_numbers_do_not_rise_is_named(bus: MemoryBus, toy: MakeToy) -> None:
    worker = toy(bus)
    for entries, told in (([0], r"\[0\]"), ([1, 3, 2], r"\[1, 3, 2\]"), ([4, 4], r"\[4, 4\]")):
        worker.outgoing = lambda *_, entries=entries: [Outgoing(n, ()) for n in entries]  # type: ignore[method-assign,misc]
        with pytest.raises(ValueError, match=rf"stream .*\[0\] after 0: its numbers do not rise: {told}"):
            loop_on(bus, worker).run()
