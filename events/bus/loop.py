"""The loop that drives a service: poll, let the worker decide and commit, relay, and again.

In come records, out go what the worker's transaction says and what its outgoing streams hold. The loop keeps nothing: positions
and relay numbers are the worker's, in its database, in the same transaction as what they are about.

Errors are of three kinds. *Transient* (the bus or the database does not answer, or cannot do its work: a full disk, a missing
table): the same again, after a pause, and nothing moves. *Bug* (anything unexpected from ``process``): the batch is halved until
the one record is found, which is rejected after its third try; when one customer after the other would be rejected, it is not
their records that are wrong, and the loop stands still instead. *Final* (another worker has the partitions, a position is lost,
anything unexpected elsewhere): ``run`` raises.
"""

import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from msgspec.structs import replace

from events.bus import Bus, BusError, Consumer, PositionLost
from events.bus.layout import Layout
from events.bus.ledger import Fenced
from events.bus.letters.tables import REPLAY
from events.bus.progress import Progress, Snapshot, lag_seconds, unread
from events.bus.relay import Relay
from events.bus.worker import Worker
from events.record import Record, TopicPartition

log = logging.getLogger(__name__)

TRANSIENT: Final[tuple[type[Exception], ...]] = (BusError, sqlite3.OperationalError)
"""What is tried again without end, unless a service says otherwise. No ``OperationalError`` is ever the fault of a record."""
RECORDS_MAX: Final = 2000
"""Records of one poll, which become one transaction."""
ATTEMPTS_MAX: Final = 3
"""How often one record is tried before it is rejected as a bug."""
BUGGY_KEYS_MAX: Final = 10
"""Records of so many keys are rejected in a row; one more, and the loop stands still until it can take something in."""
ANSWER_POLL_SECONDS: Final = 0.02
"""How long to wait for records while deliveries are on their way, so that these are noted soon."""
FINISH_SECONDS: Final = 5.0
"""How long a clean end waits for deliveries. What is not acknowledged by then is sent again at the next start."""
PAUSE_SLICE_SECONDS: Final = 0.05
"""How soon a pause notices that it should stop."""


Beside = Callable[[Mapping[TopicPartition, int]], bool]


class Standstill(Exception):  # noqa: N818 - the name says what happened
    """What is wrong lies not in single records: rejecting more of them would only lose them. Tried again without end."""


class _Part(NamedTuple):
    """Records that still have to be processed, and how often that failed."""

    records: Sequence[Record]
    failures: int = 0


class Loop:
    """One member of a consumer group, with its worker and its relay. ``run`` it, or ``turn`` it by hand in a simulation.

    ``instance``: the member's static name, under which a restart takes its partitions over at once. ``transient``: the exceptions
    that mean "not now". ``beside``: a bounded piece of work of the service's own, done every turn, and told up to where everything
    is taken in; whether there may be more of it. ``layout``: topics with the number of partitions that they must have. ``clock``:
    seconds since 1970. ``monotonic``: seconds that never go back. ``pause``: sleeps.
    """

    def __init__(
        self,
        bus: Bus,
        worker: Worker,
        *,
        group: str,
        topics: Sequence[str],
        instance: str | None = None,
        records_max: int = RECORDS_MAX,
        poll_seconds: float = 0.25,
        beside: Beside | None = None,
        layout: Mapping[str, int] = MappingProxyType({}),
        in_flight_max: int = 20_000,
        transient: tuple[type[Exception], ...] = TRANSIENT,
        backoff_seconds_min: float = 0.1,
        backoff_seconds_max: float = 5.0,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._bus = bus
        self._worker = worker
        self._group = group
        self._topics = tuple(topics)
        self._instance = instance
        self._records_max = records_max
        self._poll_seconds = poll_seconds
        self._transient = transient
        self._backoff_seconds_min = backoff_seconds_min
        self._backoff_seconds_max = backoff_seconds_max
        self._clock = clock
        self._pause = pause
        self._relay = Relay(bus, worker, in_flight_max=in_flight_max, monotonic=monotonic)
        self._layout = Layout(bus, layout, monotonic)
        self._consumer: Consumer | None = None
        self._beside = beside
        self._busy = False
        self._parts: deque[_Part] = deque()
        self._buggy_keys: set[bytes | None] = set()
        self._newest: dict[TopicPartition, int] = {}
        self._joined = False
        self._failures = 0
        self._stopping = False
        self._snapshot = Snapshot()
        self._ends: Mapping[TopicPartition, int] = {}
        self._started = clock()
        self._settled: float | None = None

    # ---------------------------------------------------------------------------------------- running

    def run(self) -> None:
        """Turn until ``stop`` is called. Raises what cannot be retried; the process should then end."""
        try:
            while not self._stopping:
                self._wait(self.turn())
            self._finish()
        finally:
            self.close()

    def stop(self) -> None:
        """Let ``run`` end after the present turn. Sets a flag only: to be called from signal handlers and threads."""
        self._stopping = True

    def turn(self) -> float:
        """One turn: poll, process, relay. Answers with the seconds to pause before the next one."""
        try:
            self._turn()
        except Exception as error:
            if not self._is_transient(error):
                raise
            return self._put_off(error)
        if self._failures:
            log.info("%s: goes on after %d failed tries", self._group, self._failures)
            self._failures = 0
        return 0.0

    def close(self) -> None:
        """Leave the group and free everything; what was not saved is done again at the next start."""
        self._stopping = True
        self._snapshot = replace(self._snapshot, state="stopped")
        consumer, self._consumer = self._consumer, None
        try:
            self._relay.close()
        finally:
            if consumer is not None:
                consumer.close()

    # --------------------------------------------------------------------------------------- progress

    def progress(self) -> Progress:
        """How far it has come, against the present ends of the logs. To be called from any thread."""
        snapshot = self._snapshot
        state, error = snapshot.state, snapshot.error
        try:
            if snapshot.positions and state != "stopped":
                self._ends = self._bus.end_offsets(snapshot.positions.keys())
        except BusError as failure:
            state, error = "retrying", str(failure)
        behind = unread(snapshot.positions, self._ends)
        lag = sum(behind.values()) + snapshot.pending
        now = self._clock()
        seconds = lag_seconds(snapshot, behind, now, self._settled, self._started) if lag else 0.0
        if not lag and state == "running":
            self._settled = now
        return Progress(
            state=state,
            lag=lag,
            lag_seconds=seconds,
            positions=snapshot.positions,
            unread=behind,
            pending=snapshot.pending,
            error=error,
            degraded=snapshot.rejected > 0,
            rejected=snapshot.rejected,
        )

    # ---------------------------------------------------------------------------------------- one turn

    def _turn(self) -> None:
        if self._consumer is None:
            self._consumer = self._bus.consumer(self._group, self._topics, self._assigned, self._revoked, self._instance)
        if self._joined:
            self._layout.look(self._consumer.positions)
        took = self._take_in(self._consumer)
        self._busy = self._beside is not None and self._joined and self._beside(self._consumer.positions())
        sent = self._relay.pump()
        if not took and not sent and not self._relay.in_flight:
            self._worker.settle()
        self._note(self._consumer)

    def _take_in(self, consumer: Consumer) -> bool:
        if not self._parts:
            records = consumer.poll(self._patience(), self._records_max)
            if not records:
                return False
            self._parts.append(_Part(records))
        while self._parts:
            self._process(self._parts[0])
        return True

    def _patience(self) -> float:
        if self._busy:
            return 0.0
        if self._relay.in_flight or self._relay.backlog:
            return min(ANSWER_POLL_SECONDS, self._poll_seconds)
        return self._poll_seconds

    def _process(self, part: _Part) -> None:
        try:
            self._worker.process(part.records)
        except Exception as error:
            if isinstance(error, Fenced | PositionLost) or self._is_transient(error):
                raise
            self._isolate(part, error)
        else:
            self._buggy_keys.clear()
            self._passed(part.records)

    def _isolate(self, part: _Part, bug: Exception) -> None:
        """Halve the part, in order; a single record is tried again, and rejected in the end."""
        records, failures = part.records, part.failures + 1
        if len(records) > 1:
            middle = len(records) // 2
            later, earlier = _Part(records[middle:]), _Part(records[:middle])
            self._parts.popleft()
            self._parts.extendleft((later, earlier))
        elif failures < ATTEMPTS_MAX:
            self._parts[0] = _Part(records, failures)
        else:
            record = records[0]
            self._suspect(record, bug)
            self._worker.reject(record, bug, failures)
            self._passed(records)
            self._snapshot = replace(self._snapshot, rejected=self._snapshot.rejected + 1)
            log.error("%s[%d] at %d is rejected as a bug", record.topic, record.partition, record.offset, exc_info=bug)

    def _suspect(self, record: Record, bug: Exception) -> None:
        """Raise ``Standstill`` where too many keys in a row have bugs: then it is the code, or what it stands on.

        Not by replays of dead letters: whoever asks for many of them before the code is mended shall not stop what is sound.
        """
        if any(name == REPLAY for name, _ in record.headers):
            return
        if len(self._buggy_keys | {record.key}) > BUGGY_KEYS_MAX:
            raise Standstill(
                f"the records of {BUGGY_KEYS_MAX} keys in a row were rejected, and {record.topic}[{record.partition}] at"
                f" {record.offset} fails too ({type(bug).__name__}: {str(bug)[:300]}): nothing more is rejected;"
                " mend the service, or what it stands on"
            ) from bug
        self._buggy_keys.add(record.key)

    def _passed(self, records: Sequence[Record]) -> None:
        self._parts.popleft()
        self._newest.update((record.place, record.timestamp) for record in records)

    def _note(self, consumer: Consumer) -> None:
        # Between two assignments the last positions stand: with none, the lag would look like 0.
        refused = self._relay.complaint
        self._snapshot = replace(
            self._snapshot,
            state="starting" if not self._joined else "retrying" if refused else "running",
            positions=consumer.positions() if self._joined else self._snapshot.positions,
            newest=dict(self._newest),
            pending=self._worker.pending(),
            error=refused,
        )

    # ------------------------------------------------------------------------------- rebalance, failure

    def _assigned(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        self._layout.check(places)
        positions = self._worker.claim(places)
        self._relay.forget()
        self._snapshot = replace(self._snapshot, positions=positions)
        self._joined = True
        log.info("%s: has %s", self._group, _named(places))
        return positions

    def _revoked(self, places: Collection[TopicPartition]) -> None:
        self._joined = False
        self._newest.clear()
        self._relay.forget()
        self._worker.release(places)

    def _is_transient(self, error: Exception) -> bool:
        return isinstance(error, (*self._transient, Standstill))

    def _put_off(self, error: Exception) -> float:
        if not self._failures:
            unclear = None if isinstance(error, BusError) else error
            log.warning("%s: %s; tried again until it works", self._group, error, exc_info=unclear)
        delay = min(self._backoff_seconds_max, self._backoff_seconds_min * 2.0 ** min(self._failures, 16))
        self._failures += 1
        self._snapshot = replace(self._snapshot, state="retrying", error=f"{type(error).__name__}: {error}")
        return delay

    def _wait(self, seconds: float) -> None:
        while seconds > 0 and not self._stopping:
            self._pause(min(seconds, PAUSE_SLICE_SECONDS))
            seconds -= PAUSE_SLICE_SECONDS

    def _finish(self) -> None:
        try:
            self._relay.finish(FINISH_SECONDS)
            self._worker.settle()
        except Exception as error:
            if not self._is_transient(error):
                raise
            log.warning("%s: ends without saving what was published last: %s", self._group, error)


def _named(places: Collection[TopicPartition]) -> str:
    """Topics with their partition numbers, for a log line."""
    numbers: dict[str, list[int]] = {}
    for place in sorted(places):
        numbers.setdefault(place.topic, []).append(place.partition)
    return ", ".join(f"{topic}{parts}" for topic, parts in numbers.items()) or "no partitions (stand-by)"
