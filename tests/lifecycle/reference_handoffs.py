"""The reference fold, what became of assignments: the rule that ``services/lifecycle/domain/handoffs.py`` begins with, once more.

Every question is answered by going through all facts. ``i`` is the number of a fact in fold order.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.lifecycle.reference_fold import Reference


class Handoff(NamedTuple):
    """What became of an assignment; ``ended`` is (how, when, why, who has the record instead)."""

    rep_id: str
    assigned: int
    team: str | None
    previous_rep: str | None
    accepted: int | None
    rejected: int | None
    reason: str | None
    touched: int | None
    recycled: int | None
    ended: tuple[str, int, str | None, str | None] | None


def handoffs_of(reference: Reference) -> dict[str, Handoff]:
    """Every assignment of a record."""
    assignments = {fact.data.assignment_id for i, fact in enumerate(reference.facts) if reference.kind[i] == "lead.assigned"}
    return {assignment: _handoff(reference, assignment) for assignment in assignments}


def bounces_of(reference: Reference) -> int:
    """How many assignments came to nothing."""
    ends = [handoff.ended[0] for handoff in handoffs_of(reference).values() if handoff.ended]
    return sum(ends.count(how) for how in ("rejected", "breached", "recycled", "unassigned"))


def _handoff(reference: Reference, assignment: str) -> Handoff:
    begin = min(_naming(reference, assignment, "lead.assigned", 0))
    rep, after = reference.facts[begin].data.rep_id, begin + 1
    mine = [None, rep]
    accepted = [i for i in _naming(reference, assignment, "handoff.accepted", after) if reference.facts[i].data.rep_id == rep]
    rejected = [i for i in _naming(reference, assignment, "handoff.rejected", after) if reference.facts[i].data.rep_id == rep]
    gives = [i for i in range(after, len(reference.facts)) if reference.record_owner(i)[1] == assignment]  # before fact i
    active = [i for i in gives if reference.kind[i] == "activity.logged" and not reference.facts[i].data.automatic]
    touched = [i for i in active if reference.facts[i].data.rep_id in mine]
    recycled = [i for i in gives if _recycles(reference, i)]
    ends = [(i, "rejected", reference.facts[i].data.reason, None) for i in rejected]
    ends += [(i, "breached", None, None) for i in _naming(reference, assignment, "handoff.breached", after)]
    ends += [(i, "completed", None, None) for i in _naming(reference, assignment, "handoff.completed", after)]
    ends += [(i, "recycled", None, None) for i in recycled]
    ends += [_taken(reference, i) for i in gives if reference.record_owner(i + 1)[1] != assignment]
    last = min(ends, default=None)

    def at(facts: list[int]) -> int | None:
        return reference.at(facts[0]) if facts else None

    return Handoff(
        rep,
        reference.at(begin),
        reference.facts[begin].data.team,
        reference.facts[begin].data.previous_rep,
        at(accepted),
        at(rejected),
        reference.facts[rejected[0]].data.reason if rejected else None,
        at(touched),
        at(recycled),
        None if last is None else (last[1], reference.at(last[0]), *last[2:]),
    )


def _naming(reference: Reference, assignment: str, kind: str, begin: int) -> Iterator[int]:
    facts: Any = reference.facts
    return (i for i in range(begin, len(facts)) if reference.kind[i] == kind and facts[i].data.assignment_id == assignment)


def _recycles(reference: Reference, i: int) -> bool:
    return reference.kind[i] == "lead.recycled" and reference.records[i - 1].stage == "lead" and reference.records[i].lead.by == i


def _taken(reference: Reference, i: int) -> tuple[int, str, str | None, str | None]:
    if reference.kind[i] != "lead.unassigned":
        return i, "superseded", None, reference.record_owner(i + 1)[0]
    reason = reference.facts[i].data.reason
    return i, "superseded" if reason == "superseded" else "unassigned", reason, None
