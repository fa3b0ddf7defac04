"""What a check answers: what it looked at, and each trouble with its way out."""

from typing import Final, Literal

from msgspec import Struct

Severity = Literal["error", "warning"]
"""``error``: something does not work, or data is in danger. ``warning``: it works, and somebody should know."""


RECOVER: Final = "docs/how-to/recover.md"


class Finding(Struct, frozen=True, kw_only=True):
    """One trouble. ``where``: the thing concerned; ``fix``: a command, or a sentence to act on."""

    severity: Severity
    what: str
    where: str
    fix: str


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of one check. ``said``: what was seen, or why it could not look (``looked`` False)."""

    check: str
    said: str
    looked: bool = True
    findings: tuple[Finding, ...] = ()


def error(what: str, *, where: str, fix: str) -> Finding:
    """Something does not work, or data is in danger."""
    return Finding(severity="error", what=what, where=where, fix=fix)


def warning(what: str, *, where: str, fix: str) -> Finding:
    """It works, and somebody should know."""
    return Finding(severity="warning", what=what, where=where, fix=fix)


def skipped(check: str, why: str) -> Outcome:
    """A check that could not look."""
    return Outcome(check=check, said=why, looked=False)


def recover(section: str) -> str:
    """Where the page about recovery says all of it."""
    return f'{RECOVER}, "{section}"'
