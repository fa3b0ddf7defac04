"""The hand-over from Faust to the loop: what Faust leaves out is read from the log, and everything is taken in once, in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.bus import BusError, PositionLost
from events.bus.memory import MemoryBus
from events.record import Message, Record, TopicPartition
from events.topics import ASSIGNMENT, LIFECYCLE, REQUEST
from services.routing.feed import Feed, Hop
from tests.routing.harness import Routing, lifecycle_message
from tests.routing.words import status_changed

PLACE = TopicPartition("topic", 0)


def record(offset: int, place: TopicPartition = PLACE) -> Record:
    return Record(*place, offset, 0, b"key", b"value")


def log_of(*offsets: int) -> MemoryBus:
    """A bus whose log has records at these offsets, and marks of transactions between them and up to 200."""
    bus = MemoryBus({PLACE.topic: 1})
    for offset in sorted(offsets):
        bus.log(PLACE).gap(offset - bus.log(PLACE).end)
        bus.append(Message(PLACE.topic, b"key", b"value"))
    bus.log(PLACE).gap(200 - bus.log(PLACE).end)
    return bus


def feed(offset: int, bus: MemoryBus | None = None) -> Feed:
    own = Feed(lambda places: {}, lambda places: None, (bus or log_of(*range(200))).reader())
    own.begin({PLACE: offset})
    return own


def taken(own: Feed, records: int = 1000) -> list[int]:
    """What is taken in, in as many polls as it takes."""
    found: list[int] = []
    while own.waiting:
        batch = [each.offset for each in own.poll(0, records)]
        assert len(batch) <= records
        found += batch
    return found


def put(own: Feed, *offsets: int) -> None:
    for offset in offsets:
        own.put(record(offset))


def test_records_that_follow_are_taken_in() -> None:
    own = feed(5)
    put(own, 5, 6, 7)
    assert own.waiting == 3
    assert taken(own) == [5, 6, 7]
    assert own.positions() == {PLACE: 8}


def test_what_was_read_before_or_is_not_ours_is_left_out() -> None:
    own = feed(5)
    put(own, 4)
    own.put(record(5, TopicPartition("topic", 1)))
    assert taken(own) == []


def test_what_was_left_out_is_read_from_the_log_and_comes_first() -> None:
    own = feed(100)
    put(own, 150, 151, *range(100, 160))
    assert taken(own, 20) == list(range(100, 160))


def test_where_the_log_has_nothing_nothing_is_missing() -> None:
    own = feed(100, log_of(99, *range(103, 110)))
    put(own, *range(103, 110))
    assert taken(own) == list(range(103, 110))


def test_a_hole_is_read_in_pieces() -> None:
    own = feed(0)
    put(own, 150)
    assert [each.offset for each in own.poll(0, 40)] == list(range(40))
    assert own.positions() == {PLACE: 40}
    assert own.waiting == 1


def test_what_is_there_is_taken_in_before_the_broker_is_asked() -> None:
    bus = log_of(*range(200))
    own = feed(0, bus)
    put(own, 0, 1, 5)
    bus.away = True
    assert [each.offset for each in own.poll(0, 1000)] == [0, 1]
    with pytest.raises(BusError):
        own.poll(0, 1000)
    bus.away = False
    assert taken(own, 4) == [2, 3, 4, 5]


def test_an_open_transaction_is_waited_for() -> None:
    """Faust has seen its end; whoever is asked has not yet."""
    bus = MemoryBus({PLACE.topic: 1})
    transaction = bus.transaction()
    transaction.send([Message(PLACE.topic, b"key", b"value")] * 2)
    own = feed(0, bus)
    own.expect(PLACE, 3)
    assert own.poll(0, 10) == []
    assert own.waiting == 1
    transaction.commit()
    assert taken(own) == [0, 1]
    assert own.positions() == {PLACE: 3}


@pytest.mark.parametrize("ahead", [True, False])
def test_being_ahead_is_no_proof_that_nothing_lies_between(ahead: bool) -> None:
    own = feed(100, log_of(*range(104)) if ahead else log_of(99))
    own.expect(PLACE, 110)
    assert taken(own) == ([100, 101, 102, 103] if ahead else [])
    assert own.positions()[PLACE] >= 110
    own.expect(PLACE, 105)
    assert own.waiting == 0


def test_where_the_log_was_cut_the_position_is_lost() -> None:
    bus = log_of(*range(200))
    own = feed(100, bus)
    bus.log(PLACE).truncate(120)
    put(own, 120)
    with pytest.raises(PositionLost, match=r"topic\[0\] was read up to 100, but begins at 120 now"):
        own.poll(0, 10)


def test_a_new_assignment_forgets_the_old_one() -> None:
    own = feed(5)
    put(own, 5, 9)
    own.expect(PLACE, 20)
    own.begin({})
    put(own, 6)
    own.expect(PLACE, 30)
    assert taken(own) == []
    assert own.positions() == {}


@given(
    st.sets(st.integers(0, 30)),
    st.integers(0, 10),
    st.lists(st.one_of(st.integers(0, 30), st.tuples(st.integers(1, 5)), st.floats(0, 31)), max_size=60),
)
def test_whatever_is_handed_over_all_that_the_log_has_is_taken_in_once_and_in_order(
    log: set[int], start: int, story: list[int | tuple[int] | float]
) -> None:
    """A client that leaves out what it likes, repeats and goes back; polls between; and in the end it has come to the end."""
    own, found = feed(start, log_of(*log)), []
    for step in story:
        if isinstance(step, tuple):
            found += [each.offset for each in own.poll(0, step[0])]
        elif isinstance(step, float):
            own.expect(PLACE, int(step))
        elif step in log:
            put(own, step)
    own.expect(PLACE, 200)
    assert found + taken(own) == sorted(offset for offset in log if offset >= start)


def test_a_log_that_lost_its_tail_or_was_made_again_ends_a_hop_within_a_look(
    routing: Routing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust's client reads on where it was, or from the beginning: what has come since would be taken for known."""
    bus, place = routing.bus, TopicPartition(LIFECYCLE.name, 0)
    for _ in range(9):
        bus.append(Message(place.topic, b"a", b"poison", partition=0))
    hop = Hop(bus, routing.match, place.topic)
    hop.feed.begin(hop.claim([place]))
    for each in bus.records(place.topic):
        hop.feed.put(each)
    hop.loop.turn()
    assert hop.feed.positions() == {place: 9}
    bus.log(place).cut(5)
    hop.loop.turn()  # it has looked a moment ago
    monkeypatch.setattr("events.bus.layout.LOOK_SECONDS", 0)
    with pytest.raises(PositionLost, match="was read up to 9, but ends at 5: the log lost its tail"):
        hop.loop.turn()
    bus.delete(place.topic)
    bus.create(place.topic, 2)
    with pytest.raises(PositionLost, match=r"crm.lifecycle.v1 was memory/.*-1 when it was claimed, and is memory/.*-2 now"):
        hop.loop.turn()


def test_both_hops_fed_by_hand(routing: Routing) -> None:
    """What Faust does, without Faust."""
    bus: MemoryBus = routing.bus
    hops = [Hop(bus, routing.match, LIFECYCLE.name), Hop(bus, routing.desk, REQUEST.name)]
    places = [TopicPartition(LIFECYCLE.name, 0), TopicPartition(LIFECYCLE.name, 1), TopicPartition(REQUEST.name, 0)]
    for customer in "abc":
        bus.append(lifecycle_message(status_changed(customer, 1)))
    bus.append(Message(LIFECYCLE.name, b"a", b"poison"))
    for hop in hops:
        hop.feed.begin(hop.claim(places))
    for hop in hops:
        for each in bus.records(hop.topic):
            hop.feed.put(each)
        hop.loop.turn()
    assert len(bus.records(ASSIGNMENT.name)) == 3
    for hop in hops:
        hop.loop.turn()
    hops[1].loop.turn()
    assert hops[1].loop.progress().lag == 0
    for hop in hops:
        hop.feed.begin({})
        hop.release()
        hop.loop.turn()
        assert hop.loop.progress().state == "starting"
