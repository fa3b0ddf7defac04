"""What match asks of the desk (``routing.request.v1``): the one order of all routing decisions.

Every request comes from one message of lifecycle and carries its version, so that its id is ``<customer_id>/<version>`` and a
request that is sent again is recognised. The desk decides from requests alone: it never reads lifecycle.
"""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from events.facts import Contact, Data
from events.published import Cause, Status
from events.values import DerivedId, Id, Instant, Text, check_instant


class ConditionTrace(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A condition and its truth: a test of a field, or ``all``, ``any`` or ``not`` ``of`` others.

    A test shows its operand and the value seen (null where there was none); long ones are cut, which a last ``…`` says.

    Attributes:
        test: What was tested, or how others are combined. Example: "in"
        holds: Whether it is true of the record. Example: true
        field: The field that was tested. Example: "country"
        operand: What it was compared with.
        value: What the record has.
        of: The conditions that are combined.
    """

    test: str
    holds: bool
    field: str | UnsetType = UNSET
    operand: Any = UNSET
    value: Any = UNSET
    of: tuple["ConditionTrace", ...] = ()


class TerritoryTrace(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A territory that was tried.

    Attributes:
        territory: Its name in the rules. Example: "DACH enterprise"
        holds: Whether it took the record. Example: true
        condition: Its condition and the truth of it; without one it takes every record.
    """

    territory: str
    holds: bool
    condition: ConditionTrace | None = None


class Request(Data, frozen=True, kw_only=True, omit_defaults=True):
    """What every request carries.

    Attributes:
        version: Number of lifecycle's message among those of the customer. Example: 3
        recorded_at: When the cause came into the log. Example: "2026-03-02T10:15:01Z"
        cause: The fact that brought it about.
    """

    version: int
    recorded_at: Instant
    cause: Cause

    def __post_init__(self) -> None:
        check_instant("recorded_at", self.recorded_at, 0)

    @property
    def request_id(self) -> str:
        """The request's id: the version in fixed width, so that bytes sort as numbers."""
        return f"{self.customer_id}/{self.version:010d}"


class RecordMatched(Request, frozen=True, kw_only=True, omit_defaults=True):
    """The record is to be routed.

    Attributes:
        rule_set_version: The version of the rules that it was matched with. Example: 4
        directory_version: The newest version of the directory then, by which it is decided. Example: 2
        territory: The first that took it; absent where none did and the default target holds. Example: "DACH enterprise"
        trace: The territories in the order in which they were tried.
        again: Whether it has come to a stage that is routed again, owner or not. Example: false
        status: The record's status.
        owner: The rep who has the record. Example: "bob"
        assignment_id: The assignment that gave the owner, where routing did. Example: "C-1042/0000000001/1"
        contact: The person behind the last lead.
    """

    rule_set_version: int
    directory_version: int | None = None
    territory: Text | None = None
    trace: tuple[TerritoryTrace, ...] = ()
    again: bool = False
    status: Status
    owner: Id | None = None
    assignment_id: DerivedId | None = None
    contact: Contact | None = None


class OwnerChanged(Request, frozen=True, kw_only=True, omit_defaults=True):
    """The record has got another owner.

    Attributes:
        owner: The rep who has the record now. Example: "bob"
        assignment_id: The assignment that gave the owner; absent where routing did not. Example: "C-1042/0000000001/1"
    """

    owner: Id
    assignment_id: DerivedId | None = None


class ProgressReported(Request, frozen=True, kw_only=True, omit_defaults=True):
    """The rep accepted or rejected the assignment, or did something with the customer for the first time.

    Attributes:
        assignment_id: The assignment. Example: "C-1042/0000000003/1"
        rep_id: The rep who has it. Example: "ann"
        progress: What the rep did. Example: "accepted"
        reason: Why the rep rejected it. Example: "on holiday"
        at: When. Example: "2026-03-02T10:40:00Z"
    """

    assignment_id: DerivedId
    rep_id: Id
    progress: Literal["accepted", "rejected", "touched"]
    reason: Text | None = None
    at: Instant

    def __post_init__(self) -> None:
        super().__post_init__()
        check_instant("at", self.at)
