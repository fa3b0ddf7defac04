"""``handoff doctor``: what is wrong with this installation, and what to do about it."""

from collections.abc import Sequence
from typing import Any, Final

from rich.padding import Padding
from rich.text import Text

from handoff.console import out, say, say_json
from handoff.doctor import Finding, Outcome, examine
from handoff.errors import NOT_WELL
from handoff.options import Json, KafkaAddress
from handoff.settings import load

STYLES: Final = {"fine": "green", "skipped": "dim", "warning": "yellow", "error": "bold red"}
INDENTED: Final = (0, 0, 0, 9)


def doctor(kafka: KafkaAddress = None, as_json: Json = False) -> int:
    """Look for what is wrong, and say what to do about it. Exit code 1 where something does not work.

    Works with everything running, with nothing running, and on another cluster. It changes nothing.
    """
    outcomes = examine(load(kafka=kafka))
    errors = _count(outcomes, "error")
    if as_json:
        say_json({"well": not errors, "checks": [_object(outcome) for outcome in outcomes]})
    else:
        for outcome in outcomes:
            _tell(outcome)
        warnings = _count(outcomes, "warning")
        skipped = any(not outcome.looked for outcome in outcomes)
        say()
        if errors or warnings:
            say(f"{_some(errors, 'error')}, {_some(warnings, 'warning')}; each with its way out above", style="bold")
        else:
            say("Nothing is wrong, as far as could be seen." if skipped else "Nothing is wrong.", style="bold")
    return NOT_WELL if errors else 0


def _object(outcome: Outcome) -> dict[str, Any]:
    findings = [{"severity": f.severity, "what": f.what, "where": f.where, "fix": f.fix} for f in outcome.findings]
    return {"check": outcome.check, "looked": outcome.looked, "said": outcome.said, "findings": findings}


def _tell(outcome: Outcome) -> None:
    """A line for the check, and below it each trouble with its fix. In a pipe a trouble is one line."""
    console, state = out(), _state(outcome)
    if console.is_terminal:
        line = Text().append(f"{state:<9}", STYLES[state]).append(f"{outcome.check:<13}", "bold").append(outcome.said, "dim")
        console.print(line, no_wrap=True, overflow="ellipsis")
        for each in outcome.findings:
            console.print(Padding(Text().append(f"{each.severity}: ", STYLES[each.severity]).append(each.what), INDENTED))
            console.print(Padding(Text().append("do: ", "cyan").append(each.fix), INDENTED))
    else:
        print(f"{state:<9}{outcome.check:<13}{outcome.said}", flush=True)
        for each in outcome.findings:
            print(_line(each), flush=True)


def _state(outcome: Outcome) -> str:
    """The worst of what was found, or that nothing was."""
    severities = {finding.severity for finding in outcome.findings}
    return min(severities, default="fine" if outcome.looked else "skipped")  # "error" comes before "warning"


def _line(finding: Finding) -> str:
    return f"{'':<9}{finding.severity}: {finding.what} | do: {finding.fix}"


def _count(outcomes: Sequence[Outcome], severity: str) -> int:
    return sum(finding.severity == severity for outcome in outcomes for finding in outcome.findings)


def _some(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
