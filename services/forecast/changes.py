"""A message of lifecycle in numbers: what it replaces in which history, checked before a transaction is opened.

In: the decoded fact. Out: a :class:`Change`, or ``ValueError`` that names the field whose content lifecycle could not have meant.
"""

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from itertools import pairwise
from typing import Any, NamedTuple

from msgspec import json

from events.codec import Fact
from events.published import DealsChanged, DealState, Published, StatusChanged, StatusState
from events.values import parse_instant
from services.forecast.domain import deal_of
from services.forecast.periods import FOREVER

Row = tuple[Any, ...]
"""The columns of a state, as the table has them."""


class Rewrite(NamedTuple):
    """From ``since`` on the history of ``key`` is ``states``: (instant, columns), ascending. Without ``since`` it never was."""

    key: tuple[str, ...]
    since: int | None
    states: tuple[tuple[int, Row], ...]


class Change(NamedTuple):
    """What a message changes. ``part`` of ``parts``: the parts of one message take effect together."""

    customer_id: str
    version: int
    recorded_at: int
    status: Rewrite | None = None
    deals: tuple[Rewrite, ...] = ()
    part: int = 1
    parts: int = 1


def read(fact: Fact, zone: tzinfo) -> Change:
    """What a message of ``crm.lifecycle.v1`` changes here: nothing but a version, where it is about something else."""
    message = fact.data
    assert isinstance(message, Published), f"{fact.type} is not lifecycle's"
    change = Change(message.customer_id, message.version, instant(message.recorded_at, "recorded_at"))
    if isinstance(message, StatusChanged | DealsChanged) and not 1 <= message.part <= message.parts:
        raise ValueError(f"$.part: is {message.part} of {message.parts}")
    match message:
        case StatusChanged():
            key, since = (message.customer_id,), instant(message.since, "since")
            states = ascending(since, message.states, ((s.stage, s.name, s.probability) for s in message.states), "states")
            return change._replace(status=Rewrite(key, since, states), part=message.part, parts=message.parts)
        case DealsChanged():
            deals = []
            for place, deal in enumerate(message.deals):
                path, deal_key = f"deals[{place}]", (message.customer_id, deal.deal_id)
                if deal.since is None:
                    if deal.states:
                        raise ValueError(f"$.{path}.states: a deal that no longer exists has none")
                    deals.append(Rewrite(deal_key, None, ()))
                    continue
                since = instant(deal.since, f"{path}.since")
                rows = (deal_row(state, zone, f"{path}.states") for state in deal.states)
                deals.append(Rewrite(deal_key, since, ascending(since, deal.states, rows, f"{path}.states")))
            return change._replace(deals=tuple(deals), part=message.part, parts=message.parts)
        case _:
            return change


def deal_row(state: DealState, zone: tzinfo, path: str) -> Row:
    """The columns of a deal's state."""
    image = state.image
    closed_at = None if image.closed_at is None else instant(image.closed_at, f"{path}.image.closed_at")
    close_date = None if image.close_date is None else image.close_date.isoformat()
    return (*deal_of(image, zone), close_date, closed_at, json.encode(image).decode())


def ascending(since: int, states: Sequence[DealState | StatusState], rows: Iterable[Row], path: str) -> tuple[tuple[int, Row], ...]:
    """Instants and columns of states, which must follow each other, none before ``since``."""
    dated = tuple((instant(s.effective_at, f"{path}.effective_at"), row) for s, row in zip(states, rows, strict=True))
    instants = [since - 1, *(at for at, _ in dated), FOREVER]
    if any(earlier >= later for earlier, later in pairwise(instants)):
        raise ValueError(f"$.{path}: the states must ascend from since on")
    return dated


def instant(text: str, path: str) -> int:
    """The instant, or a ``ValueError`` that names the field."""
    try:
        return parse_instant(text)
    except ValueError as error:
        raise ValueError(f"$.{path}: {error}") from None


def gather(parts: Sequence[Change]) -> Change:
    """The parts of one message as one: the states of a history that goes on in the next part follow those before."""
    statuses = [part.status for part in parts if part.status is not None]
    deals: dict[tuple[tuple[str, ...], int | None], Rewrite] = {}
    for deal in (deal for part in parts for deal in part.deals):
        before = deals.get((deal.key, deal.since))
        if before and before.states and deal.states and before.states[-1][0] >= deal.states[0][0]:
            raise ValueError(f"$.deals: {deal.key[-1]!r} does not go on where the part before ended")
        deals[deal.key, deal.since] = deal._replace(states=(before.states if before else ()) + deal.states)
    return parts[-1]._replace(status=_joined(statuses), deals=tuple(deals.values()), part=1, parts=1)


def _joined(parts: Sequence[Rewrite]) -> Rewrite | None:
    """The parts of a status history as one."""
    states = tuple(state for part in parts for state in part.states)
    if any(earlier[0] >= later[0] for earlier, later in pairwise(states)):
        raise ValueError("$.states: the status does not go on where the part before ended")
    return parts[0]._replace(states=states) if parts else None
