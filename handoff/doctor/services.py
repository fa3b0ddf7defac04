"""The services: whether they answer, work, and come forward.

Each is asked for its status and its checks, with the time on its machine; one that lags is asked again a second later, for a
view that is behind and moves is busy, and one that does not move is stuck.
"""

import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx2
from msgspec import Struct

from handoff.doctor.finding import Finding, Outcome, error, warning
from handoff.settings import SERVICES, ServiceName, Settings, variable

ANSWER_SECONDS_MAX: Final = 1.8
BEHIND_SECONDS_WARNING: Final = 60.0
STUCK_SECONDS: Final = 10.0
"""A lag that is younger than this and does not move within a second may be a rebalance, or a start."""


class Said(Struct, frozen=True, kw_only=True):
    """What a service said. ``status``: /v1/status, None where it does not answer (``why``); ``checks``: those of /readyz that fail.

    ``ahead``: seconds by which its machine's clock is ahead of this one's. ``answered``: something listens there and answers HTTP.
    """

    url: str
    status: Mapping[str, Any] | None = None
    failing: Mapping[str, str] = {}
    ahead: float | None = None
    why: str = ""


def hear(settings: Settings, service: ServiceName) -> Said:
    """Ask one service. Answers within 2 s, whatever is there."""
    url = settings.url(service)
    deadline = time.monotonic() + ANSWER_SECONDS_MAX
    try:
        with httpx2.Client(trust_env=False, timeout=ANSWER_SECONDS_MAX) as http:
            answer = http.get(f"{url}/v1/status")
            ahead = _ahead(answer.headers.get("date"), time.time())
            status = answer.json()
            if not isinstance(status, dict) or "service" not in status:
                return Said(url=url, why="what answers there is no service of Handoff")
            ready = http.get(f"{url}/readyz", timeout=max(0.1, deadline - time.monotonic())).json()
            return Said(url=url, status=status, failing=_failing(ready), ahead=ahead)
    except httpx2.ConnectError:
        return Said(url=url, why="nothing listens there")
    except httpx2.TimeoutException:
        return Said(url=url, why=f"no answer within {ANSWER_SECONDS_MAX:g} s")
    except (httpx2.HTTPError, ValueError) as failure:
        return Said(url=url, why=f"what answers there is no service of Handoff ({type(failure).__name__})")


def services(heard: Mapping[ServiceName, Said], later: Mapping[ServiceName, Said], *, expected: bool, data_dir: str) -> Outcome:
    """Who answers and works. ``later``: a second answer of those that lag; ``expected``: a `handoff up` runs on this machine."""
    up = [name for name in SERVICES if _is(name, heard[name])]
    findings: list[Finding] = []
    for name in SERVICES:
        said = heard[name]
        if name in up:
            findings += _working(name, said, later.get(name), data_dir)
        elif said.status is not None:
            findings.append(
                error(
                    f"at {said.url} answers {said.status['service']}, not {name}",
                    where=name,
                    fix=f"correct {variable(f'{name}_port')}",
                )
            )
        elif up or expected:
            findings.append(
                error(
                    f"{name} does not answer at {said.url}: {said.why}",
                    where=name,
                    fix=f"read {data_dir}/logs/{name}.log, and start `handoff up` again; if it has another port, set "
                    + variable(f"{name}_port"),
                )
            )
    if not up and not expected:
        return Outcome(check="services", said="none runs here; `handoff up` starts them", looked=False, findings=tuple(findings))
    told = ", ".join(f"{name} {_state(heard[name])}" for name in SERVICES)
    return Outcome(check="services", said=told, findings=tuple(findings))


def _working(name: ServiceName, said: Said, later: Said | None, data_dir: str) -> Sequence[Finding]:
    status = said.status or {}
    findings: list[Finding] = []
    if "bus" in said.failing:
        fix = f"see the other findings about Kafka, then {data_dir}/logs/{name}.log"
        findings.append(error(f"{name} is {status['state']}: {said.failing['bus']}", where=name, fix=fix))
    lag, seconds = status["lag"], status["lag_seconds"]
    if not lag or later is None or later.status is None:
        return findings
    moved = (later.status["position"], later.status["lag"]) != (status["position"], lag)
    if not moved and seconds >= STUCK_SECONDS and "bus" not in said.failing:
        findings.append(
            error(
                f"{name} does not move: {lag:,} records are not reflected, the oldest for {seconds:,.0f} s",
                where=name,
                fix=f"read {data_dir}/logs/{name}.log; if that says nothing, restart it: it goes on where it stopped",
            )
        )
    elif moved and seconds >= BEHIND_SECONDS_WARNING:
        findings.append(
            warning(
                f"{name} is behind: {lag:,} records are not reflected, the oldest for {seconds:,.0f} s; it moves",
                where=name,
                fix="wait, and look at `handoff status`; if the lag grows, more comes in than one worker takes",
            )
        )
    return findings


def _is(name: ServiceName, said: Said) -> bool:
    return said.status is not None and said.status["service"] == name


def _state(said: Said) -> str:
    return "away" if said.status is None else f"{said.status['state']}, lag {said.status['lag']:,}"


def _failing(ready: Any) -> dict[str, str]:
    checks = ready.get("checks", []) if isinstance(ready, dict) else []
    return {str(each["name"]): str(each["detail"]) for each in checks if not each["ok"]}


def _ahead(date: str | None, now: float) -> float | None:
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp() - now
    except ValueError:
        return None
