"""The view made again, from the first record of ``crm.lifecycle.v1`` on, which is kept for ever.

It follows the live view and never gets ahead of it: each partition is read up to where the live view is, as its position says. The
little that is left at the end is taken in while nobody else writes; from then on both sets have taken in the same records.

What the live view could not take in, the other one cannot either: what cannot be read is passed over, without a second dead letter;
so is a record on which the code fails, if it is a dead letter already. Where it fails on another one, there will be no view.
"""

from collections.abc import Sequence
from typing import Final

from events.bus import Bus, Reader
from events.bus.cursor import Cursor, Opens
from events.bus.letters import letters_of
from events.bus.rebuild import Broken
from events.bus.rebuild.jobs import Cancelled, Replaced
from events.record import TopicPartition
from events.topics import LIFECYCLE
from services.forecast.store import TABLES, VIEW
from services.forecast.taking import Arrival, Taking
from services.forecast.view import PROJECTIONS

RECORDS_A_STEP: Final = 100
"""About 10 ms, in which the worker writes nothing."""
LEFT_MAX: Final = 200
LAST_MAX: Final = 1000
"""When the worker does wait, it may be so many by now: more, and it goes on without waiting."""


class ForecastView:
    """What is said of the view (``events.bus.rebuild.View``). ``transient``: errors that are nobody's fault.

    ``records_a_step``: how many are taken in within one transaction; ``left_max``: how many may be left when the worker is made to
    wait for them.
    """

    name = VIEW
    tables = TABLES
    doubled = False

    def __init__(
        self,
        bus: Bus,
        read: Opens,
        taking: Taking,
        transient: tuple[type[Exception], ...],
        *,
        records_a_step: int = RECORDS_A_STEP,
        left_max: int = LEFT_MAX,
    ) -> None:
        self._bus = bus
        self._read = read
        self._taking = taking
        self._transient = transient
        self._sizes = (records_a_step, left_max)

    def filling(self, into: int) -> "Filling":
        """Begin. Raises ``Broken`` where the log is not whole, or is another one."""
        with self._read() as cursor:
            cursor.execute("SELECT part, next, identity FROM position WHERE topic = ? ORDER BY part", (LIFECYCLE.name,))
            rows = cursor.fetchall()
        identity = self._bus.identity(LIFECYCLE.name)
        places = [TopicPartition(LIFECYCLE.name, part) for part, _, _ in rows]
        begins, ends = self._bus.begin_offsets(places), self._bus.end_offsets(places)
        for place, (_, following, known) in zip(places, rows, strict=True):
            log = f"{place.topic}[{place.partition}]"
            if known != identity:
                raise Broken(f"{log} was read as {known}, and is {identity} now: restore the topic")
            if begins[place] > 0:
                raise Broken(f"{log} begins at {begins[place]}: what came before is gone, and the view would not be whole")
            if ends[place] < following:
                raise Broken(f"{log} ends at {ends[place]}, and the live view has it up to {following}: restore the topic")
        return Filling(self._bus.reader(), self._read, self._taking, self._transient, into, *self._sizes)


class Filling:
    """The view being made (``events.bus.rebuild.Filling``). Read twice, a record is a repeat."""

    def __init__(
        self,
        reader: Reader,
        read: Opens,
        taking: Taking,
        transient: tuple[type[Exception], ...],
        into: int,
        records_a_step: int,
        left_max: int,
    ) -> None:
        self.done = 0
        self.total = 0
        self._reader = reader
        self._read = read
        self._taking = taking
        self._no_bug: tuple[type[Exception], ...] = (*transient, Cancelled, Replaced, Broken)
        self._projection = PROJECTIONS[into]
        self._positions: dict[TopicPartition, int] = {}
        self._present = TopicPartition(LIFECYCLE.name, 0)
        self._records_a_step = records_a_step
        self._left_max = left_max

    def step(self, write: Opens) -> bool:
        with self._read() as cursor:
            behind = self._behind(cursor)
        left = {place: until - self._position(place) for place, until in behind.items()}
        if sum(left.values()) <= self._left_max:
            return False
        if left.get(self._present, 0) < self._records_a_step:  # to read on is fast; but where more comes meanwhile, others wait
            self._present = max(left, key=lambda place: (left[place], place))
        place = self._present
        arrivals, following = self._arrivals(place, self._position(place), behind[place])
        self._take_in(write, arrivals)
        self._positions[place] = following
        self.done = sum(self._positions.values())
        return True

    def last(self, cursor: Cursor) -> bool:
        """Take in what is left. Positions stay where they are: whether it is committed is only known when all is done."""
        behind = self._behind(cursor)
        if sum(until - self._position(place) for place, until in behind.items()) > (LAST_MAX if self._left_max else 0):
            return False
        cursor.execute("SAVEPOINT last")
        try:
            for place, until in behind.items():
                following = self._position(place)
                while following < until:
                    arrivals, following = self._arrivals(place, following, until)
                    self._taking.take_in(cursor, self._projection, arrivals)
        except self._no_bug:
            raise
        except Exception:
            cursor.execute("ROLLBACK TO SAVEPOINT last")
            self._left_max = 0  # the record is looked for outside, where each can be tried alone
            return False
        self.done = self.total
        return True

    def close(self) -> None:
        self._reader.close()

    def _position(self, place: TopicPartition) -> int:
        return self._positions.get(place, 0)

    def _behind(self, cursor: Cursor) -> dict[TopicPartition, int]:
        """The partitions of which the live view has more, and up to where."""
        cursor.execute("SELECT part, next FROM position WHERE topic = ? ORDER BY part", (LIFECYCLE.name,))
        live = {TopicPartition(LIFECYCLE.name, part): following for part, following in cursor.fetchall()}
        self.total = sum(live.values())
        return {place: until for place, until in live.items() if self._position(place) < until}

    def _arrivals(self, place: TopicPartition, begin: int, until: int) -> tuple[Sequence[Arrival], int]:
        """The next records of a partition from an offset on and before another, read, and where to go on."""
        records, following = self._reader.read(place, begin, self._records_a_step)
        return [self._taking.read(record) for record in records if record.offset < until], min(following, until)

    def _take_in(self, write: Opens, arrivals: Sequence[Arrival]) -> None:
        """Take records in; those on which the code fails are found by halves, and passed over if they are dead letters."""
        try:
            with write() as cursor:
                self._taking.take_in(cursor, self._projection, arrivals)
        except self._no_bug:
            raise
        except Exception as error:
            if len(arrivals) == 1:
                self._pass_over(arrivals[0], error)
                return
            middle = len(arrivals) // 2
            self._take_in(write, arrivals[:middle])
            self._take_in(write, arrivals[middle:])

    def _pass_over(self, arrival: Arrival, error: Exception) -> None:
        record = arrival.record
        with self._read() as cursor:
            if letters_of(cursor, record.place, record.offset):
                return
        place = f"{record.topic}[{record.partition}] at {record.offset}"
        raise Broken(f"{place}, which the live view has, cannot be taken in: {type(error).__name__}: {error}") from error
