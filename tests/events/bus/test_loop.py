"""The loop on the memory bus: what it does with errors, crashes and rebalances, with a real ledger on SQLite."""

import sqlite3
from collections.abc import Callable, Sequence

import pytest

from events.bus import BusError, PositionLost
from events.bus.ledger import Fenced, Outgoing
from events.bus.loop import Loop
from events.bus.memory import MemoryBus, MemoryProducer, drain
from events.record import Message, TopicPartition
from tests.events.bus.toy import LETTERS, OUT, TOPICS, Toy, by_key, first_occurrences

MakeToy = Callable[..., Toy]


class Crash(BaseException):
    """The process dies here."""


def crash_at(point: str, times: int = 1) -> Callable[[str], None]:
    """Die at the so-manieth passing of a point."""
    left = [times]

    def at(passed: str) -> None:
        if passed == point:
            left[0] -= 1
            if left[0] == 0:
                raise Crash

    return at


def loop_on(bus: MemoryBus, worker: Toy, **options: object) -> Loop:
    return Loop(bus, worker, group="toy", topics=["in", "more"], pause=lambda seconds: None, **options)  # type: ignore[arg-type]


def fill(bus: MemoryBus, count: int, *, topic: str = "in", start: int = 0, keys: int = 7) -> None:
    for n in range(start, start + count):
        bus.append(Message(topic, f"customer-{n % keys}".encode(), f"{topic}-{n}".encode()))


def inputs(bus: MemoryBus) -> dict:
    return by_key([(r.key, r.value) for topic in ("in", "more") for r in bus.records(topic)])


def turn(loop: Loop, times: int) -> None:
    for _ in range(times):
        loop.turn()


def assert_exact(bus: MemoryBus, worker: Toy) -> None:
    """Every input is reflected once, in order per key and topic, and all of it is published in that order."""
    facts = by_key(worker.facts())
    everything = inputs(bus)
    assert {key: sorted(values) for key, values in facts.items()} == {key: sorted(values) for key, values in everything.items()}
    for key, values in everything.items():
        for topic in (b"in-", b"more-"):
            assert [v for v in facts[key] if v.startswith(topic)] == [v for v in values if v.startswith(topic)]
    assert first_occurrences(bus.records(OUT)) == by_key(worker.entries())


def test_everything_is_taken_in_and_published_once(bus: MemoryBus, toy: MakeToy) -> None:
    fill(bus, 300)
    fill(bus, 100, topic="more")
    worker = toy(bus)
    loop = loop_on(bus, worker, records_max=50)
    drain([loop])
    assert_exact(bus, worker)
    assert len(bus.records(OUT)) == 400
    assert max(worker.batches) <= 50
    assert loop.progress().positions == bus.end_offsets([TopicPartition(t, n) for t in ("in", "more") for n in range(4)])


def test_dead_letters_go_out_beside_the_rest(bus: MemoryBus, toy: MakeToy) -> None:
    bus.append(Message("in", b"k", b"poison"))
    bus.append(Message("in", b"k", b"fine"))
    worker = toy(bus)
    drain([loop_on(bus, worker)])
    assert worker.letters() == [(b"poison", "Undecodable", 1)]
    assert [(r.key, r.value, dict(r.headers)["dl_reason"]) for r in bus.records(LETTERS)] == [(b"k", b"poison", b"poison")]
    assert [record.value for record in bus.records(OUT)] == [b"1:fine"]


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


def test_a_wrong_statement_is_a_bug_and_not_waited_for(bus: MemoryBus, toy: MakeToy) -> None:
    fill(bus, 1)
    worker = toy(bus)
    worker.at = lambda point: worker.database.rows("SELECT * FROM nowhere") and None if point == "begin" else None
    loop = loop_on(bus, worker)
    drain([loop])
    assert [error for _, error, _ in worker.letters()] == ["Bug"]


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
    worker.outgoing = lambda stream, after, limit: [Outgoing(after, ())]  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"stream .*\[0\] after 0: its numbers do not rise"):
        loop_on(bus, worker).run()


# ----------------------------------------------------------------------------------------------------- rebalance


def test_workers_that_come_and_go_share_the_work_exactly(bus: MemoryBus, toy: MakeToy) -> None:
    fill(bus, 100)
    one, two = toy(bus), toy(bus)
    first = loop_on(bus, one, records_max=10)
    for _ in range(3):
        first.turn()
    second = loop_on(bus, two, records_max=10)
    fill(bus, 100, start=100, topic="more")
    drain([first, second])
    assert one.ledger.owned().isdisjoint(two.ledger.owned())
    assert one.ledger.owned() | two.ledger.owned() == {0, 1, 2, 3}
    first.close()
    fill(bus, 100, start=200)
    drain([second])
    assert_exact(bus, two)


def test_streams_that_are_lost_while_sends_are_on_their_way_are_forgotten(bus: MemoryBus, toy: MakeToy) -> None:
    fill(bus, 40)
    one, two = toy(bus), toy(bus)
    acknowledged: list[str] = []
    real = one.ledger.acknowledged
    one.ledger.acknowledged = lambda stream, number: acknowledged.append(stream) or real(stream, number)  # type: ignore[func-returns-value,method-assign]
    first, second = loop_on(bus, one), loop_on(bus, two)
    bus.slow = True
    first.turn()
    assert first.progress().pending == 40
    newcomer = bus.consumer("toy", ["in", "more"], lambda _: {}, lambda _: None)
    first.turn()  # gives its partitions back, and gets none before the newcomer has joined
    bus.slow = False
    turn(first, 3)
    assert acknowledged == []
    newcomer.close()
    bus.slow = True
    for loop in (first, second, first, second):  # the rebalance: `first` keeps half of the partitions
        loop.turn()
    bus.slow = False
    turn(first, 3)
    lost = {f"out[{number}]" for number in two.ledger.owned()}
    assert lost
    assert lost.isdisjoint(acknowledged)
    drain([first, second])
    assert_exact(bus, two)


def test_a_member_without_partitions_stands_by(bus: MemoryBus, toy: MakeToy) -> None:
    loops = [Loop(bus, toy(bus), group="one", topics=[LETTERS]) for _ in range(2)]
    for _ in range(3):
        for loop in loops:
            loop.turn()
    assert [loop.progress().state for loop in loops] == ["running", "running"]
    assert sorted(len(loop.progress().positions) for loop in loops) == [0, 1]


# ----------------------------------------------------------------------------------------------- relay and progress


def test_what_is_on_its_way_is_bounded_and_holds_up_nothing(bus: MemoryBus, toy: MakeToy) -> None:
    fill(bus, 2_000)
    worker = toy(bus)
    loop = loop_on(bus, worker, in_flight_max=100, records_max=300)
    made: list[MemoryProducer] = []
    real = bus.producer
    bus.producer = lambda: made.append(real()) or made[-1]  # type: ignore[func-returns-value,method-assign,assignment,misc]
    bus.slow = True
    turn(loop, 8)
    assert 100 <= sum(producer.queued for producer in made) <= 100 + 500  # the bound, and at most one more portion
    assert loop.progress().pending == 2_000
    assert len(worker.facts()) == 2_000  # the next batches are decided meanwhile
    bus.slow = False
    drain([loop])
    assert len(made) == 1
    assert len(bus.records(OUT)) == 2_000
    assert_exact(bus, worker)


def test_entries_that_publish_nothing_are_acknowledged_in_their_turn(bus: MemoryBus, toy: MakeToy) -> None:
    worker = toy(bus)
    real = worker.outgoing

    def every_other(stream: str, after: int, limit: int) -> Sequence[Outgoing]:
        return [entry if entry.number % 2 else Outgoing(entry.number, ()) for entry in real(stream, after, limit)]

    worker.outgoing = every_other  # type: ignore[method-assign]
    fill(bus, 10, keys=1)
    loop = loop_on(bus, worker)
    drain([loop])
    assert [record.value for record in bus.records(OUT)] == [f"{n}:in-{n - 1}".encode() for n in (1, 3, 5, 7, 9)]
    assert loop.progress().pending == 0


def test_progress_counts_what_is_unread_and_what_is_unpublished(bus: MemoryBus, toy: MakeToy) -> None:
    now = [1_800_000_000.0]
    bus_with_clock = MemoryBus(TOPICS, clock=lambda: int(now[0] * 1000))
    worker = toy(bus_with_clock)
    loop = loop_on(bus_with_clock, worker, records_max=10, clock=lambda: now[0])
    assert (loop.progress().state, loop.progress().lag) == ("starting", 0)
    fill(bus_with_clock, 25, keys=1)
    now[0] += 60
    loop.turn()
    progress = loop.progress()
    assert (progress.state, progress.lag, progress.lag_seconds) == ("running", 15 + 10, 60.0)  # read 10, none acknowledged
    drain([loop])
    assert (loop.progress().lag, loop.progress().lag_seconds) == (0, 0.0)
    now[0] += 3600
    fill(bus_with_clock, 1, keys=1)
    now[0] += 5
    assert loop.progress().lag == 1
    assert loop.progress().lag_seconds == 3605.0  # nobody asked in between
    loop.close()
    assert loop.progress().state == "stopped"


def test_lag_seconds_begin_when_the_lag_was_last_seen_to_be_gone(bus: MemoryBus, toy: MakeToy) -> None:
    now = [1_800_000_000.0]
    loop = loop_on(bus, toy(bus), clock=lambda: now[0])
    fill(bus, 1)
    drain([loop])
    now[0] += 3600
    assert loop.progress().lag_seconds == 0.0
    now[0] += 5
    fill(bus, 1)
    assert loop.progress().lag_seconds == 5.0


def test_markers_and_gaps_at_the_end_are_no_lag(bus: MemoryBus, toy: MakeToy) -> None:
    fill(bus, 3, keys=1)
    transaction = bus.transaction()
    transaction.send([Message("in", b"customer-0", b"never")])
    transaction.abort()
    loop = loop_on(bus, toy(bus))
    drain([loop])
    assert loop.progress().lag == 0


def test_between_two_assignments_the_lag_is_not_taken_for_zero(bus: MemoryBus, toy: MakeToy) -> None:
    fill(bus, 50)
    loop = loop_on(bus, toy(bus), records_max=5)
    loop.turn()
    newcomer = bus.consumer("toy", ["in", "more"], lambda _: {}, lambda _: None)  # until it polls, nobody has anything
    loop.turn()
    progress = loop.progress()
    assert (progress.state, progress.lag) == ("starting", 45)
    newcomer.close()
    drain([loop])


def test_a_bus_that_does_not_say_where_logs_end_shows(bus: MemoryBus, toy: MakeToy) -> None:
    loop = loop_on(bus, toy(bus))
    drain([loop])
    bus.away = True
    progress = loop.progress()
    assert (progress.state, progress.error) == ("retrying", "the memory bus is away")


def test_run_ends_when_it_is_stopped_and_everything_is_saved(bus: MemoryBus, toy: MakeToy) -> None:
    fill(bus, 20)
    worker = toy(bus)
    loop = loop_on(bus, worker)
    worker.at = lambda point: loop.stop() if point == "committed" else None
    loop.run()
    assert len(bus.records(OUT)) == 20
    assert loop.progress().state == "stopped"
    assert bus.members("toy") == []
    after = toy(bus)
    drain([loop_on(bus, after)])
    assert len(bus.records(OUT)) == 20  # nothing was sent again
    assert_exact(bus, after)


def test_run_ends_in_the_middle_of_a_pause(bus: MemoryBus, toy: MakeToy) -> None:
    bus.away = True
    pauses: list[float] = []
    loop = Loop(
        bus,
        toy(bus),
        group="toy",
        topics=["in"],
        backoff_seconds_min=100.0,
        backoff_seconds_max=100.0,
        pause=lambda seconds: pauses.append(seconds) or (loop.stop() if len(pauses) == 3 else None),  # type: ignore[func-returns-value]
    )
    loop.run()
    assert pauses == [0.05, 0.05, 0.05]
