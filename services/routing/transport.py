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
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import faust
import mode
import uvloop
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IllegalStateError, NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from events.bus import PositionLost
from events.bus.ledger import Fenced
from events.record import Record, TopicPartition
from services.routing.floor import Floor

log = logging.getLogger(__name__)
faust_log = logging.getLogger("faust")

EXIT_SECONDS_MAX: Final = 20.0
"""A stop that hangs ends the process all the same."""
EXIT_CODE: Final = 75
UNUSABLE: Final = 2
"""What a lost position ends with: no restart mends it."""
SESSION_SECONDS: Final = 10.0


def record_of(message: Any) -> Record:
    """A message of Faust's as a record."""
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

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, thread_loop=uvloop.new_event_loop(), **more)
        self._close_thread_loop_on_stop = True  # mode would leave it to whoever has made the loop

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

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's
        """What was fetched. No position is made up where the log refuses the one we have, or Kafka knows none yet."""
        try:
            return await super()._getmany(active_partitions, timeout)
        except NoOffsetForPartitionError:
            pass  # the database does, and says so in a moment
        except OffsetOutOfRangeError as error:
            (refused,) = error.args
            await self.app.floor.refused({TopicPartition(*place): offset for place, offset in refused.items()})
        return {}

    async def seek_to_committed(self) -> Mapping[Any, int]:
        offsets = {}
        for place in self.assignment():
            offset = self.app.floor.offsets.get(TopicPartition(place.topic, place.partition))
            if offset is not None:
                offsets[place] = offset
                await self._seek(place, offset)
        return offsets

    async def _seek(self, place: Any, offset: int) -> None:
        """In the thread whose loop the client belongs to: uvloop minds, and asyncio would sleep on."""
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._sought(place, offset), self._thread.thread_loop))

    async def _sought(self, place: Any, offset: int) -> None:
        self._thread.seek(place, offset)


class _Transport(driver.Transport):  # type: ignore[misc]
    Consumer = _Consumer


class App(faust.App):  # type: ignore[misc]
    """Faust as routing uses it."""

    logger = faust_log

    def __init__(self, floor: Floor, *, servers: str, instance: str | None, folder: Path) -> None:
        self.floor = floor
        super().__init__(
            "routing",
            broker=[f"kafka://{server}" for server in servers.split(",")],
            consumer_group_instance_id=instance,
            consumer_auto_offset_reset="none",
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

    async def position(self, place: TopicPartition) -> int | None:
        """The offset that the client reads next; None where the partition is not ours any more."""
        with suppress(IllegalStateError):
            position: int | None = await self.consumer.position(TP(*place))
            return position
        return None

    async def _revoked(self, app: Any, revoked: Any, **_: Any) -> None:
        await self.floor.revoked()

    async def _assigned(self, app: Any, **_: Any) -> None:
        await self.floor.assigned([TopicPartition(*place) for place in self.consumer.assignment()])


class Worker(faust.Worker):  # type: ignore[misc]
    """Faust's worker, quiet, and with a deadline for its end."""

    logger = faust_log

    def __init__(self, app: App) -> None:
        super().__init__(app, override_logging=False, redirect_stdouts=False, quiet=True, loop=uvloop.new_event_loop())
        self.spinner = None

    def run(self) -> int:
        """Run until SIGTERM or SIGINT: 0; or until something crashes: 1 (a lost position: 2), and the log says what."""
        try:
            self.execute_from_commandline()
        except SystemExit as end:
            return self._told(int(end.code or 0))
        return 0

    def _told(self, code: int) -> int:
        """Say why it ends; the exit code, which is this one where nothing has crashed that has one of its own."""
        reason = self.crash_reason
        if reason is not None:
            foreseen = isinstance(reason, Fenced | PositionLost)
            log.error("%s: %s", type(reason).__name__, reason, exc_info=None if foreseen else reason)
        return UNUSABLE if isinstance(reason, PositionLost) else code

    def _end(self) -> None:
        log.critical("the end hangs: ending the process")
        os._exit(self._told(EXIT_CODE))

    async def stop(self) -> None:
        deadline = threading.Timer(EXIT_SECONDS_MAX, self._end)
        deadline.daemon = True
        deadline.start()
        await super().stop()
