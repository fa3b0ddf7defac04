"""The lists of customers, the traces of events and the wakes of leads made again, from what is stored of all shards.

All are rows that say what one record or one event is now, and writing one again changes nothing. So workers write both sets from
the beginning, and what was stored before is gone through beside that: a line that was read before a fact came is older than the one
that the worker has written with it, and stays out. A wake has no version, and goes when its tick is sent: so it is looked at
once more while nobody writes.
"""

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
from services.lifecycle.trace import Step
from services.lifecycle.views import View, filled
from services.lifecycle.work import wake_of

_LISTS: Final = View("customer", 1)
"""The lists as they were filled at a start, before there were rebuilds."""
_PAGE: Final = 500
RECORDS_A_STEP: Final = 100
"""So many records are read in one step. They are written in a transaction of their own, for which workers wait."""


def records(
    store: Store, policy: Policy, *, limit: int = _PAGE, after: tuple[int, str] = (0, "")
) -> Iterator[tuple[int, Mapping[str, Record]]]:
    """All records, or those after one (by shard and id), some of a shard at a time, each as of when it is read.

    Raises ``BusError`` where a record follows a version of the status table that the policy does not know yet.
    """
    begin, last = after
    for shard in range(begin, store.shards):
        last = last if shard == begin else ""
        while some := next(store.portions(shard, store.customers_after(shard, last, limit)), ()):
            last = some[-1]
            found = store.load(shard, some, policy)
            if any(record.tables > policy.tables.through for record in found.values()):
                raise BusError(f"a version of {STATUS_TABLE.name} that records of shard {shard} follow is not read yet")
            yield shard, found


def lines(store: Store, policy: Policy, *, limit: int = _PAGE, after: tuple[int, str] = (0, "")) -> Iterator[Sequence[Line]]:
    """Their lines, in the same way."""
    for shard, found in records(store, policy, limit=limit, after=after):
        yield [Line(customer, shard, record.version, summary_of(record.fold)) for customer, record in found.items()]


def fill_lists(store: Store, policy: Callable[[], Policy]) -> Iterator[int]:
    """Write the line of every record, where a database has none yet; answers with how many are written, after each step.

    ``policy`` is asked only then.
    """
    return filled(store.database.begin, store.database.read, _LISTS, lambda: _fill_lists(store, policy()))


def _fill_lists(store: Store, policy: Policy) -> Iterator[int]:
    written = 0
    for some in lines(store, policy):
        with store.database.begin() as cursor:
            customers.write(cursor, customers.live(cursor), some)
        written += len(some)
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


class CustomersView:
    """The lists of customers (``events.bus.rebuild.View``). ``policy``: by which records are folded, with all that is known."""

    name = customers.VIEW
    tables: tuple[Table, ...] = (customers.TABLE,)
    doubled = True

    def __init__(self, store: Store, policy: Callable[[], Policy], *, records_a_step: int = RECORDS_A_STEP) -> None:
        self._store = store
        self._policy = policy
        self._records_a_step = records_a_step

    def filling(self, into: int) -> Filling:
        """Begin."""
        return Filling(_Records(self._store, self._policy, self._records_a_step, customers.TABLE.of(into)))


class _Records:
    """All records, as lines of a table."""

    def __init__(self, store: Store, policy: Callable[[], Policy], limit: int, table: str) -> None:
        self.total = store.customers(Selection())
        self._store = store
        self._policy = policy
        self._limit = limit
        self._table = table

    def pieces(self, after: Place | None) -> Iterator[Sequence[Line]]:
        return lines(self._store, self._policy(), limit=self._limit, after=after or (0, ""))

    def write(self, cursor: Cursor, piece: Sequence[Line]) -> tuple[int, Place]:
        customers.write(cursor, self._table, piece)
        return len(piece), (piece[-1].shard, piece[-1].customer_id)

    def named(self, after: Place | None) -> str:
        shard, customer = after or (0, "")
        return f"one of the {self._limit} records of shard {shard} after {customer!r} cannot be folded"


class WakesView:
    """The wakes of recycled leads (``events.bus.rebuild.View``). ``policy``: as for the lists."""

    name = wakes.VIEW
    tables: tuple[Table, ...] = (wakes.TABLE,)
    doubled = True

    def __init__(self, store: Store, policy: Callable[[], Policy], *, records_a_step: int = RECORDS_A_STEP) -> None:
        self._store = store
        self._policy = policy
        self._records_a_step = records_a_step

    def filling(self, into: int) -> Filling:
        """Begin."""
        return Filling(_Wakes(self._store, self._policy, self._records_a_step, wakes.TABLE.of(into)))


class _Wakes:
    """All records, as wakes in a table."""

    def __init__(self, store: Store, policy: Callable[[], Policy], limit: int, table: str) -> None:
        self.total = store.customers(Selection())
        self._store = store
        self._policy = policy
        self._limit = limit
        self._table = table

    def pieces(self, after: Place | None) -> Iterator[tuple[int, Mapping[str, Record]]]:
        return records(self._store, self._policy(), limit=self._limit, after=after or (0, ""))

    def write(self, cursor: Cursor, piece: tuple[int, Mapping[str, Record]]) -> tuple[int, Place]:
        shard, found = piece
        sets.hold(cursor, wakes.VIEW)  # from here on nobody writes
        sizes = self._store.sizes(shard, found)
        changed = [name for name, record in found.items() if sizes[name] != record.version]
        now = {**found, **self._store.load(shard, changed, self._policy())} if changed else found
        for name, record in now.items():
            wake = wake_of(record)
            if wake is not None and wakes.unsent(wake, partial(self._store.forwarded, shard)) is not None:
                wakes.write(cursor, self._table, shard, name, wake)
        return len(found), (shard, max(found))

    def named(self, after: Place | None) -> str:
        shard, customer = after or (0, "")
        return f"one of the {self._limit} records of shard {shard} after {customer!r} cannot be folded"


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
