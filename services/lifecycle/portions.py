"""How much is read at once: so that memory and the time of one transaction are bounded, however long the records are."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Final, TypeVar

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

EVENTS_MAX: Final = 50_000
"""Stored events: some 20,000 facts, which take a second or two to fold, and some 60 MB."""


class TooMuch(Exception):  # noqa: N818 - the name says what is the case
    """More than is read at once is asked for: ask for it in portions."""


def portions(items: Iterable[T], key: Callable[[T], K], size: Callable[[K], int], size_max: int) -> Iterator[list[T]]:
    """The items in parts, in their order, none with keys of more than the size together, unless it has one key only.

    A size is asked for when it is due: what was done with the portion before may have changed it.
    """
    portion: list[T] = []
    keys: set[K] = set()
    free = size_max
    for item in items:
        if (name := key(item)) not in keys:
            needed = size(name)
            if portion and needed > free:
                yield portion
                portion, keys, free = [], set(), size_max
                needed = size(name)
            keys.add(name)
            free -= needed
        portion.append(item)
    if portion:
        yield portion
