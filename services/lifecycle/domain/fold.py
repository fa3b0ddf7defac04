"""The fold: from the set of a customer's facts to what held after each instant (FOLD.md 3).

It goes fact by fact, and keeps its state at checkpoints, to which :mod:`~services.lifecycle.domain.adding` goes back for late
facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Final, NamedTuple, TypeVar
from zlib import crc32

from msgspec import Struct
from msgspec.structs import replace
from rpds import HashTrieMap, List

from events.codec import Fact
from events.published import Cause
from services.lifecycle.domain.deals import Image, Origin, image_of
from services.lifecycle.domain.history import History, StatusShown, held_after, until
from services.lifecycle.domain.links import NOTHING, Grouping, Links, group
from services.lifecycle.domain.order import Key, key_of
from services.lifecycle.domain.state import Policy, State, state_after
from services.lifecycle.domain.stretches import Stretch

T = TypeVar("T")
Placed = tuple[Key, Fact]

CHECKPOINT_ONE_IN: Final = 32
"""A checkpoint is kept after one fact in so many. More often costs memory, more seldom time: about 60 µs a fact to fold again."""


class Checkpoint(Struct, frozen=True, gc=False):
    """The state after a fact, where the next fact is of a later instant.

    So the histories at a checkpoint are today's, cut after its instant: no state there can still be replaced by one of the same
    instant. Which facts are followed by a checkpoint depends on their names alone, so that the same set has the same checkpoints
    whatever order it arrived in. ``stretch`` is what happened since the checkpoint before.
    """

    last: Key
    state: State
    stretch: Stretch


class Fold(Struct, frozen=True, gc=False):
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
    stretch: Stretch = Stretch()

    @property
    def last(self) -> Key | None:
        """The place of the last fact."""
        return next((key for key, _ in self.facts), None)


EMPTY: Final = Fold()


def fold_of(facts: Iterable[Fact], policy: Policy) -> Fold:
    """The fold of a set of facts, given in any order."""
    placed = sorted(((key_of(fact), fact) for fact in facts), key=itemgetter(0))
    links = Links()
    for key, fact in placed:
        links = links.plus(key, fact.data)
    fold = Fold(links=links, grouping=group(links))
    for each in placed:
        fold, _ = step(fold, each, policy)
    return fold


# --------------------------------------------------------------------------------- points of the fold


class Step(NamedTuple):
    """What one fact changes at its place: the fold before it and after it, and the deals that it touches."""

    fact: Fact
    before: Fold
    after: Fold
    deals: set[str]


def steps(fold: Fold, since: Key, policy: Policy) -> Iterator[Step]:
    """The fold once more, fact by fact, from a place on: what each fact changes there, the links being those of the whole set."""
    now, later, _ = back_to(fold, since)
    now = replace(now, links=fold.links, grouping=fold.grouping)
    for placed in later:
        before = now
        now, changed = step(before, placed, policy)
        if placed[0] >= since:
            yield Step(placed[1], before, now, changed)


def as_of(fold: Fold, instant: int, policy: Policy) -> Fold:
    """The fold after all facts dated up to an instant, the links being those of the whole set (FOLD.md 11).

    So its histories are those of the whole, cut after the instant.
    """
    if fold.last is None or fold.last[0] <= instant:
        return fold
    now, later, _ = back_to(fold, (instant + 1, 0, b"", b""))
    now = replace(now, links=fold.links, grouping=fold.grouping)
    for placed in later:
        if placed[0][0] > instant:
            break
        now, _ = step(now, placed, policy)
    return now


# ----------------------------------------------------------------------------------------- going back


def back_to(fold: Fold, place: Key) -> tuple[Fold, list[Placed], set[str]]:
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
    images, touched = images_until(fold.images, instant)
    statuses = until(fold.statuses, instant)
    past = Fold(facts, fold.links, fold.grouping, checkpoint.state, statuses, images, checkpoints, checkpoint.stretch)
    return past, later[::-1], touched


def images_until(images: HashTrieMap[str, History[Image]], instant: int) -> tuple[HashTrieMap[str, History[Image]], set[str]]:
    """The histories of deals up to an instant, and the deals whose history goes on after it; one that begins later has none."""
    shortened = set[str]()
    for deal, history in images.items():
        if history[-1].at > instant:
            before = until(history, instant)
            images = images.insert(deal, before) if before else images.remove(deal)
            shortened.add(deal)
    return images, shortened


# ------------------------------------------------------------------------------------------- one step


def step(fold: Fold, placed: Placed, policy: Policy) -> tuple[Fold, set[str]]:
    """The fold after one more fact, which comes after all others, and the deals that it touches."""
    key, fact = placed
    state, changed = state_after(fold.state, fact, key, fold.grouping, policy)
    cause = Cause(source=fact.source, id=fact.id, type=fact.type)
    shown = StatusShown(state.stage, state.status, state.probability)
    images = fold.images
    if changed:
        origin = Origin.of(state.profile)
        for deal in changed:
            image = image_of(state.deals[deal], state.owner.rep_id, origin)
            images = images.insert(deal, held_after(images.get(deal, ()), key[0], image, cause))
    statuses = held_after(fold.statuses, key[0], shown, cause)
    checkpoints, stretch = _kept_until(fold, key)
    stretch = stretch.plus(fold.state, state, fact.data, changed)
    facts = fold.facts.push_front(placed)
    return Fold(facts, fold.links, fold.grouping, state, statuses, images, checkpoints, stretch), changed


def _kept_until(fold: Fold, following: Key) -> tuple[List[Checkpoint], Stretch]:
    """The checkpoints of a fold and what happened since, when it is known which fact follows."""
    last = fold.last
    if last is None or last[0] == following[0] or not is_checkpoint(last):
        return fold.checkpoints, fold.stretch
    assert fold.state is not None
    return fold.checkpoints.push_front(Checkpoint(last, fold.state, fold.stretch)), Stretch()


def is_checkpoint(place: Key) -> bool:
    """Whether a checkpoint follows a fact, if it is the last one of its instant: its name decides."""
    return crc32(place[3], crc32(place[2])) % CHECKPOINT_ONE_IN == 0
