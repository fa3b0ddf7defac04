"""The relay by itself: what it does about a producer that never answers, and about much to send."""

from collections.abc import Mapping, Sequence

import pytest

from events.bus import BusError
from events.bus.ledger import Outgoing
from events.bus.memory import MemoryBus
from events.bus.relay import ANSWER_SECONDS_MAX, TURN_SECONDS_MAX, Relay
from events.record import Message


class Shelf:
    """Streams of numbered entries."""

    def __init__(self, **streams: int) -> None:
        self.lengths = streams
        self.saved = dict.fromkeys(streams, 0)

    def streams(self) -> Mapping[str, int]:
        return dict(self.saved)

    def outgoing(self, stream: str, after: int, limit: int) -> Sequence[Outgoing]:
        numbers = range(after + 1, min(self.lengths[stream], after + limit) + 1)
        return [Outgoing(n, (Message("out", stream.encode(), str(n).encode()),)) for n in numbers]

    def acknowledged(self, stream: str, number: int) -> None:
        assert number > self.saved[stream]
        self.saved[stream] = number


def sent(bus: MemoryBus, stream: str) -> list[int]:
    return [int(record.value or b"") for record in bus.records("out") if record.key == stream.encode()]


def test_a_producer_that_never_answers_is_replaced() -> None:
    bus, shelf, now = MemoryBus({"out": 1}), Shelf(a=3), [0.0]
    relay = Relay(bus, shelf, monotonic=lambda: now[0])
    bus.slow = True
    assert relay.pump()
    now[0] = ANSWER_SECONDS_MAX
    assert not relay.pump()
    assert relay.in_flight
    now[0] += 1
    with pytest.raises(BusError, match="a up to 3: not answered within 60 s"):
        relay.pump()
    bus.slow = False
    assert relay.pump()
    relay.pump()
    assert (sent(bus, "a"), shelf.saved) == ([1, 2, 3], {"a": 3})


def test_a_stream_with_much_to_send_does_not_hold_up_the_others() -> None:
    bus, shelf = MemoryBus({"out": 1}), Shelf(big=50_000, small=1)
    relay = Relay(bus, shelf, in_flight_max=1_000)
    bus.slow = True
    relay.pump()
    assert relay.backlog
    bus.slow = False
    relay.finish(0)
    assert sent(bus, "small") == [1]


@pytest.mark.parametrize(("room", "on_their_way"), [(500, 500), (501, 1_000), (1_000, 1_000)])
def test_what_is_on_its_way_is_bounded(room: int, on_their_way: int) -> None:
    bus, shelf = MemoryBus({"out": 1}), Shelf(a=5_000)
    relay = Relay(bus, shelf, in_flight_max=room)
    bus.slow = True
    relay.pump()
    bus.slow = False
    relay.finish(0)
    assert shelf.saved == {"a": on_their_way}  # the last portion may go over the bound, none is begun beyond it


class Slow:
    """A producer whose answers come while one waits, never before."""

    def __init__(self, now: list[float]) -> None:
        self.now = now
        self.sent = 0

    def send(self, messages: Sequence[Message]) -> "Answer":
        self.sent += len(messages)
        return Answer(self.now)

    def close(self) -> None:
        return


class Answer:
    def __init__(self, now: list[float]) -> None:
        self.now = now
        self.answered = False

    def done(self, timeout: float = 0.0) -> bool:
        if timeout > 0:
            self.now[0] += 0.5
            self.answered = True
        return self.answered

    def wait(self, timeout: float) -> None:
        assert self.answered


class SlowBus(MemoryBus):
    def __init__(self, producer: Slow) -> None:
        super().__init__({"out": 1})
        self.slow_producer = producer

    def producer(self, *_: object) -> Slow:  # type: ignore[override]
        return self.slow_producer


def test_where_there_is_no_room_it_waits_for_answers_as_long_as_a_turn_may_take() -> None:
    now = [0.0]
    producer, shelf = Slow(now), Shelf(a=50_000)
    relay = Relay(SlowBus(producer), shelf, in_flight_max=500, monotonic=lambda: now[0])
    assert relay.pump()
    assert relay.backlog
    assert now[0] == TURN_SECONDS_MAX
    assert producer.sent == 500 * (1 + TURN_SECONDS_MAX / 0.5)


def test_what_is_not_acknowledged_is_sent_again_from_there() -> None:
    bus, shelf = MemoryBus({"out": 1}), Shelf(a=1_200)
    relay = Relay(bus, shelf)
    refuse = iter([False] * 700 + [True])
    bus.fault = lambda _: "refused" if next(refuse, False) else None
    with pytest.raises(BusError, match="refused"):
        relay.pump()
    assert shelf.saved == {"a": 500}  # as a portion is acknowledged as a whole
    relay.pump()
    relay.pump()
    assert shelf.saved == {"a": 1_200}
    assert list(dict.fromkeys(sent(bus, "a"))) == list(range(1, 1_201))
    assert len(sent(bus, "a")) == 700 + 700


def test_finishing_waits_for_what_is_on_its_way_and_no_longer_than_told() -> None:
    bus, shelf = MemoryBus({"out": 1}), Shelf(a=3)
    relay = Relay(bus, shelf)
    bus.slow = True
    relay.pump()
    relay.finish(0)
    assert shelf.saved == {"a": 0}
    bus.slow = False
    relay.finish(0)
    assert shelf.saved == {"a": 3}
    relay.close()
