"""A customer record: decide and evolve over the set of its facts.

``decide(record, fact)`` says what one more fact changes, as events; ``[]`` means that the fact is known already.
``evolve(record, event)`` is the record after an event. Both are pure. ``accept`` does both at once, folding once;
``accept_all`` takes several facts in together, as is due when they are late.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from rpds import HashTrieMap

from events.codec import Fact
from events.facts import FactRef
from events.published import Cause
from services.lifecycle.domain.adding import plus
from services.lifecycle.domain.events import AnyEvent, FactAccepted, TablesApplied
from services.lifecycle.domain.fold import EMPTY, Fold, fold_of
from services.lifecycle.domain.known import FactsByRef, Known, Origin
from services.lifecycle.domain.limits import Excess, excess, too_many
from services.lifecycle.domain.order import key_of
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.told import changes


class Record(Struct, frozen=True, gc=False):
    """A customer's record: the fold of its facts, and how many events are stored of it.

    ``tables``: up to where on their topic the versions of the status table were known that it is folded with.
    """

    customer_id: str
    fold: Fold = EMPTY
    known: FactsByRef = HashTrieMap()
    version: int = 0
    recorded_at: int = 0
    tables: int = 0


class Accepted(Struct, frozen=True):
    """What facts brought about. ``refused``: of two facts of one identity the one that is not the fact (FOLD.md 2).

    ``beyond``: facts that are not taken in, because the record would become too large.
    """

    record: Record
    events: Sequence[AnyEvent] = ()
    refused: Sequence[Known] = ()
    beyond: Sequence[tuple[Known, Excess]] = ()


def accept(record: Record, fact: Fact, origin: Origin, policy: Policy) -> Accepted:
    """The record with one more fact, and the events that say what it changed."""
    return accept_all(record, [(fact, origin)], policy)


def accept_all(record: Record, arrivals: Sequence[tuple[Fact, Origin]], policy: Policy) -> Accepted:
    """The record with more facts, folded once, and the events that say what they changed together.

    The record must be folded with the versions of the status table that are known now (:mod:`services.lifecycle.domain.refold`).
    """
    through = policy.tables.through
    assert not record.known or record.tables == through
    known = record.known
    accepted: list[Known] = []
    new: list[Fact] = []
    refused: list[Known] = []
    for fact, origin in arrivals:
        ref = FactRef(source=fact.source, id=fact.id)
        arrived = Known.of(fact, origin)
        before = known.get(ref)
        if before is None or arrived.digest < before.digest:
            known = known.insert(ref, arrived)
            accepted.append(arrived)
            new.append(fact)
            refused += [before] if before is not None else []
        elif arrived.digest != before.digest:
            refused.append(arrived)
    if not accepted:
        return Accepted(record, (), refused)
    refs = {FactRef(source=each.fact.source, id=each.fact.id) for each in accepted}
    replaced = [record.known[ref].fact for ref in refs if ref in record.known]
    folded = plus(record.fold, [known[ref].fact for ref in refs], policy, without=replaced)
    over = too_many(record.customer_id, len(known)) or excess(record.customer_id, folded)
    if over is not None:
        if len(arrivals) == 1:
            return Accepted(record, beyond=[(accepted[0], over)])
        return _one_by_one(record, arrivals, policy)
    recorded_at = max(record.recorded_at, *(each.fact.recorded_at for each in accepted))
    events: list[AnyEvent] = [
        FactAccepted(recorded_at=recorded_at, fact=fact, origin=each.origin, tables=through)
        for each, fact in zip(accepted, new, strict=True)
    ]
    last = accepted[-1].fact
    cause = Cause(source=last.source, id=last.id, type=last.type)
    events += changes(record.fold, folded, known, cause, recorded_at, facts=new, replaced=replaced)
    after = Record(record.customer_id, folded.fold, known, record.version + len(events), recorded_at, through)
    return Accepted(after, events, refused)


def _one_by_one(record: Record, arrivals: Sequence[tuple[Fact, Origin]], policy: Policy) -> Accepted:
    """The same where not all of them can be taken in."""
    events: list[AnyEvent] = []
    refused: list[Known] = []
    beyond: list[tuple[Known, Excess]] = []
    for arrival in arrivals:
        accepted = accept_all(record, [arrival], policy)
        record = accepted.record
        events += accepted.events
        refused += accepted.refused
        beyond += accepted.beyond
    return Accepted(record, events, refused, beyond)


def late(record: Record, facts: Sequence[Fact]) -> int:
    """How many of some facts (in fold order) come before the record's last one: worth taking in together."""
    last = record.fold.last
    return 0 if last is None else sum(key_of(fact) < last for fact in facts)


def decide(record: Record, fact: Fact, policy: Policy, origin: Origin = ("", 0, 0)) -> Sequence[AnyEvent]:
    """What one more fact changes."""
    return accept(record, fact, origin, policy).events


def evolve(record: Record, event: AnyEvent, policy: Policy) -> Record:
    """The record after one of its events."""
    if isinstance(event, FactAccepted | TablesApplied):
        policy = policy.known(event.tables)
        if record.known and event.tables != record.tables:
            fold = fold_of((each.fact for each in record.known.values()), policy)
            record = Record(record.customer_id, fold, record.known, record.version, record.recorded_at, event.tables)
    after = accept(record, event.fact, event.origin, policy).record if isinstance(event, FactAccepted) else record
    return Record(record.customer_id, after.fold, after.known, record.version + 1, event.recorded_at, after.tables)


def restore(
    customer_id: str, stored: Sequence[FactAccepted | TablesApplied], version: int, recorded_at: int, policy: Policy
) -> Record:
    """The record of which this is stored (in the order in which it was), folded once: with the versions that were known then."""
    tables = max(event.tables for event in stored)
    accepted = (event for event in stored if isinstance(event, FactAccepted))
    known = {FactRef(source=event.fact.source, id=event.fact.id): Known.of(event.fact, event.origin) for event in accepted}
    fold = fold_of((each.fact for each in known.values()), policy.known(tables))
    return Record(customer_id, fold, HashTrieMap.convert(known), version, recorded_at, tables)
