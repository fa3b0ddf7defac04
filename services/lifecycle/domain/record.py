"""A customer record: decide and evolve over the set of its facts.

``decide(record, fact)`` says what one more fact changes, as events; ``[]`` means that the fact is known already.
``evolve(record, event)`` is the record after an event. Both are pure. ``accept`` does both at once, folding once;
``accept_all`` takes several facts in together, as is due when they are late.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct
from rpds import HashTrieMap

from events.assignments import LeadAssigned
from events.codec import Fact, content
from events.facts import FactRef
from events.published import Cause
from services.lifecycle.domain.events import (
    AnyEvent,
    CommandJudged,
    DealRevised,
    DealsRevised,
    FactAccepted,
    HandoffProgressed,
    ImageHeld,
    RecordRevised,
    StatusRevised,
    TablesApplied,
)
from services.lifecycle.domain.fold import EMPTY, Fold, Folded, fold_of, held_since, plus, revised_since
from services.lifecycle.domain.handoffs import PROGRESS, Handoff, Handoffs, Progress
from services.lifecycle.domain.limits import Excess, excess, too_many
from services.lifecycle.domain.order import key_of
from services.lifecycle.domain.parts import deals_in_parts, statuses_in_parts
from services.lifecycle.domain.state import Policy, State
from services.lifecycle.domain.status import Verdict

Origin = tuple[str, int, int]
"""The record that a fact came in: topic, partition, offset."""


class Known(Struct, frozen=True):
    """A fact of the set: the digest that tells it from another of the same identity, and the record it came in."""

    digest: bytes
    fact: Fact
    origin: Origin


FactsByRef: TypeAlias = "HashTrieMap[FactRef, Known]"
"""The facts of a set by their identity."""


class Record(Struct, frozen=True):
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
    refused: list[Known] = []
    for fact, origin in arrivals:
        ref = FactRef(source=fact.source, id=fact.id)
        arrived = Known(hashlib.sha256(content(fact)).digest(), fact, origin)
        before = known.get(ref)
        if before is None or arrived.digest < before.digest:
            known = known.insert(ref, arrived)
            accepted.append(arrived)
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
        FactAccepted(recorded_at=recorded_at, fact=each.fact, origin=each.origin, tables=through) for each in accepted
    ]
    last = accepted[-1].fact
    cause = Cause(source=last.source, id=last.id, type=last.type)
    events += changes(record, folded, known, [each.fact for each in accepted], cause, recorded_at)
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
    known = {
        FactRef(source=event.fact.source, id=event.fact.id): Known(
            hashlib.sha256(content(event.fact)).digest(), event.fact, event.origin
        )
        for event in accepted
    }
    fold = fold_of((each.fact for each in known.values()), policy.known(tables))
    return Record(customer_id, fold, HashTrieMap.convert(known), version, recorded_at, tables)


# ------------------------------------------------------------------------------- what a fact changed


def changes(
    record: Record, folded: Folded, known: FactsByRef, facts: Sequence[Fact], cause: Cause, recorded_at: int
) -> Iterator[AnyEvent]:
    """What is told of a change. ``facts``: those that are new."""
    before, after = record.fold, folded.fold
    assert after.state is not None
    newest = None if folded.again or len(facts) > 1 else facts[-1]
    yield from _status(before, after, after.state, cause, recorded_at)
    if before.state is not None:  # a new record is told whole by its first status
        revised = _record(before.state, after, after.state, facts, cause, recorded_at)
        if revised is not None:
            yield revised
    yield from _deals(before, after, folded.deals, cause, recorded_at)
    yield from _handoffs(before.state, after.state, newest, cause, recorded_at)
    yield from _verdicts(before.state, after.state, newest, known, cause, recorded_at)


def _status(before: Fold, after: Fold, state: State, cause: Cause, recorded_at: int) -> Iterator[StatusRevised]:
    since = revised_since(before.statuses, after.statuses, lambda old, new: old == new)
    if since is None:
        return
    parts = statuses_in_parts(held_since(after.statuses, since))
    for number, states in enumerate(parts, start=1):
        yield StatusRevised(
            recorded_at=recorded_at,
            cause=cause,
            since=since if number == 1 else states[0].at,
            states=states,
            previous=before.statuses[-1].what if before.statuses else None,
            current=after.statuses[-1].what,
            owner=state.owner.rep_id,
            assignment_id=state.owner.assignment_id,
            profile=state.profile,
            contact=state.contact,
            part=number,
            parts=len(parts),
        )


def _record(before: State, fold: Fold, after: State, facts: Sequence[Fact], cause: Cause, recorded_at: int) -> RecordRevised | None:
    changed: list[Literal["owner", "profile"]] = []
    owner = (after.owner.rep_id, after.owner.assignment_id)
    if owner != (before.owner.rep_id, before.owner.assignment_id) or _overtaken(facts, after):
        changed.append("owner")
    if before.profile != after.profile:
        changed.append("profile")
    if not changed:
        return None
    return RecordRevised(
        recorded_at=recorded_at,
        cause=cause,
        owner=after.owner.rep_id,
        assignment_id=after.owner.assignment_id,
        profile=after.profile,
        contact=after.contact,
        status=fold.statuses[-1].what,
        changed=tuple(changed),
    )


def _overtaken(facts: Sequence[Fact], state: State) -> bool:
    """Whether an assignment has come too late to give the owner: who made it believes that it did, and is told who has it."""
    assignments = [fact.data.assignment_id for fact in facts if isinstance(fact.data, LeadAssigned)]
    return any(assignment != state.owner.assignment_id for assignment in assignments)


def _deals(before: Fold, after: Fold, touched: Collection[str], cause: Cause, recorded_at: int) -> Iterator[DealsRevised]:
    revised = []
    for deal in touched:
        earlier, history = before.images.get(deal, ()), after.images.get(deal, ())
        if earlier is history:
            continue
        since = revised_since(earlier, history, lambda old, new: (old.at, old.what) == (new.at, new.what))
        if since is not None:
            states = tuple(ImageHeld(held.at, held.what) for held in held_since(history, since))
            revised.append(DealRevised(deal, since if history else None, states))
    if revised:
        parts = deals_in_parts(sorted(revised, key=lambda deal: deal.deal_id))
        for number, deals in enumerate(parts, start=1):
            yield DealsRevised(recorded_at=recorded_at, cause=cause, deals=deals, part=number, parts=len(parts))


def _handoffs(
    before: State | None, after: State, newest: Fact | None, cause: Cause, recorded_at: int
) -> Iterator[HandoffProgressed]:
    """What is told of hand-offs. ``newest``: the fact, where it is one step, which concerns what it names and what was present."""
    earlier: Handoffs = before.handoffs if before is not None else HashTrieMap()
    if earlier is after.handoffs:
        return
    named = {*earlier, *after.handoffs}
    if newest is not None and before is not None:
        named = {name for name in (before.owner.assignment_id, getattr(newest.data, "assignment_id", None)) if name is not None}
    for assignment in sorted(named):
        was, now = earlier.get(assignment), after.handoffs.get(assignment)
        if was is now:
            continue
        for progress in PROGRESS:
            old, new = _told(was, progress), _told(now, progress)
            told = new or old
            if old == new or told is None:
                continue
            rep_id, at, reason = told
            yield HandoffProgressed(
                recorded_at=recorded_at,
                cause=cause,
                assignment_id=assignment,
                rep_id=rep_id,
                progress=progress,
                reason=reason,
                at=at,
                withdrawn=new is None,
            )


def _told(handoff: Handoff | None, progress: Progress) -> tuple[str, int, str | None] | None:
    """What is told of a hand-off's progress: who, when, and the reason of a rejection."""
    at = getattr(handoff, progress, None)
    if handoff is None or at is None:
        return None
    return handoff.rep_id, at, handoff.reason if progress == "rejected" else None


def _verdicts(
    before: State | None, after: State, newest: Fact | None, known: FactsByRef, cause: Cause, recorded_at: int
) -> Iterator[CommandJudged]:
    """What is told of commands. ``newest``: the fact, where it is one step, which concerns no other command."""
    earlier: HashTrieMap[FactRef, Verdict] = before.verdicts if before is not None else HashTrieMap()
    if earlier is after.verdicts:
        return
    judged = after.verdicts.keys() if newest is None else after.verdicts.keys() & {FactRef(source=newest.source, id=newest.id)}
    for ref in sorted(judged, key=lambda ref: (ref.source, ref.id)):
        was, verdict = earlier.get(ref), after.verdicts[ref]
        if verdict.effective if was is None else was.effective == verdict.effective:
            continue
        yield CommandJudged(
            recorded_at=recorded_at,
            cause=cause,
            command=Cause(source=ref.source, id=ref.id, type=known[ref].fact.type),
            effective=verdict.effective,
            rule=verdict.rule,
            explanation=verdict.explanation,
        )
