"""The hops in an event loop, with a reader of the memory bus in Faust's place."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from events.bus.ledger import Fenced
from events.record import TopicPartition
from events.topics import ASSIGNMENT, LIFECYCLE, REQUEST
from services.routing.feed import Hop
from services.routing.floor import Floor, Lane
from tests.routing.harness import SHARDS, Routing, lifecycle_message
from tests.routing.words import status_changed

PLACES = [*(TopicPartition(LIFECYCLE.name, number) for number in range(SHARDS)), TopicPartition(REQUEST.name, 0)]


class LogReader:
    """Reads every partition from where it is told to, record by record."""

    def __init__(self, routing: Routing, floor: Floor) -> None:
        self.routing = routing
        self.floor = floor
        self.next: dict[TopicPartition, int] = {}
        self.done: list[tuple[TopicPartition, int]] = []

    async def position(self, place: TopicPartition) -> int | None:
        return self.next.get(place)

    async def read_from(self, place: TopicPartition, offset: int) -> None:
        self.next[place] = offset

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
        await self.floor.lanes[place.topic].put(record, lambda: self.done.append((place, offset)), self)


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


def run(routing: Routing, story: Callable[[Floor, LogReader], Awaitable[None]]) -> None:
    async def told() -> None:
        floor = Floor([Hop(routing.bus, routing.match, LIFECYCLE.name), Hop(routing.bus, routing.desk, REQUEST.name)])
        reader = LogReader(routing, floor)
        await reader.assign()
        async with working(list(floor.lanes.values())):
            await story(floor, reader)

    asyncio.run(told())


async def read_all(reader: LogReader) -> None:
    while any([await reader.deliver(place) for place in PLACES]):
        pass


def settled(floor: Floor) -> bool:
    return all(lane.hop.loop.progress().lag == 0 for lane in floor.lanes.values())


def test_what_is_handed_over_is_decided_and_done(routing: Routing) -> None:
    for customer in "abcdefgh":
        routing.says(status_changed(customer, 1))

    async def story(floor: Floor, reader: LogReader) -> None:
        await read_all(reader)
        await until(lambda: len(routing.requests()) == 8)
        await read_all(reader)
        await until(lambda: len(reader.done) == 16 and settled(floor))

    run(routing, story)
    assert len(routing.bus.records(ASSIGNMENT.name)) == 8
    assert sorted(data.rep_id for customer in "abcdefgh" for data in routing.said(customer)) == ["anna"] * 4 + ["ben"] * 4


def test_a_stray_record_makes_nobody_lose_what_was_before_it(routing: Routing) -> None:
    for number in range(9):
        routing.bus.append(lifecycle_message(status_changed(f"c{number}", 1)))
    place = max(PLACES[:SHARDS], key=lambda place: routing.bus.log(place).end)
    last = routing.bus.log(place).end - 1
    assert last > 0

    async def story(floor: Floor, reader: LogReader) -> None:
        await reader.hand_over(place, last)
        await read_all(reader)
        await until(lambda: len(routing.requests()) == 9)

    run(routing, story)


def test_an_end_without_records_is_reached(routing: Routing) -> None:
    """After the last record lie only marks of transactions: there is no lag."""
    routing.says(status_changed("a", 1))
    place = PLACES[0]
    routing.bus.log(place).gap(3)

    async def story(floor: Floor, reader: LogReader) -> None:
        await read_all(reader)
        await until(lambda: len(routing.requests()) == 1)
        await read_all(reader)
        lane = floor.lanes[LIFECYCLE.name]
        await until(lambda: len(routing.bus.records(ASSIGNMENT.name)) == 1)
        assert not settled(floor)
        for _ in range(2):
            await lane.look_ahead(reader)
        await until(lambda: settled(floor))

    run(routing, story)


def test_a_rebalance_waits_for_what_runs_and_then_nothing_is_ours(routing: Routing) -> None:
    routing.says(status_changed("a", 1))

    async def story(floor: Floor, reader: LogReader) -> None:
        await floor.revoked()
        for place in PLACES:
            reader.next[place] = 0
        await read_all(reader)
        lane = floor.lanes[LIFECYCLE.name]
        await lane.turn()
        assert lane.hop.feed.waiting == 0
        assert routing.requests() == []
        await reader.assign()
        await read_all(reader)
        await until(lambda: len(routing.requests()) == 1)

    run(routing, story)


def test_when_another_took_over_the_task_ends_with_an_error(routing: Routing) -> None:
    routing.says(status_changed("a", 1))

    async def story() -> None:
        floor = Floor([Hop(routing.bus, routing.match, LIFECYCLE.name)])
        reader = LogReader(routing, floor)
        await reader.assign()
        match = routing.match
        routing.crash()
        routing.match.claim(PLACES[:SHARDS])
        assert match is not routing.match
        for place in PLACES[:SHARDS]:
            await reader.deliver(place)
        with pytest.raises(Fenced):
            await floor.lanes[LIFECYCLE.name].turn()

    asyncio.run(story())
