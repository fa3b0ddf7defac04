"""What stock Faust needs to be safe here: the database row says where to read on, one lock orders all, errors end the process.

As it comes, Faust commits past messages in flight, acknowledges a batch whose agent failed, and assigns partitions of equal number
to different workers. So: seek to the row after every assignment, range assignment, batches that count only when they are in
the database, a supervisor that crashes. Faust's own commits only feed lag tools. No tables, no web server, no leader topic.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import faust
import mode
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faust.transport.drivers import aiokafka as driver

from events.record import Record, TopicPartition
from services.routing.feed import Hop

log = logging.getLogger(__name__)

EXIT_SECONDS_MAX: Final = 20.0
"""A stop that hangs ends the process all the same."""
SESSION_SECONDS: Final = 10.0


class Floor:
    """Both hops under one lock: agents, timer and rebalances take turns; what blocks runs in a thread."""

    def __init__(self, hops: Sequence[Hop]) -> None:
        self._hops = {hop.topic: hop for hop in hops}
        self._lock = asyncio.Lock()
        self.offsets: dict[TopicPartition, int] = {}
        """Where to read on, as of the last assignment."""

    async def take(self, topic: str, batch: Sequence[Any], generation: int) -> None:
        """Take a batch of Faust's events in: returns when it is in the database, and nothing of it otherwise.

        Events that were read before the last rebalance are left out: they come again.
        """
        hop = self._hops[topic]
        records = [_record(event.message) for event in batch if event.message.generation_id == generation]
        async with self._lock:
            hop.put(records)
            delay = await asyncio.to_thread(hop.loop.turn)
        while delay:
            await asyncio.sleep(delay)
            async with self._lock:
                delay = await asyncio.to_thread(hop.loop.turn)

    async def turn(self) -> None:
        """Let both hops relay, and save what was acknowledged."""
        for hop in self._hops.values():
            async with self._lock:
                await asyncio.to_thread(hop.loop.turn)

    async def assigned(self, places: Iterable[Any]) -> None:
        """A rebalance is complete: claim what is ours."""
        ours = [TopicPartition(place.topic, place.partition) for place in places]
        async with self._lock:
            offsets: dict[TopicPartition, int] = {}
            for hop in self._hops.values():
                offsets.update(await asyncio.to_thread(hop.assign, ours))
            self.offsets = offsets

    async def revoked(self) -> None:
        """A rebalance begins: what runs is finished first, then nothing is ours."""
        async with self._lock:
            for hop in self._hops.values():
                await asyncio.to_thread(hop.revoke)
            self.offsets = {}


def _record(message: Any) -> Record:
    headers = message.headers.items() if isinstance(message.headers, Mapping) else message.headers or ()
    return Record(
        message.topic,
        message.partition,
        message.offset,
        round(message.timestamp * 1000),
        message.key,
        message.value,
        tuple((name, value) for name, value in headers),
    )


class _Thread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The thread of Faust's consumer, with the range assignor, and without dying of a commit that nobody needs."""

    def _create_consumer(self, loop: Any) -> Any:
        consumer = super()._create_consumer(loop)
        consumer._partition_assignment_strategy = [RangePartitionAssignor]
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

    floor: Floor

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
        await self.floor.assigned(self.consumer.assignment())


class Worker(faust.Worker):  # type: ignore[misc]
    """Faust's worker, quiet, and with a deadline for its end."""

    def __init__(self, app: App) -> None:
        super().__init__(app, override_logging=False, redirect_stdouts=False, quiet=True, loop=asyncio.new_event_loop())
        self.spinner = None

    async def stop(self) -> None:
        deadline = threading.Timer(EXIT_SECONDS_MAX, _end)
        deadline.daemon = True
        deadline.start()
        await super().stop()
        deadline.cancel()


def _end() -> None:

    log.critical("the end hangs: ending the process")
    os._exit(75)
