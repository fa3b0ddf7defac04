"""The hops in an event loop, with a client of the memory bus in Faust's place."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from msgspec.structs import replace

from events.bus import PositionLost
from events.bus.ledger import Fenced
from events.record import Record, TopicPartition
from events.topics import ASSIGNMENT, LIFECYCLE, REQUEST
from services.routing import floor as floors
from services.routing.feed import Hop
from services.routing.floor import Floor, Lane
from tests.routing.harness import SHARDS, Routing, lifecycle_message
from tests.routing.words import status_changed

PLACES = [*(TopicPartition(LIFECYCLE.name, number) for number in range(SHARDS)), TopicPartition(REQUEST.name, 0)]


class Client:
    """Reads every partition from where it was assigned on, record by record."""

    def __init__(self, routing: Routing, floor: Floor) -> None:
        self.routing = routing
        self.floor = floor
        self.next: dict[TopicPartition, int] = {}
        self.done: list[tuple[TopicPartition, int]] = []

    async def position(self, place: TopicPartition) -> int | None:
        return self.next.get(place)

    async def assign(self) -> None:
        await self.floor.assigned(PLACES)
        self.next = dict(self.floor.offsets)

    async def deliver(self, place: TopicPartition) -> bool:
        """Hand the next record of a partition over; the end of a log is passed, records or not."""
        records, self.next[place] = self.routing.bus.log(place).read(self.next[place], 1)
        for record in records:
            await self.hand_over(place, record.offset)
        return bool(records)

    async def hand_over(self, place: TopicPartition, offset: int) -> None:
        ((record,), _) = self.routing.bus.log(place).read(offset, 1)
        await self.floor.lanes[place.topic].put(record, lambda: self.done.append((place, offset)))


@asynccontextmanager
async def working(lanes: list[Lane]) -> AsyncIterator[None]:
    """The tasks of the application."""

    async def work(lane: Lane) -> None:
        while True:
            await lane.turn()

    tasks = [asyncio.create_task(work(lane)) for lane in lanes]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in threads
            await asyncio.sleep(0.01)


def run(routing: Routing, story: Callable[[Floor, Client], Awaitable[None]]) -> None:
    async def told() -> None:
        floor = Floor([Hop(routing.bus, routing.match, LIFECYCLE.name), Hop(routing.bus, routing.desk, REQUEST.name)])
        client = Client(routing, floor)
        await client.assign()
        async with working(list(floor.lanes.values())):
            await story(floor, client)

    asyncio.run(told())


async def read_all(client: Client) -> None:
    while any([await client.deliver(place) for place in PLACES]):
        pass


def settled(floor: Floor) -> bool:
    return all(lane.hop.loop.progress().lag == 0 for lane in floor.lanes.values())


def test_what_is_handed_over_is_decided_and_done(routing: Routing) -> None:
    for customer in "abcdefgh":
        routing.says(status_changed(customer, 1))

    async def story(floor: Floor, client: Client) -> None:
        await read_all(client)
        await until(lambda: len(routing.requests()) == 8)
        await read_all(client)
        await until(lambda: len(client.done) == 16 and settled(floor))

    run(routing, story)
    assert len(routing.bus.records(ASSIGNMENT.name)) == 8
    assert sorted(data.rep_id for customer in "abcdefgh" for data in routing.said(customer)) == ["anna"] * 4 + ["ben"] * 4


def test_a_stray_record_makes_nobody_lose_what_was_before_it(routing: Routing) -> None:
    for number in range(9):
        routing.bus.append(lifecycle_message(status_changed(f"c{number}", 1)))
    place = max(PLACES[:SHARDS], key=lambda place: routing.bus.log(place).end)
    last = routing.bus.log(place).end - 1
    assert last > 0

    async def story(floor: Floor, client: Client) -> None:
        await client.hand_over(place, last)
        await read_all(client)
        await until(lambda: len(routing.requests()) == 9)

    run(routing, story)


def test_a_hole_of_many_records_is_filled_and_what_waits_for_it_is_bounded(
    routing: Routing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client reads on while the hole is read, and what it has is known by then: it must not pile up."""
    monkeypatch.setattr(floors, "UNDONE_MAX", 20)
    for number in range(100):
        routing.bus.append(replace(lifecycle_message(status_changed(f"c{number}", 1)), partition=0))
    lane_of, place = LIFECYCLE.name, PLACES[0]

    async def story(floor: Floor, client: Client) -> None:
        lane = floor.lanes[lane_of]
        most = 0
        await client.hand_over(place, 99)
        while await client.deliver(place):
            most = max(most, len(lane._undone))
        await until(lambda: len(routing.requests()) == 100 and not lane._undone)
        assert most <= 20
        assert sorted(offset for where, offset in client.done if where == place) == sorted([*range(100), 99])

    run(routing, story)


def test_a_rebalance_waits_for_what_is_read_from_the_log(routing: Routing) -> None:
    """What the log gives is taken in while the partition is ours, or not at all."""
    for number in range(9):
        routing.bus.append(replace(lifecycle_message(status_changed(f"c{number}", 1)), partition=0))
    place, asked, answers = PLACES[0], threading.Event(), threading.Event()
    reader = routing.bus.reader()

    class Slow:
        def read(self, place: TopicPartition, offset: int, records: int) -> tuple[Sequence[Record], int]:
            asked.set()
            assert answers.wait(10)
            return reader.read(place, offset, records)

        def close(self) -> None:
            return

    routing.bus.reader = Slow  # type: ignore[method-assign, assignment]

    async def story(floor: Floor, client: Client) -> None:
        await client.hand_over(place, 8)
        await until(asked.is_set)
        revoked = asyncio.create_task(floor.revoked())
        await asyncio.sleep(0.1)
        assert not revoked.done()
        answers.set()
        await revoked
        assert len(routing.requests()) == 9
        assert floor.lanes[LIFECYCLE.name].hop.feed.waiting == 0
        await client.assign()
        assert client.next[place] == 9

    run(routing, story)


def test_a_refused_position_is_lost_if_it_is_ours(routing: Routing) -> None:
    place = PLACES[0]
    for number in range(9):
        routing.bus.append(replace(lifecycle_message(status_changed(f"c{number}", 1)), partition=0))

    async def story(floor: Floor, client: Client) -> None:
        await read_all(client)
        await until(lambda: len(routing.requests()) == 9)
        await floor.refused({place: 5})  # where Kafka would begin, before it is told where we do
        with pytest.raises(PositionLost, match=r"was read up to 9, and was cut below that, though it has grown again since"):
            await floor.refused({place: 9})
        routing.bus.log(place).cut(4)
        with pytest.raises(PositionLost, match=r"was read up to 9, but ends at 4"):
            await floor.refused({place: 9})
        await floor.revoked()
        await floor.refused({place: 9})

    run(routing, story)


def test_an_end_without_records_is_reached(routing: Routing) -> None:
    """After the last record lie only marks of transactions: there is no lag."""
    routing.says(status_changed("a", 1))
    place = PLACES[0]
    routing.bus.log(place).gap(3)

    async def story(floor: Floor, client: Client) -> None:
        await read_all(client)
        await until(lambda: len(routing.requests()) == 1)
        await read_all(client)
        lane = floor.lanes[LIFECYCLE.name]
        await until(lambda: len(routing.bus.records(ASSIGNMENT.name)) == 1)
        assert not settled(floor)
        for _ in range(2):
            await lane.look_ahead(client.position)
        await until(lambda: settled(floor))

    run(routing, story)


def test_a_rebalance_waits_for_what_runs_and_then_nothing_is_ours(routing: Routing) -> None:
    routing.says(status_changed("a", 1))

    async def story(floor: Floor, client: Client) -> None:
        await floor.revoked()
        for place in PLACES:
            client.next[place] = 0
        await read_all(client)
        lane = floor.lanes[LIFECYCLE.name]
        await lane.turn()
        assert lane.hop.feed.waiting == 0
        assert routing.requests() == []
        await client.assign()
        await read_all(client)
        await until(lambda: len(routing.requests()) == 1)

    run(routing, story)


def test_when_another_took_over_the_task_ends_with_an_error(routing: Routing) -> None:
    routing.says(status_changed("a", 1))

    async def story() -> None:
        floor = Floor([Hop(routing.bus, routing.match, LIFECYCLE.name)])
        client = Client(routing, floor)
        await client.assign()
        match = routing.match
        routing.crash()
        routing.match.claim(PLACES[:SHARDS])
        assert match is not routing.match
        for place in PLACES[:SHARDS]:
            await client.deliver(place)
        with pytest.raises(Fenced):
            await floor.lanes[LIFECYCLE.name].turn()

    asyncio.run(story())
