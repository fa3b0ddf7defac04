"""Of the assignments: one rep at most, one assignment per id, and the desk's log is what its requests make of nothing (I3, I7).

Rules and directory may change in the middle: a request says which rules it was matched with, and the desk's log says from where
on it went by which.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import msgspec

from events.assignments import LeadAssigned
from events.bus.versions import FILE, Known
from events.codec import Fact, decode
from events.record import Record
from events.reference import Directory
from events.requests import RecordMatched, Request
from events.topics import ASSIGNMENT, DIRECTORY, LIFECYCLE, REQUEST, RULES
from services.routing.domain.decide import decide
from services.routing.domain.match import ROUTED_STAGES
from services.routing.domain.rule_set import RuleSet
from services.routing.domain.story import Assigned, Decision, DirectoryApplied, Event, NotAssigned, RulesApplied, State
from services.routing.inbound import request_of
from services.routing.outbound import messages_of
from tests.faults.evidence import Evidence, content_of, versions_of
from tests.faults.inputs import first_occurrences

Key = tuple[str, int]
"""A request: its customer and the version of the record that it is about."""


def check_assignments(evidence: Evidence) -> Iterator[str]:
    """From what lifecycle said to what reps' tools heard."""
    yield from _reference(evidence)
    requests = yield from _requests(evidence)
    yield from _replayed(evidence.decisions, requests)
    yield from _published(evidence)
    yield from _agreeing(evidence)


def _reference(evidence: Evidence) -> Iterator[str]:
    """Every version once, the content of a file once, and the desk goes by what was published."""
    for topic, applied, content in ((RULES, RulesApplied, RuleSet), (DIRECTORY, DirectoryApplied, Directory)):
        versions = versions_of(evidence, topic.name)
        digests = [version.digest for version in versions if version.author == FILE]
        if any(one == other for one, other in pairwise(digests)):
            yield f"assignments: {topic.name} has the same file twice"
        for number, times in Counter(version.version for version in versions_of(evidence, topic.name, repeats=True)).items():
            if times > 1:
                yield f"assignments: {topic.name} has version {number} {times} times"
        contents = {version.version: msgspec.json.decode(version.content, type=content) for version in versions}
        for event in evidence.decisions:
            if isinstance(event, applied) and contents.get(event.version) != event.content:
                yield f"assignments: the desk went by a version {event.version} that is not on {topic.name}"


def _requests(evidence: Evidence) -> Any:
    """What the desk was asked, without repeats, in order; findings where it is not what the records ask for."""
    due: dict[Key, list[Request | None]] = {}
    rules = [
        Known(version.version, version.author, None, msgspec.json.decode(version.content, type=RuleSet))
        for version in versions_of(evidence, RULES.name)
    ]
    directories = [version.version for version in versions_of(evidence, DIRECTORY.name)]
    for _, fact in evidence.facts(LIFECYCLE.name):
        asked_with = [request_of(fact.data, each, directory) for each in rules for directory in directories]
        due[fact.customer_id, fact.data.version] = asked_with
    asked: dict[Key, Request] = {}
    said: dict[tuple[Key, Any], Any] = {}
    for record, fact in evidence.facts(REQUEST.name):
        request = fact.data
        key = (request.customer_id, request.version)
        if request not in due.get(key, ()):
            yield f"assignments: the request {key} is {request}, by the record {due.get(key)}"
        matched_with = (request.rule_set_version, request.directory_version) if isinstance(request, RecordMatched) else None
        if content_of(record) != said.setdefault((key, matched_with), content_of(record)):
            yield f"assignments: the request {key} was written again, and is not the same"
        last = max((version for customer, version in asked if customer == request.customer_id), default=0)
        if key not in asked and request.version <= last and None not in due.get(key, ()):  # else: by other rules it was not due
            yield f"assignments: request {request.version} about {request.customer_id} came after {last}"
        asked.setdefault(key, request)
    for key, wanted in due.items():
        if None not in wanted and wanted and key not in asked:
            yield f"assignments: the request {key} was never made, by the record {wanted[0]}"
    return list(asked.values())


def _replayed(decisions: Any, requests: list[Request]) -> Iterator[str]:
    """The requests decided anew by a desk that knows nothing but the versions: the same reps, the same traces, none left out."""
    state = State()
    waiting = iter(requests)
    for place, event in enumerate(decisions):
        if isinstance(event, Decision):
            decided = yield from _decided_next(state, waiting, event)
            if decided != event:
                yield f"assignments: decision {place} of the desk is {event}, by its requests {decided}"
                return
        state.apply(event)
    for request in waiting:
        left = _decided(state, request)
        if left is not None:
            yield f"assignments: {request} was not decided, by the desk's log {left}"
            return
    assigned = [event.assignment_id for event in decisions if isinstance(event, Assigned)]
    for name in {name for name in assigned if assigned.count(name) > 1}:
        yield f"assignments: {name} was given twice"


def _decided(state: State, request: Request) -> Event | str | None:
    """What comes of a request, or why nothing can."""
    try:
        return decide(state, request)
    except ValueError as error:  # the rules that it was matched with are not applied
        return str(error)


def _decided_next(state: State, waiting: Iterator[Request], event: Decision) -> Any:
    """What comes of the request that an event is about; all before it must come to nothing."""
    for request in waiting:
        decided = _decided(state, request)
        if (request.customer_id, request.version) != (event.customer_id, event.version):
            if decided is not None:
                return decided
            continue
        known = state.customers.get(request.customer_id)
        held = known.assignment if known and known.assignment and known.assignment.active else None
        if held and isinstance(event, Assigned) and not (isinstance(request, RecordMatched) and request.again):
            yield f"assignments: {event.assignment_id} was given while {held.assignment_id} was active"
        return decided
    return None


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
    """The record shows the assignment that the desk holds for active; reps' tools know that, and nobody is forgotten."""
    state = State()
    decided: dict[str, Decision] = {}
    for event in evidence.decisions:
        state.apply(event)
        if isinstance(event, Decision):
            decided[event.customer_id] = event
    told: dict[str, Any] = {}
    for found in first_occurrences(evidence.logs[ASSIGNMENT.name], ASSIGNMENT.name):
        fact = decode(found) if isinstance(found, Record) else None
        if isinstance(fact, Fact):
            told[fact.customer_id] = fact.data
    records: Mapping[str, Mapping[str, Any]] = evidence.records
    for customer in sorted(decided.keys() | records.keys()):
        known = state.customers.get(customer)
        held = known.assignment.assignment_id if known and known.assignment and known.assignment.active else None
        record, last = records.get(customer, {}), told.get(customer)
        shown = record.get("assignment_id")
        if shown != held:
            yield f"assignments: the record of {customer} shows {shown}, the desk holds {held}"
        if isinstance(last, LeadAssigned) and last.assignment_id != shown:
            yield f"assignments: {last.rep_id} was not told that {last.assignment_id} is over: {customer} shows {shown}"
        nobody = record.get("owner") is None and record.get("stage") in ROUTED_STAGES
        if nobody and not isinstance(decided.get(customer), NotAssigned):
            yield f"assignments: {customer} was forgotten, nobody has the record and the last decision is {decided.get(customer)}"
