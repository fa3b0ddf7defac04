"""What stock Faust needs to be safe here: the database row says where to read on, errors end the process.

As it comes, Faust commits past messages in flight, goes on after an agent failed without what the agent had taken, and assigns
partitions of equal number to different workers. So: seek to the row after every assignment, range assignment, records that count
only when they are in the database, a supervisor that crashes. Faust's own commits only feed lag tools. No tables, no web
server, no leader topic.
"""

import asyncio
import logging
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import faust
import mode
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from events.bus import PositionLost
from events.bus.ledger import Fenced
from events.record import Record, TopicPartition
from services.routing.feed import RECORDS_MAX, Hop

log = logging.getLogger(__name__)
faust_log = logging.getLogger("faust")

EXIT_SECONDS_MAX: Final = 20.0
"""A stop that hangs ends the process all the same."""
EXIT_CODE: Final = 75
SESSION_SECONDS: Final = 10.0


class Lane:
    """A hop in Faust's event loop: records come one by one, and all that are there are taken in when those before are done."""

    def __init__(self, hop: Hop) -> None:
        self.hop: Final = hop
        self.lock: Final = asyncio.Lock()
        self._come = asyncio.Event()
        self._room = asyncio.Event()
        self._unacknowledged: deque[tuple[Record, Any]] = deque()
        self._ahead: Mapping[TopicPartition, tuple[int, int]] = {}

    async def put(self, event: Any, consumer: Any) -> None:
        """Hand an event over; waits while there are too many."""
        record = _record(event.message)
        again_from = self.hop.feed.put(record)
        if again_from is not None:
            log.info("%s[%d] is read again from %d", record.topic, record.partition, again_from)
            await consumer.seek(event.message.tp, again_from)
        self._unacknowledged.append((record, event))
        self._come.set()
        while self.hop.feed.waiting >= RECORDS_MAX:
            self._room.clear()
            await self._room.wait()

    async def turn(self) -> None:
        """Wait for records as long as the loop would; take in what is there, relay, save what was acknowledged."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._come.wait(), self.hop.feed.patience)
        self._come.clear()
        async with self.lock:
            pause = await asyncio.to_thread(self.hop.loop.turn)
        self._room.set()
        self._acknowledge()
        await asyncio.sleep(pause)
        if self.hop.feed.waiting:
            self._come.set()

    async def look_ahead(self, consumer: Any) -> None:
        """Pass over what never comes: where the client has been further than the last record for a while, nothing lies between."""
        feed = self.hop.feed
        ahead = {}
        if not feed.waiting and not self.lock.locked():
            for place, following in feed.positions().items():
                with suppress(IllegalStateError):  # not ours any more
                    position = await consumer.position(TP(*place))
                    if position is not None and position > following:
                        ahead[place] = (following, position)
        for place, (following, position) in ahead.items():
            if self._ahead.get(place) == (following, position):
                feed.pass_over(place, position)
        self._ahead = ahead

    def _acknowledge(self) -> None:
        """Tell Faust what is done; it tells Kafka, for lag tools."""
        positions = self.hop.feed.positions()
        while self._unacknowledged:
            record, event = self._unacknowledged[0]
            if record.offset >= positions.get(record.place, record.offset + 1):
                return
            self._unacknowledged.popleft()
            event.ack()


class Floor:
    """All hops, in Faust's event loop."""

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

    @asynccontextmanager
    async def _standing_still(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as held:
            for lane in self.lanes.values():
                await held.enter_async_context(lane.lock)
            yield


def _record(message: Any) -> Record:
    headers = message.headers.items() if isinstance(message.headers, Mapping) else message.headers or ()
    return Record(
        message.topic,
        message.partition,
        message.offset,
        round(message.timestamp * 1000),
        message.key,
        message.value,
        tuple((name, value or b"") for name, value in headers),
    )


class _Thread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The thread of Faust's consumer: range assignor, committed records only; a commit that nobody needs is no reason to die."""

    logger = faust_log

    def _create_consumer(self, loop: Any) -> Any:
        consumer = super()._create_consumer(loop)
        consumer._partition_assignment_strategy = [RangePartitionAssignor]
        consumer._isolation_level = "read_committed"
        return consumer

    async def _commit(self, offsets: Mapping[Any, int]) -> bool:
        ours = {driver.ensure_aiokafka_TP(place): offset for place, offset in offsets.items() if place in self.assignment()}
        try:
            await self._consumer.commit(ours)
        except Exception as error:
            log.info("Kafka's own offsets were not committed: %r", error)
            return False
        return True


class _Consumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer, reading on where the database says."""

    logger = faust_log

    def _new_consumer_thread(self) -> Any:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def seek_to_committed(self) -> Mapping[Any, int]:
        offsets = {}
        for place in self.assignment():
            offset = self.app.floor.offsets.get(TopicPartition(place.topic, place.partition))
            if offset is not None:
                offsets[place] = offset
                await self._seek(place, offset)
        return offsets


class _Transport(driver.Transport):  # type: ignore[misc]
    Consumer = _Consumer


class App(faust.App):  # type: ignore[misc]
    """Faust as routing uses it. ``floor`` holds the hops."""

    logger = faust_log

    def __init__(self, floor: Floor, *, servers: str, instance: str | None, folder: Path) -> None:
        self.floor = floor
        super().__init__(
            "routing",
            broker=[f"kafka://{server}" for server in servers.split(",")],
            consumer_group_instance_id=instance,
            consumer_auto_offset_reset="earliest",
            agent_supervisor=mode.CrashingSupervisor,
            store="memory://",
            datadir=str(folder),
            web_enabled=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            stream_wait_empty=False,
            worker_redirect_stdouts=False,
            broker_session_timeout=SESSION_SECONDS,
            broker_rebalance_timeout=SESSION_SECONDS,
            broker_heartbeat_interval=2.0,
            broker_request_timeout=30.0,
        )
        self.transport = _Transport(self.conf.broker_consumer, self)
        self.producer_transport = _Transport(self.conf.broker_producer, self)
        self.on_partitions_revoked.connect(self._revoked, weak=False)
        self.on_rebalance_complete.connect(self._assigned, weak=False)

    async def _revoked(self, app: Any, revoked: Any, **_: Any) -> None:
        await self.floor.revoked()

    async def _assigned(self, app: Any, **_: Any) -> None:
        await self.floor.assigned([TopicPartition(*place) for place in self.consumer.assignment()])


class Worker(faust.Worker):  # type: ignore[misc]
    """Faust's worker, quiet, and with a deadline for its end."""

    logger = faust_log

    def __init__(self, app: App) -> None:
        super().__init__(app, override_logging=False, redirect_stdouts=False, quiet=True, loop=asyncio.new_event_loop())
        self.spinner = None

    def run(self) -> int:
        """Run until SIGTERM or SIGINT: 0; or until something crashes: 1, and the log says what."""
        try:
            self.execute_from_commandline()
        except SystemExit as end:
            reason = self.crash_reason
            if reason is not None:
                foreseen = isinstance(reason, Fenced | PositionLost)
                log.error("%s: %s", type(reason).__name__, reason, exc_info=None if foreseen else reason)
            return int(end.code or 0)
        return 0

    async def stop(self) -> None:
        deadline = threading.Timer(EXIT_SECONDS_MAX, _end)
        deadline.daemon = True
        deadline.start()
        await super().stop()


def _end() -> None:
    log.critical("the end hangs: ending the process")
    os._exit(EXIT_CODE)
