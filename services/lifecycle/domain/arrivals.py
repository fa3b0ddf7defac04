"""How facts came in, as it is stored: in which order, which were late, and where it is written what their arrival changed.

What a fact changes at its place in business time is another question, which the fold answers (:func:`.fold.steps`): of a late fact
the one is a correction of the past, the other what it would have changed had it come in time.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from events.codec import Fact
from events.facts import FactRef
from services.lifecycle.domain.events import FactAccepted
from services.lifecycle.domain.order import Key, key_of


class Arrival(Struct, frozen=True, kw_only=True):
    """A fact's coming in. ``recorded_at`` (nanoseconds) is the record's clock, ``version`` that of the stored fact.

    ``late``: a fact that comes after it in fold order was known before. ``replaced``: another fact of the same identity has taken
    its place since (FOLD.md 2). What it changed are the stored events after version ``changes_after`` up to ``changes_until``
    (None: to the end); late facts that were taken in together changed it together.
    """

    fact: Fact
    version: int
    recorded_at: int
    late: bool
    replaced: bool = False
    changes_after: int
    changes_until: int | None
    together: tuple[FactRef, ...] = ()


def arrivals(accepted: Sequence[tuple[int, FactAccepted]]) -> list[Arrival]:
    """The arrivals of all facts of a record, from its stored facts with their versions, in the order in which they were stored."""
    found: list[Arrival] = []
    standing: dict[FactRef, tuple[int, Key]] = {}  # which arrival, and the place of its fact
    last: Key | None = None
    for number, (version, event) in enumerate(accepted):
        ref, key = ref_of(event.fact), key_of(event.fact)
        following = accepted[number + 1][0] - 1 if number + 1 < len(accepted) else None
        late = last is not None and key < last
        found.append(
            Arrival(
                fact=event.fact,
                version=version,
                recorded_at=event.recorded_at,
                late=late,
                changes_after=version,
                changes_until=following,
            )
        )
        if ref in standing:
            earlier, _ = standing[ref]
            found[earlier] = replace(found[earlier], replaced=True)
            standing[ref] = (number, key)
            last = max(place for _, place in standing.values())
        else:
            standing[ref] = (number, key)
            last = key if last is None else max(last, key)
    return _together(found)


def ref_of(fact: Fact) -> FactRef:
    """A fact's identity within its record."""
    return FactRef(source=fact.source, id=fact.id)


def _together(found: Sequence[Arrival]) -> list[Arrival]:
    """Late facts that were stored one after the other, at one instant of the record's clock, count as taken in together."""
    grouped: list[Arrival] = []
    for group in _groups(found):
        end = group[-1]
        refs = tuple(ref_of(each.fact) for each in group)
        grouped += [
            replace(
                each,
                changes_after=end.changes_after,
                changes_until=end.changes_until,
                together=tuple(ref for ref in refs if ref != ref_of(each.fact)),
            )
            for each in group
        ]
    return grouped


def _groups(found: Iterable[Arrival]) -> Iterable[Sequence[Arrival]]:
    group: list[Arrival] = []
    for each in found:
        before = group[-1] if group else None
        joined = before is not None and before.late and each.late and before.recorded_at == each.recorded_at
        if before is not None and not (joined and before.version + 1 == each.version):
            yield group
            group = []
        group.append(each)
    if group:
        yield group
