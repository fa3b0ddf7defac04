"""Match, the first hop: a message of lifecycle in, at most one request to the desk out.

It remembers nothing: the message carries all that the rules may ask for. The position moves only when the log has acknowledged
the requests, so that after a crash some are sent again, with the same ids, which the desk has seen.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from events.bus import Bus, BusError, Producer
from events.bus.ledger import Ledger, Outgoing
from events.bus.letters import DeadLetter
from events.bus.letters.tables import is_for_another
from events.bus.versions import Known
from events.codec import Undecodable, decode, encode
from events.facts import Data
from events.published import HandoffProgressed, RecordChanged, StatusChanged
from events.record import Message, Record, TopicPartition
from events.requests import OwnerChanged, ProgressReported, RecordMatched, Request
from events.topics import LIFECYCLE, REQUEST
from events.values import parse_instant
from services.routing.domain.match import comes_again, match, to_be_routed
from services.routing.domain.rule_set import RuleSet
from services.routing.metrics import Counters
from services.routing.publication import Reference

SOURCE: Final = "handoff/match"
"""``ce_source`` of requests."""
ACKNOWLEDGED_SECONDS_MAX: Final = 10.0

READ: Final = {name: data for name, data in LIFECYCLE.types.items() if data in {StatusChanged, RecordChanged, HandoffProgressed}}
_PASSED_OVER: Final = frozenset(name.encode() for name in LIFECYCLE.types if name not in READ)
_TYPES: Final = {data: name for name, data in REQUEST.types.items()}


class Match:
    """The worker of :class:`events.bus.loop.Loop` for ``crm.lifecycle.v1``.

    It relays the dead letters of routing, the desk's too.
    """

    def __init__(self, bus: Bus, ledger: Ledger, reference: Reference, counters: Counters) -> None:
        self._bus = bus
        self._ledger = ledger
        self._reference = reference
        self._counters = counters
        self._producer: Producer | None = None
        self._owned: set[int] = set()
        self._asked: dict[TopicPartition, int] = {}
        """Up to where the log has the requests, though the database may not have the position: not to ask again at every try."""

    # -------------------------------------------------------------------------------------- ownership

    def claim(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        claimed = self._ledger.claim(places)
        self._owned |= {place.partition for place in places}
        self._forget(places)
        return claimed

    def release(self, places: Collection[TopicPartition]) -> None:
        self._ledger.release(places)
        self._owned -= {place.partition for place in places}
        self._forget(places)

    def _forget(self, places: Collection[TopicPartition]) -> None:
        for place in places:
            self._asked.pop(place, None)

    # ------------------------------------------------------------------------------------------ batch

    def process(self, records: Sequence[Record]) -> None:
        """Match a batch, send the requests, wait for the log, and move the positions."""
        fresh = self._ledger.fresh(records)
        if not fresh:
            return
        rules, directory = self._reference.rules_in_force(), self._reference.directory_in_force().version
        requests: list[Message] = []
        letters: list[DeadLetter] = []
        for record in fresh:
            if is_passed_over(record):
                continue
            fact = decode(record, READ)
            if isinstance(fact, Undecodable):
                letters.append(DeadLetter(record=record, error="Undecodable", reason=fact.reason, path=fact.path))
                continue
            request = request_of(fact.data, rules, directory)
            if request is not None and record.offset >= self._asked.get(record.place, 0):
                requests.append(_message(request))
        self._send(requests)
        self._asked.update((record.place, record.offset + 1) for record in fresh)
        with self._ledger.transaction(fresh) as cursor:
            self._ledger.bury(cursor, letters)
        self._counters.took(fresh, letters)

    def reject(self, record: Record, error: BaseException, attempts: int) -> None:
        reason = f"{type(error).__name__}: {error}"[:2000]
        letters = [DeadLetter(record=record, error="Bug", reason=reason, attempts=attempts)]
        with self._ledger.transaction([record]) as cursor:
            self._ledger.bury(cursor, letters)
        self._counters.took([record], letters)

    def _send(self, messages: Sequence[Message]) -> None:
        if not messages:
            return
        try:
            if self._producer is None:
                self._producer = self._bus.producer()
            self._producer.send(messages).wait(ACKNOWLEDGED_SECONDS_MAX)
        except BusError:
            self.close()
            raise

    def close(self) -> None:
        """Give up the producer."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()

    # ------------------------------------------------------------------------------------------ relay

    def streams(self) -> Mapping[str, int]:
        return self._ledger.relay_positions(self._ledger.letters.streams(sorted(self._owned)))

    def outgoing(self, stream: str, after: int, limit: int) -> Sequence[Outgoing]:
        return self._ledger.letter_stream(stream, after, limit)

    def acknowledged(self, stream: str, number: int) -> None:
        self._ledger.acknowledged(stream, number)

    def settle(self) -> None:
        self._ledger.settle()

    def pending(self) -> int:
        return self._ledger.letters.pending(self.streams())


def is_passed_over(record: Record) -> bool:
    """Whether a record does not concern routing: by its type alone, or as a replay that forecast has asked for."""
    return dict(record.headers).get("ce_type") in _PASSED_OVER or is_for_another(record.headers, "routing")


def request_of(message: Data, rules: Known[RuleSet], directory: int) -> Request | None:
    """What the desk is asked for a message of lifecycle, to be decided by these rules and this version of the directory.

    None where the message does not concern it.
    """
    match message:
        case StatusChanged() | RecordChanged() if to_be_routed(message, rules.content):
            return _matched(message, rules, directory)
        case RecordChanged(owner=str() as owner) if "owner" in message.changed:
            return OwnerChanged(
                customer_id=message.customer_id,
                version=message.version,
                recorded_at=message.recorded_at,
                cause=message.cause,
                owner=owner,
                assignment_id=message.assignment_id,
            )
        case HandoffProgressed(withdrawn=False):
            return ProgressReported(
                customer_id=message.customer_id,
                version=message.version,
                recorded_at=message.recorded_at,
                cause=message.cause,
                assignment_id=message.assignment_id,
                rep_id=message.rep_id,
                progress=message.progress,
                reason=message.reason,
                at=message.at,
            )
    return None


def _matched(message: StatusChanged | RecordChanged, rules: Known[RuleSet], directory: int) -> RecordMatched:
    status = message.current if isinstance(message, StatusChanged) else message.status
    matched = match(rules.content, status, message.profile)
    return RecordMatched(
        customer_id=message.customer_id,
        version=message.version,
        recorded_at=message.recorded_at,
        cause=message.cause,
        rule_set_version=rules.version,
        directory_version=directory,
        territory=matched.territory.name if matched.territory else None,
        trace=matched.tried,
        again=comes_again(message, rules.content),
        status=status,
        owner=message.owner,
        assignment_id=message.assignment_id,
        contact=message.contact,
    )


def _message(request: Request) -> Message:
    recorded_at = parse_instant(request.recorded_at)
    return encode(
        REQUEST.name,
        _TYPES[type(request)],
        request,
        source=SOURCE,
        id=request.request_id,
        occurred_at=recorded_at,
        recorded_at=recorded_at,
    )
