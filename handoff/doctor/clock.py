"""Clocks: this machine's against the broker's, as far as its records tell, and against those of the services.

The newest time that a broker wrote on a record is a moment that has passed: a clock that has not come to it yet is behind. The
other direction is only told by the services, whose answers carry the time.
"""

from collections.abc import Mapping
from typing import Final

from handoff.doctor.finding import Finding, Outcome, error, warning

APART_SECONDS_WARNING: Final = 5.0
APART_SECONDS_ERROR: Final = 3600.0
"""What lifecycle allows: a fact dated later than this after its record's time is refused."""
FIX: Final = "let both machines keep their time by NTP (timedatectl set-ntp true)"


def clock(now: float, appended: Mapping[str, float], services: Mapping[str, float]) -> Outcome:
    """Seconds since 1970: ``now`` here, the newest time that a broker wrote by topic, and how far each service's clock is ahead."""
    findings: list[Finding] = []
    if appended:
        topic = max(appended, key=lambda name: appended[name])
        if (ahead := appended[topic] - now) > APART_SECONDS_WARNING:
            findings.append(
                _apart(f"the broker's clock was {_told(ahead)} ahead of this machine's when it wrote on {topic}", ahead, topic)
            )
    for service, ahead in services.items():
        if abs(ahead) > APART_SECONDS_WARNING:
            side = "ahead of" if ahead > 0 else "behind"
            findings.append(_apart(f"{service}'s clock is {_told(abs(ahead))} {side} this machine's", abs(ahead), service))
    seen = [f"{len(appended)} topics" if appended else "", ", ".join(services)]
    said = f"compared with {' and '.join(filter(None, seen))}" if any(seen) else "nothing to compare it with yet"
    return Outcome(check="clock", said=said, looked=any(seen), findings=tuple(findings))


def _apart(what: str, seconds: float, where: str) -> Finding:
    if seconds > APART_SECONDS_ERROR:
        return error(f"{what}: facts are refused as dated in the future", where=where, fix=FIX)
    return warning(what, where=where, fix=FIX)


def _told(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
