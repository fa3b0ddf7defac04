"""Makes views again, by one thread of the service, and looks after what others have left behind.

Whatever happens before the switch, the live set is untouched. What a process that was killed leaves is found by its next start, or
by another worker, and deleted; who wants the view then begins anew.
"""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from msgspec.structs import replace

from events.bus.cursor import Cursor, Opens
from events.bus.ledger import Ledger
from events.bus.rebuild import View, comparison, jobs, sets
from events.bus.rebuild.jobs import Busy, Job, Rebuild
from events.bus.rebuild.work import RETRY_SECONDS, Steps, Work
from events.values import NANOSECONDS

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 5.0
"""How often to look for what others have left behind."""
REST_SECONDS_MAX: Final = 10.0
"""Whoever rests for longer would soon be taken for dead (``jobs.STALE_SECONDS``), however small the share."""


class Wanted(NamedTuple):
    """What is asked for."""

    view: str
    actor: str
    check: bool = False
    share: int = 50


class Builder(threading.Thread):
    """Makes views. ``start`` runs a thread; in a simulation ``step`` does the next piece by hand.

    ``worker``: what others call this process. ``transient``: what is tried again. ``alone``: no other process uses a database in
    which only one transaction writes at a time. ``now``: nanoseconds since 1970.
    """

    def __init__(
        self,
        ledger: Ledger,
        read: Opens,
        views: Sequence[View],
        *,
        worker: str,
        transient: tuple[type[Exception], ...],
        alone: bool = True,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        super().__init__(name="rebuild", daemon=True)
        self.views: Final[Mapping[str, View]] = {view.name: view for view in views}
        self.worker: Final = worker
        self._ledger = ledger
        self._read = read
        self._transient = transient
        self._alone = alone
        self._now = now
        self._owner: Final = uuid.uuid4().hex
        self._woken = threading.Event()
        self._ending = threading.Event()
        self._steps: Steps[None] | None = None

    @property
    def service(self) -> str:
        """The service whose views these are."""
        return self._ledger.letters.service

    # ------------------------------------------------------------------------------- what it is asked

    def begin(self, wanted: Wanted) -> Job:
        """Make a view; answers before that is done. Raises ``KeyError`` for no view, ``Busy`` where somebody makes it already."""
        view = self.views[wanted.view].name
        now = self._now()
        rebuild = Rebuild(
            id=uuid.uuid4().hex[:12],
            check=wanted.check,
            actor=wanted.actor,
            worker=self.worker,
            begun_at=now,
            share=wanted.share,
            phase_at=now,
        )
        try:
            job = self._take(view, rebuild)
        except Busy as busy:
            if not self._is_dead(busy.job):
                raise
            self._bury(busy.job)
            job = self._take(view, rebuild)
        self._woken.set()
        return job

    def _take(self, view: str, rebuild: Rebuild) -> Job:
        with self._ledger.beside() as cursor:
            jobs.begin(cursor, view, self._owner, rebuild, rebuild.begun_at)
            return jobs.of_view(cursor, view)

    def _is_dead(self, job: Job) -> bool:
        return jobs.dead(job, self._now(), alone=self._alone and not self._ledger.dialect.lock, owners=[self._owner])

    def job(self, view: str) -> tuple[Job, sets.Standing]:
        """How far a view is, whoever makes it, and how it stands. Raises ``KeyError`` for no view."""
        name = self.views[view].name
        with self._read() as cursor:
            return jobs.of_view(cursor, name), sets.to_read(cursor, name)

    def cancel(self, view: str) -> bool:
        """Let the work on a view end, whoever does it; whether there is any. Raises ``KeyError`` for no view."""
        name = self.views[view].name
        with self._ledger.beside() as cursor:
            return jobs.cancel(cursor, name)

    # ------------------------------------------------------------------------------------ the thread

    def run(self) -> None:
        told = ""
        while not self._ending.is_set():
            try:
                pause = self.step()
                told = ""
            except self._transient as error:
                if told != (told := str(error)):
                    log.warning("views are not looked after: %s; tried again until it works", error)
                pause = RETRY_SECONDS[-1]
            if pause is None:
                self._woken.wait(LOOK_SECONDS)
            elif pause > 0:
                self._ending.wait(pause)
        if self._steps is not None:
            self._steps.close()

    def stop(self) -> None:
        """End after the present step. What it was making is left to the next start, which deletes it."""
        self._ending.set()
        self._woken.set()
        if self.is_alive():
            self.join(timeout=10)

    def step(self) -> float | None:
        """Do the next piece of work: the seconds to rest after it, or None where there was nothing to do."""
        if self._steps is None:
            self._woken.clear()
            self._steps = self._next()
        begun = self._now()
        try:
            pause = next(self._steps, None)
        except BaseException:
            self._steps = None
            raise
        if pause is None:
            self._steps = None
            return None
        if pause < 0:
            return -pause
        took = max(0, self._now() - begun) / NANOSECONDS  # clocks are set back, too
        return min(pause * took, REST_SECONDS_MAX)

    def _next(self) -> Steps[None]:
        """What there is to do."""
        for name, view in self.views.items():
            with self._read() as cursor:
                job = jobs.of_view(cursor, name)
            if job.rebuild is not None and job.owner == self._owner and job.rebuild.outcome is None:
                yield from Work(self, view, job.rebuild).steps()
            elif self._is_dead(job):
                self._bury(job)
            yield from self._clean(view)

    def _bury(self, job: Job) -> None:
        """Whoever made a view has died."""
        assert job.rebuild is not None
        ended = replace(job.rebuild, phase="done", outcome="abandoned", ended_at=self._now(), detail="its process ended")
        with self._ledger.beside() as cursor:
            jobs.end(cursor, job.view, job.owner, ended, self._now())
            sets.double(cursor, job.view, doubled=False)
        log.warning("the view %s was not made: %s ended; what it left is deleted", job.view, job.rebuild.worker)

    def _clean(self, view: View) -> Steps[None]:
        """Delete what is in the other set while nobody works."""
        with self._read() as cursor:
            other = sets.to_read(cursor, view.name).other
            left = [table for table in view.tables if comparison.has_rows(cursor, table, other)]
        for table in left:
            deleted = 1
            while deleted:
                with self._ledger.beside() as cursor:
                    if not jobs.idle(cursor, view.name):
                        return
                    deleted = comparison.delete(cursor, table, sets.to_read(cursor, view.name).other)
                if deleted:
                    yield 1.0

    # -------------------------------------------------------------------------------------- for work

    @contextmanager
    def writing(self, view: str, rebuild: Rebuild) -> Iterator[Cursor]:
        """A transaction of the work on a view, if it is still this worker's."""
        with self._ledger.beside() as cursor:
            jobs.proceed(cursor, view, self._owner, rebuild, self._now())
            yield cursor

    @contextmanager
    def ending(self, view: str, rebuild: Rebuild, *, asking: bool) -> Iterator[Cursor]:
        """The last transaction of the work on a view. ``asking``: unless it is cancelled."""
        with self._ledger.beside() as cursor:
            if asking:
                jobs.proceed(cursor, view, self._owner, rebuild, self._now())
            jobs.end(cursor, view, self._owner, rebuild, self._now())
            yield cursor

    @property
    def reading(self) -> Opens:
        """Opens a snapshot."""
        return self._read

    def is_transient(self, error: Exception) -> bool:
        """Whether it may work the next time."""
        return isinstance(error, self._transient)

    def now(self) -> int:
        """Nanoseconds since 1970."""
        return self._now()
