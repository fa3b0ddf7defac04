"""What a command comes to, now: whether it has effect at its place in the fold, or by which rule it has none (FOLD.md 19, 23)."""

from events.facts import LeadRecycled
from services.lifecycle.domain.arrivals import ref_of
from services.lifecycle.domain.fold import Step
from services.lifecycle.domain.state import COMMANDS
from services.lifecycle.domain.status import EFFECTIVE, Verdict


def verdict_of(step: Step) -> Verdict | None:
    """What a fact comes to at its place; None for one that nobody commands."""
    after = step.after.state
    assert after is not None
    if isinstance(step.fact.data, COMMANDS):
        return after.verdicts[ref_of(step.fact)]
    return _of_recycling(step, step.fact.data) if isinstance(step.fact.data, LeadRecycled) else None


def _of_recycling(step: Step, data: LeadRecycled) -> Verdict:
    """Rule 19: it counts for the record's last lead, and shows while the record is one."""
    before, after = step.before.state, step.after.state
    assert after is not None
    if after.lead.recycling != ref_of(step.fact):
        explanation = f"the record's last lead is {after.lead.lead_id!r}, and only that one can be recycled (or leave lead_id out)"
        return Verdict(False, "another-lead", explanation)
    if before is not None and before.stage != "lead":
        explanation = f"the record is a {before.stage}: it is remembered, and counts once the record is reverted to lead"
        return Verdict(False, "not-a-lead", explanation)
    return EFFECTIVE
