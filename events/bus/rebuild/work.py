"""The work on one view, in steps that leave time for everything else.

    clear the other set · fill it · have both written · compare them, or switch

Each step is a transaction that says in the view's row how far the work is (:mod:`.jobs`), and after each the thread rests, so that
it takes no more than its share of the time. What does not answer is asked again, with pauses, until it does or nobody wants the
view any more.
"""

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Protocol, TypeVar

from msgspec.structs import replace

from events.bus.cursor import Cursor, Opens
from events.bus.rebuild import Broken, Filling, Table, View, comparison, sets
from events.bus.rebuild.comparison import Compared, Key
from events.bus.rebuild.jobs import Cancelled, Difference, Outcome, Phase, Rebuild, Replaced

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 5.0)

T = TypeVar("T")
Steps = Generator[float, None, T]
"""Work in steps: after each how long to rest, in times of what the step took, or below 0 in seconds."""


class Desk(Protocol):
    """What the work is done on."""

    def writing(self, view: str, rebuild: Rebuild) -> AbstractContextManager[Cursor]:
        """A transaction of the work on a view. Raises ``Cancelled``, or ``Replaced``."""

    def ending(self, view: str, rebuild: Rebuild, *, asking: bool) -> AbstractContextManager[Cursor]:
        """The last transaction of the work on a view. Raises ``Replaced``, and ``Cancelled`` where it is ``asking`` for that."""

    @property
    def reading(self) -> Opens:
        """Opens a snapshot."""

    def is_transient(self, error: Exception) -> bool:
        """Whether it may work the next time."""

    def now(self) -> int:
        """Nanoseconds since 1970."""


class Work:
    """The work on one view."""

    def __init__(self, desk: Desk, view: View, rebuild: Rebuild) -> None:
        self._desk = desk
        self._view = view
        self._rebuild = rebuild
        self._rest: Final = (100 - rebuild.share) / rebuild.share
        """How long to rest, in times of what a step took."""

    def steps(self) -> Steps[None]:
        """All of it, to its end: whatever that is, the view's row says it."""
        log.info("the view %s is made again (%s, asked by %s)", self._view.name, self._rebuild.id, self._rebuild.actor)
        try:
            outcome, difference = yield from self._made()
        except Replaced:
            log.warning("the view %s: another worker took this one for dead, and its work over", self._view.name)
            return
        except Cancelled:
            yield from self._end("cancelled")
        except Broken as error:
            yield from self._end("failed", str(error))
        except Exception as error:
            log.exception("the view %s cannot be made", self._view.name)
            yield from self._end("failed", f"{type(error).__name__}: {error}"[:2000])
        else:
            if outcome != "switched":  # which has ended in the transaction of the switch
                yield from self._end(outcome, difference=difference)

    def _made(self) -> Steps[tuple[Outcome, Difference | None]]:
        other = (yield from self._persistently(self._standing)).other
        for table in self._view.tables:
            while (yield from self._persistently(lambda table=table: self._delete(table, other))):  # type: ignore[misc]
                pass
        yield from self._fill(other)
        if not self._rebuild.check:
            yield from self._persistently(self._switch)
            return "switched", None
        difference = yield from self._compare()
        return ("different" if difference else "equal"), difference

    def _standing(self) -> sets.Standing:
        with self._desk.writing(self._view.name, self._rebuild) as cursor:
            return sets.double(cursor, self._view.name, doubled=False)

    def _delete(self, table: Table, other: int) -> int:
        with self._desk.writing(self._view.name, self._rebuild) as cursor:
            return comparison.delete(cursor, table, other)

    # ------------------------------------------------------------------------------------ filling

    def _fill(self, other: int) -> Steps[None]:
        if self._view.doubled:
            yield from self._persistently(self._double)
        filling = yield from self._persistently(lambda: self._view.filling(other))
        self._enter("filling")
        try:
            while True:
                more = yield from self._persistently(lambda: self._step(filling))
                if not more and (yield from self._persistently(lambda: self._last(filling))):
                    return
        finally:
            filling.close()

    def _double(self) -> None:
        with self._desk.writing(self._view.name, self._rebuild) as cursor:
            sets.double(cursor, self._view.name, doubled=True)

    def _step(self, filling: Filling) -> bool:
        more = filling.step(self._write)
        self._rebuild = replace(self._rebuild, done=filling.done, total=filling.total)
        return more

    def _last(self, filling: Filling) -> bool:
        """Have the other set catch up while all who write wait, and have both written from then on."""
        with self._desk.writing(self._view.name, self._rebuild) as cursor:
            sets.hold(cursor, self._view.name)
            if not filling.last(cursor):
                return False
            sets.double(cursor, self._view.name, doubled=True)
        self._rebuild = replace(self._rebuild, done=filling.done, total=filling.total)
        return True

    @contextmanager
    def _write(self) -> Iterator[Cursor]:
        with self._desk.writing(self._view.name, self._rebuild) as cursor:
            if self._view.doubled:  # others write the same rows, in an order of their own
                sets.hold(cursor, self._view.name)
            yield cursor

    # ----------------------------------------------------------------------------------- comparing

    def _compare(self) -> Steps[Difference | None]:
        self._enter("comparing", (yield from self._persistently(self._rows)))
        for table in self._view.tables:
            after: Key | None = None
            while True:
                page = yield from self._persistently(lambda table=table, after=after: self._page(table, after))  # type: ignore[misc]
                self._rebuild = replace(self._rebuild, done=self._rebuild.done + page.rows)
                if page.difference is not None:
                    return page.difference
                if (after := page.after) is None:
                    break
        return None

    def _rows(self) -> int:
        with self._desk.reading() as cursor:
            live = sets.to_read(cursor, self._view.name).live
            return sum(comparison.count(cursor, table, live) for table in self._view.tables)

    def _page(self, table: Table, after: Key | None) -> Compared:
        with self._desk.writing(self._view.name, self._rebuild):
            pass
        with self._desk.reading() as cursor:
            return comparison.compare(cursor, table, sets.to_read(cursor, self._view.name), after)

    # -------------------------------------------------------------------------------------- ending

    def _switch(self) -> None:
        ended = self._ended("switched")
        with self._desk.ending(self._view.name, ended, asking=True) as cursor:
            sets.hold(cursor, self._view.name)
            sets.switch(cursor, self._view.name)
        log.info("the view %s is switched to the one that was made again (%s)", self._view.name, ended.id)

    def _end(self, outcome: Outcome, detail: str = "", difference: Difference | None = None) -> Steps[None]:
        ended = self._ended(outcome, detail, difference)

        def end() -> None:
            with self._desk.ending(self._view.name, ended, asking=False) as cursor:
                sets.double(cursor, self._view.name, doubled=False)

        try:
            yield from self._persistently(end, asking=False)
        except Replaced:
            return
        log.info("the view %s stays as it was: %s %s", self._view.name, outcome, detail)

    def _ended(self, outcome: Outcome, detail: str = "", difference: Difference | None = None) -> Rebuild:
        return replace(
            self._rebuild, phase="done", outcome=outcome, detail=detail, difference=difference, ended_at=self._desk.now()
        )

    def _enter(self, phase: Phase, total: int = 0) -> None:
        self._rebuild = replace(self._rebuild, phase=phase, phase_at=self._desk.now(), done=0, total=total)

    def _persistently(self, unit: Callable[[], T], *, asking: bool = True) -> Steps[T]:
        """Do a piece, and rest; again and again while what it needs does not answer. ``asking``: unless it is cancelled."""
        failures = 0
        while True:
            try:
                if failures and asking:
                    with self._desk.writing(self._view.name, self._rebuild):
                        pass
                found = unit()
            except Exception as error:
                if not self._desk.is_transient(error):
                    raise
                if not failures:
                    log.warning("the view %s waits: %s", self._view.name, error)
                yield -RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
                failures += 1
            else:
                yield self._rest
                return found
