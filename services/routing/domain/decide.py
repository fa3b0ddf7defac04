"""The desk's decisions: a request in, at most one event out. A pure function of the log so far and the request.

The desk's own assignment comes back to it: lifecycle folds it into the record and says so. Until it does, the record looks as if
nobody had it, and the rules would have it routed again. So for a record that the desk has given to somebody, a missing owner
means nothing; the assignment ends when the desk ends it, or when the record shows somebody else's owner.
"""

from typing import Any, Final

from msgspec.structs import replace

from events.requests import OwnerChanged, ProgressReported, RecordMatched, Request
from events.values import parse_instant
from services.routing.domain.pick import Candidate, absences, pick
from services.routing.domain.rule_set import ClearOwner, KeepOwner, PoolTarget, RepTarget, RuleSet, Target, Unassigned
from services.routing.domain.story import (
    NOBODY,
    Assigned,
    Assignment,
    Confirmed,
    Customer,
    CustomerEvent,
    NotAssigned,
    OwnerCleared,
    OwnerKept,
    Passed,
    Progressed,
    Reinstated,
    Rejected,
    State,
    Superseded,
    Trace,
    Turn,
)

DEFAULT: Final = "default"
"""What a trace calls the territory of a record that no territory took."""
ROUND: Final = 1
"""An assignment's id is the request's and the round. Every request is decided once, so far."""


def decide(state: State, request: Request) -> CustomerEvent | None:
    """What the request brings about; None where it was decided before, or changes nothing.

    The state must hold the version of the rules that the request was matched with.
    """
    customer = state.customers.get(request.customer_id, NOBODY)
    if is_known(state, request):
        return None
    match request:
        case RecordMatched():
            return _route(state, customer, request)
        case OwnerChanged():
            return _owner_changed(customer, request)
        case ProgressReported():
            return _progressed(customer, request)
    raise TypeError(f"the desk does not know requests of type {type(request).__name__}")


def is_known(state: State, request: Request) -> bool:
    """Whether the request, or a later one about the record, was decided before."""
    return request.version <= state.customers.get(request.customer_id, NOBODY).version


def _route(state: State, customer: Customer, request: RecordMatched) -> CustomerEvent | None:
    held = _held(customer)
    if held and not request.again:
        return Passed(**_common(customer, request), assignment_id=held.assignment_id)
    rules = _rules(state, request)
    target = target_of(rules, request.territory)
    rep_id, trace = _choice(state, rules, target, customer, request)
    common = _common(customer, request)
    owner = held.rep_id if held else request.owner
    if rep_id is not None:
        return Assigned(
            **common,
            assignment_id=f"{request.request_id}/{ROUND}",
            rep_id=rep_id,
            team=state.reps[rep_id].team,
            rule_set_version=state.rules_version,
            directory_version=state.directory_version,
            previous_rep=owner,
            contact=request.contact,
            trace=trace,
        )
    trace = replace(trace, explanation=_explanation(target, trace.territory))
    if held and isinstance(target, ClearOwner):
        return OwnerCleared(**common, assignment_id=held.assignment_id, rep_id=held.rep_id, trace=trace)
    if owner is not None:
        return OwnerKept(**common, rep_id=owner, trace=trace)
    chooses = isinstance(target, PoolTarget | RepTarget)
    return NotAssigned(**common, reason="unavailable" if chooses else "unassigned", trace=trace)


def target_of(rules: RuleSet, territory: str | None) -> Target:
    """Where a territory sends its records; without one, the default target."""
    if territory is None:
        return rules.default
    return next(t.target for t in rules.territories if t.name == territory)


def _choice(state: State, rules: RuleSet, target: Target, customer: Customer, request: RecordMatched) -> tuple[str | None, Trace]:
    """The rep whom the target gives the record to, if there is one, and the reasoning."""
    refused = dict.fromkeys(customer.rejected_by, "has rejected this record")
    common: dict[str, Any] = {"territories": request.trace, "territory": request.territory or DEFAULT}
    match target:
        case PoolTarget(pool):
            members = rules.pools[pool]
            absent = absences([member.rep_id for member in members], state.reps, state.directory_version)
            picked = pick(members, state.cursors.get(pool, {}), absent, refused)
            turn = Turn(dict(picked.before), dict(picked.after))
            trace = Trace(**common, strategy="weighted_round_robin", pool=pool, members=picked.members, cursor=turn)
            return picked.rep_id, trace
        case RepTarget(rep_id):
            excluded = {**refused, **absences([rep_id], state.reps, state.directory_version)}.get(rep_id)
            trace = Trace(**common, strategy="fixed_rep", members=(Candidate(rep_id=rep_id, weight=1, excluded=excluded),))
            return (rep_id if excluded is None else None), trace
        case KeepOwner():
            return None, Trace(**common, strategy="keep_owner")
        case ClearOwner():
            return None, Trace(**common, strategy="clear_owner")
        case Unassigned():
            return None, Trace(**common, strategy="unassigned")


def _explanation(target: Target, territory: str) -> str:
    """Why the target gave the record to nobody new."""
    match target:
        case PoolTarget(pool):
            return f"nobody in the pool {pool!r} is available"
        case RepTarget(rep_id):
            return f"{rep_id!r} is not available"
        case KeepOwner():
            return f"territory {territory!r} leaves records with their owner"
        case ClearOwner() | Unassigned():
            return f"territory {territory!r} gives records to nobody"


# ------------------------------------------------------------------- what the record says of its owner


def _owner_changed(customer: Customer, request: OwnerChanged) -> CustomerEvent | None:
    last = customer.assignment
    if last is None:
        return None
    common = _common(customer, request)
    if request.assignment_id is None:
        known = last.confirmed or request.cause.id == last.assignment_id  # the record has the assignment, and not its rep
        if last.told or not (last.active or known):
            return None
        return Superseded(**common, assignment_id=last.assignment_id, rep_id=last.rep_id, owner=request.owner, confirmed=known)
    if request.assignment_id != last.assignment_id:
        return None  # an earlier one of the desk's: the record does not know the last one yet
    if last.active:
        return None if last.confirmed else Confirmed(**common, assignment_id=last.assignment_id)
    return None if last.told else Reinstated(**common, assignment_id=last.assignment_id)


def _progressed(customer: Customer, request: ProgressReported) -> CustomerEvent | None:
    held = _held(customer)
    if held is None or held.assignment_id != request.assignment_id:
        return None
    common = _common(customer, request)
    if request.progress == "rejected":
        return Rejected(**common, assignment_id=held.assignment_id, rep_id=held.rep_id, reason=request.reason)
    return Progressed(**common, assignment_id=held.assignment_id, progress=request.progress, happened_at=request.at)


# ------------------------------------------------------------------------------------------- shared


def _held(customer: Customer) -> Assignment | None:
    return customer.assignment if customer.assignment and customer.assignment.active else None


def _rules(state: State, request: RecordMatched) -> RuleSet:
    if state.rules is None or state.rules_version != request.rule_set_version:
        raise ValueError(f"matched with rules v{request.rule_set_version}, but v{state.rules_version} is applied")
    return state.rules


def _common(customer: Customer, request: Request) -> dict[str, Any]:
    # Lifecycle orders what it folds by time. So a decision is later than the one before about the same record, and one that
    # gives away what somebody else owns is later than whatever made that owner, which may be of the same instant.
    at = parse_instant(request.recorded_at)
    if isinstance(request, RecordMatched) and request.owner is not None:
        at += 1
    return {
        "customer_id": request.customer_id,
        "version": request.version,
        "at": max(at, customer.at + 1),
        "cause": request.cause,
    }
