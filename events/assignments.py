"""What routing publishes: who has the record, why, and what became of it (``crm.assignment.v1``)."""

from typing import Any

from msgspec import Struct

from events.facts import Contact, Data
from events.published import Cause
from events.values import Id, Text


class Sla(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Until when the rep has to react, and on which clock."""

    due_at: str
    clock: str


class LeadAssigned(Data, frozen=True, kw_only=True, omit_defaults=True):
    """A rep was given the record. ``assignment_id`` is the request's id and the round; ``trace`` is the whole reasoning."""

    assignment_id: Id
    rep_id: Id
    team: Text | None = None
    territory: Text | None = None
    pool: Text | None = None
    strategy: Text | None = None
    rule_set_version: int | None = None
    directory_version: int | None = None
    previous_rep: Id | None = None
    contact: Contact | None = None
    sla: Sla | None = None
    recorded_at: str | None = None
    cause: Cause | None = None
    trace: dict[str, Any] | None = None


class LeadUnassigned(Data, frozen=True, kw_only=True, omit_defaults=True):
    """The named assignment ended, or nobody could be given the record; ``assignment_id`` is absent where there was none."""

    assignment_id: Id | None = None
    rep_id: Id | None = None
    reason: Text
    recorded_at: str | None = None
    cause: Cause | None = None
    trace: dict[str, Any] | None = None


class HandoffBreached(Data, frozen=True, kw_only=True, omit_defaults=True):
    """The rep did not react in time."""

    assignment_id: Id
    rep_id: Id
    recorded_at: str | None = None
    cause: Cause | None = None


class HandoffCompleted(Data, frozen=True, kw_only=True, omit_defaults=True):
    """The assignment did what it was for: the lead became more, or ended."""

    assignment_id: Id
    rep_id: Id
    recorded_at: str | None = None
    cause: Cause | None = None
