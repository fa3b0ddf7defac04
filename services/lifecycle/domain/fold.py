"""The fold: from the set of a customer's facts to what held after each instant (FOLD.md 3).

A fact that is newer than all others and leaves the links of the past alone is one step. Any other goes back to the last
checkpoint before the place where it changes anything, and folds from there on. All give the same, because the outcome depends
on the set alone.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from operator import attrgetter, itemgetter
from typing import Final, Generic, NamedTuple, TypeVar
from zlib import crc32

from msgspec import Struct
from msgspec.structs import replace
from rpds import HashTrieMap, List

from events.codec import Fact
from events.facts import Stage
from events.published import Cause
from services.lifecycle.domain.deals import Image, Origin, image_of
from services.lifecycle.domain.links import NOTHING, DocumentKey, Grouping, Links, document_of, group, regrouped
from services.lifecycle.domain.order import Key, key_of
from services.lifecycle.domain.state import Policy, State, state_after

T = TypeVar("T")
Placed = tuple[Key, Fact]

CHECKPOINT_ONE_IN: Final = 32
"""A checkpoint is kept after one fact in so many. More often costs memory, more seldom time: about 60 µs a fact to fold again."""


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


class Checkpoint(Struct, frozen=True):
    """The state after a fact, where the next fact is of a later instant.

    So the histories at a checkpoint are today's, cut after its instant: no state there can still be replaced by one of the same
    instant. Which facts are followed by a checkpoint depends on their names alone, so that the same set has the same checkpoints
    whatever order it arrived in.
    """

    last: Key
    state: State


class Fold(Struct, frozen=True):
    """A set of facts, folded: the state after all of them, and the history of the record's status and of every deal.

    ``facts`` and ``checkpoints`` have the last one first. What grows with the record is persistent (in the sense of data
    structures: it shares all but the change with what was before), so that a step costs the same on a long record and a short one.
    """

    facts: List[Placed] = List()
    links: Links = Links()
    grouping: Grouping = NOTHING
    state: State | None = None
    statuses: History[StatusShown] = ()
    images: HashTrieMap[str, History[Image]] = HashTrieMap()
    checkpoints: List[Checkpoint] = List()

    @property
    def last(self) -> Key | None:
        """The place of the last fact."""
        return next((key for key, _ in self.facts), None)


EMPTY: Final = Fold()


class Folded(NamedTuple):
    """What more facts made of a fold. ``deals``: whose history may differ. ``again``: facts that it had were folded again."""

    fold: Fold
    deals: set[str]
    again: bool


def fold_of(facts: Iterable[Fact], policy: Policy) -> Fold:
    """The fold of a set of facts, given in any order."""
    return plus(EMPTY, [*facts], policy).fold


def plus(fold: Fold, facts: Sequence[Fact], policy: Policy, *, without: Sequence[Fact] = ()) -> Folded:
    """The fold of the set with more facts (which it does not hold yet), and without some."""
    added = sorted(((key_of(fact), fact) for fact in facts), key=itemgetter(0))
    dropped = {key_of(fact) for fact in without}
    links, grouping, regrouped = _grouping(fold, added, dropped)
    begun = [fold.state.documents[document].first for document in regrouped] if fold.state is not None else []
    now, later, deals = _back_to(fold, min([key for key, _ in added] + [*dropped, *begun]))
    now = replace(now, links=links, grouping=grouping)
    for each in sorted([*(placed for placed in later if placed[0] not in dropped), *added], key=itemgetter(0)):
        now, changed = _step(now, each, policy)
        deals |= changed
    return Folded(now, deals, again=bool(later))


def _grouping(fold: Fold, added: Sequence[Placed], dropped: set[Key]) -> tuple[Links, Grouping, Collection[DocumentKey]]:
    """Links and grouping with more facts and without some, and the documents whose past that changes."""
    links = Links() if dropped else fold.links
    kept = [placed for placed in fold.facts if placed[0] not in dropped] if dropped else []
    for key, fact in [*kept, *added]:
        links = links.plus(key, fact.data)
    if links is fold.links:
        return links, fold.grouping, ()
    if fold.last is None:
        return links, group(links), ()
    concerned = [*added, *(placed for placed in (fold.facts if dropped else ()) if placed[0] in dropped)]
    documents = {document for _, fact in concerned if (document := document_of(fact.data)) is not None}
    return links, *regrouped(fold.grouping, (fold.links, links), documents)


# --------------------------------------------------------------------------------- points of the fold


class Step(NamedTuple):
    """What one fact changes at its place: the fold before it and after it, and the deals that it touches."""

    fact: Fact
    before: Fold
    after: Fold
    deals: set[str]


def steps(fold: Fold, since: Key, policy: Policy) -> Iterator[Step]:
    """The fold once more, fact by fact, from a place on: what each fact changes there, the links being those of the whole set."""
    now, later, _ = _back_to(fold, since)
    now = replace(now, links=fold.links, grouping=fold.grouping)
    for placed in later:
        before = now
        now, changed = _step(before, placed, policy)
        if placed[0] >= since:
            yield Step(placed[1], before, now, changed)


def as_of(fold: Fold, instant: int, policy: Policy) -> Fold:
    """The fold after all facts dated up to an instant, the links being those of the whole set (FOLD.md 11).

    So its histories are those of the whole, cut after the instant.
    """
    if fold.last is None or fold.last[0] <= instant:
        return fold
    now, later, _ = _back_to(fold, (instant + 1, 0, b"", b""))
    now = replace(now, links=fold.links, grouping=fold.grouping)
    for placed in later:
        if placed[0][0] > instant:
            break
        now, _ = _step(now, placed, policy)
    return now


# ----------------------------------------------------------------------------------------- going back


def _back_to(fold: Fold, place: Key) -> tuple[Fold, list[Placed], set[str]]:
    """The fold at the last checkpoint of an instant before a place, the facts after that, and the deals with a history after it.

    The checkpoint holds where nothing changes before the place.
    """
    if fold.last is None or place > fold.last:
        return fold, [], set()
    checkpoints, checkpoint = fold.checkpoints, None
    for each in fold.checkpoints:
        checkpoints = checkpoints.drop_first()  # it is set again with the step that follows
        if each.last[0] < place[0]:
            checkpoint = each
            break
    if checkpoint is None:
        return EMPTY, list(fold.facts)[::-1], set(fold.images)
    facts, later = fold.facts, list[Placed]()
    for placed in fold.facts:
        if placed[0] == checkpoint.last:
            break
        later.append(placed)
        facts = facts.drop_first()
    instant = checkpoint.last[0]
    images, touched = fold.images, set[str]()
    for deal, history in fold.images.items():
        if history[-1].at > instant:
            before = _until(history, instant)
            images = images.insert(deal, before) if before else images.remove(deal)
            touched.add(deal)
    past = Fold(facts, fold.links, fold.grouping, checkpoint.state, _until(fold.statuses, instant), images, checkpoints)
    return past, later[::-1], touched


def _until(history: History[T], instant: int) -> History[T]:
    return history[: bisect_right(history, instant, key=attrgetter("at"))]


# ------------------------------------------------------------------------------------------- one step


def _step(fold: Fold, placed: Placed, policy: Policy) -> tuple[Fold, set[str]]:
    key, fact = placed
    state, changed = state_after(fold.state, fact, key, fold.grouping, policy)
    cause = Cause(source=fact.source, id=fact.id, type=fact.type)
    shown = StatusShown(state.stage, state.status, state.probability)
    images = fold.images
    if changed:
        origin = Origin.of(state.profile)
        for deal in changed:
            image = image_of(state.deals[deal], state.owner.rep_id, origin)
            images = images.insert(deal, _held(images.get(deal, ()), key[0], image, cause))
    statuses = _held(fold.statuses, key[0], shown, cause)
    return Fold(fold.facts.push_front(placed), fold.links, fold.grouping, state, statuses, images, _kept_until(fold, key)), changed


def _kept_until(fold: Fold, following: Key) -> List[Checkpoint]:
    """The checkpoints of a fold, when it is known which fact follows."""
    last = fold.last
    if last is None or last[0] == following[0] or crc32(last[3], crc32(last[2])) % CHECKPOINT_ONE_IN:
        return fold.checkpoints
    assert fold.state is not None
    return fold.checkpoints.push_front(Checkpoint(last, fold.state))


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
