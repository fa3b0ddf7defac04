"""The hops in an event loop: records come one by one, and all that are there are taken in when those before are done.

So a record that comes alone is decided at once, and many that come together share a transaction. What blocks runs in a
thread; a lock per hop keeps it from running twice, and makes a rebalance wait for what runs. Knows nothing of Faust but that it
hands records over, can be asked how far it is, and may be told that it cannot read on.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

from events.record import Record, TopicPartition
from services.routing.feed import RECORDS_MAX, Hop

UNDONE_MAX: Final = 2 * RECORDS_MAX
"""Most records that were handed over and are not done: what is taken in now, and what waits meanwhile."""

Position = Callable[[TopicPartition], Awaitable[int | None]]
"""The offset that Faust reads next; None where the partition is not ours any more."""


class Lane:
    """A hop in the event loop."""

    def __init__(self, hop: Hop) -> None:
        self.hop: Final = hop
        self.lock: Final = asyncio.Lock()
        self._come = asyncio.Event()
        self._room = asyncio.Event()
        self._undone: deque[tuple[Record, Callable[[], object]]] = deque()
        self._ahead: Mapping[TopicPartition, tuple[int, int]] = {}

    async def put(self, record: Record, done: Callable[[], object]) -> None:
        """Hand a record over, to be told when it is done; waits while there are too many."""
        self.hop.feed.put(record)
        self._undone.append((record, done))
        self._come.set()
        while self.hop.feed.waiting >= RECORDS_MAX or len(self._undone) >= UNDONE_MAX:
            self._room.clear()
            await self._room.wait()

    async def turn(self) -> None:
        """Wait for records as long as the loop would; take in what is there, relay, save what was acknowledged."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._come.wait(), self.hop.feed.patience)
        self._come.clear()
        async with self.lock:
            pause = await asyncio.to_thread(self.hop.loop.turn)
        self._tell()
        self._room.set()
        await asyncio.sleep(pause)
        if self.hop.feed.waiting:
            self._come.set()

    async def look_ahead(self, position: Position) -> None:
        """Where Faust has been further than the last record for a while, see whether anything lies between."""
        feed = self.hop.feed
        ahead = {}
        if not feed.waiting and not self.lock.locked():
            for place, following in feed.positions().items():
                reached = await position(place)
                if reached is not None and reached > following:
                    ahead[place] = (following, reached)
        for place, (following, reached) in ahead.items():
            if self._ahead.get(place) == (following, reached):
                feed.expect(place, reached)
                self._come.set()
        self._ahead = ahead

    async def refused(self, offsets: Mapping[TopicPartition, int]) -> None:
        """The broker does not let Faust read on from these offsets. Raises ``PositionLost``, where they are those of this hop."""
        positions = self.hop.feed.positions()
        ours = {place: offset for place, offset in offsets.items() if offset >= positions.get(place, offset + 1)}
        if ours:
            raise await asyncio.to_thread(self.hop.refused, ours)

    def _tell(self) -> None:
        """Tell Faust what is done; it tells Kafka, for lag tools."""
        positions = self.hop.feed.positions()
        while self._undone:
            record, done = self._undone[0]
            if record.offset >= positions.get(record.place, record.offset + 1):
                return
            self._undone.popleft()
            done()


class Floor:
    """All hops."""

    def __init__(self, hops: Sequence[Hop]) -> None:
        self.lanes: Final = {hop.topic: Lane(hop) for hop in hops}
        self.offsets: dict[TopicPartition, int] = {}
        """Where to read on, as of the last assignment."""

    async def assigned(self, places: Sequence[TopicPartition]) -> None:
        """A rebalance is complete: claim what is ours."""
        async with self._standing_still():
            for lane in self.lanes.values():
                offsets = await asyncio.to_thread(lane.hop.claim, places)
                lane.hop.feed.begin(offsets)
                self.offsets.update(offsets)

    async def revoked(self) -> None:
        """A rebalance begins: what runs is finished first, then nothing is ours."""
        async with self._standing_still():
            self.offsets.clear()
            for lane in self.lanes.values():
                lane.hop.feed.begin({})
                await asyncio.to_thread(lane.hop.release)

    async def refused(self, offsets: Mapping[TopicPartition, int]) -> None:
        """The broker does not let Faust read on from these offsets: raises ``PositionLost``, where they are ours."""
        for lane in self.lanes.values():
            await lane.refused(offsets)

    @asynccontextmanager
    async def _standing_still(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as held:
            for lane in self.lanes.values():
                await held.enter_async_context(lane.lock)
            yield
