"""The hand-over from Faust to the loop: only what follows is taken in, and what is missing is read again."""

from hypothesis import given
from hypothesis import strategies as st

from events.bus.memory import MemoryBus
from events.record import Message, Record, TopicPartition
from events.topics import ASSIGNMENT, LIFECYCLE, REQUEST
from services.routing.feed import Feed, Hop
from tests.routing.harness import Routing, lifecycle_message
from tests.routing.words import status_changed

PLACE = TopicPartition("topic", 0)


def record(offset: int, place: TopicPartition = PLACE) -> Record:
    return Record(*place, offset, 0, b"key", b"value")


def feed(offset: int) -> Feed:
    own = Feed(lambda places: {}, lambda places: None)
    own.begin({PLACE: offset})
    return own


def taken(own: Feed) -> list[int]:
    return [each.offset for each in own.poll(0, 1000)]


def test_records_that_follow_are_taken_in() -> None:
    own = feed(5)
    assert [own.put(record(offset)) for offset in (5, 6, 7)] == [None, None, None]
    assert own.waiting == 3
    assert taken(own) == [5, 6, 7]
    assert own.positions() == {PLACE: 8}


def test_what_was_read_before_or_is_not_ours_is_left_out() -> None:
    own = feed(5)
    assert own.put(record(4)) is None
    assert own.put(record(5, TopicPartition("topic", 1))) is None
    assert taken(own) == []


def test_what_does_not_follow_is_read_again_and_then_believed() -> None:
    own = feed(5)
    assert own.put(record(9)) == 5
    assert own.put(record(10)) is None
    assert taken(own) == []
    assert [own.put(record(offset)) for offset in (9, 10)] == [None, None]
    assert taken(own) == [9, 10]


def test_what_was_missing_comes_first() -> None:
    own = feed(5)
    assert own.put(record(9)) == 5
    for offset in (5, 6, 7, 8, 9):
        assert own.put(record(offset)) is None
    assert taken(own) == [5, 6, 7, 8, 9]


def test_a_new_assignment_forgets_the_old_one() -> None:
    own = feed(5)
    own.put(record(5))
    own.begin({})
    own.put(record(6))
    assert taken(own) == []
    assert own.positions() == {}


@given(st.sets(st.integers(0, 30)), st.lists(st.integers(0, 30), unique=True), st.integers(0, 10))
def test_whatever_strays_come_all_that_the_log_has_is_taken_in_once_and_in_order(
    log: set[int], strays: list[int], start: int
) -> None:
    """A reader that seeks where it is told to, and now and then delivers something that it had read before."""
    own, position, strays = feed(start), start, [stray for stray in strays if stray in log]
    for _ in range(500):
        offset = min((offset for offset in log if offset >= position), default=None)
        if strays:
            offset = strays.pop()
        elif offset is not None:
            position = offset + 1
        else:
            break
        again_from = own.put(record(offset))
        position = position if again_from is None else again_from
    assert taken(own) == sorted(offset for offset in log if offset >= start)


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
            assert hop.feed.put(each) is None
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
