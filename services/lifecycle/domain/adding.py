"""More facts: what a fold becomes when facts come, early or late, or give way to others of the same identity.

A fact that is newer than all others and leaves the links of the past alone is one step. Any other goes back to the last
checkpoint before the place where it changes anything, and folds from there on what it concerns. All give the same, because the
outcome depends on the set alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from msgspec.structs import replace

from events.codec import Fact
from services.lifecycle.domain.fold import Fold, Placed, back_to, step
from services.lifecycle.domain.leaps import Leaps
from services.lifecycle.domain.links import DocumentKey, Grouping, Links, document_of, group, regrouped
from services.lifecycle.domain.order import Key, key_of
from services.lifecycle.domain.state import Policy


class Folded(NamedTuple):
    """What more facts made of a fold. ``deals``: whose history may differ. ``again``: facts that it had were folded again."""

    fold: Fold
    deals: set[str]
    again: bool


def plus(fold: Fold, facts: Sequence[Fact], policy: Policy, *, without: Sequence[Fact] = ()) -> Folded:
    """The fold of the set with more facts (which it does not hold yet), and without some."""
    added = deque(sorted(((key_of(fact), fact) for fact in facts), key=itemgetter(0)))
    dropped = {key_of(fact) for fact in without}
    links, grouping, moved = _grouping(fold, added, dropped)
    begun = [fold.state.documents[document].first for document in moved] if fold.state is not None else []
    now, later, deals = back_to(fold, min([key for key, _ in added] + [*dropped, *begun]))
    now, again = replace(now, links=links, grouping=grouping), bool(later)
    if dropped or moved:
        leaps, later = None, [placed for placed in later if placed[0] not in dropped]
    else:
        leaps = Leaps(fold, later) if later else None
    place = 0
    while place < len(later) or added:
        if leaps is not None and not added:
            now, place = leaps.leap(now, place)
            if place == len(later):
                break
        if added and (place == len(later) or added[0][0] < later[place][0]):
            each = added.popleft()
        else:
            each, place = later[place], place + 1
        now, changed = step(now, each, policy)
        deals |= changed
        if leaps is not None:
            leaps.stepped(changed)
    return Folded(now, deals, again)


def _grouping(fold: Fold, added: Iterable[Placed], dropped: set[Key]) -> tuple[Links, Grouping, Collection[DocumentKey]]:
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
