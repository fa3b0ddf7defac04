"""The fold: from the set of a customer's facts to what held after each instant (FOLD.md 3).

A fact that is newer than all others and leaves the links of the past alone is one step; any other folds the set anew. Both give
the same, because the outcome depends on the set alone.
"""

from bisect import insort
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Generic, TypeVar

from msgspec import Struct

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
    """A set of facts, folded: the state after all of them, and the history of the record's status and of every deal."""

    facts: tuple[Placed, ...] = ()
    links: Links = Links()
    grouping: Grouping = NOTHING
    state: State | None = None
    statuses: History[StatusShown] = ()
    images: Mapping[str, History[Image]] = {}


EMPTY = Fold()


def plus(fold: Fold, fact: Fact, policy: Policy) -> Fold:
    """The fold of the set with one more fact (which it must not hold yet)."""
    key = key_of(fact)
    links = fold.links.plus(key, fact.data)
    same = _grouping(fold, links, fact)
    grouping = group(links) if same is None else same
    keeps = same is not None or grouping.keeps(fold.grouping, fold.links.quote_replaces)
    if keeps and (not fold.facts or key > fold.facts[-1][0]):
        return _step(fold, (*fold.facts, (key, fact)), (key, fact), links, grouping, policy)
    facts = list(fold.facts)
    insort(facts, (key, fact), key=itemgetter(0))
    return _folded(facts, links, grouping, policy)


def fold_of(facts: Iterable[Fact], policy: Policy) -> Fold:
    """The fold of a set of facts, given in any order."""
    placed = sorted(((key_of(fact), fact) for fact in facts), key=itemgetter(0))
    links = Links()
    for key, fact in placed:
        links = links.plus(key, fact.data)
    return _folded(placed, links, group(links), policy)


def _folded(placed: Iterable[Placed], links: Links, grouping: Grouping, policy: Policy) -> Fold:
    facts = tuple(placed)
    fold = EMPTY
    for each in facts:
        fold = _step(fold, facts, each, links, grouping, policy)
    return fold


def _grouping(fold: Fold, links: Links, fact: Fact) -> Grouping | None:
    """The grouping after a fact, in the common cases in which what was grouped stays as it is; else None."""
    if links is fold.links:
        return fold.grouping
    document = document_of(fact.data)
    if document is None or document in fold.links.documents:
        return None
    return extended(fold.grouping, links, document)


def _step(fold: Fold, facts: tuple[Placed, ...], placed: Placed, links: Links, grouping: Grouping, policy: Policy) -> Fold:
    key, fact = placed
    state, changed = state_after(fold.state, fact, key, grouping, policy)
    cause = Cause(source=fact.source, id=fact.id, type=fact.type)
    shown = StatusShown(state.stage, state.status, state.probability)
    images = fold.images
    if changed:
        origin = Origin.of(state.profile)
        now = dict(images)
        for deal in changed:
            image = image_of(state.deals[deal], state.owner.rep_id, origin)
            now[deal] = _held(images.get(deal, ()), key[0], image, cause)
        images = now
    return Fold(facts, links, grouping, state, _held(fold.statuses, key[0], shown, cause), images)


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
    for old, new in zip(before, after, strict=False):
        if old is not new and not same(old, new):
            return min(old.at, new.at)
    if len(before) == len(after):
        return None
    longer, begun = (before, len(after)) if len(before) > len(after) else (after, len(before))
    return longer[begun].at
