"""What is told of a change: the events that make of what consumers know what holds now.

Whoever has heard all of them knows the record as it is, whatever was told before and whatever came late.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Literal

from rpds import HashTrieMap

from events.assignments import LeadAssigned
from events.codec import Fact
from events.facts import FactRef
from events.published import Cause
from services.lifecycle.domain.adding import Folded
from services.lifecycle.domain.events import (
    AnyEvent,
    CommandJudged,
    DealRevised,
    DealsRevised,
    HandoffProgressed,
    ImageHeld,
    RecordRevised,
    StatusRevised,
)
from services.lifecycle.domain.fold import Fold
from services.lifecycle.domain.handoffs import PROGRESS, Handoff, Handoffs, Progress
from services.lifecycle.domain.history import History, StatusShown, held_since, revised_since
from services.lifecycle.domain.known import FactsByRef
from services.lifecycle.domain.order import key_of
from services.lifecycle.domain.parts import deals_in_parts, statuses_in_parts
from services.lifecycle.domain.state import State
from services.lifecycle.domain.status import EFFECTIVE, Verdict

Changed = Literal["owner", "profile"]


def changes(
    before: Fold,
    folded: Folded,
    known: FactsByRef,
    cause: Cause,
    recorded_at: int,
    *,
    facts: Sequence[Fact] = (),
    replaced: Sequence[Fact] = (),
) -> Iterator[AnyEvent]:
    """What is told of a change. ``facts``: those that are new; ``replaced``: those whose place some of them took (2)."""
    after = folded.fold
    assert after.state is not None
    newest = None if folded.again or len(facts) > 1 else facts[-1]
    yield from _status(before, folded, cause, recorded_at)
    if before.state is not None:  # a new record is told whole by its first status
        revised = _record(before.state, after, after.state, facts, cause, recorded_at)
        if revised is not None:
            yield revised
    yield from _deals(before, folded, cause, recorded_at)
    yield from _handoffs(before.state, after.state, newest, cause, recorded_at)
    unsure = {FactRef(source=fact.source, id=fact.id) for fact in replaced}
    yield from _verdicts(before.state, after.state, newest, known, unsure, cause, recorded_at)


def _status(before: Fold, folded: Folded, cause: Cause, recorded_at: int) -> Iterator[StatusRevised]:
    after = folded.fold
    since = revised_since(before.statuses, after.statuses, lambda old, new: old == new, again=folded.again)
    if since is None:
        return
    previous = before.statuses[-1].what if before.statuses else None
    yield from status_revised(after, held_since(after.statuses, since), since, previous, cause, recorded_at)


def status_revised(
    fold: Fold, statuses: History[StatusShown], since: int, previous: StatusShown | None, cause: Cause, recorded_at: int
) -> Iterator[StatusRevised]:
    """That the record's status history is ``statuses`` from ``since`` on, in as many parts as it takes."""
    state = fold.state
    assert state is not None
    parts = statuses_in_parts(statuses)
    for number, states in enumerate(parts, start=1):
        yield StatusRevised(
            recorded_at=recorded_at,
            cause=cause,
            since=since if number == 1 else states[0].at,
            states=states,
            previous=previous,
            current=fold.statuses[-1].what,
            owner=state.owner.rep_id,
            assignment_id=state.owner.assignment_id,
            profile=state.profile,
            contact=state.contact,
            part=number,
            parts=len(parts),
        )


def _record(before: State, fold: Fold, after: State, facts: Sequence[Fact], cause: Cause, recorded_at: int) -> RecordRevised | None:
    changed: list[Changed] = []
    owner = (after.owner.rep_id, after.owner.assignment_id)
    overtaken = overtaken_by_owner(facts, after)
    if owner != (before.owner.rep_id, before.owner.assignment_id) or overtaken is not None:
        changed.append("owner")
    if before.profile != after.profile:
        changed.append("profile")
    if not changed:
        return None
    return record_revised(fold, changed, overtaken or cause, recorded_at)


def record_revised(fold: Fold, changed: Sequence[Changed], cause: Cause, recorded_at: int) -> RecordRevised:
    """Whose the record is, and its profile."""
    state = fold.state
    assert state is not None
    return RecordRevised(
        recorded_at=recorded_at,
        cause=cause,
        owner=state.owner.rep_id,
        assignment_id=state.owner.assignment_id,
        profile=state.profile,
        contact=state.contact,
        status=fold.statuses[-1].what,
        changed=tuple(changed),
    )


def overtaken_by_owner(facts: Iterable[Fact], state: State) -> Cause | None:
    """The latest of the assignments among some facts that do not give the owner.

    Who made it believes that it did. By it as the cause he knows that the record has it, and by the owner that it was in vain.
    """
    vain = [fact for fact in facts if isinstance(fact.data, LeadAssigned) and fact.data.assignment_id != state.owner.assignment_id]
    if not vain:
        return None
    latest = max(vain, key=key_of)
    return Cause(source=latest.source, id=latest.id, type=latest.type)


def _deals(before: Fold, folded: Folded, cause: Cause, recorded_at: int) -> Iterator[DealsRevised]:
    revised = []
    for deal in folded.deals:
        earlier, history = before.images.get(deal, ()), folded.fold.images.get(deal, ())
        if earlier is history:
            continue
        since = revised_since(earlier, history, lambda old, new: (old.at, old.what) == (new.at, new.what), again=folded.again)
        if since is not None:
            states = tuple(ImageHeld(held.at, held.what) for held in held_since(history, since))
            revised.append(DealRevised(deal, since if history else None, states))
    yield from deals_revised(sorted(revised, key=lambda deal: deal.deal_id), cause, recorded_at)


def deals_revised(revised: Sequence[DealRevised], cause: Cause, recorded_at: int) -> Iterator[DealsRevised]:
    """What some deals are from an instant on, in as many parts as it takes; nothing of no deal."""
    parts = deals_in_parts(revised) if revised else []
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
            old, new = progress_told(was, progress), progress_told(now, progress)
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


def progress_told(handoff: Handoff | None, progress: Progress) -> tuple[str, int, str | None] | None:
    """What is told of a hand-off's progress: who, when, and the reason of a rejection."""
    at = getattr(handoff, progress, None)
    if handoff is None or at is None:
        return None
    return handoff.rep_id, at, handoff.reason if progress == "rejected" else None


def _verdicts(
    before: State | None,
    after: State,
    newest: Fact | None,
    known: FactsByRef,
    unsure: Collection[FactRef],
    cause: Cause,
    recorded_at: int,
) -> Iterator[CommandJudged]:
    """What is told of commands. ``newest``: the fact, where it is one step, which concerns no other command.

    ``unsure``: of a command that takes the place of another fact it is always told, as that may in its turn have taken the place
    of a command that was refused.
    """
    earlier: HashTrieMap[FactRef, Verdict] = before.verdicts if before is not None else HashTrieMap()
    if earlier is after.verdicts:
        return
    judged = after.verdicts.keys() if newest is None else after.verdicts.keys() & {FactRef(source=newest.source, id=newest.id)}
    for ref in sorted(judged, key=lambda ref: (ref.source, ref.id)):
        verdict = after.verdicts[ref]
        was = earlier.get(ref, None if ref in unsure else EFFECTIVE)
        if was is not None and was.effective == verdict.effective:
            continue
        yield CommandJudged(
            recorded_at=recorded_at,
            cause=cause,
            command=Cause(source=ref.source, id=ref.id, type=known[ref].fact.type),
            effective=verdict.effective,
            rule=verdict.rule,
            explanation=verdict.explanation,
        )
