"""Of the assignments: one rep at most, one assignment per id, and the desk's log is what its requests make of nothing (I3, I7)."""

from collections.abc import Iterator, Mapping
from typing import Any

from events.assignments import LeadAssigned
from events.bus.versions import Known
from events.codec import decode
from events.requests import RecordMatched, Request
from events.topics import ASSIGNMENT, DIRECTORY, LIFECYCLE, REQUEST, RULES
from services.routing.domain.decide import decide
from services.routing.domain.story import Assigned, Decision, DirectoryApplied, Event, RulesApplied, State
from services.routing.inbound import request_of
from services.routing.outbound import messages_of
from tests.faults.evidence import Evidence, content_of
from tests.faults.inputs import first_occurrences

Key = tuple[str, int]
"""A request: its customer and the version of the record that it is about."""


def check_assignments(evidence: Evidence) -> Iterator[str]:
    """From what lifecycle said to what reps' tools heard."""
    for topic in (RULES.name, DIRECTORY.name):
        if len(evidence.logs[topic]) != 1:
            yield f"assignments: {topic} has {len(evidence.logs[topic])} versions, and its file never changed"
    requests = yield from _requests(evidence)
    yield from _replayed(evidence.decisions, requests)
    yield from _published(evidence)
    yield from _agreeing(evidence)


def _requests(evidence: Evidence) -> Any:
    """What the desk was asked, without repeats, in order; findings where it is not what the records ask for."""
    found: list[Request] = []
    for each in first_occurrences(evidence.logs[REQUEST.name], REQUEST.name):
        if isinstance(each, str):
            yield each
            continue
        fact = decode(each)
        found.append(fact.data)
    asked = {(request.customer_id, request.version): request for request in found}
    for applied in [event for event in evidence.decisions if isinstance(event, RulesApplied)][:1]:
        rules = Known(applied.version, "", None, applied.content)
        due = {}
        for _, fact in evidence.facts(LIFECYCLE.name):
            request = request_of(fact.data, rules)
            if request is not None:
                due[request.customer_id, request.version] = request
        for key in sorted(due.keys() | asked.keys()):
            if due.get(key) != asked.get(key):
                yield f"assignments: the request {key} is {asked.get(key)}, by the record {due.get(key)}"
    last: dict[str, int] = {}
    for request in found:
        if request.version <= last.get(request.customer_id, 0):
            yield f"assignments: request {request.version} about {request.customer_id} came after {last[request.customer_id]}"
        last[request.customer_id] = request.version
    return found


def _replayed(decisions: Any, requests: list[Request]) -> Iterator[str]:
    """The requests decided anew by a desk that knows nothing: the same reps, the same traces, nothing left out."""
    state = State()
    applied: list[Event] = [event for event in decisions if isinstance(event, RulesApplied | DirectoryApplied)]
    for event in applied:
        state.apply(event)
    again: list[Event] = []
    for request in requests:
        known = state.customers.get(request.customer_id)
        event = decide(state, request)
        if event is None:
            continue
        held = known.assignment if known and known.assignment and known.assignment.active else None
        if held and isinstance(event, Assigned) and not (isinstance(request, RecordMatched) and request.again):
            yield f"assignments: {event.assignment_id} was given while {held.assignment_id} was active"
        again.append(event)
        state.apply(event)
    made = [event for event in decisions if not isinstance(event, RulesApplied | DirectoryApplied)]
    if made != again:
        place = next(
            (n for n, (one, other) in enumerate(zip(made, again, strict=False)) if one != other), min(len(made), len(again))
        )
        yield (
            f"assignments: the desk's log has {len(made)} decisions, its requests make {len(again)}; they part at {place}: "
            f"{made[place : place + 1]} and {again[place : place + 1]}"
        )
    assigned = [event.assignment_id for event in decisions if isinstance(event, Assigned)]
    for name in {name for name in assigned if assigned.count(name) > 1}:
        yield f"assignments: {name} was given twice"


def _published(evidence: Evidence) -> Iterator[str]:
    """``crm.assignment.v1`` is the desk's log, by record in its order."""
    heard: dict[bytes | None, list[Any]] = {}
    for found in first_occurrences(evidence.logs[ASSIGNMENT.name], ASSIGNMENT.name):
        if isinstance(found, str):
            yield found
        else:
            heard.setdefault(found.key, []).append(content_of(found))
    noted: dict[bytes | None, list[Any]] = {}
    for event in evidence.decisions:
        for message in messages_of(event):
            noted.setdefault(message.key, []).append(content_of(message))
    for key in sorted(heard.keys() | noted.keys(), key=repr):
        if heard.get(key) != noted.get(key):
            yield f"assignments: what was published about {key!r} is not what the desk decided, in that order"
    ids = [fact.data.assignment_id for _, fact in evidence.facts(ASSIGNMENT.name) if isinstance(fact.data, LeadAssigned)]
    decided = {event.assignment_id for event in evidence.decisions if isinstance(event, Assigned)}
    for name in sorted(set(ids) - decided):
        yield f"assignments: {name} was published, and never decided"


def _agreeing(evidence: Evidence) -> Iterator[str]:
    """The record shows the assignment that the desk holds for active."""
    state = State()
    for event in evidence.decisions:
        state.apply(event)
    records: Mapping[str, Mapping[str, Any]] = evidence.records
    touched = {event.customer_id for event in evidence.decisions if isinstance(event, Decision)}
    for customer in sorted(touched | records.keys()):
        known = state.customers.get(customer)
        held = known.assignment.assignment_id if known and known.assignment and known.assignment.active else None
        shown = records.get(customer, {}).get("assignment_id")
        if shown != held:
            yield f"assignments: the record of {customer} shows {shown}, the desk holds {held}"
