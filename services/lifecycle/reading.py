"""The record as people read it: status now, deals, and the history with when each state became known."""

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from events.values import format_instant
from services.lifecycle.domain.events import AnyEvent, StatusRevised
from services.lifecycle.domain.fold import Held, StatusShown
from services.lifecycle.domain.parts import whole
from services.lifecycle.domain.record import Record
from services.lifecycle.outbound import deal_image, status_state


def customer_view(record: Record, events: list[tuple[int, AnyEvent]]) -> dict[str, Any]:
    """The body of ``GET /v1/customers/{customer_id}``. ``facts`` is how many the record is made of."""
    state = record.fold.state
    assert state is not None
    body = {
        "customer_id": record.customer_id,
        "stage": state.stage,
        "status": state.status,
        "probability": state.probability,
        "owner": state.owner.rep_id,
        "assignment_id": state.owner.assignment_id,
        "version": record.version,
        "facts": len(record.known),
        "recorded_at": format_instant(record.recorded_at),
        "profile": state.profile,
        "deals": [
            {"deal_id": deal, "since": format_instant(history[0].at), **_fields(deal_image(history[-1].what))}
            for deal, history in sorted(record.fold.images.items())
        ],
        "history": [
            {
                "effective_at": shown.effective_at,
                "recorded_at": format_instant(recorded_at),
                "stage": shown.stage,
                "status": shown.name,
                "probability": shown.probability,
                "cause": shown.cause,
            }
            for shown, recorded_at in ((status_state(held), at) for held, at in _recorded(events))
        ],
    }
    plain: dict[str, Any] = msgspec.to_builtins(body, builtin_types=(Decimal, date), enc_hook=str)
    return plain


def _fields(struct: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def _recorded(events: list[tuple[int, AnyEvent]]) -> list[tuple[Held[StatusShown], int]]:
    """The status history with the instant at which each state became known: a state that a revision keeps, keeps it."""
    history: list[tuple[Held[StatusShown], int]] = []
    for _, event in whole(events):
        if isinstance(event, StatusRevised):
            known = dict(history)
            history = [(held, at) for held, at in history if held.at < event.since]
            history += [(held, known.get(held, event.recorded_at)) for held in event.states]
    return history
