"""What the services could not take in: dead letters that wait for somebody, and among them those that are our own bugs."""

from collections.abc import Mapping
from typing import Final

from handoff.doctor.finding import Finding, Outcome, error, recover, skipped, warning
from handoff.doctor.stores import Letters

BUG: Final = "Bug"
REASON_MAX: Final = 160
_SECTION: Final = "Dead letters"
_FIXES: Final = {
    "Undecodable": "have the sender correct it and send it again with the same id, for it was never taken in, and drop the letter",
    "IdentityConflict": "have the sender send what was meant as a new event with an id of its own, and drop the letter",
    "LimitExceeded": "see whether the sender names one customer or opportunity where it means many, or knows none",
    "IncompleteMessage": "no sender is to blame, for lifecycle publishes all parts of a message, in order: report it with the "
    "letter (`handoff dead-letters show`), and replay it once it is mended",
}


def letters(found: Mapping[str, Mapping[str, Letters]]) -> Outcome:
    """Dead letters by service and error class; the class is empty where it is not known, and so is the place of the last."""
    if not found:
        return skipped("dead letters", "no service has written here yet, or none can be read")
    findings: list[Finding] = []
    for service, by_error in found.items():
        look = f"`handoff dead-letters list service={service}` shows them with their reasons"
        for name, each in sorted(by_error.items()):
            some = f"{each.count:,} record{'s' if each.count != 1 else ''}"
            last = f"; the last is {each.place}: {_short(each.reason)}" if each.place else ""
            if name == BUG:
                fix = f"{look}; report it with {service}'s log, and replay them with a version in which it is mended"
                findings.append(error(f"{service} could not deal with {some} (a bug){last}", where=service, fix=fix))
            else:
                fix = f"{look}; {_FIXES.get(name, f'what to do about each is in {recover(_SECTION)}')}"
                findings.append(warning(f"{service} refused {some}{f' ({name})' if name else ''}{last}", where=service, fix=fix))
    count = sum(each.count for by_error in found.values() for each in by_error.values())
    return Outcome(check="dead letters", said=f"{count:,} wait for somebody" if count else "none waits", findings=tuple(findings))


def _short(reason: str) -> str:
    line = reason.splitlines()[0] if reason else ""
    return line if len(line) <= REASON_MAX else f"{line[:REASON_MAX]}…"
