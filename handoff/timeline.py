"""The timeline of ``handoff customer ID --timeline``: every fact of a record, newest first, and in words what it changed."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from handoff.client import Services
from handoff.console import day_or_time, duration, money, say, say_json, table

PAGE: Final = 500
DELAY_SECONDS_TOLD: Final = 60
"""Facts on different topics overtake each other all the time; what changes nothing of the past is told from here on only."""
PLAIN_FIELDS: Final = ("status", "state", "owner", "close_date")
"""The fields of a deal that are told as they are; figures have words of their own."""


def timeline(services: Services, name: str, asked: Mapping[str, str | None], limit: int | None, *, as_json: bool) -> int:
    """Show it; ``name`` is the customer's id as a part of a path, ``limit`` how many facts (None: all)."""
    answer = _all(services, name, asked) if limit is None else _page(services, name, asked, limit)
    if as_json:
        say_json(answer)
        return 0
    entries = answer["timeline"]
    shown = f"{len(entries)} of {answer['facts']} facts, newest first" + (" (--all shows the others)" if answer["next"] else "")
    say(f"{answer['customer_id']}: {shown}", style="bold")
    for words, instant in (("as of", answer["as_of"]), ("as it was known at", answer["known_at"])):
        if instant is not None:
            say(f"{words} {instant}")
    rows = [
        (day_or_time(entry["occurred_at"]), _short(entry["type"]), "; ".join(changes(entry["changed"])), _late(entry))
        for entry in entries
    ]
    say()
    table(("when", "fact", "changed", "late"), rows)
    return 0


def _page(services: Services, name: str, asked: Mapping[str, str | None], limit: int, after: str | None = None) -> Any:
    return services.get("lifecycle", f"/v1/timeline/{name}", **asked, limit=str(limit), after=after)


def _all(services: Services, name: str, asked: Mapping[str, str | None]) -> Any:
    answer = _page(services, name, asked, PAGE)
    while answer["next"]:
        following = _page(services, name, asked, PAGE, answer["next"])
        answer = {**following, "timeline": answer["timeline"] + following["timeline"]}
    return answer


def _short(type_: str) -> str:
    return type_.removeprefix("crm.").rpartition(".v")[0]


def _late(entry: Mapping[str, Any]) -> str:
    """By how much a fact came late, and since when the past is another one because of it."""
    if not entry["late"]:
        return ""
    delay, since = entry["delay_seconds"], entry["corrected"]["since"]
    if since is None:
        return duration(delay) if delay >= DELAY_SECONDS_TOLD else ""
    return f"{duration(delay)}, corrects since {day_or_time(since)}"


def changes(changed: Mapping[str, Any]) -> Iterator[str]:
    """What a fact changed, in words."""
    if status := changed.get("status"):
        before = f"{_status(status['from'])} -> " if status["from"] else ""
        yield f"{before}{_status(status['to'])}"
    if owner := changed.get("owner"):
        yield f"owner {owner['from'] or 'nobody'} -> {owner['to'] or 'nobody'}"
    for handoff in changed.get("handoffs", ()):
        yield f"{handoff['progress']} ({handoff['rep_id']})"
    for deal in changed.get("deals", ()):
        yield f"{deal['deal_id'].removeprefix('opportunity:')}: {', '.join(_deal(deal))}"
    if profile := changed.get("profile"):
        yield ", ".join(profile)
    command = changed.get("command")
    if command and not command["effective"]:
        yield f"no effect: {command['explanation']}"


def _status(status: Mapping[str, Any]) -> str:
    return f"{status['stage']}, {status['status']}"


def _deal(deal: Mapping[str, Any]) -> Iterator[str]:
    for field in PLAIN_FIELDS:
        if change := deal.get(field):
            yield f"{field} {change['to']}" if field in ("owner", "close_date") else f"{change['to']}"
    if change := deal.get("probability"):
        yield f"{change['to']} %"
    if change := deal.get("amount"):
        yield money(change["to"]) or "no amount"
    if change := deal.get("category"):
        yield f"{change['to']}"
