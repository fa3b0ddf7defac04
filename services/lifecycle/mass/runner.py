"""The work on batches: previews, and commands written, a step at a time, by one thread of the service.

A step ends with what it found in the database, so that a batch goes on after a restart where it was. A step that is done again
changes nothing: the commands of a batch have its id and its instant, and the same fact again is the same fact. So it does no harm
either when two workers on one database go on with the same batch. A batch that meets a bug is tried again, and holds up no other.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from events.bus.database import TRANSIENT
from events.codec import Fact, encode
from events.facts import FactRef
from events.record import Message
from events.topics import COMMAND, LEAD, STATUS_TABLE
from services.lifecycle import restorations
from services.lifecycle.criteria import Criteria
from services.lifecycle.customers import Selection
from services.lifecycle.domain.record import Record
from services.lifecycle.domain.refold import brought_up
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.status import Verdict
from services.lifecycle.mass.batches import WORKING, Batch, Batches, Entry
from services.lifecycle.mass.change import Change, Kept, Outlook, Standing, data_of, outlook, undo, verdict_in
from services.lifecycle.plain_commands import COMMANDS
from services.lifecycle.publishing import Full
from services.lifecycle.store import Store

log = logging.getLogger("lifecycle")

SOURCE: Final = "handoff/mass-change"
"""``ce_source`` of every command of a batch; ``ce_id`` is the batch's id."""
STEP_RECORDS: Final = 200
"""How many records are looked at in one step."""
PAUSE_SECONDS_MAX: Final = 5.0


class Behind(Exception):  # noqa: N818 - the name says what is the case
    """A record follows a version of the status table that was not read here yet: at a start, or where another worker was faster."""


class Restored(Exception):  # noqa: N818 - the same
    """The database was put back, and has not caught up: records are not what they were, and a batch may be over by now."""


NOT_NOW: Final[tuple[type[Exception], ...]] = (*TRANSIENT, Full, Behind, Restored)
"""What passes. Anything else is a bug, which is tried again as well, and told, until it is mended or the batch is given up."""


class Runner:
    """Works on batches. ``publish`` returns when the log has acknowledged; ``clock``: nanoseconds since 1970.

    ``start`` runs a thread; ``step`` does the next piece of work by hand.
    """

    def __init__(
        self,
        batches: Batches,
        store: Store,
        policy: Callable[[], Policy],
        publish: Callable[[Sequence[Message]], None],
        clock: Callable[[], int],
        *,
        step_records: int = STEP_RECORDS,
    ) -> None:
        self._batches = batches
        self._store = store
        self._policy = policy
        self._publish = publish
        self._clock = clock
        self._limit = step_records
        self._woken = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="mass-change", daemon=True)
        self._away: str | None = None
        self._bugs: dict[str, str] = {}
        self._put_off: set[str] = set()

    def start(self) -> None:
        """Begin, with what was left unfinished."""
        self._thread.start()

    def wake(self) -> None:
        """There is work."""
        self._woken.set()

    def stop(self) -> None:
        """End after the present step."""
        self._stopping = True
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def trouble(self, batch: Batch) -> str | None:
        """Why the work on a batch does not go on, while it does not."""
        return self._bugs.get(batch.id, self._away) if batch.state in WORKING else None

    def _run(self) -> None:
        failures = 0
        while not self._stopping:
            self._woken.clear()
            try:
                while not self._stopping and self.step():
                    failures, self._away = 0, None
            except Exception as error:
                failures += 1
                self._away = str(error) if isinstance(error, NOT_NOW) else _named(error)
                log.warning("mass changes wait: %s", self._away, exc_info=not isinstance(error, NOT_NOW))
                self._woken.wait(pause_seconds(failures))
            else:
                self._woken.wait(PAUSE_SECONDS_MAX if self._put_off else None)
                self.try_again()

    def step(self) -> bool:
        """The next piece of work, of the oldest batch that has not met a bug; whether there was any. Raises what is transient."""
        batch = next((each for each in self._batches.working() if each.id not in self._put_off), None)
        if batch is None:
            return False
        self._check_caught_up()
        try:
            self._apply(batch) if batch.state == "applying" else self._preview(batch)
        except NOT_NOW:
            raise
        except Exception as error:
            self._put_off.add(batch.id)
            self._bugs[batch.id] = _named(error)
            log.exception("the mass change %s meets a bug, and is tried again until it is mended or given up", batch.id)
        else:
            self._bugs.pop(batch.id, None)
        return True

    def _check_caught_up(self) -> None:
        with self._store.database.read() as cursor:
            if restorations.under_way(cursor):
                raise Restored("lifecycle's database was restored, and has not caught up yet")

    def try_again(self) -> None:
        """Let the next steps be those of batches that have met a bug, too."""
        self._put_off.clear()

    # --------------------------------------------------------------------------------------- previews

    def _preview(self, batch: Batch) -> None:
        policy, after = self._policy(), self._batches.last(batch.id)
        if batch.reverts is None:
            lines = self._store.listed(_selection(batch, policy), after=(None, after) if after else None, limit=self._limit)
            assert batch.change is not None
            records = self._to_change((line.customer_id for line in lines), policy)
            entries = [self._foreseen(batch, record, batch.change, policy) for record in records]
        else:
            done = {
                each.customer_id: each
                for each in self._batches.entries(batch.reverts, after=after, limit=self._limit, written=True)
            }
            records = self._to_change(done, policy)
            entries = [self._foreseen(batch, record, _undone(done[record.customer_id], record), policy) for record in records]
        if entries:
            self._batches.foresee(batch.id, entries)
        else:
            self._batches.advance(batch.id, ["previewing"], "previewed", self._clock())

    def _foreseen(self, batch: Batch, record: Record, change: Change | Kept, policy: Policy) -> Entry:
        """What would happen to a record."""
        if isinstance(change, Kept):
            return Entry(customer_id=record.customer_id, change=None, outlook=_unmoved(record, change.rule, change.explanation))
        fact = self._fact(batch, record.customer_id, change)
        return Entry(customer_id=record.customer_id, change=change, outlook=outlook(record, fact, policy))

    def _fact(self, batch: Batch, customer_id: str, change: Change) -> Fact:
        now = self._clock()
        data = data_of(change, customer_id, batch.actor, batch.reason)
        return Fact(customer_id, SOURCE, batch.id, COMMANDS[change.command], batch.applied_at or now, now, data)

    # --------------------------------------------------------------------------------------- applying

    def _apply(self, batch: Batch) -> None:
        entries = {each.customer_id: each for each in self._batches.entries(batch.id, limit=self._limit, unfinished=True)}
        if not entries:
            done = self._batches.advance(batch.id, ["applying"], "applied", self._clock())
            if done is not None and done.state == "applied":
                log.info("mass change %s is applied: %d commands", batch.id, self._batches.tally(batch.id).written)
            return
        policy = self._policy()
        decided = [self._decided(batch, entries[record.customer_id], record, policy) for record in self._to_change(entries, policy)]
        sent = [each for each in decided if not each.acknowledged]
        if sent:
            self._batches.decide(batch.id, sent)  # so that whoever gives the batch up meanwhile can take them back
            facts = [self._fact(batch, each.customer_id, each.change) for each in sent if each.change is not None]
            self._publish([_message(fact) for fact in facts])
        self._batches.decide(batch.id, [replace(each, acknowledged=True) for each in decided])

    def _decided(self, batch: Batch, entry: Entry, record: Record, policy: Policy) -> Entry:
        """A record's entry once it is decided: what was seen beforehand happens, or nothing does.

        What is not ``acknowledged`` is to be written: again, where it is not known whether it was.
        """
        if FactRef(source=SOURCE, id=batch.id) in record.known:  # it was written before an end came
            return replace(entry, written=True, acknowledged=True)
        if entry.written:
            return entry
        if entry.change is None or record.fold.state is None:
            return replace(entry, written=False)
        before, now = entry.outlook.before, Standing.of(record.fold.state)
        if now != before:
            explanation = f"since the preview the record has changed from {before} to {now}"
            return replace(entry, outlook=_unmoved(record, "changed-since", explanation), written=False)
        seen = self._foreseen(batch, record, entry.change, policy)
        writes = seen.outlook.verdict.effective
        return replace(seen, written=writes, acknowledged=not writes)

    # ---------------------------------------------------------------------------------------- records

    def _records(self, customers: Iterable[str], policy: Policy) -> Iterator[Record]:
        """The records of some customers by the tables of a policy, one at a time: together they may be too long for memory."""
        shards: defaultdict[int, list[str]] = defaultdict(list)
        for customer in customers:
            shards[self._store.home(customer)].append(customer)
        for shard, names in shards.items():
            for some in self._store.portions(shard, names):
                for record in self._store.load(shard, some, policy).values():
                    yield brought_up(record, policy).record

    def _to_change(self, customers: Iterable[str], policy: Policy) -> Iterator[Record]:
        """The same, to be foreseen or changed. Raises ``Behind``."""
        for record in self._records(customers, policy):
            if record.tables > policy.tables.through:
                raise Behind(f"{record.customer_id!r} follows a version of {STATUS_TABLE.name} that is not read here yet")
            yield record

    def verdicts(self, batch: Batch, entries: Sequence[Entry]) -> dict[str, Verdict]:
        """What came of the commands of a batch, as it is now; a customer whose record does not have it yet is left out."""
        ref, policy = FactRef(source=SOURCE, id=batch.id), self._policy()
        records = self._records((entry.customer_id for entry in entries if entry.written), policy)
        known = ((record, record.known[ref].fact) for record in records if ref in record.known)
        return {record.customer_id: verdict for record, fact in known if (verdict := verdict_in(record, fact, policy)) is not None}


def pause_seconds(failures: int) -> float:
    """How long to wait after so many failures in a row, however many they are."""
    return min(0.1 * 2.0 ** min(failures, 10), PAUSE_SECONDS_MAX)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _selection(batch: Batch, policy: Policy) -> Selection:
    return Criteria.model_validate_json(batch.criteria).selection(batch.created_at, policy.zone, policy.tables)


def _undone(entry: Entry, record: Record) -> Change | Kept:
    """What takes back what a batch did to a record."""
    state = record.fold.state
    assert entry.change is not None
    assert state is not None
    return undo(entry.change, entry.outlook.before, entry.outlook.after, Standing.of(state), lead=state.lead.name)


def _unmoved(record: Record, rule: str, explanation: str) -> Outlook:
    assert record.fold.state is not None
    standing = Standing.of(record.fold.state)
    return Outlook(standing, standing, Verdict(False, rule, explanation))


def _message(fact: Fact) -> Message:
    topic = LEAD if fact.type in LEAD.types else COMMAND
    return encode(topic.name, fact.type, fact.data, source=fact.source, id=fact.id, occurred_at=fact.occurred_at)
