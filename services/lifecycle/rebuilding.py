"""The lists of customers, the traces of events and the wakes of leads made again, from what is stored of all shards.

All are rows that say what one record or one event is now, and writing one again changes nothing. So workers write both sets from
the beginning, and what was stored before is gone through beside that: a line that was read before a fact came is older than the one
that the worker has written with it, and stays out. A wake has no version, and goes when its tick is sent: so it is looked at
once more while nobody writes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

from events.bus import BusError
from events.bus.cursor import Cursor, Opens
from events.bus.database import TRANSIENT
from events.bus.rebuild import Broken, Table, sets
from events.topics import STATUS_TABLE
from services.lifecycle import customers, trace, wakes
from services.lifecycle.customers import Line, Selection
from services.lifecycle.domain.record import Record
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.summary import summary_of
from services.lifecycle.store import Store
from services.lifecycle.tables import StatusTables
from services.lifecycle.trace import Step
from services.lifecycle.views import View, filled
from services.lifecycle.work import wake_of

_LISTS: Final = View("customer", 1)
"""The lists as they were filled at a start, before there were rebuilds."""
_PAGE: Final = 500
RECORDS_A_STEP: Final = 100
"""So many records are read in one step. They are written in a transaction of their own, for which workers wait."""


Records = tuple[int, Mapping[str, Record]]
"""Some records of a shard."""


def records(store: Store, policy: Policy, *, limit: int = _PAGE, after: tuple[int, str] = (0, "")) -> Iterator[Records]:
    """All records, or those after one (by shard and id), some of a shard at a time, each as of when it is read.

    Raises ``BusError`` where a record follows a version of the status table that the policy does not know yet.
    """
    begin, last = after
    for shard in range(begin, store.shards):
        last = last if shard == begin else ""
        while some := next(store.portions(shard, store.customers_after(shard, last, limit)), ()):
            last = some[-1]
            yield shard, _known(shard, store.load(shard, some, policy), policy)


def _known(shard: int, found: Mapping[str, Record], policy: Policy) -> Mapping[str, Record]:
    """The records, if the policy knows all that they follow."""
    if any(record.tables > policy.tables.through for record in found.values()):
        raise BusError(f"a version of {STATUS_TABLE.name} that records of shard {shard} follow is not read yet")
    return found


def lines(shard: int, found: Mapping[str, Record]) -> Sequence[Line]:
    """The lines of some records of a shard."""
    return [Line(customer, shard, record.version, summary_of(record.fold)) for customer, record in found.items()]


def fill_lists(store: Store, policy: Callable[[], Policy]) -> Iterator[int]:
    """Write the line of every record, where a database has none yet; answers with how many are written, after each step.

    ``policy`` is asked only then.
    """
    return filled(store.database.begin, store.database.read, _LISTS, lambda: _fill_lists(store, policy()))


def _fill_lists(store: Store, policy: Policy) -> Iterator[int]:
    written = 0
    for shard, found in records(store, policy):
        with store.database.begin() as cursor:
            customers.write(cursor, customers.live(cursor), lines(shard, found))
        written += len(found)
        yield written


Place = Any
"""How far a source was read: what it goes on from."""


class Source(Protocol):
    """What a view is made from, some of it at a time."""

    total: int

    def pieces(self, after: Place | None) -> Iterator[Any]:
        """All of it, or what comes after a place."""

    def write(self, cursor: Cursor, piece: Any) -> tuple[int, Place]:
        """Write a piece: how many records or rows it was made from, and the place after it."""

    def named(self, after: Place | None) -> str:
        """Where the piece after a place lies, in words."""


class Filling:
    """A view being made (``events.bus.rebuild.Filling``)."""

    def __init__(self, source: Source) -> None:
        self.done = 0
        self.total = source.total
        self._source = source
        self._pieces: Iterator[Any] | None = None
        self._piece: Any = None
        """What was read and is not written yet."""
        self._place: Place | None = None

    def step(self, write: Opens) -> bool:
        if self._piece is None:
            self._piece = self._read()
        if self._piece is None:
            return False
        with write() as cursor:
            count, place = self._source.write(cursor, self._piece)
        self._piece, self._place = None, place
        self.done += count
        return True

    def last(self, cursor: Cursor) -> bool:
        return True  # what came meanwhile was written by the workers

    def close(self) -> None:
        self._pieces = None

    def _read(self) -> Any:
        if self._pieces is None:
            self._pieces = self._source.pieces(self._place)
        try:
            return next(self._pieces, None)
        except Exception as error:
            self._pieces = None  # it goes on from where it was
            if isinstance(error, TRANSIENT):
                raise
            raise Broken(f"{self._source.named(self._place)}: {type(error).__name__}: {error}") from error


class _RecordsView(ABC):
    """A table of what records are now (``events.bus.rebuild.View``). ``versions``: of the status table, by which they are folded.

    ``records_a_step``: so many are read at once.
    """

    name: str
    tables: tuple[Table, ...]
    doubled = True

    def __init__(self, store: Store, versions: StatusTables, *, records_a_step: int = RECORDS_A_STEP) -> None:
        self.store: Final = store
        self.versions: Final = versions
        self.records_a_step: Final = records_a_step

    @abstractmethod
    def write(self, cursor: Cursor, table: str, piece: Records) -> None:
        """Write what some records are, within a transaction."""

    def filling(self, into: int) -> Filling:
        """Begin."""
        return Filling(_Records(self, self.tables[0].of(into)))


class _Records:
    """All records, for a table."""

    def __init__(self, view: _RecordsView, table: str) -> None:
        self.total = view.store.customers(Selection())
        self._view = view
        self._table = table

    def pieces(self, after: Place | None) -> Iterator[Records]:
        view = self._view
        return records(view.store, view.versions.refreshed(), limit=view.records_a_step, after=after or (0, ""))

    def write(self, cursor: Cursor, piece: Records) -> tuple[int, Place]:
        self._view.write(cursor, self._table, piece)
        shard, found = piece
        return len(found), (shard, max(found))

    def named(self, after: Place | None) -> str:
        shard, customer = after or (0, "")
        return f"one of the {self._view.records_a_step} records of shard {shard} after {customer!r} cannot be folded"


class CustomersView(_RecordsView):
    """The lists of customers."""

    name = customers.VIEW
    tables = (customers.TABLE,)

    def write(self, cursor: Cursor, table: str, piece: Records) -> None:
        customers.write(cursor, table, lines(*piece))


class WakesView(_RecordsView):
    """The wakes of recycled leads."""

    name = wakes.VIEW
    tables = (wakes.TABLE,)

    def write(self, cursor: Cursor, table: str, piece: Records) -> None:
        sets.hold(cursor, wakes.VIEW)  # from here on nobody writes
        shard, found = piece
        sizes = self.store.sizes(shard, found)
        changed = [name for name, record in found.items() if sizes[name] != record.version]
        policy = self.versions.policy  # and not what Kafka has: nobody shall wait for that
        now = {**found, **_known(shard, self.store.load(shard, changed, policy), policy)}
        for name, record in now.items():
            wake = wake_of(record)
            if wake is not None and wakes.unsent(wake, partial(self.store.forwarded, shard)) is not None:
                wakes.write(cursor, table, shard, name, wake)


class TracesView:
    """The traces of events (``events.bus.rebuild.View``)."""

    name = trace.VIEW
    tables: tuple[Table, ...] = (trace.TRACE, trace.REFUSED)
    doubled = True

    def __init__(self, store: Store) -> None:
        self._store = store

    def filling(self, into: int) -> Filling:
        """Begin."""
        return Filling(_Traced(self._store, into))


class _Traced:
    """All stored events and dead letters, as traces in a set of tables."""

    def __init__(self, store: Store, into: int) -> None:
        self.total = store.traces.rows()
        self._store = store
        self._into = into

    def pieces(self, after: Place | None) -> Iterator[Step]:
        return self._store.traces.steps(after or (0, 0))

    def write(self, cursor: Cursor, piece: Step) -> tuple[int, Place]:
        piece.write(cursor, self._into)
        return piece.rows, piece.place

    def named(self, after: Place | None) -> str:
        shard, number = after or (0, 0)
        return f"an event of shard {shard} after number {number} cannot be read"
