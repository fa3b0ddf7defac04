"""What became of each assignment: the first acceptance, rejection and touch after it (DESIGN 4, ``crm.handoff.progressed.v1``)."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace
from rpds import HashTrieMap

from events.assignments import LeadAssigned
from events.codec import Fact
from events.facts import ActivityLogged, HandoffAccepted, HandoffRejected


class Handoff(Struct, frozen=True):
    """An assignment and the instants (nanoseconds) of what came first after it."""

    rep_id: str
    accepted: int | None = None
    rejected: int | None = None
    reason: str | None = None
    touched: int | None = None


Handoffs: TypeAlias = "HashTrieMap[str, Handoff]"
"""By assignment id."""


def handoffs_after(handoffs: Handoffs, fact: Fact, present: str | None) -> Handoffs:
    """The hand-offs after one more fact; ``present`` is the assignment that gave the record its owner, if one did."""
    match fact.data:
        case LeadAssigned(assignment_id=assignment, rep_id=rep) if assignment not in handoffs:
            return handoffs.insert(assignment, Handoff(rep))
        case HandoffAccepted(assignment_id=assignment, rep_id=rep) if _is(handoffs, assignment, rep, "accepted"):
            return handoffs.insert(assignment, replace(handoffs[assignment], accepted=fact.occurred_at))
        case HandoffRejected(assignment_id=assignment, rep_id=rep, reason=why) if _is(handoffs, assignment, rep, "rejected"):
            return handoffs.insert(assignment, replace(handoffs[assignment], rejected=fact.occurred_at, reason=why))
        case ActivityLogged(automatic=False, rep_id=rep) if present is not None and _is(handoffs, present, rep, "touched"):
            return handoffs.insert(present, replace(handoffs[present], touched=fact.occurred_at))
    return handoffs


def _is(handoffs: Handoffs, assignment: str, rep: str | None, progress: str) -> bool:
    """Whether the assigned rep, or an unnamed person, is the first to do this after the assignment."""
    handoff = handoffs.get(assignment)
    return handoff is not None and rep in (None, handoff.rep_id) and getattr(handoff, progress) is None
