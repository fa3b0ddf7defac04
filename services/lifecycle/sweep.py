"""Folding records again for versions of the status table that came late: beside the facts, in steps, each one transaction.

A record is folded with a new version when it is next touched (:mod:`services.lifecycle.domain.refold`). So that those that nothing
touches follow too, a sweep goes through each shard once for every version. A row per shard says up to where all of its records
have followed; which of the others have is in their own events. So a crash loses at most the way through the present shard, and
nothing is said twice.

A record that cannot follow, because the code has a bug or what is stored is broken, is left as it is: the others go on. That is
told, and the row of its shard stays where it is, so that the next start tries again.
"""

import logging
from collections.abc import Callable, Collection, Container, Sequence
from typing import Final

from msgspec import Struct

from events.bus import PositionLost
from events.record import Record as KafkaRecord
from events.topics import STATUS_TABLE
from services.lifecycle.cache import Cache
from services.lifecycle.customers import Line
from services.lifecycle.domain.record import Record
from services.lifecycle.domain.refold import brought_up
from services.lifecycle.domain.summary import summary_of
from services.lifecycle.isolating import isolated
from services.lifecycle.store import Store
from services.lifecycle.tables import StatusTables
from services.lifecycle.work import Work

log = logging.getLogger("lifecycle")

RECORDS_A_STEP: Final = 100
"""How many records one step looks at: 5 ms, or 50 where all of them change, in which no fact is taken in. Fewer long ones."""
TOLD_MAX: Final = 10
"""So many records that cannot follow are logged, of one sweep through a shard."""
Write = Callable[[Sequence[KafkaRecord], Work], None]


class Swept(Struct, frozen=True):
    """How far the sweep is that is under way, or how far the last one came.

    ``shards``: how many are not yet through. ``records``: how many were looked at since it began, ``refolded``: how many of them
    changed by it, ``failed``: how many cannot follow.
    """

    shards: int = 0
    records: int = 0
    refolded: int = 0
    failed: int = 0


class _Way(Struct):
    """A sweep through one shard, for what was known when it began. ``after``: the last customer that it has seen.

    ``since``: records without a fact of that instant or later are not concerned; None where no record is. ``failed``: how many
    records could not follow.
    """

    through: int
    since: int | None
    after: str = ""
    failed: int = 0


class Sweep:
    """The sweeps of one worker. Belongs to the loop's thread; ``progress`` may be asked from others.

    ``apart``: customers that follow when they are said anew (:mod:`services.lifecycle.catching_up`).
    """

    def __init__(
        self,
        store: Store,
        tables: StatusTables,
        *,
        apart: Container[str] = (),
        records_a_step: int = RECORDS_A_STEP,
    ) -> None:
        self._store = store
        self._tables = tables
        self._apart = apart
        self.records_a_step = records_a_step
        self._identity = ""
        self._followed: dict[int, int] = {}
        self._tried: dict[int, int] = {}
        """Up to where a sweep has come that had to leave records behind."""
        self._ways: dict[int, _Way] = {}
        self.progress = Swept()
        """Replaced as a whole."""

    def claim(self, shards: Collection[int]) -> None:
        """These shards are this worker's now. Raises ``PositionLost`` where versions are gone that records were folded with."""
        identity = self._identity = self._tables.identity()
        through = self._tables.policy.tables.through
        for shard in shards:
            known, followed = self._store.followed(shard) or (identity, 0)
            if known != identity or followed > through:
                raise PositionLost(
                    f"the records of shard {shard} were folded with the versions of the status table up to {followed} of"
                    f" {STATUS_TABLE.name} as {known}; it has them up to {through} as {identity} now: restore the topic, for the"
                    " versions are nowhere else"
                )
            self._followed[shard] = followed
            self._tried.pop(shard, None)
            self._ways.pop(shard, None)

    def release(self, shards: Collection[int]) -> None:
        """Another worker may own these shards from now on."""
        for shard in shards:
            for known in (self._followed, self._tried, self._ways):
                known.pop(shard, None)

    def pending(self) -> int:
        """How many shards have records that may not have followed yet."""
        return len(self._behind())

    def _behind(self) -> list[int]:
        through = self._tables.policy.tables.through
        return [shard for shard, followed in self._followed.items() if max(followed, self._tried.get(shard, 0)) < through]

    def step(self, cache: Cache, write: Write) -> bool:
        """Do the next piece of work, as one transaction; whether there was any. After a failure nothing has happened."""
        tables = self._tables.policy.tables
        shard = min(self._behind(), default=None)
        if shard is None:
            return False
        if not self.progress.shards:
            self.progress = Swept()
        way = self._ways.setdefault(shard, _Way(tables.through, tables.changed_since(self._followed[shard])))
        customers = () if way.since is None else self._store.customers_after(shard, way.after, self.records_a_step)
        customers = next(self._store.portions(shard, customers), ())
        refolded, failed = self._follow(shard, way, customers, cache, write)
        if customers:
            way.after, way.failed = customers[-1], way.failed + failed
        else:
            self._arrive(shard, way, write)
        before = self.progress
        self.progress = Swept(self.pending(), before.records + len(customers), before.refolded + refolded, before.failed + failed)
        return True

    def _arrive(self, shard: int, way: _Way, write: Write) -> None:
        """A sweep is through its shard."""
        del self._ways[shard]
        if way.failed:
            self._tried[shard] = way.through
            return
        work = Work.none()
        work.followed[shard] = (self._identity, way.through)
        write((), work)
        self._followed[shard] = way.through

    def _follow(self, shard: int, way: _Way, customers: Sequence[str], cache: Cache, write: Write) -> tuple[int, int]:
        """Bring some records up to what is known: how many of them that changed, and how many cannot follow."""
        left: list[str] = []

        def leave(customer: str, error: Exception) -> None:
            left.append(customer)
            if way.failed + len(left) <= TOLD_MAX:
                log.exception("the record of %r cannot follow the status table, and stays as it is", customer, exc_info=error)

        refolded = isolated(customers, lambda some: self._bring_up(shard, some, way.since, cache, write), leave)
        return sum(refolded), len(left)

    def _bring_up(self, shard: int, customers: Sequence[str], since: int | None, cache: Cache, write: Write) -> int:
        policy = self._tables.policy
        customers = [name for name in customers if name not in self._apart]
        records = self._store.load(shard, [name for name in customers if name not in cache], policy, dated_since=since)
        records |= {name: cache[name][1] for name in customers if name in cache}
        work, changed = Work.none(), dict[str, Record]()
        for name, before in records.items():
            accepted = brought_up(before, policy)
            if accepted.events:
                work.changed(shard, before, accepted)
                changed[name] = accepted.record
                work.lines.append(Line(name, shard, accepted.record.version, summary_of(accepted.record.fold)))
        if changed:
            work.followed[shard] = None
            write((), work)
        cache.update({name: (shard, record) for name, record in changed.items() if name in cache})
        return len(changed)
