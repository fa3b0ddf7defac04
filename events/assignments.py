"""What routing publishes: who has the record, why, and what became of it (``crm.assignment.v1``)."""

from typing import Any

from msgspec import Struct

from events.facts import Contact, Data
from events.published import Cause
from events.values import DerivedId, Id, Instant, Number, Text


class Sla(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Until when the rep has to react.

    Attributes:
        due_at: The last moment. Example: "2026-03-02T14:15:00Z"
        clock: Whose time is counted: all of it (wall), or working hours of the team or the rep. Example: "wall"
    """

    due_at: Instant
    clock: str


class Decision(Data, frozen=True, kw_only=True, omit_defaults=True):
    """What every message of routing carries.

    Attributes:
        recorded_at: When the request that was decided came into the log. Example: "2026-03-02T10:15:01Z"
        cause: The fact that brought it about.
    """

    recorded_at: Instant | None = None
    cause: Cause | None = None


class LeadAssigned(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """A rep was given the record.

    Attributes:
        assignment_id: The assignment: the id of the request, and the round. Example: "C-1042/0000000003/1"
        rep_id: Who has the record now. Example: "ann"
        team: The rep's team. Example: "Munich"
        territory: The territory that took the record, by its name in the rules. Example: "DACH enterprise"
        pool: The pool that the rep was picked from. Example: "enterprise"
        strategy: How the rep was picked. Example: "weighted-round-robin"
        rule_set_version: The version of the rules that were in force. Example: 4
        directory_version: The version of the directory that was in force. Example: 2
        previous_rep: Who had the record before. Example: "bob"
        contact: The person behind the lead.
        sla: Until when the rep has to react.
        trace: The whole reasoning: every territory tried and every rep considered. Example: {"territories": []}
    """

    assignment_id: DerivedId
    rep_id: Id
    team: Text | None = None
    territory: Text | None = None
    pool: Text | None = None
    strategy: Text | None = None
    rule_set_version: Number | None = None
    directory_version: Number | None = None
    previous_rep: Id | None = None
    contact: Contact | None = None
    sla: Sla | None = None
    trace: dict[str, Any] | None = None


class LeadUnassigned(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """An assignment ended, or nobody could be given the record.

    Attributes:
        assignment_id: The assignment that ended; absent where there was none. Example: "C-1042/0000000003/1"
        rep_id: Who had it. Example: "ann"
        reason: Why. Example: "superseded"
        trace: The whole reasoning. Example: {"territories": []}
    """

    assignment_id: DerivedId | None = None
    rep_id: Id | None = None
    reason: Text
    trace: dict[str, Any] | None = None


class HandoffBreached(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """The rep did not react in time.

    Attributes:
        assignment_id: The assignment. Example: "C-1042/0000000003/1"
        rep_id: Who had it. Example: "ann"
    """

    assignment_id: DerivedId
    rep_id: Id


class HandoffCompleted(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """The assignment did what it was for: the lead became more, or ended.

    Attributes:
        assignment_id: The assignment. Example: "C-1042/0000000003/1"
        rep_id: Who had it. Example: "ann"
    """

    assignment_id: DerivedId
    rep_id: Id
