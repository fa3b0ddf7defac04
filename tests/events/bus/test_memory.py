"""What the twin has beyond the contract: seeds, clocks, sessions that expire, and failures on demand."""

import pytest

from events.bus import BusError
from events.bus.memory import MemoryBus, drain
from events.bus.memory.consumer import MemoryConsumer
from events.record import Message, Record, TopicPartition

PLACES = [TopicPartition("in", number) for number in range(3)]


def filled(seed: int | None) -> MemoryBus:
    bus = MemoryBus({"in": 3}, seed=seed)
    for n in range(60):
        bus.append(Message("in", f"k{n % 9}".encode(), str(n).encode()))
    return bus


def reader(bus: MemoryBus, instance: str | None = None) -> MemoryConsumer:
    return bus.consumer("group", ["in"], lambda places: dict.fromkeys(places, 0), lambda _: None, instance)


def polls(bus: MemoryBus) -> list[list[Record]]:
    consumer = reader(bus)
    found: list[list[Record]] = []
    while sum(map(len, found)) < 60:
        found.append(list(consumer.poll(0, 20)))
    return found


def test_a_seed_decides_order_and_amounts() -> None:
    assert polls(filled(1)) == polls(filled(1))
    assert polls(filled(1)) != polls(filled(2))
    assert [len(batch) for batch in polls(filled(None))] == [20, 20, 20]
    for seed in range(5):
        batches = polls(filled(seed))
        assert all(len(batch) <= 20 for batch in batches)
        records = [record for batch in batches for record in batch]
        for place in PLACES:
            assert [r.offset for r in records if r.place == place] == list(range(filled(seed).end_offsets([place])[place]))


def test_the_clock_stamps_what_has_no_time_and_topics_with_log_time() -> None:
    bus = MemoryBus({"in": 1, "free": 1}, clock=lambda: 5_000, log_time=["in"])
    assert bus.append(Message("in", b"k", b"v", timestamp=7)).timestamp == 5_000
    assert bus.append(Message("free", b"k", b"v", timestamp=7)).timestamp == 7
    assert bus.append(Message("free", b"k", b"v")).timestamp == 5_000


def test_without_a_clock_time_passes_by_itself() -> None:
    bus = MemoryBus({"in": 1})
    stamps = [bus.append(Message("in", b"k", b"v")).timestamp for _ in range(3)]
    assert stamps == sorted(set(stamps))


def test_a_member_that_expires_is_told_at_its_next_poll_and_joins_again() -> None:
    bus = filled(None)
    told: list[tuple[str, int]] = []

    def assigned(places):  # type: ignore[no-untyped-def]
        told.append(("assigned", len(places)))
        return dict.fromkeys(places, 0)

    frozen = bus.consumer("group", ["in"], assigned, lambda places: told.append(("revoked", len(places))))
    frozen.poll(0, 1)
    other = reader(bus)
    assert list(other.poll(0, 1)) == []  # waits for `frozen` to join again
    bus.expire("group", "member-0001")
    assert len(other.poll(0, 100)) == 60
    assert told == [("assigned", 3)]
    frozen.poll(0, 1)
    assert bus.members("group") == ["member-0002", "member-0003"]
    assert told == [("assigned", 3), ("revoked", 3)]
    other.poll(0, 1)
    frozen.poll(0, 1)
    assert told == [("assigned", 3), ("revoked", 3), ("assigned", 1)]


def test_a_static_member_that_is_replaced_reads_on_and_is_never_told() -> None:
    bus = filled(None)
    zombie = reader(bus, "one")
    assert len(zombie.poll(0, 10)) == 10
    heir = reader(bus, "one")
    assert len(heir.poll(0, 100)) == 60
    assert len(zombie.poll(0, 100)) == 50
    zombie.close()
    bus.append(Message("in", b"k", b"new"))
    assert [record.value for record in heir.poll(0, 100)] == [b"new"]


def test_a_closed_consumer_cannot_be_polled() -> None:
    consumer = reader(filled(None))
    consumer.close()
    with pytest.raises(ValueError, match="closed"):
        consumer.poll(0, 1)


@pytest.mark.parametrize(("fault", "written"), [("refused", [b"0"]), ("unanswered", [b"0", b"1"])])
def test_faults_fail_the_message_and_all_that_follow(fault: str, written: list[bytes]) -> None:
    bus = MemoryBus({"in": 1})
    bus.fault = lambda message: fault if message.value == b"1" else None  # type: ignore[assignment,return-value]
    producer = bus.producer()
    delivery = producer.send([Message("in", b"k", str(n).encode()) for n in range(3)])
    assert delivery.done()
    with pytest.raises(BusError, match=fault):
        delivery.wait(0)
    with pytest.raises(BusError, match=fault):
        producer.send([])
    assert [record.value for record in bus.records("in")] == written


def test_while_the_bus_is_away_messages_wait_and_questions_fail() -> None:
    bus = MemoryBus({"in": 1})
    producer = bus.producer()
    bus.away = True
    delivery = producer.send([Message("in", b"k", b"v")])
    assert not delivery.done()
    with pytest.raises(BusError, match="not acknowledged"):
        delivery.wait(0)
    for question in (bus.producer, lambda: bus.end_offsets(PLACES[:1]), lambda: bus.identity("in"), lambda: bus.read("in")):
        with pytest.raises(BusError, match="away"):
            question()
    bus.away = False
    delivery.wait(0)
    assert len(bus.records("in")) == 1


def test_drain_says_who_did_not_settle() -> None:
    class Stuck:
        def turn(self) -> float:
            return 0.0

        def progress(self):  # type: ignore[no-untyped-def]
            return type("P", (), {"state": "running", "lag": 3, "__repr__": lambda _: "lag of 3"})()

    with pytest.raises(TimeoutError, match=r"not settled after 5 rounds.*lag of 3"):
        drain([Stuck()], turns_max=5)  # type: ignore[list-item]
