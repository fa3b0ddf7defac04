"""Histories: what held after each instant (FOLD.md 3)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from operator import attrgetter
from typing import Generic, TypeVar

from msgspec import Struct

from events.facts import Stage
from events.published import Cause

T = TypeVar("T")


class StatusShown(Struct, frozen=True, gc=False):
    """What the record shows of its status."""

    stage: Stage
    name: str
    probability: int


class Held(Struct, Generic[T], frozen=True, gc=False):
    """What held from an instant (nanoseconds) on, and the fact that brought it about."""

    at: int
    what: T
    cause: Cause


History = tuple[Held[T], ...]
"""What held after each instant: in order of time, no two neighbours equal."""


def held_after(history: History[T], at: int, what: T, cause: Cause) -> History[T]:
    """The history with what holds after one more fact: states that lasted no time and equal neighbours do not exist."""
    if history and history[-1].what == what:
        return history
    if history and history[-1].at == at:
        history = history[:-1]
        if history and history[-1].what == what:
            return history
    return (*history, Held(at, what, cause))


def revised_since(before: History[T], after: History[T], same: Callable[[Held[T], Held[T]], bool], *, again: bool) -> int | None:
    """The instant from which two histories differ, or None where they are the same.

    Not ``again``: the second is the first with what one more step did, so that they can only differ at the end.
    """
    shared = 0 if again else max(0, min(len(before), len(after)) - 1)
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


def until(history: History[T], instant: int) -> History[T]:
    """The part of a history that begins at an instant or before it."""
    return history[: bisect_right(history, instant, key=attrgetter("at"))]


def between(history: History[T], after: int, up_to: int) -> History[T]:
    """The part of a history that begins after an instant, and at another one at the latest."""
    first, last = (bisect_right(history, instant, key=attrgetter("at")) for instant in (after, up_to))
    return history[first:last]
