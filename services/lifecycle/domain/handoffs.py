"""Hand-offs: what became of each assignment (DESIGN 4). Like the rest of the fold it depends on the set of facts alone.

FOLD.md has no rule for it; this is the rule. *First*, *after* and *while* mean fold order (FOLD.md 1).

a. A hand-off begins with the first ``lead.assigned`` of its assignment id, which names rep, team and the rep before.
b. It is accepted and rejected by the first answer of that rep that names it, after it began; also after its end, because an
   answer that came too late is still an answer. It is touched by the first activity that is not automatic, of that rep or of an
   unnamed person, while it gives the record its owner (18).
c. It is recycled by the first ``lead.recycled`` that makes the record Recycled (19) while it gives the record its owner.
d. It ends once, by the first of: its rejection; its breach; its completion; being recycled; its unassignment; and any other owner
   of the record, by an assignment, a lead or a command. The last is called superseded, and so is an unassignment with that reason.
e. The bounces of a record are its hand-offs that came to nothing: those that ended rejected, breached, unassigned or recycled.
   One that stands, is completed, or gave way to somebody who took the record is none: there the record was kept.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace
from rpds import HashTrieMap

from events.assignments import HandoffBreached, HandoffCompleted, LeadAssigned, LeadUnassigned
from events.codec import Fact
from events.facts import ActivityLogged, HandoffAccepted, HandoffRejected

Progress = Literal["accepted", "rejected", "touched"]
PROGRESS: Final[tuple[Progress, ...]] = ("accepted", "rejected", "touched")
End = Literal["rejected", "breached", "completed", "recycled", "unassigned", "superseded"]
BOUNCED: Final[tuple[End, ...]] = ("rejected", "breached", "recycled", "unassigned")
"""The ends of a hand-off that came to nothing."""


class Ending(Struct, frozen=True, gc=False):
    """How a hand-off ended, and when (nanoseconds); ``reason`` in words; ``successor`` is who took the record instead."""

    how: End
    at: int
    reason: str | None = None
    successor: str | None = None


class Handoff(Struct, frozen=True, gc=False):
    """An assignment and the instants (nanoseconds) of what came first after it; ``reason`` is that of the rejection."""

    rep_id: str
    assigned: int
    team: str | None = None
    previous_rep: str | None = None
    accepted: int | None = None
    rejected: int | None = None
    reason: str | None = None
    touched: int | None = None
    recycled: int | None = None
    ending: Ending | None = None


class Tenure(Struct, frozen=True, gc=False):
    """Who has the record, and the assignment that made it so, if one did (18)."""

    rep_id: str | None
    assignment_id: str | None


Handoffs: TypeAlias = "HashTrieMap[str, Handoff]"
"""By assignment id."""


def handoffs_after(handoffs: Handoffs, fact: Fact, before: Tenure, after: Tenure, *, recycled: bool) -> Handoffs:
    """The hand-offs after one more fact; ``before`` and ``after``: who has the record. ``recycled``: the fact recycled the lead."""
    present = before.assignment_id
    match fact.data:
        case HandoffAccepted(assignment_id=assignment, rep_id=rep) if _first(handoffs, assignment, rep, "accepted"):
            handoffs = handoffs.insert(assignment, replace(handoffs[assignment], accepted=fact.occurred_at))
        case HandoffRejected(assignment_id=assignment, rep_id=rep, reason=why) if _first(handoffs, assignment, rep, "rejected"):
            handoffs = handoffs.insert(assignment, replace(handoffs[assignment], rejected=fact.occurred_at, reason=why))
            handoffs = _ended(handoffs, assignment, Ending("rejected", fact.occurred_at, why))
        case ActivityLogged(automatic=False, rep_id=rep) if present is not None and _first(handoffs, present, rep, "touched"):
            handoffs = handoffs.insert(present, replace(handoffs[present], touched=fact.occurred_at))
        case HandoffBreached(assignment_id=assignment):
            handoffs = _ended(handoffs, assignment, Ending("breached", fact.occurred_at))
        case HandoffCompleted(assignment_id=assignment):
            handoffs = _ended(handoffs, assignment, Ending("completed", fact.occurred_at))
    if present is not None:
        if recycled and handoffs[present].recycled is None:
            handoffs = handoffs.insert(present, replace(handoffs[present], recycled=fact.occurred_at))
            handoffs = _ended(handoffs, present, Ending("recycled", fact.occurred_at))
        if after.assignment_id != present:
            handoffs = _ended(handoffs, present, _taken(fact, after))
    if isinstance(fact.data, LeadAssigned) and fact.data.assignment_id not in handoffs:
        said = fact.data
        handoff = Handoff(said.rep_id, fact.occurred_at, said.team, said.previous_rep)
        handoffs = handoffs.insert(said.assignment_id, handoff)
    return handoffs


def bounces(handoffs: Handoffs) -> int:
    """How many of a record's hand-offs came to nothing (e)."""
    return sum(handoff.ending is not None and handoff.ending.how in BOUNCED for handoff in handoffs.values())


def _first(handoffs: Handoffs, assignment: str, rep: str | None, progress: Progress) -> bool:
    """Whether the assigned rep, or an unnamed person, is the first to do this after the assignment."""
    handoff = handoffs.get(assignment)
    return handoff is not None and rep in (None, handoff.rep_id) and getattr(handoff, progress) is None


def _ended(handoffs: Handoffs, assignment: str, ending: Ending) -> Handoffs:
    handoff = handoffs.get(assignment)
    if handoff is None or handoff.ending is not None:
        return handoffs
    return handoffs.insert(assignment, replace(handoff, ending=ending))


def _taken(fact: Fact, after: Tenure) -> Ending:
    """How a hand-off ends that gives the record its owner no more."""
    if isinstance(fact.data, LeadUnassigned):
        how: End = "superseded" if fact.data.reason == "superseded" else "unassigned"
        return Ending(how, fact.occurred_at, fact.data.reason)
    return Ending("superseded", fact.occurred_at, successor=after.rep_id)
