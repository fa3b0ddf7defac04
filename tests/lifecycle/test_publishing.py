"""What is written for many threads: acknowledged or told, in bounds, and again after a failure."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from events.bus import BusError
from events.bus.memory import MemoryBus
from events.record import Message
from events.topics import INPUT_BYTES_MAX, LEAD
from services.lifecycle.publishing import Full, Publisher


def message(value: bytes = b"{}", topic: str = LEAD.name) -> Message:
    return Message(topic, b"acme", value)


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus({LEAD.name: 4})


@pytest.fixture
def publisher(bus: MemoryBus) -> Iterator[Publisher]:
    """One that writes."""
    running = Publisher(bus)
    running.start()
    yield running
    running.close()


def test_what_is_published_is_written_when_the_call_returns(bus: MemoryBus, publisher: Publisher) -> None:
    publisher.publish([message(b"1"), message(b"2")])
    assert [record.value for record in bus.records(LEAD.name)] == [b"1", b"2"]


def test_many_threads_publish_and_each_thread_keeps_its_order(bus: MemoryBus, publisher: Publisher) -> None:
    def one(thread: int) -> None:
        for number in range(50):
            publisher.publish([message(b"%d %d" % (thread, number))])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(8)))
    values = [tuple(map(int, (record.value or b"").split())) for record in bus.records(LEAD.name)]
    assert len(values) == 400
    assert all([number for who, number in values if who == thread] == list(range(50)) for thread in range(8))


def test_a_bus_that_is_away_is_told_and_the_next_try_is_written(bus: MemoryBus, publisher: Publisher) -> None:
    publisher.publish([message(b"before")])
    bus.away = True
    with pytest.raises(BusError):
        publisher.publish([message(b"lost")])
    bus.away = False
    publisher.publish([message(b"after")])
    assert [record.value for record in bus.records(LEAD.name)] == [b"before", b"after"]


@pytest.mark.parametrize("fault", ["refused", "unanswered"])
def test_a_failed_delivery_is_told_and_the_producer_is_made_anew(bus: MemoryBus, publisher: Publisher, fault: str) -> None:
    bus.fault = lambda each: fault if each.value == b"bad" else None  # type: ignore[assignment, return-value]
    with pytest.raises(BusError):
        publisher.publish([message(b"bad")])
    publisher.publish([message(b"good")])
    assert bus.records(LEAD.name)[-1].value == b"good"


def test_a_topic_that_does_not_exist_is_the_trouble_of_whoever_names_it(bus: MemoryBus) -> None:
    publisher = Publisher(bus)
    wrong = publisher.submit([message(topic="nowhere")])
    right = publisher.submit([message()])  # both wait: the publisher takes them together
    publisher.start()
    right.result(5)
    with pytest.raises(LookupError, match="nowhere"):
        wrong.result(5)
    publisher.close()


def test_a_message_too_large_is_refused_before_it_can_harm_others(bus: MemoryBus, publisher: Publisher) -> None:
    with pytest.raises(ValueError, match="the topic takes"):
        publisher.publish([message(b" " * INPUT_BYTES_MAX)])
    publisher.publish([message()])


@pytest.mark.parametrize("bound", [{"messages_max": 3}, {"bytes_max": 4 * 200}])
def test_the_queue_has_a_bound(bus: MemoryBus, bound: dict[str, int]) -> None:
    publisher = Publisher(bus, **bound)  # type: ignore[arg-type]
    value = b" " * 80  # with key and overhead less than 200 bytes, more than 160
    waiting = [publisher.submit([message(value)]) for _ in range(3)]
    with pytest.raises(Full, match="3 messages wait to be written"):
        publisher.submit([message(value), message(value)])
    publisher.start()
    for each in waiting:
        each.result(5)
    publisher.publish([message(value)])  # there is room again
    publisher.close()
    assert len(bus.records(LEAD.name)) == 4


def test_closing_writes_what_waits_and_takes_nothing_more(bus: MemoryBus) -> None:
    publisher = Publisher(bus)
    waiting = [publisher.submit([message()]) for _ in range(5)]
    publisher.start()
    publisher.close()
    assert all(each.done() and each.exception() is None for each in waiting)
    assert len(bus.records(LEAD.name)) == 5
    with pytest.raises(BusError, match="shutting down"):
        publisher.submit([message()])


def test_what_was_cancelled_before_its_turn_is_not_written(bus: MemoryBus) -> None:
    publisher = Publisher(bus)
    first, second = publisher.submit([message(b"first")]), publisher.submit([message(b"second")])
    assert first.cancel()
    publisher.start()
    second.result(5)
    publisher.close()
    assert [record.value for record in bus.records(LEAD.name)] == [b"second"]


class Gate(MemoryBus):
    """A bus that holds the first producer's sends until it is opened, and remembers what each send was."""

    def __init__(self) -> None:
        super().__init__({LEAD.name: 4})
        self.opened, self.reached = threading.Event(), threading.Event()

    def append(self, *arguments: object, **named: object) -> object:  # type: ignore[override]
        self.reached.set()
        assert self.opened.wait(10)
        return super().append(*arguments, **named)  # type: ignore[arg-type]


def test_while_one_is_on_its_way_others_are_queued_and_go_together(eventually: Callable[..., None]) -> None:
    bus = Gate()
    publisher = Publisher(bus, messages_max=3)
    publisher.start()
    first = publisher.submit([message()])
    assert bus.reached.wait(5)  # it is on its way, so it does not count as waiting any more
    others: list[Future[None]] = [publisher.submit([message()]) for _ in range(3)]
    with pytest.raises(Full):
        publisher.submit([message()])
    bus.opened.set()
    for each in (first, *others):
        each.result(5)
    publisher.close()
    assert len(bus.records(LEAD.name)) == 4
