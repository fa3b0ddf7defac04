"""Leaps: what a late fact does not concern is not folded again.

In go a fold, and another of the same facts and some late ones, which has come past the late ones and to a checkpoint of the first.
Where the two states there differ in a few deals and parts only, a stretch of facts between two checkpoints comes to the same in
both but for these, if it neither touches them nor rests on them (:mod:`~services.lifecycle.domain.stretches`). Such stretches are
taken over: their states with what differs exchanged, their histories as they are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from operator import itemgetter

from msgspec import Struct
from msgspec.structs import replace
from rpds import HashTrieMap

from services.lifecycle.domain.activity import latest
from services.lifecycle.domain.deals import Image, Origin
from services.lifecycle.domain.fold import Checkpoint, Fold, Placed, images_until
from services.lifecycle.domain.history import History, between
from services.lifecycle.domain.state import State
from services.lifecycle.domain.status import prospects_after
from services.lifecycle.domain.stretches import PARTS, Part, Stretch

_ELSEWHERE = {*PARTS, "documents", "deals", "prospects", "replaced", "activity"}
_EQUAL = tuple(name for name in State.__struct_fields__ if name not in _ELSEWHERE)


class Difference(Struct, frozen=True):
    """In what two states differ.

    ``deals``: those that differ. ``around``: deals that do not, but a fact of them would change what does. ``replaced``: quotes of
    which one state says differently by which other one they were replaced. ``parts``: what differs beside deals.
    """

    deals: set[str]
    around: set[str]
    replaced: set[str]
    parts: set[Part]

    def concerns(self, stretch: Stretch) -> bool:
        """Whether a stretch may come to something else by it."""
        return not (
            stretch.alone
            and self.deals.isdisjoint(stretch.deals)
            and self.around.isdisjoint(stretch.deals)
            and self.replaced.isdisjoint(stretch.replaced)
            and self.parts.isdisjoint(stretch.parts)
        )


class Leaps:
    """The way along a fold that was, for one that goes on from a checkpoint of it with the facts that were ``later``."""

    def __init__(self, old: Fold, later: Sequence[Placed]) -> None:
        self._old = old
        self._later = later
        self._ahead = [each for each in old.checkpoints if later and each.last >= later[0][0]][::-1]
        self._redone: set[str] = set()
        self._suspects: set[str] = set()

    def stepped(self, deals: set[str]) -> None:
        """A fact was folded again, which touched these deals."""
        self._redone |= deals
        self._suspects |= deals

    def leap(self, now: Fold, place: int) -> tuple[Fold, int]:
        """The fold as far as can be leapt from here, and the place of the next later fact; the same where nothing can be leapt."""
        last = now.last
        while self._ahead and last is not None and self._ahead[0].last < last:
            del self._ahead[0]
        if not self._ahead or self._ahead[0].last != last or now.state is None:
            return now, place
        if len(self._ahead) > 1 and not self._ahead[1].stretch.alone:
            return now, place
        different = _difference(now, self._ahead[0].state, self._suspects)
        if different is None:
            return now, place
        self._suspects = different.deals
        leapt = sum(1 for _ in self._alike(different))
        if not leapt:
            return now, place
        if leapt == len(self._ahead):
            return self._to_the_end(now, place, different), len(self._later)
        return self._to(self._ahead[leapt], now, place, different, leapt)

    def _alike(self, different: Difference) -> Iterator[None]:
        """The stretches ahead that come to the same, up to the first that does not."""
        for stretch in [*(each.stretch for each in self._ahead[1:]), self._old.stretch]:
            if different.concerns(stretch):
                return
            yield

    def _to_the_end(self, now: Fold, place: int, different: Difference) -> Fold:
        old, last = self._old, self._later[-1][0][0]
        assert old.state is not None
        images = self._images(now, old.images, last)
        return self._taken_over(now, place, len(self._later), old.state, images, different, self._ahead[1:])

    def _to(self, target: Checkpoint, now: Fold, place: int, different: Difference, leapt: int) -> tuple[Fold, int]:
        instant = target.last[0]
        before, _ = images_until(self._old.images, instant)
        images = self._images(now, before, instant)
        end = bisect_right(self._later, target.last, key=itemgetter(0))
        after = self._taken_over(now, place, end, target.state, images, different, self._ahead[1:leapt])
        del self._ahead[:leapt]
        return replace(after, stretch=target.stretch), end

    def _taken_over(
        self,
        now: Fold,
        place: int,
        end: int,
        state: State,
        images: HashTrieMap[str, History[Image]],
        different: Difference,
        passed: Sequence[Checkpoint],
    ) -> Fold:
        assert now.state is not None
        assert now.last is not None
        facts = now.facts
        for placed in islice(self._later, place, end):
            facts = facts.push_front(placed)
        checkpoints = now.checkpoints.push_front(Checkpoint(now.last, now.state, now.stretch))
        for each in passed:
            checkpoints = checkpoints.push_front(replace(each, state=_exchanged(each.state, now.state, different)))
        return replace(
            now,
            facts=facts,
            state=_exchanged(state, now.state, different),
            statuses=now.statuses + between(self._old.statuses, now.last[0], self._later[end - 1][0][0]),
            images=images,
            checkpoints=checkpoints,
            stretch=self._old.stretch,
        )

    def _images(self, now: Fold, images: HashTrieMap[str, History[Image]], instant: int) -> HashTrieMap[str, History[Image]]:
        """The histories that were, up to an instant; of the deals that were folded again, what that gave and what followed then."""
        assert now.last is not None
        for deal in self._redone:
            followed = between(self._old.images.get(deal, ()), now.last[0], instant)
            images = images.insert(deal, now.images[deal] + followed)
        return images


def _difference(fold: Fold, then: State, suspects: Collection[str]) -> Difference | None:
    """In what the state of a fold differs from the one that was; None where no stretch would come to the same.

    ``suspects``: the deals that may differ.
    """
    now = fold.state
    assert now is not None
    if not all(getattr(now, name) == getattr(then, name) for name in _EQUAL):
        return None
    parts = {part for part in PARTS if not _same(getattr(now, part), getattr(then, part))}
    deals = {deal for deal in suspects if now.deals.get(deal) != then.deals.get(deal)}
    around, replaced = set[str](), set[str]()
    if "profile" in parts and Origin.of(now.profile) != Origin.of(then.profile):
        return None  # every deal shows it
    if "lead" in parts and (now.lead.recycling is not None or then.lead.recycling is not None):
        return None  # the next activity may bring the lead back
    if "owner" in parts:
        if now.owner.assignment_id is not None or then.owner.assignment_id is not None:
            return None  # whose progress is told
        if not now.owner.said and now.owner.by_deal is None:
            return None  # the next deal may name one
        around |= {owner.by_deal for owner in (now.owner, then.owner) if owner.by_deal is not None}
    if not _same(now.replaced, then.replaced):
        replaced = {old for old in {*now.replaced, *then.replaced} if now.replaced.get(old) != then.replaced.get(old)}
        around |= {deal for old in replaced if (deal := fold.grouping.deal_of.get(("quote", old))) is not None}
    replaced |= {document.id for deal in deals for document in now.deals[deal].documents}
    return Difference(deals, around, replaced, parts)


def _same(one: object, other: object) -> bool:
    return one is other or one == other  # never !=, which is wrong between maps of rpds


def _exchanged(state: State, source: State, different: Difference) -> State:
    """A state with what differs as it is in another one, in which no more than that has happened before it."""
    exchanged, documents = state.deals, state.documents
    for name in different.deals:
        deal = source.deals[name]
        exchanged = exchanged.insert(name, deal)
        for document in deal.documents:
            documents = documents.insert((document.kind, document.id), document)
    replaced = state.replaced
    for quote in different.replaced:
        by = source.replaced.get(quote)
        replaced = replaced.discard(quote) if by is None else replaced.insert(quote, by)
    changed: dict[str, object] = {
        "deals": exchanged,
        "documents": documents,
        "prospects": prospects_after(state.prospects, different.deals, state.deals, exchanged),
        "replaced": replaced,
        "activity": latest(state.activity, source.activity),
        **{part: getattr(source, part) for part in different.parts},
    }
    changed = {name: value for name, value in changed.items() if not _same(value, getattr(state, name))}
    return replace(state, **changed) if changed else state
