"""The fold: from the set of a customer's facts to what held after each instant (FOLD.md 3).

A fact that is newer than all others and leaves the links of the past alone is one step; any other folds the set anew. Both give
the same, because the outcome depends on the set alone.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterable
from operator import attrgetter, itemgetter
from typing import Generic, TypeVar

from msgspec import Struct
from rpds import HashTrieMap, List

from events.codec import Fact
from events.facts import Stage
from events.published import Cause
from services.lifecycle.domain.deals import Image, Origin, image_of
from services.lifecycle.domain.links import NOTHING, Grouping, Links, document_of, extended, group
from services.lifecycle.domain.order import Key, key_of
from services.lifecycle.domain.state import Policy, State, state_after

T = TypeVar("T")
Placed = tuple[Key, Fact]


class StatusShown(Struct, frozen=True):
    """What the record shows of its status."""

    stage: Stage
    name: str
    probability: int


class Held(Struct, Generic[T], frozen=True):
    """What held from an instant (nanoseconds) on, and the fact that brought it about."""

    at: int
    what: T
    cause: Cause


History = tuple[Held[T], ...]
"""What held after each instant: in order of time, no two neighbours equal."""


class Fold(Struct, frozen=True):
    """A set of facts, folded: the state after all of them, and the history of the record's status and of every deal.

    ``facts`` has the last one first. What grows with the record is persistent (in the sense of data structures: it shares all but
    the change with what was before), so that a step costs the same on a long record as on a short one.
    """

    facts: List[Placed] = List()
    links: Links = Links()
    grouping: Grouping = NOTHING
    state: State | None = None
    statuses: History[StatusShown] = ()
    images: HashTrieMap[str, History[Image]] = HashTrieMap()

    @property
    def last(self) -> Key | None:
        """The place of the last fact."""
        return next((key for key, _ in self.facts), None)


EMPTY = Fold()


def plus(fold: Fold, fact: Fact, policy: Policy) -> tuple[Fold, Collection[str] | None]:
    """The fold of the set with one more fact (which it must not hold yet), and the deals whose history may differ: None for any."""
    key = key_of(fact)
    links = fold.links.plus(key, fact.data)
    same = _grouping(fold, links, fact)
    grouping = group(links) if same is None else same
    keeps = same is not None or grouping.keeps(fold.grouping, fold.links.quote_replaces)
    if keeps and (fold.last is None or key > fold.last):
        return _step(fold, (key, fact), links, grouping, policy)
    facts = list(fold.facts)[::-1]
    insort(facts, (key, fact), key=itemgetter(0))
    return _folded(facts, links, grouping, policy), None


def fold_of(facts: Iterable[Fact], policy: Policy) -> Fold:
    """The fold of a set of facts, given in any order."""
    placed = sorted(((key_of(fact), fact) for fact in facts), key=itemgetter(0))
    links = Links()
    for key, fact in placed:
        links = links.plus(key, fact.data)
    return _folded(placed, links, group(links), policy)


def _folded(placed: Iterable[Placed], links: Links, grouping: Grouping, policy: Policy) -> Fold:
    fold = EMPTY
    for each in placed:
        fold, _ = _step(fold, each, links, grouping, policy)
    return fold


def _grouping(fold: Fold, links: Links, fact: Fact) -> Grouping | None:
    """The grouping after a fact, in the common cases in which what was grouped stays as it is; else None."""
    if links is fold.links:
        return fold.grouping
    document = document_of(fact.data)
    if document is None or document in fold.links.documents:
        return None
    return extended(fold.grouping, links, document)


def _step(fold: Fold, placed: Placed, links: Links, grouping: Grouping, policy: Policy) -> tuple[Fold, set[str]]:
    key, fact = placed
    state, changed = state_after(fold.state, fact, key, grouping, policy)
    cause = Cause(source=fact.source, id=fact.id, type=fact.type)
    shown = StatusShown(state.stage, state.status, state.probability)
    images = fold.images
    if changed:
        origin = Origin.of(state.profile)
        for deal in changed:
            image = image_of(state.deals[deal], state.owner.rep_id, origin)
            images = images.insert(deal, _held(images.get(deal, ()), key[0], image, cause))
    statuses = _held(fold.statuses, key[0], shown, cause)
    return Fold(fold.facts.push_front(placed), links, grouping, state, statuses, images), changed


def _held(history: History[T], at: int, what: T, cause: Cause) -> History[T]:
    """The history with what holds after one more fact: states that lasted no time and equal neighbours do not exist."""
    if history and history[-1].what == what:
        return history
    if history and history[-1].at == at:
        history = history[:-1]
        if history and history[-1].what == what:
            return history
    return (*history, Held(at, what, cause))


def revised_since(before: History[T], after: History[T], same: Callable[[Held[T], Held[T]], bool]) -> int | None:
    """The instant from which two histories differ, or None where they are the same."""
    both = min(len(before), len(after))
    # A history only ever changes at its end: where one state is the same object in both, so are all before it.
    shared = next((end for end in (both, both - 1) if end > 0 and before[end - 1] is after[end - 1]), 0)
    for old, new in zip(before[shared:], after[shared:], strict=False):
        if old is not new and not same(old, new):
            return min(old.at, new.at)
    if len(before) == len(after):
        return None
    longer, begun = (before, len(after)) if len(before) > len(after) else (after, len(before))
    return longer[begun].at


def held_since(history: History[T], since: int) -> History[T]:
    """The part of a history that begins at an instant."""
    return history[bisect_left(history, since, key=attrgetter("at")) :]
