"""A process of a service, and the points at which it can be made to fail: at each border to what outlives it.

The services are the real ones; what they are given is a database and a bus that count what passes. So a crash is an exception
that nobody catches, raised where a real process could be killed, and what is left is what the database and the log have.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Final

from eventsourcing.persistence import Notification, OperationalError, StoredEvent
from msgspec import Struct
from msgspec.structs import replace

from events.bus import Assigned, Bus, Consumer, Delivery, Producer, Reader, Revoked
from events.bus.cursor import Cursor
from events.bus.database import TRANSIENT, Database, EventTable
from events.bus.letters.office import Office
from events.bus.loop import Loop
from events.bus.memory import MemoryConsumer
from events.bus.rebuild.builder import Builder
from events.bus.rebuild.jobs import Rebuild
from events.record import Message, Record, TopicPartition
from services.lifecycle.mass.api import Resources
from tests.simulation.steps import Point

Tell = Callable[[str], None]


class Crash(BaseException):
    """The process is killed here."""


class Unanswered(OperationalError):  # noqa: N818 - the name says what happened
    """The database does not answer, or has committed and could not say so: the error that it is on PostgreSQL."""


class Border:
    """Counts what a process passes; what is armed for a passing happens there."""

    def __init__(self, tell: Tell) -> None:
        self.tell: Final = tell
        self.passages: Final[Counter[Point]] = Counter()
        """How often each point was passed."""
        self._armed: list[tuple[Point, int, Callable[[], None]]] = []
        self._open = False

    def arm(self, point: Point, nth: int, act: Callable[[], None]) -> None:
        """Let something happen when the point is passed for the so-manieth time from here on."""
        self._armed.append((point, nth, act))

    def disarm(self) -> None:
        """Let nothing happen any more."""
        self._armed.clear()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Somebody else looks at what the process has: that is no passage, and nothing happens."""
        self._open = True
        try:
            yield
        finally:
            self._open = False

    def is_due(self, point: Point) -> bool:
        """Whether something happens when the point is passed the next time."""
        return any(where == point and left == 1 for where, left, _ in self._armed)

    def passed(self, point: Point) -> None:
        """Something passes: what is due happens, and may not come back."""
        if self._open:
            return
        self.passages[point] += 1
        armed, self._armed = self._armed, []
        due: list[Callable[[], None]] = []
        for where, left, act in armed:
            if where != point:
                self._armed.append((where, left, act))
            elif left > 1:
                self._armed.append((where, left - 1, act))
            else:
                due.append(act)
        for act in due:
            act()

    @contextmanager
    def transaction(self, begin: Callable[[], AbstractContextManager[Cursor]]) -> Iterator[Cursor]:
        """A transaction that passes."""
        self.passed("begin")
        with begin() as cursor:
            yield cursor
            self.passed("commit")
        self.passed("committed")


class BorderDatabase:
    """A database beyond a border (``events.bus.database.Database``)."""

    def __init__(self, database: Database, border: Border) -> None:
        self.dialect = replace(database.dialect, unanswered=(*database.dialect.unanswered, Unanswered))
        self._database = database
        self._border = border

    def prepare(self) -> AbstractContextManager[None]:
        return self._database.prepare()

    def begin(self) -> AbstractContextManager[Cursor]:
        return self._border.transaction(self._database.begin)

    def read(self) -> AbstractContextManager[Cursor]:
        self._border.passed("read")
        return self._database.read()

    def events(self, table: str) -> EventTable:
        return BorderEvents(self._database.events(table), self._border)

    def tables(self) -> Collection[str]:
        return self._database.tables()

    def close(self) -> None:
        self._database.close()


class BorderEvents:
    """A table of events beyond a border (``events.bus.database.EventTable``)."""

    def __init__(self, table: EventTable, border: Border) -> None:
        self._table = table
        self._border = border

    @property
    def events_table_name(self) -> str:
        return self._table.events_table_name

    def append(self, cursor: Cursor, events: Sequence[StoredEvent]) -> Sequence[int]:
        return self._table.append(cursor, events)

    def select_events(self, originator_id: str, *, limit: int | None = None) -> Sequence[StoredEvent]:
        self._border.passed("read")
        return self._table.select_events(originator_id, limit=limit)

    def select_notifications(self, start: int | None, limit: int, *, topics: Sequence[str] = ()) -> Sequence[Notification]:
        self._border.passed("read")
        return self._table.select_notifications(start, limit, topics=topics)

    def max_notification_id(self) -> int | None:
        self._border.passed("read")
        return self._table.max_notification_id()


class BorderProducer:
    """A producer beyond a border: whatever happens in the middle of writing, what comes before is written."""

    def __init__(self, producer: Producer, border: Border) -> None:
        self._producer = producer
        self._border = border

    def send(self, messages: Sequence[Message]) -> Delivery:
        parts: list[Delivery] = []
        written = 0
        for count, _ in enumerate(messages):
            if self._border.is_due("send") and count > written:
                parts.append(self._write(messages[written:count]))
                written = count
            self._border.passed("send")
        parts.append(self._write(messages[written:]))
        self._border.passed("sent")
        return Deliveries(parts)

    def _write(self, messages: Sequence[Message]) -> Delivery:
        delivery = self._producer.send(messages)
        for topic, names in by_topic(messages):
            self._border.tell(f"writes to {topic}: {names}")
        return delivery

    def close(self) -> None:
        self._producer.close()


class Deliveries:
    """The parts of what was handed over at once (``events.bus.Delivery``)."""

    def __init__(self, parts: Sequence[Delivery]) -> None:
        self._parts = parts

    def done(self, timeout: float = 0.0) -> bool:
        return all(part.done(timeout) for part in self._parts)

    def wait(self, timeout: float) -> None:
        for part in self._parts:
            part.wait(timeout)


class BorderConsumer:
    """A consumer that tells what it reads."""

    def __init__(self, consumer: MemoryConsumer, border: Border) -> None:
        self.consumer: Final = consumer
        self._border = border

    def poll(self, seconds: float, records: int) -> Sequence[Record]:
        found = self.consumer.poll(seconds, records)
        for topic, names in by_topic(found):
            self._border.tell(f"reads from {topic}: {names}")
        return found

    def positions(self) -> Mapping[TopicPartition, int]:
        return self.consumer.positions()

    def close(self) -> None:
        self.consumer.close()


class BorderBus:
    """A bus beyond a border (``events.bus.Bus``). ``joined``: the groups that the process is in, with its consumers."""

    def __init__(self, bus: Bus, border: Border) -> None:
        self._bus = bus
        self._border = border
        self.joined: list[tuple[str, MemoryConsumer]] = []

    def consumer(
        self, group: str, topics: Sequence[str], assigned: Assigned, revoked: Revoked, instance: str | None = None
    ) -> Consumer:
        made = self._bus.consumer(group, topics, assigned, revoked, instance)
        assert isinstance(made, MemoryConsumer)
        self.joined.append((group, made))
        return BorderConsumer(made, self._border)

    def producer(self) -> Producer:
        return BorderProducer(self._bus.producer(), self._border)

    def reader(self) -> Reader:
        return self._bus.reader()

    def partitions(self, topic: str) -> int:
        return self._bus.partitions(topic)

    def end_offsets(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return self._bus.end_offsets(places)

    def begin_offsets(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return self._bus.begin_offsets(places)

    def read(self, topic: str, offset: int = 0) -> Sequence[Record]:
        return self._bus.read(topic, offset)

    def scan(self, begins: Mapping[TopicPartition, int]) -> Iterator[Sequence[Record]]:
        return self._bus.scan(begins)

    def identity(self, topic: str) -> str:
        return self._bus.identity(topic)

    def close(self) -> None:
        self._bus.close()


class Process(Struct, frozen=True, eq=False, kw_only=True):
    """A running process. ``works``: what it does beside each other, a piece at a time; ``idle``: nothing is left of that.

    ``look``: it looks at the reference topics; ``free``: its files are closed (the end of everything). ``mass``, ``office``: what
    is asked of it about mass changes and dead letters.
    """

    name: str
    border: Border
    bus: BorderBus
    loops: Sequence[Loop]
    works: Sequence[Callable[[], object]]
    builder: Builder | None = None
    mass: Resources | None = None
    office: Office | None = None
    look: Callable[[], None]
    free: Callable[[], None]

    def idle(self) -> bool:
        """Whether there is nothing more to do."""
        with self.border.open():
            done = (self.mass is None or not self.mass.batches.working()) and not self._builds()
            return done and all((now := loop.progress()).state == "running" and now.lag == 0 for loop in self.loops)

    def _builds(self) -> bool:
        """Whether a view is being made again, here or elsewhere."""
        return self.builder is not None and any(self.builder.job(view)[0].running for view in self.builder.views)

    def rebuilds(self) -> list[tuple[str, Rebuild]]:
        """What the database says of each view that was ever made again: how far that is, or what came of it."""
        if self.builder is None:
            return []
        with self.border.open():
            found = [(view, self.builder.job(view)[0].rebuild) for view in self.builder.views]
        return [(view, rebuild) for view, rebuild in found if rebuild is not None]

    def build(self) -> None:
        """Make views again, a piece at a time; while the database does not answer, nothing."""
        if self.builder is not None:
            with suppress(*TRANSIENT):
                self.builder.step()

    def memberships(self) -> list[tuple[str, str]]:
        """Groups, and the name under which it is in."""
        return [(group, consumer.name) for group, consumer in self.bus.joined]

    def stop(self) -> None:
        """As by SIGTERM: what is on its way is waited for, and noted."""
        for loop in self.loops:
            loop.stop()
            loop.run()

    def close(self) -> None:
        """As after an error: it leaves its groups and ends."""
        for loop in self.loops:
            loop.close()


def by_topic(messages: Sequence[Message | Record]) -> Iterator[tuple[str, str]]:
    """Messages in a few words, those of a topic together."""
    for topic in dict.fromkeys(message.topic for message in messages):
        yield topic, ", ".join(named(message) for message in messages if message.topic == topic)


def named(message: Message | Record) -> str:
    """A message in a few words: type and id, and of a record where it lies."""
    headers = dict(message.headers)
    type_ = headers.get("ce_type", b"?").decode(errors="replace").removeprefix("crm.").removesuffix(".v1")
    name = headers.get("ce_id", b"?").decode(errors="replace")
    whose = (message.key or b"nobody").decode(errors="replace")
    place = f" at {message.partition}:{message.offset}" if isinstance(message, Record) else ""
    return f"{type_} {name}{'' if name.startswith(whose) else f' of {whose}'}{place}"
