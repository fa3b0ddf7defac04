"""The border of a process: what happens there happens where it is said, and only to the process itself."""

from typing import Final

from events.bus.memory import MemoryBus
from events.record import Message
from tests.simulation.process import Border, BorderBus

TOPIC: Final = "crm.note.v1"
MESSAGES: Final = [Message(TOPIC, key=b"c1", value=str(number).encode()) for number in range(4)]


def test_in_the_middle_of_writing_what_comes_before_lies_in_the_log() -> None:
    bus, border, seen = MemoryBus({TOPIC: 1}), Border(lambda _: None), list[int]()
    border.arm("send", 2, lambda: seen.append(len(bus.records(TOPIC))))
    border.arm("send", 4, lambda: seen.append(len(bus.records(TOPIC))))
    delivery = BorderBus(bus, border).producer().send(MESSAGES)
    assert seen == [1, 3]
    assert delivery.done()
    assert [record.value for record in bus.records(TOPIC)] == [message.value for message in MESSAGES]


def test_who_looks_from_outside_meets_nothing_that_waits_for_the_process() -> None:
    border, met = Border(lambda _: None), list[str]()
    border.arm("read", 1, lambda: met.append("it"))
    with border.open():
        border.passed("read")
    assert (met, border.passages["read"]) == ([], 0)
    border.passed("read")
    assert (met, border.passages["read"]) == (["it"], 1)
