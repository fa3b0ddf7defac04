"""``handoff customer ID``: one customer's record, as lifecycle tells it."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from events.values import parse_instant
from handoff.client import Services
from handoff.console import day_or_time, money, say, say_json, table
from handoff.options import Json
from handoff.settings import load

ROWS_SHOWN: Final = 20

Id = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help=f"Every deal and every status, not only the last {ROWS_SHOWN}.")]


def customer(customer_id: Id, everything: All = False, as_json: Json = False) -> int:
    """Show a customer's record: the status now, the deals, and the history of the status."""
    with Services(load()) as services:
        record = services.get("lifecycle", f"/v1/customers/{quote(customer_id, safe='')}")
    if as_json:
        say_json(record)
        return 0
    say(f"{record['customer_id']}: {record['stage']}, {record['status']} ({record['probability']} %)", style="bold")
    say(f"owner {record['owner'] or 'nobody'}; {record['facts']} facts, version {record['version']}")
    limit = None if everything else ROWS_SHOWN
    if record["deals"]:
        _deals(record["deals"], limit)
    _history(record["history"], limit)
    return 0


def _deals(deals: list[Mapping[str, Any]], limit: int | None) -> None:
    newest = sorted(deals, key=lambda deal: str(deal["since"]), reverse=True)
    rows = [
        (
            deal["deal_id"].removeprefix("opportunity:"),
            deal["state"],
            deal["status"],
            deal["probability"],
            money(deal["amounts"]["amount"]),
            deal["owner"],
            day_or_time(deal["since"]),
        )
        for deal in newest[:limit]
    ]
    say()
    table(
        ("deal", "state", "status", "%", "amount", "owner", "since"),
        rows,
        right=("%", "amount"),
        title=_title("Deals", deals, limit),
    )


def _history(history: list[Mapping[str, Any]], limit: int | None) -> None:
    rows: list[tuple[object, ...]] = [
        (day_or_time(state["effective_at"]), state["stage"], state["status"], state["probability"], state["cause"]["type"], known)
        for state, known in zip(reversed(history), _corrections(history), strict=True)
    ]
    headers: tuple[str, ...] = ("since", "stage", "status", "%", "because of", "known")
    if not any(row[-1] for row in rows):
        headers, rows = headers[:-1], [row[:-1] for row in rows]
    say()
    table(headers, rows[:limit], right=("%",), title=_title("Statuses", history, limit))


def _corrections(history: list[Mapping[str, Any]]) -> Iterator[str]:
    """Newest first: when a state became known, where a later one was known before it, so that a late fact corrected the past."""
    earliest = None
    for state in reversed(history):
        recorded = state["recorded_at"]
        late = earliest is not None and parse_instant(recorded) > earliest
        yield day_or_time(recorded) if late else ""
        earliest = min(parse_instant(recorded), earliest) if earliest is not None else parse_instant(recorded)


def _title(what: str, found: list[Any], limit: int | None) -> str:
    cut = limit is not None and len(found) > limit
    return f"{what}: the last {limit} of {len(found)} (--all shows the others)" if cut else what
