"""The relay by itself: what it does about a producer that never answers, and about much to send."""

from collections.abc import Callable, Mapping, Sequence

import pytest

from events.bus import BusError, Delivery
from events.bus.flights import ANSWER_SECONDS_MAX
from events.bus.ledger import Outgoing
from events.bus.memory import Fault, MemoryBus
from events.bus.relay import BYTES_MAX, CHUNK_BYTES_MAX, ENTRIES_AT_FIRST, PAUSE_SECONDS_MAX, TURN_SECONDS_MAX, Relay
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


@pytest.mark.parametrize(("room", "on_their_way"), [(16, 16), (500, 516), (516, 516), (517, 1_016), (1_016, 1_016)])
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
    assert producer.sent == ENTRIES_AT_FIRST + 500 * TURN_SECONDS_MAX / 0.5


def test_what_is_not_acknowledged_is_sent_again_from_there() -> None:
    bus, shelf = MemoryBus({"out": 1}), Shelf(a=1_200)
    relay = Relay(bus, shelf)
    refuse = iter([False] * 700 + [True])
    bus.fault = lambda _: "refused" if next(refuse, False) else None
    with pytest.raises(BusError, match="refused"):
        relay.pump()
    assert shelf.saved == {"a": 516}  # as a portion is acknowledged as a whole
    while relay.pump() or relay.in_flight:
        pass
    assert shelf.saved == {"a": 1_200}
    assert list(dict.fromkeys(sent(bus, "a"))) == list(range(1, 1_201))
    assert len(sent(bus, "a")) == 700 + 1_200 - 516


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


# ---------------------------------------------------------------------------------------- what is refused


def refuses(stream: str, *numbers: int) -> Callable[[Message], Fault | None]:
    values = {str(number).encode() for number in numbers}
    return lambda message: "refused" if message.key == stream.encode() and message.value in values else None


def pumped(relay: Relay, now: list[float], times: int) -> int:
    """How often the shared producer failed; time passes."""
    failed = 0
    for _ in range(times):
        try:
            relay.pump()
        except BusError:
            failed += 1
        now[0] += 0.5
    return failed


def test_a_stream_that_is_refused_neither_holds_up_the_others_nor_repeats_them(caplog: pytest.LogCaptureFixture) -> None:
    bus, shelf, now = MemoryBus({"out": 1}), Shelf(a=5, b=40, c=1_200), [0.0]
    relay = Relay(bus, shelf, monotonic=lambda: now[0])
    bus.fault = refuses("b", 30)
    assert pumped(relay, now, 100) == 1
    assert shelf.saved == {"a": 5, "b": 29, "c": 1_200}
    assert sent(bus, "a") == list(range(1, 6))
    assert sent(bus, "c") == list(range(1, 1_201))
    assert relay.complaint == "out: refused"
    written = len(sent(bus, "b"))
    shelf.lengths = {"a": 10, "b": 50, "c": 1_300}
    assert pumped(relay, now, 100) == 0
    assert len(sent(bus, "b")) == written  # nothing is written again and again before what is refused
    assert sent(bus, "a") == list(range(1, 11))
    assert sent(bus, "c") == list(range(1, 1_301))
    assert caplog.text.count("b is not taken, and tried again; the other streams go on: out: refused") < 5


def test_a_stream_that_is_taken_in_the_end_goes_with_the_others_again() -> None:
    bus, shelf, now = MemoryBus({"out": 1}), Shelf(a=1_000, b=1_000), [0.0]
    relay = Relay(bus, shelf, monotonic=lambda: now[0])
    bus.fault = refuses("a", 30, 700)
    pumped(relay, now, 100)
    assert shelf.saved == {"a": 29, "b": 1_000}
    bus.fault = None
    now[0] += PAUSE_SECONDS_MAX
    assert pumped(relay, now, 1_500) == 0
    assert (relay.complaint, relay.in_flight) == ("", False)
    assert shelf.saved == {"a": 1_000, "b": 1_000}
    assert list(dict.fromkeys(sent(bus, "a"))) == list(range(1, 1_001))


def test_two_streams_that_are_refused_are_known_one_by_one() -> None:
    bus, shelf, now = MemoryBus({"out": 1}), Shelf(a=40, b=40, c=40), [0.0]
    relay = Relay(bus, shelf, monotonic=lambda: now[0])
    a, b = refuses("a", 1), refuses("b", 40)
    bus.fault = lambda message: a(message) or b(message)
    assert pumped(relay, now, 100) <= 3
    assert shelf.saved == {"a": 0, "b": 39, "c": 40}
    assert sent(bus, "c") == list(range(1, 41))
    relay.forget()  # a rebalance: what is refused is found out again
    bus.fault = None
    pumped(relay, now, 100)
    assert shelf.saved == {"a": 40, "b": 40, "c": 40}


class OneIsDeaf(MemoryBus):
    """The log of one key never answers; that of the others does."""

    def __init__(self, key: bytes) -> None:
        super().__init__({"out": 1})
        self.key = key
        self.made = 0

    def producer(self, *_: object) -> "DeafProducer":  # type: ignore[override]
        self.made += 1
        return DeafProducer(self)


class DeafProducer:
    def __init__(self, bus: OneIsDeaf) -> None:
        self._bus = bus
        self._producer = MemoryBus.producer(bus)

    def send(self, messages: Sequence[Message]) -> Delivery:
        return Unanswered() if messages[0].key == self._bus.key else self._producer.send(messages)

    def close(self) -> None:
        self._producer.close()


class Unanswered:
    def done(self, timeout: float = 0.0) -> bool:
        return False

    def wait(self, timeout: float) -> None:
        raise BusError("not answered")


def test_a_log_that_never_answers_ends_its_own_streams_producer_only() -> None:
    bus, shelf, now = OneIsDeaf(b"a"), Shelf(a=40, b=40), [0.0]
    relay = Relay(bus, shelf, monotonic=lambda: now[0])
    failed = 0
    for n in range(2 * 300):
        shelf.lengths["b"] += 1
        failed += pumped(relay, now, 1)
        assert shelf.saved["b"] >= 38 + n or not n, now
    assert failed == 1
    assert sent(bus, "b") == list(range(1, shelf.lengths["b"] + 1))
    assert relay.complaint.startswith("a up to ")
    pumped(relay, now, 1)
    assert not relay.in_flight  # of what is awaited: so what the others have done is saved
    assert bus.made < 10


# ------------------------------------------------------------------------------------------------ bytes


class Letters(Shelf):
    """Entries of so many bytes; notes how much was read."""

    def __init__(self, size: int, **streams: int) -> None:
        super().__init__(**streams)
        self.size = size
        self.read = 0

    def outgoing(self, stream: str, after: int, limit: int) -> Sequence[Outgoing]:
        value = b"x" * self.size
        numbers = range(after + 1, min(self.lengths[stream], after + limit) + 1)
        self.read += len(numbers) * self.size
        return [Outgoing(n, (Message("out", stream.encode(), value),)) for n in numbers]


@pytest.mark.parametrize("size", [1 << 20, (2 << 20) - 1_000])
def test_what_is_read_and_on_its_way_is_bounded_in_bytes(size: int) -> None:
    bus, shelf = MemoryBus({"out": 1}), Letters(size, a=5_000, b=5_000)
    relay = Relay(bus, shelf)
    bus.slow = True
    for _ in range(5):
        relay.pump()
    assert relay.backlog
    assert BYTES_MAX <= shelf.read <= BYTES_MAX + 2 * ENTRIES_AT_FIRST * size
    bus.slow = False
    relay.finish(0)
    assert BYTES_MAX - CHUNK_BYTES_MAX <= sum(shelf.saved.values()) * size <= BYTES_MAX + CHUNK_BYTES_MAX


def test_small_entries_go_in_large_portions_and_an_entry_of_any_size_goes() -> None:
    bus, small, large = MemoryBus({"out": 1}), Letters(100, a=600), Huge(a=2)
    relay = Relay(bus, small)
    relay.pump()
    relay.pump()
    assert small.saved == {"a": 600}
    relay = Relay(bus, large)
    relay.pump()
    relay.pump()
    assert large.saved == {"a": 2}


class Huge(Shelf):
    def outgoing(self, stream: str, after: int, limit: int) -> Sequence[Outgoing]:
        message = Message("out", b"a", b"x" * (1 << 20))
        return [Outgoing(n, (message,) * 20) for n in range(after + 1, min(self.lengths[stream], after + limit) + 1)]
