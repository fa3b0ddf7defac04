"""What a fact did to the record, as people read it: at its arrival (from the stored events), and at its place in business time.

Both say the same of a fact that was the newest when it came. Of a late one the first is what it corrected, the second what it would
have changed had it come in time.
"""

from collections.abc import Iterable
from typing import Any, Final

from events.codec import Fact
from events.values import format_instant
from services.lifecycle.domain.arrivals import ref_of
from services.lifecycle.domain.deals import Image
from services.lifecycle.domain.events import (
    AnyEvent,
    CommandJudged,
    DealsRevised,
    HandoffProgressed,
    RecordRestated,
    RecordRevised,
    StatusRevised,
    TablesApplied,
)
from services.lifecycle.domain.fold import Step
from services.lifecycle.domain.handoffs import PROGRESS, Handoff
from services.lifecycle.domain.state import State
from services.lifecycle.domain.status import Verdict
from services.lifecycle.outbound import deal_image

DEAL_FIELDS: Final = ("status", "probability", "state", "owner", "category", "close_date")
"""The fields of a deal whose changes are told, besides its amount."""


def at_arrival(changes: Iterable[AnyEvent]) -> dict[str, Any]:
    """What the arrival of facts changed: ``changes`` are the events that were stored after them, until those of other facts.

    ``since``: from when on the past is another one (None where it is not). ``status`` and ``record`` are those of now.
    """
    told: dict[str, Any] = {}
    begins: list[int] = []
    for event in changes:
        match event:
            case TablesApplied() | RecordRestated():
                break  # what follows is not because of them
            case StatusRevised():
                begins.append(event.since)
                since = told.get("status", {}).get("since", format_instant(event.since))  # parts of one begin with the first
                told["status"] = {"since": since, "from": _shown(event.previous), "to": _shown(event.current)}
            case RecordRevised():
                told["record"] = {"changed": event.changed, "owner": event.owner, "assignment_id": event.assignment_id}
            case DealsRevised():
                begins += [deal.since for deal in event.deals if deal.since is not None]
                deals = told.setdefault("deals", [])
                deals += [
                    {"deal_id": deal.deal_id, "since": None if deal.since is None else format_instant(deal.since)}
                    for deal in event.deals
                ]
            case HandoffProgressed():
                told.setdefault("handoffs", []).append(_progressed(event))
            case CommandJudged():
                command = {"source": event.command.source, "id": event.command.id, "type": event.command.type}
                verdict = _verdict(Verdict(event.effective, event.rule, event.explanation))
                told.setdefault("commands", []).append({**command, **verdict})
    return {"since": format_instant(min(begins)) if begins else None, **told}


def at_its_place(step: Step) -> dict[str, Any]:
    """What a fact changes at its place in business time. What is not there was not changed."""
    before, after = step.before.state, step.after.state
    assert after is not None
    told: dict[str, Any] = {}
    was, now = _status(before), _status(after)
    if was != now:
        told["status"] = {"from": was, "to": now}
    held = (None, None) if before is None else (before.owner.rep_id, before.owner.assignment_id)
    holds = (after.owner.rep_id, after.owner.assignment_id)
    if held != holds:
        told["owner"] = {"from": held[0], "to": holds[0], "assignment_id": holds[1]}
    profile = _profile(before, after)
    if profile:
        told["profile"] = profile
    deals = [change for name in sorted(step.deals) if (change := _deal(step, name)) is not None]
    if deals:
        told["deals"] = deals
    handoffs = _handoffs(step.fact, before, after)
    if handoffs:
        told["handoffs"] = handoffs
    verdict = after.verdicts.get(ref_of(step.fact))
    if verdict is not None:
        told["command"] = _verdict(verdict)
    return told


def _shown(status: Any) -> dict[str, Any] | None:
    return None if status is None else {"stage": status.stage, "status": status.name, "probability": status.probability}


def _status(state: State | None) -> dict[str, Any] | None:
    return None if state is None else {"stage": state.stage, "status": state.status, "probability": state.probability}


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {"effective": verdict.effective, "rule": verdict.rule or None, "explanation": verdict.explanation or None}


def _progressed(event: HandoffProgressed) -> dict[str, Any]:
    said: dict[str, Any] = {"assignment_id": event.assignment_id, "rep_id": event.rep_id, "progress": event.progress}
    return {**said, "at": format_instant(event.at), "reason": event.reason, "withdrawn": event.withdrawn}


def _profile(before: State | None, after: State) -> list[str]:
    """The names of the fields that changed, the contact's as one."""
    changed = [
        name
        for name in after.profile.__struct_fields__
        if getattr(after.profile, name) != (None if before is None else getattr(before.profile, name))
    ]
    return changed + ["contact"] * (after.contact != (None if before is None else before.contact))


def _deal(step: Step, name: str) -> dict[str, Any] | None:
    before, after = _last(step.before.images.get(name)), _last(step.after.images.get(name))
    assert after is not None
    was, now = _told_of(before), _told_of(after)
    changed = {field: {"from": was.get(field), "to": now[field]} for field in now if was.get(field) != now[field]}
    return {"deal_id": name, **changed} if changed else None


def _last(history: Any) -> Image | None:
    return history[-1].what if history else None


def _told_of(image: Image | None) -> dict[str, Any]:
    if image is None:
        return {}
    published = deal_image(image)
    return {**{field: getattr(published, field) for field in DEAL_FIELDS}, "amount": published.amounts.amount}


def _handoffs(fact: Fact, before: State | None, after: State) -> list[dict[str, Any]]:
    earlier = None if before is None else before.handoffs
    if earlier is after.handoffs:
        return []
    named = {getattr(fact.data, "assignment_id", None), None if before is None else before.owner.assignment_id}
    told = []
    for assignment in sorted(name for name in named if name is not None):
        was, now = None if earlier is None else earlier.get(assignment), after.handoffs.get(assignment)
        if now is not None and was is not now:
            said = {"assignment_id": assignment, "rep_id": now.rep_id}
            told += [{**said, "progress": step, "reason": reason} for step, reason in _new_in(was, now)]
    return told


def _new_in(was: Handoff | None, now: Handoff) -> list[tuple[str, str | None]]:
    """What is new of a hand-off, with the reason: assigned, accepted, rejected, touched, and how it ended."""
    new: list[tuple[str, str | None]] = [("assigned", None)] if was is None else []
    new += [
        (step, now.reason if step == "rejected" else None)
        for step in (*PROGRESS, "recycled")
        if getattr(now, step) is not None and getattr(was, step, None) is None
    ]
    ended = now.ending if was is None or was.ending is None else None
    if ended is not None and ended.how not in ("rejected", "recycled"):
        new.append((ended.how, ended.reason))
    return new
