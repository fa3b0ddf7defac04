"""The loop on the memory bus: what it does with errors, crashes and rebalances, with a real ledger on SQLite."""

from collections.abc import Sequence
from typing import Any

from events.bus import BusError
from events.bus.ledger import Outgoing
from events.bus.loop import Loop
from events.bus.memory import MemoryBus, MemoryProducer, drain
from events.record import Message, TopicPartition
from tests.events.bus.stage import MakeToy, assert_exact, fill, loop_on, turn
from tests.events.bus.toy import LETTERS, OUT, TOPICS


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


# --------------------------------------------------------------------------------------------------- work beside


class Noting:
    """A consumer that notes how long it was to wait for records."""

    def __init__(self, consumer: Any, waits: list[float]) -> None:
        self._consumer = consumer
        self._waits = waits
        self.positions, self.close = consumer.positions, consumer.close

    def poll(self, seconds: float, records: int) -> Any:
        self._waits.append(seconds)
        return self._consumer.poll(seconds, records)


class NotingBus(MemoryBus):
    """A bus with such consumers."""

    waits: list[float]

    def consumer(self, *args: Any, **more: Any) -> Any:
        return Noting(super().consumer(*args, **more), self.waits)


def test_work_beside_the_records_is_done_every_turn_without_waiting_while_there_is_more(toy: MakeToy) -> None:
    bus = NotingBus({"in": 4, "more": 4, OUT: 4, LETTERS: 1})
    bus.waits = []
    more = iter([True, True, False])
    worker = toy(bus)
    loop = loop_on(bus, worker, beside=lambda _: next(more, False))
    turn(loop, 5)
    assert bus.waits == [0.25, 0.0, 0.0, 0.25, 0.25]
    fill(bus, 40)
    drain([loop])
    assert_exact(bus, worker)


def test_work_beside_that_cannot_be_done_now_is_done_later_and_holds_nothing_up(bus: MemoryBus, toy: MakeToy) -> None:
    tries = iter([BusError("away"), BusError("away"), None])

    def beside(_: object) -> bool:
        error = next(tries, None)
        if error is not None:
            raise error
        return False

    fill(bus, 40)
    worker = toy(bus)
    drain([loop_on(bus, worker, beside=beside)])
    assert next(tries, "done") == "done"
    assert_exact(bus, worker)
