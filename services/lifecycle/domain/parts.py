"""Long changes in parts: what is stored and published as one message has a bounded size, whatever the record.

In go the states that a change replaces, out come parts that count as one (DESIGN 4): from the second on, each begins where the
one before ended, so that who applies them one after the other comes to the same as who waits for the last one.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from services.lifecycle.domain.events import AnyEvent, DealRevised, ImageHeld, StatusRevised
from services.lifecycle.domain.history import Held, History, StatusShown

PART_BYTES_MAX: Final = 512 * 1024
"""What the states of one part may come to. A single state may be longer (:mod:`services.lifecycle.domain.limits`)."""
STATUSES_SURE: Final = 100
"""So many states of a status fit, whatever their names."""
FRAME_BYTES: Final = 100
"""What a deal takes besides its id and its states."""


def statuses_in_parts(states: History[StatusShown]) -> list[History[StatusShown]]:
    """A history of the status in parts."""
    if len(states) <= STATUSES_SURE:
        return [states]
    parts: list[list[Held[StatusShown]]] = [[]]
    free = PART_BYTES_MAX
    for state in states:
        size = _published_bytes(state)
        if size > free and parts[-1]:
            parts.append([])
            free = PART_BYTES_MAX
        parts[-1].append(state)
        free -= size
    return [tuple(part) for part in parts]


def deals_in_parts(deals: Sequence[DealRevised]) -> list[tuple[DealRevised, ...]]:
    """Deals in parts; one whose own history is longer goes on in the next part, from there on."""
    if len(deals) == 1 and len(deals[0].states) <= 1:
        return [tuple(deals)]
    parts: list[list[DealRevised]] = [[]]
    free = PART_BYTES_MAX
    for deal in deals:
        chunk: list[ImageHeld] = []
        since = deal.since
        frame = FRAME_BYTES + 2 * len(deal.deal_id.encode())
        free -= frame
        for state in deal.states or (None,):
            size = 0 if state is None else _published_bytes(state)
            if size > free and (chunk or parts[-1]):
                if chunk:
                    parts[-1].append(DealRevised(deal.deal_id, since, tuple(chunk)))
                    since = state.at if state is not None else since
                parts.append([])
                chunk, free = [], PART_BYTES_MAX - frame
            if state is not None:
                chunk.append(state)
            free -= size
        parts[-1].append(DealRevised(deal.deal_id, since, tuple(chunk)))
    return [tuple(part) for part in parts]


def _published_bytes(state: Held[StatusShown] | ImageHeld) -> int:
    """What a state comes to when it is published: money and instants are longer then than stored."""
    return 2 * len(msgspec.json.encode(state))


def whole(events: Iterable[tuple[int, AnyEvent]]) -> Iterator[tuple[int, AnyEvent]]:
    """Stored events with their versions, where the parts of a status are one event, of the version of the last."""
    states: History[StatusShown] = ()
    since = 0
    for version, event in events:
        if not isinstance(event, StatusRevised) or event.parts == 1:
            yield version, event
            continue
        if event.part == 1:
            states, since = (), event.since
        states += event.states
        if event.part == event.parts:
            yield version, replace(event, since=since, states=states, part=1, parts=1)
