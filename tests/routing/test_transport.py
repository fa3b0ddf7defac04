"""Faust itself between a log and the floor, but for the network: its drain, conductor, streams and agents drop nothing for us."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.types import TP

from events.bus import PositionLost
from events.bus.memory import MemoryBus
from events.record import Message, TopicPartition
from services.routing.feed import Feed
from services.routing.floor import Floor, Lane
from services.routing.transport import App, record_of

PLACE, TOPIC_PARTITION = TopicPartition("topic", 0), TP("topic", 0)


class Stage:
    """An application with one agent, whose client reads a log from a position on, after what it had fetched before."""

    def __init__(self, folder: Path, bus: MemoryBus, begin: int, strays: Sequence[Sequence[int]]) -> None:
        self.bus = bus
        self.position = begin
        self.strays = list(strays)
        self.seeks: list[int] = []
        self.feed = Feed(lambda places: {}, lambda places: None, bus.reader())
        self.feed.begin({PLACE: begin})
        self.lane = Lane(SimpleNamespace(topic=PLACE.topic, feed=self.feed))  # type: ignore[arg-type]
        floor = Floor([])
        floor.lanes[PLACE.topic] = self.lane
        floor.offsets[PLACE] = begin
        self.app: Any = App(floor, servers="127.0.0.1:9", instance=None, folder=folder)

    async def fetch(self, active: Any, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's
        await asyncio.sleep(0.001)
        if self.strays:
            return {TOPIC_PARTITION: [self.message(offset) for offset in self.strays.pop(0)]}
        found, self.position = self.bus.log(PLACE).read(self.position, 50)
        return {TOPIC_PARTITION: [self.message(record.offset) for record in found]} if found else {}

    def message(self, offset: int) -> Any:
        empty = dict.fromkeys(("timestamp_type", "checksum", "serialized_key_size", "serialized_value_size"))
        return SimpleNamespace(topic="topic", partition=0, offset=offset, timestamp=1, headers=[], key=b"", value=b"", **empty)

    async def drain(self) -> list[int]:
        """Let Faust read until it has nothing more; what the loop takes in."""
        app = self.app
        consumer = app.consumer
        consumer._thread = SimpleNamespace(
            getmany=self.fetch,
            assignment=lambda: {TOPIC_PARTITION},
            highwater=lambda _: 1000,
            seek=lambda _, offset: self.seeks.append(offset),
            thread_loop=asyncio.get_running_loop(),
        )
        topic = app.topic(PLACE.topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

        @app.agent(topic, name="match")  # type: ignore[untyped-decorator]
        async def match(stream: Any) -> None:
            async for event in stream.noack().events():
                await self.lane.put(record_of(event.message), event.ack)

        await match.start()
        await app.topics._update_indices()
        await app.topics.on_partitions_assigned({TOPIC_PARTITION})
        app.flow_control.resume()
        await consumer.perform_seek()
        consumer._active_partitions = {TOPIC_PARTITION}
        draining = asyncio.create_task(consumer._drain_messages(SimpleNamespace(_stopped=asyncio.Event())))
        found: list[int] = []
        try:
            for _ in range(100):
                await asyncio.sleep(0.005)
                await self.lane.look_ahead(self.where)
                found += [record.offset for record in self.feed.poll(0, 1000)]
        finally:
            draining.cancel()
            with suppress(asyncio.CancelledError):
                await draining
            await match.stop()
        return found

    async def where(self, place: TopicPartition) -> int:
        return self.position


def log_of(*offsets: int) -> MemoryBus:
    bus = MemoryBus({PLACE.topic: 1})
    for offset in offsets:
        bus.log(PLACE).gap(offset - bus.log(PLACE).end)
        bus.append(Message(PLACE.topic, b"", b""))
    return bus


@pytest.mark.parametrize(
    ("log", "strays"),
    [
        (range(103, 110), []),
        (range(100, 160), [[150]]),
        (range(100, 160), [[150, 151, 152, 153, 154]]),
        (range(100, 160), [[150], [120, 121], [159]]),
        ((100, 101, 105, 106, 110), [[110]]),
    ],
    ids=["the end of a transaction", "a stray", "strays", "strays that go back", "both"],
)
def test_all_that_the_log_has_is_taken_in(tmp_path: Path, log: Sequence[int], strays: Sequence[Sequence[int]]) -> None:
    stage = Stage(tmp_path, log_of(*log), 100, strays)
    assert asyncio.run(stage.drain()) == list(log)
    assert stage.seeks == [100]


def test_a_refused_position_is_no_reason_to_read_from_elsewhere(tmp_path: Path) -> None:
    bus = log_of(*range(200))
    stage = Stage(tmp_path, bus, 100, [])
    assert stage.app.conf.consumer_auto_offset_reset == "none"
    errors: list[Exception] = [
        NoOffsetForPartitionError(TOPIC_PARTITION),
        OffsetOutOfRangeError({TOPIC_PARTITION: 30}),
        OffsetOutOfRangeError({TOPIC_PARTITION: 100}),
    ]

    async def fails(active: Any, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's
        raise errors.pop(0)

    def refused(offsets: Any) -> PositionLost:
        assert offsets == {PLACE: 100}
        return PositionLost("lost")

    stage.lane.hop.refused = refused  # type: ignore[method-assign]

    async def told() -> None:
        consumer = stage.app.consumer
        consumer._thread = SimpleNamespace(getmany=fails)
        for _ in range(2):
            assert await consumer._getmany({TOPIC_PARTITION}, 1.0) == {}
        with pytest.raises(PositionLost, match="lost"):
            await consumer._getmany({TOPIC_PARTITION}, 1.0)

    asyncio.run(told())
