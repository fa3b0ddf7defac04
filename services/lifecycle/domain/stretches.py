"""Stretches: what the facts between two checkpoints touched, and what they rested on.

Where another fold of these facts and some late ones comes to a stretch with a state that differs in nothing that the stretch
touches or rests on, the stretch changes the same in both (:mod:`~services.lifecycle.domain.leaps`). Whoever teaches the fold to
read more of a state says it here.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal, TypeVar

from msgspec import Struct

from events.facts import ActivityLogged, Data, LeadFields, QuoteFields
from services.lifecycle.domain.deals import Origin
from services.lifecycle.domain.links import document_of
from services.lifecycle.domain.state import State

T = TypeVar("T", bound=str)
Part = Literal["owner", "profile", "contact", "lead", "handoffs", "verdicts"]
"""Parts of a state that most facts neither change nor read."""

PARTS: Final[tuple[Part, ...]] = ("owner", "profile", "contact", "lead", "handoffs", "verdicts")
_ALL: Final = frozenset(PARTS)
_OF_LEADS: Final = frozenset[Part](("owner", "profile", "contact", "lead"))


class Stretch(Struct, frozen=True, gc=False):
    """The facts since the last checkpoint.

    ``deals``: those that they touched. ``replaced``: the quotes that they said are replaced, which may have no fact yet. ``parts``:
    what else they changed or read. ``alone``: nothing rested on any other deal: the record was no prospect, whose status is that
    of its most probable deal, and neither its owner nor its origin changed, which every deal shows.
    """

    deals: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    alone: bool = True

    def plus(self, before: State | None, after: State, data: Data, deals: Collection[str]) -> Stretch:
        """The same with one more fact; ``deals``: those that it touches."""
        if before is None:
            return Stretch(_with((), deals), alone=False)
        alone = (
            self.alone
            and "prospect" not in (before.stage, after.stage)
            and before.owner.rep_id == after.owner.rep_id
            and (before.profile is after.profile or Origin.of(before.profile) == Origin.of(after.profile))
        )
        replaced = self.replaced
        if isinstance(data, QuoteFields) and data.replaces is not None:
            replaced = _with(replaced, (data.replaces,))
        parts = _with(self.parts, _parts(before, after, data, deals))
        return Stretch(_with(self.deals, deals), replaced, parts, alone)


def _with(some: tuple[T, ...], more: Collection[T]) -> tuple[T, ...]:
    """All of them once, in order. A tuple of texts is nothing that a garbage collection looks at; a set is."""
    return some if all(each in some for each in more) else tuple(sorted({*some, *more}))


def _parts(before: State, after: State, data: Data, deals: Collection[str]) -> frozenset[Part]:
    """What a fact changes or reads beside deals."""
    parts = frozenset[Part]()
    if isinstance(data, LeadFields):
        parts = _OF_LEADS
    elif isinstance(data, ActivityLogged):
        parts = frozenset(("handoffs",)) if before.owner.assignment_id is not None else parts
    elif document_of(data) is None:
        parts = _ALL
    if "lead" in (before.stage, after.stage):
        parts |= {"lead"}
    if any(deal.named_owner is None for state in (before, after) for name in deals if (deal := state.deals.get(name)) is not None):
        parts |= {"owner"}  # which the image of such a deal shows
    return parts
