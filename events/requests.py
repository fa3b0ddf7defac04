"""What match asks of the desk (``routing.request.v1``): the one order of all routing decisions.

Every request comes from one message of lifecycle and carries its version, so that its id is ``<customer_id>/<version>`` and a
request that is sent again is recognised. The desk decides from requests alone: it never reads lifecycle.
"""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from events.facts import Contact, Data
from events.published import Cause, Status
from events.values import Id, Instant, Text, parse_instant


class ConditionTrace(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A condition and its truth: a test of a field, or ``all``, ``any`` or ``not`` ``of`` others.

    A test shows its operand and the value seen (null where there was none); long ones are cut, which a last ``…`` says.
    """

    test: str
    holds: bool
    field: str | UnsetType = UNSET
    operand: Any = UNSET
    value: Any = UNSET
    of: tuple["ConditionTrace", ...] = ()


class TerritoryTrace(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A territory that was tried. Without ``condition`` it takes every record."""

    territory: str
    holds: bool
    condition: ConditionTrace | None = None


class Request(Data, frozen=True, kw_only=True, omit_defaults=True):
    """What every request carries: version, time and cause of lifecycle's message."""

    version: int
    recorded_at: Instant
    cause: Cause

    def __post_init__(self) -> None:
        parse_instant(self.recorded_at)


class RecordMatched(Request, frozen=True, kw_only=True, omit_defaults=True):
    """The record is to be routed. ``territory`` is the first that took it, absent where none did and the default target holds.

    ``again``: the record may have an owner, but has come to a stage that is routed again. ``trace``: the territories in the order
    in which they were tried.
    """

    rule_set_version: int
    territory: Text | None = None
    trace: tuple[TerritoryTrace, ...] = ()
    again: bool = False
    status: Status
    owner: Id | None = None
    assignment_id: Id | None = None
    contact: Contact | None = None


class OwnerChanged(Request, frozen=True, kw_only=True, omit_defaults=True):
    """The record has got another owner; ``assignment_id`` is absent where routing did not give it."""

    owner: Id
    assignment_id: Id | None = None


class ProgressReported(Request, frozen=True, kw_only=True, omit_defaults=True):
    """The rep accepted or rejected the assignment, or did something with the customer for the first time."""

    assignment_id: Id
    rep_id: Id
    progress: Literal["accepted", "rejected", "touched"]
    reason: Text | None = None
    at: Instant
