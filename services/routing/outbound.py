"""The border of routing: the only place where a stored event becomes a published one (``crm.assignment.v1``).

Ids are derived, and everything happens at the time of the request: an event that is published again is the same, byte for byte.
"""

from typing import Any, Final

import msgspec

from events.assignments import LeadAssigned, LeadUnassigned
from events.codec import encode
from events.record import Message
from events.topics import ASSIGNMENT
from events.values import format_instant
from services.routing.domain.story import (
    Assigned,
    Decision,
    Event,
    NotAssigned,
    OwnerCleared,
    Rejected,
    Superseded,
)

SOURCE: Final = "handoff/routing"
"""``ce_source`` of all that the desk publishes."""
ASSIGNED: Final = "crm.lead.assigned.v1"
UNASSIGNED: Final = "crm.lead.unassigned.v1"

Published = LeadAssigned | LeadUnassigned


def messages_of(event: Event) -> tuple[Message, ...]:
    """What is published of a stored event."""
    data = published(event)
    if data is None:
        return ()
    assert isinstance(event, Decision)
    assigned = isinstance(data, LeadAssigned)
    return (
        encode(
            ASSIGNMENT.name,
            ASSIGNED if assigned else UNASSIGNED,
            data,
            source=SOURCE,
            id=str(data.assignment_id) if assigned else f"{event.customer_id}/{event.version:010d}/unassigned",
            occurred_at=event.at,
            recorded_at=event.at,
        ),
    )


def published(event: Event) -> Published | None:
    """The data that is published of a stored event; None where that is nothing."""
    match event:
        case Assigned():
            trace = event.trace
            return LeadAssigned(
                **_common(event),
                assignment_id=event.assignment_id,
                rep_id=event.rep_id,
                team=event.team,
                territory=trace.territory,
                pool=trace.pool,
                strategy=trace.strategy,
                rule_set_version=event.rule_set_version,
                directory_version=event.directory_version,
                previous_rep=event.previous_rep,
                contact=event.contact,
                trace=msgspec.to_builtins(trace),
            )
        case NotAssigned():
            return _unassigned(event, event.reason, **msgspec.to_builtins(event.trace))
        case OwnerCleared():
            return _unassigned(event, "cleared", **msgspec.to_builtins(event.trace))
        case Rejected():
            return _unassigned(event, "rejected", explanation=f"{event.rep_id} gave it back: {event.reason or 'no reason given'}")
        case Superseded(confirmed=True):
            return _unassigned(event, "superseded", explanation=f"the record was given to {event.owner}, not by routing")
    return None


def _unassigned(event: NotAssigned | OwnerCleared | Rejected | Superseded, reason: str, **trace: Any) -> LeadUnassigned:
    return LeadUnassigned(
        **_common(event),
        assignment_id=None if isinstance(event, NotAssigned) else event.assignment_id,
        rep_id=None if isinstance(event, NotAssigned) else event.rep_id,
        reason=reason,
        trace=trace,
    )


def _common(event: Decision) -> dict[str, Any]:
    return {"customer_id": event.customer_id, "recorded_at": format_instant(event.at), "cause": event.cause}
