"""``handoff customer ID``: a customer's record or its timeline, as lifecycle tells them: now, as of an instant, as it was known."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer

from events.values import parse_instant
from handoff.client import Services
from handoff.console import ROWS_SHOWN, cut, day_or_time, duration, money, say, say_json, table
from handoff.options import Json
from handoff.settings import load
from handoff.timeline import timeline

Id = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.", show_default=False)]
AsOf = Annotated[str | None, typer.Option(help="What held then: a day (through its end) or an instant; without it now.")]
KnownAt = Annotated[str | None, typer.Option(help="As it was known then: a day or an instant; without it all that is known.")]
Timeline = Annotated[bool, typer.Option("--timeline", help="Every fact, newest first: what it changed, and which came late.")]
All = Annotated[bool, typer.Option("--all", help=f"Everything, not only the last {ROWS_SHOWN} of each.")]


def customer(
    customer_id: Id,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    facts: Timeline = False,
    everything: All = False,
    as_json: Json = False,
) -> int:
    """Show a customer's record: status, deals, hand-offs and history; or with --timeline every fact and what it changed."""
    asked = {"as_of": as_of, "known_at": known_at}
    name = quote(customer_id, safe="")
    limit = None if everything else ROWS_SHOWN
    with Services(load()) as services:
        if facts:
            return timeline(services, name, asked, limit, as_json=as_json)
        record = services.get("lifecycle", f"/v1/customers/{name}", **asked)
    if as_json:
        say_json(record)
        return 0
    say(f"{record['customer_id']}: {record['stage']}, {record['status']} ({record['probability']} %)", style="bold")
    for words, instant in (("as of", record["as_of"]), ("as it was known at", record["known_at"])):
        if instant is not None:
            say(f"{words} {instant}")
    bounced = f"; bounced {record['bounces']} x" if record["bounces"] else ""
    say(f"owner {record['owner'] or 'nobody'}; {record['facts']} facts, version {record['version']}{bounced}")
    if record["deals"]:
        _deals(record["deals"], limit)
    if record["handoffs"]:
        _handoffs(record["handoffs"], limit)
    if refused := [command for command in record["commands"] if not command["effective"]]:
        _refused(refused, limit)
    _history(record["history"], limit)
    return 0


def _deals(deals: Sequence[Mapping[str, Any]], limit: int | None) -> None:
    newest = sorted(deals, key=lambda deal: parse_instant(deal["since"]), reverse=True)
    rows = [
        (
            deal["deal_id"].removeprefix("opportunity:"),
            deal["state"],
            deal["status"],
            deal["probability"],
            money(deal["amounts"].get("amount")),
            deal["owner"],
            day_or_time(deal["since"]),
        )
        for deal in newest[:limit]
    ]
    say()
    headers = ("deal", "state", "status", "%", "amount", "owner", "since")
    table(headers, rows, right=("%", "amount"), title=cut("Deals", deals, limit))


def _handoffs(handoffs: Sequence[Mapping[str, Any]], limit: int | None) -> None:
    rows = [
        (
            day_or_time(handoff["assigned_at"]),
            handoff["rep_id"],
            _after(handoff["seconds_to_accept"]),
            _after(handoff["seconds_to_touch"]),
            _ended(handoff["ended"]),
        )
        for handoff in [*reversed(handoffs)][:limit]
    ]
    say()
    table(("assigned", "to", "accepted", "touched", "ended"), rows, title=cut("Hand-offs", handoffs, limit))


def _after(seconds: float | None) -> str:
    return "" if seconds is None else f"after {duration(seconds)}"


def _ended(ended: Mapping[str, Any] | None) -> str:
    if ended is None:
        return ""
    why = ended["reason"] if ended["reason"] != ended["how"] else None
    by = f" by {ended['successor']}" if ended["successor"] else ""
    return f"{ended['how']}{by} {day_or_time(ended['at'])}" + (f" ({why})" if why else "")


def _refused(commands: Sequence[Mapping[str, Any]], limit: int | None) -> None:
    rows = [
        (day_or_time(command["occurred_at"]), command["type"], command["actor"], command["explanation"])
        for command in [*reversed(commands)][:limit]
    ]
    say()
    table(("when", "command", "by", "has no effect"), rows, title=cut("Commands", commands, limit))


def _history(history: Sequence[Mapping[str, Any]], limit: int | None) -> None:
    rows: list[tuple[object, ...]] = [
        (day_or_time(state["effective_at"]), state["stage"], state["status"], state["probability"], state["cause"]["type"], known)
        for state, known in zip(reversed(history), _corrections(history), strict=True)
    ]
    headers: tuple[str, ...] = ("since", "stage", "status", "%", "because of", "known")
    if not any(row[-1] for row in rows):
        headers, rows = headers[:-1], [row[:-1] for row in rows]
    say()
    table(headers, rows[:limit], right=("%",), title=cut("Statuses", history, limit))


def _corrections(history: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Newest first: when a state became known, where a later one was known before it, so that a late fact corrected the past."""
    earliest = None
    for state in reversed(history):
        recorded = state["recorded_at"]
        late = earliest is not None and parse_instant(recorded) > earliest
        yield day_or_time(recorded) if late else ""
        earliest = min(parse_instant(recorded), earliest) if earliest is not None else parse_instant(recorded)
