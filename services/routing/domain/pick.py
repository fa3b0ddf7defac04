"""Pick: which member of a pool gets the next record. Weighted round robin, pure and exact.

Every member has a pointer; the available member with the lowest one is picked (the first in the pool's list where several have
it), and its pointer moves on by 1/weight. So after every whole round each member has had its weight's share, to the record, and a
member that was passed over for one record is the next to be picked. Fractions are exact: no share is lost to rounding.

Whoever joins (new in the pool, or active again) starts at the pool's current level, the lowest pointer of the others: nobody
has to be caught up with.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from msgspec import Struct

from events.reference import Rep
from services.routing.domain.rule_set import Member

Cursor = Mapping[str, str]
"""Where a pool stands: the pointer of every member that took part last time, as an exact fraction ("3/2")."""


class Candidate(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A member as it was considered: with its pointer where it takes part, with the reason where it is excluded."""

    rep_id: str
    weight: int
    pointer: str | None = None
    excluded: str | None = None


class Picked(Struct, frozen=True):
    """``rep_id`` is None where every member is excluded."""

    rep_id: str | None
    members: tuple[Candidate, ...]
    before: Cursor
    after: Cursor


def pick(members: Sequence[Member], cursor: Cursor, absent: Mapping[str, str], refused: Mapping[str, str]) -> Picked:
    """The member whose turn it is, and the cursor that follows.

    ``absent``: members that do not take part now, and why; they join again later. ``refused``: members that do not get this
    record, and why; they keep their turn.
    """
    present = [member for member in members if member.rep_id not in absent]
    level = min((Fraction(cursor[m.rep_id]) for m in present if m.rep_id in cursor), default=Fraction(0))
    pointers = {m.rep_id: Fraction(cursor[m.rep_id]) if m.rep_id in cursor else level for m in present}
    available = [member for member in present if member.rep_id not in refused]
    chosen = min(available, key=lambda member: pointers[member.rep_id], default=None)
    candidates = tuple(_candidate(member, pointers, {**refused, **absent}) for member in members)
    if chosen is None:
        return Picked(None, candidates, cursor, cursor)
    after = pointers | {chosen.rep_id: pointers[chosen.rep_id] + Fraction(1, chosen.weight)}
    return Picked(chosen.rep_id, candidates, cursor, {rep_id: str(pointer) for rep_id, pointer in after.items()})


def absences(rep_ids: Sequence[str], reps: Mapping[str, Rep], directory_version: int) -> dict[str, str]:
    """Who of them does not take part at all, and why."""
    reasons = {}
    for rep_id in rep_ids:
        rep = reps.get(rep_id)
        if rep is None:
            reasons[rep_id] = f"not in directory v{directory_version}"
        elif not rep.active:
            reasons[rep_id] = "inactive"
    return reasons


def _candidate(member: Member, pointers: Mapping[str, Fraction], excluded: Mapping[str, str]) -> Candidate:
    pointer = pointers.get(member.rep_id)
    return Candidate(
        rep_id=member.rep_id,
        weight=member.weight,
        pointer=None if pointer is None else str(pointer),
        excluded=excluded.get(member.rep_id),
    )
