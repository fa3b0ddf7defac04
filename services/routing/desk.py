"""The desk, the second hop and the single writer: requests in, decisions into its log, one transaction per batch.

What it knows comes from its own log: what concerns all customers when it is given the partition, the customers of a batch with the
batch, and those of the last ones are kept. A batch is tried out on a draft of that, and counts only once it is committed.
"""

from collections import Counter as Tally
from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from events.bus.ledger import Outgoing
from events.bus.letters import DeadLetter
from events.codec import Fact, Undecodable, decode
from events.record import Record, TopicPartition
from events.requests import RecordMatched, Request
from events.topics import DIRECTORY, REQUEST, RULES
from services.routing.domain.decide import decide, is_known
from services.routing.domain.story import DirectoryApplied, Event, RulesApplied, State
from services.routing.metrics import Counters
from services.routing.publication import Reference
from services.routing.recent import Recent
from services.routing.store import NAMES, Store

STREAM: Final = "desk"
CUSTOMERS_MAX: Final = 20_000
"""So many customers are kept in memory between two batches: those asked about last."""
SNAPSHOT_EVENTS: Final = 1_000
"""The cursors of pools are written down after so many decisions: so many are read at most by whoever takes over."""
_LETTERS: Final = "dead-letter[0]"

_NAMES: Final = {event: name for name, event in NAMES.items()}


class Desk:
    """The worker of :class:`events.bus.loop.Loop` for ``routing.request.v1``."""

    def __init__(
        self,
        store: Store,
        reference: Reference,
        counters: Counters,
        *,
        customers_max: int = CUSTOMERS_MAX,
        snapshot_events: int = SNAPSHOT_EVENTS,
    ) -> None:
        self._recent = Recent(customers_max)
        self._snapshot_events = snapshot_events
        self._store = store
        self._ledger = store.ledger
        self._reference = reference
        self._counters = counters
        self._state: State | None = None
        self._last = 0
        self._snapshot = 0

    # -------------------------------------------------------------------------------------- ownership

    def claim(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        claimed = self._ledger.claim(places)
        if claimed:
            self._recent.clear()
            self._state, self._snapshot = self._store.state(self._recent)
            self._last = self._store.last_number()
        return claimed

    def release(self, places: Collection[TopicPartition]) -> None:
        self._ledger.release(places)
        self._state = None

    # ------------------------------------------------------------------------------------------ batch

    def process(self, records: Sequence[Record]) -> None:
        """Decide a batch of requests: one transaction."""
        fresh = self._ledger.fresh(records)
        if not fresh or self._state is None:
            return
        facts = [decode(record, REQUEST.types) for record in fresh]
        self._recent.recall(dict.fromkeys(fact.customer_id for fact in facts if isinstance(fact, Fact)), self._store.customers)
        batch = _Batch(self._state, self._reference)
        for record, fact in zip(fresh, facts, strict=True):
            batch.take_in(record, fact)
        snapshot = self._snapshot
        with self._ledger.transaction(fresh) as cursor:
            last = self._store.append(cursor, self._state, batch.events) or self._last
            if last - snapshot >= self._snapshot_events:
                self._store.snapshot(cursor, batch.draft, snapshot := last)
            self._ledger.bury(cursor, batch.letters)
        self._state.adopt(batch.draft)
        self._last, self._snapshot = last, snapshot
        self._recent.trim()
        for name, count in Tally(_NAMES[type(event)] for event in batch.events).items():
            self._counters.decisions.labels(name).inc(count)
        self._counters.took(fresh, batch.letters)

    def reject(self, record: Record, error: BaseException, attempts: int) -> None:
        reason = f"{type(error).__name__}: {error}"[:2000]
        letters = [DeadLetter(record=record, error="Bug", reason=reason, attempts=attempts)]
        with self._ledger.transaction([record]) as cursor:
            self._ledger.bury(cursor, letters)
        self._counters.took([record], letters)

    # ------------------------------------------------------------------------------------------ relay

    def streams(self) -> Mapping[str, int]:
        """The decisions. Dead letters travel with those of match, which are of the same tables."""
        return self._ledger.relay_positions([STREAM]) if self._state is not None else {}

    def outgoing(self, stream: str, after: int, limit: int) -> Sequence[Outgoing]:
        return self._store.outgoing(after, limit) if after < self._last else []

    def acknowledged(self, stream: str, number: int) -> None:
        self._ledger.acknowledged(stream, number)

    def settle(self) -> None:
        self._ledger.settle()

    def pending(self) -> int:
        if self._state is None:
            return 0
        acknowledged = self._ledger.relay_positions([STREAM, _LETTERS])
        return self._last - acknowledged[STREAM] + self._ledger.letters.pending(acknowledged)


class _Missing(NamedTuple):
    """A version that a request names, and that its topic does not have."""

    field: str
    version: int | None
    topic: str

    def letter(self, record: Record) -> DeadLetter:
        """The request's dead letter."""
        reason = f"version {self.version} is not on {self.topic}"
        return DeadLetter(record=record, error="Undecodable", reason=reason, path=f"$.{self.field}")


class _Batch:
    """A batch while it is being decided."""

    def __init__(self, state: State, reference: Reference) -> None:
        self._reference = reference
        self.draft: Final = state.draft()
        self.events: Final[list[Event]] = []
        self.letters: Final[list[DeadLetter]] = []

    def take_in(self, record: Record, fact: Fact | Undecodable) -> None:
        """Decide one request: a record, and what it says."""
        if isinstance(fact, Undecodable):
            self.letters.append(DeadLetter(record=record, error="Undecodable", reason=fact.reason, path=fact.path))
            return
        assert isinstance(fact.data, Request)
        if is_known(self.draft, fact.data):
            return
        if isinstance(fact.data, RecordMatched) and (missing := self._missing(fact.data)) is not None:
            self.letters.append(missing.letter(record))
            return
        event = decide(self.draft, fact.data)
        if event is not None:
            self._add(event)

    def _missing(self, request: RecordMatched) -> "_Missing | None":
        """Apply the directory and the rules that the request goes by, whatever is newer; what of them there is not.

        So whoever decides the requests again, on an older log, comes to the same. A request of before it named a directory goes by
        the newest.
        """
        wanted = request.directory_version
        if wanted is None or wanted != self.draft.directory_version:
            directory = self._reference.directory_in_force() if wanted is None else self._reference.directory_of(wanted)
            if directory is None:
                return _Missing("directory_version", wanted, DIRECTORY.name)
            if directory.version != self.draft.directory_version:
                self._add(DirectoryApplied(version=directory.version, content=directory.content))
        if request.rule_set_version != self.draft.rules_version:
            rules = self._reference.rules_of(request.rule_set_version)
            if rules is None:
                return _Missing("rule_set_version", request.rule_set_version, RULES.name)
            self._add(RulesApplied(version=rules.version, content=rules.content))
        return None

    def _add(self, event: Event) -> None:
        self.draft.apply(event)
        self.events.append(event)
