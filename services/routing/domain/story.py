"""The desk's own events, and the state that they add up to.

The log of these events is the truth of all assignments: the state is rebuilt from nothing else. ``RulesApplied`` and
``DirectoryApplied`` stand in the same log as the decisions, so that what was known at each decision is fixed for ever.
"""

from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field

from msgspec import Struct
from msgspec.structs import replace

from events.facts import Contact
from events.published import Cause
from events.reference import Directory, Rep
from events.requests import TerritoryTrace
from services.routing.domain.pick import Candidate, Cursor
from services.routing.domain.rule_set import RuleSet


class RulesApplied(Struct, frozen=True, kw_only=True):
    """From here on this version of the rules holds."""

    version: int
    content: RuleSet


class DirectoryApplied(Struct, frozen=True, kw_only=True):
    """From here on this version of the directory holds."""

    version: int
    content: Directory


class Turn(Struct, frozen=True):
    """How a pool's cursor moved."""

    before: dict[str, str]
    after: dict[str, str]


class Trace(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The whole reasoning: the territories tried, ``territory`` that took the record (or "default"), the members, the cursor.

    ``explanation``: why nobody was chosen.
    """

    territories: tuple[TerritoryTrace, ...] = ()
    territory: str
    strategy: str
    pool: str | None = None
    members: tuple[Candidate, ...] = ()
    cursor: Turn | None = None
    explanation: str | None = None


class Decision(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every decision about a record carries.

    ``version`` is that of the request; ``at`` is the log's time in nanoseconds, later than that of the record's decision before.
    """

    customer_id: str
    version: int
    at: int
    cause: Cause


class Assigned(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """A rep was given the record."""

    assignment_id: str
    rep_id: str
    team: str | None = None
    rule_set_version: int
    directory_version: int
    previous_rep: str | None = None
    contact: Contact | None = None
    trace: Trace


class NotAssigned(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """Nobody has the record, and nobody was given it. ``reason`` is "unavailable" or "unassigned" (by the rules)."""

    reason: str
    trace: Trace


class Passed(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """The record has its rep, and stays with it. Kept because the request may come again, matched with rules that route anew."""

    assignment_id: str


class OwnerKept(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """The record was routed again, and stays where it is."""

    rep_id: str
    trace: Trace


class OwnerCleared(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """The rules took the record from the rep, and gave it to nobody."""

    assignment_id: str
    rep_id: str
    trace: Trace


class Rejected(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """The rep gave the record back: the assignment ended."""

    assignment_id: str
    rep_id: str
    reason: str | None = None


class Progressed(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """The rep accepted the assignment, or worked on it."""

    assignment_id: str
    progress: str
    happened_at: str


class Confirmed(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """The record shows the assignment: what lifecycle says from here on is said in its knowledge."""

    assignment_id: str


class Superseded(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody else gave the record to ``owner``: the assignment ended.

    ``confirmed``: the record had shown the assignment, or has it and somebody else owns it. Else what superseded it may have been
    said without knowledge of it, and the record may show it yet.
    """

    assignment_id: str
    rep_id: str
    owner: str
    confirmed: bool


class Reinstated(Decision, frozen=True, kw_only=True, omit_defaults=True):
    """The record shows an assignment that seemed to be superseded: it holds."""

    assignment_id: str


CustomerEvent = (
    Assigned | NotAssigned | Passed | OwnerKept | OwnerCleared | Rejected | Progressed | Confirmed | Superseded | Reinstated
)
Event = RulesApplied | DirectoryApplied | CustomerEvent


# --------------------------------------------------------------------------------------------- state


class Assignment(Struct, frozen=True):
    """The last assignment of a record. ``active`` until it ends; ``told``: its end was published."""

    assignment_id: str
    rep_id: str
    active: bool = True
    confirmed: bool = False
    told: bool = False


class Customer(Struct, frozen=True):
    """What the desk knows of a record: the last request decided, when, how many events there are, who has it by the desk.

    ``rejected_by``: who gave it back.
    """

    version: int = 0
    at: int = 0
    events: int = 0
    assignment: Assignment | None = None
    rejected_by: frozenset[str] = frozenset()


NOBODY = Customer()


@dataclass
class State:
    """Everything that decisions depend on. Changed by events only, one by one: :meth:`apply`.

    ``customers`` are all of the log, or those that are needed; they are many, so that it is changed in place, and :meth:`draft`
    gives one to try out on.
    """

    customers: MutableMapping[str, Customer] = field(default_factory=dict)
    cursors: MutableMapping[str, Cursor] = field(default_factory=dict)
    rules: RuleSet | None = None
    rules_version: int = 0
    rules_events: int = 0
    reps: Mapping[str, Rep] = field(default_factory=dict)
    directory_version: int = 0
    directory_events: int = 0

    def draft(self) -> "State":
        """The same state; what is applied to the draft does not reach this one until :meth:`adopt`."""
        copy = State(**vars(self))
        copy.customers = ChainMap({}, self.customers)
        copy.cursors = ChainMap({}, self.cursors)
        return copy

    def adopt(self, draft: "State") -> None:
        """Take over what was applied to a draft of this state."""
        for name, value in vars(draft).items():
            mine = getattr(self, name)
            if isinstance(value, ChainMap):
                mine.update(value.maps[0])
            else:
                setattr(self, name, value)

    def apply(self, event: Event) -> None:
        """One step."""
        match event:
            case RulesApplied():
                self.rules, self.rules_version = event.content, event.version
                self.rules_events += 1
            case DirectoryApplied():
                self.reps, self.directory_version = {rep.rep_id: rep for rep in event.content.reps}, event.version
                self.directory_events += 1
            case _:
                self.customers[event.customer_id] = evolve(self.customers.get(event.customer_id, NOBODY), event)
                if isinstance(event, Assigned):
                    self.turn(event)

    def turn(self, event: Assigned) -> None:
        """Of one step, what it is for others: the cursor of the pool moves."""
        if event.trace.pool is not None and event.trace.cursor is not None:
            self.cursors[event.trace.pool] = event.trace.cursor.after


def evolve(customer: Customer, event: CustomerEvent) -> Customer:
    """A record after one more event."""
    customer = replace(customer, version=event.version, at=event.at, events=customer.events + 1)
    held = customer.assignment
    match event:
        case Assigned():
            return replace(customer, assignment=Assignment(event.assignment_id, event.rep_id))
        case Rejected():
            rejected_by = customer.rejected_by | {event.rep_id}
            return replace(customer, rejected_by=rejected_by, assignment=held and replace(held, active=False, told=True))
        case OwnerCleared():
            return replace(customer, assignment=held and replace(held, active=False, told=True))
        case Superseded():
            return replace(customer, assignment=held and replace(held, active=False, told=event.confirmed))
        case Confirmed() | Reinstated():
            return replace(customer, assignment=held and replace(held, active=True, confirmed=True))
        case NotAssigned() | Passed() | OwnerKept() | Progressed():
            return customer
