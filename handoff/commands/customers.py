"""``handoff customers``: find customers and list them, as lifecycle tells it."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer

from handoff.client import Services
from handoff.console import day_or_time, say, say_json, table
from handoff.criteria import Criteria, read_criteria
from handoff.options import Json
from handoff.settings import load

PAGE: Final = 1000

Sort = Annotated[str, typer.Option(metavar="COLUMN", help="customer_id, began_at, since or active_at.")]
Descending = Annotated[bool, typer.Option("--desc", help="Falling, not rising.")]
Limit = Annotated[int, typer.Option(min=1, metavar="N", help="So many customers at most.")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]


def customers(
    criteria: Criteria = None,
    sort: Sort = "customer_id",
    descending: Descending = False,
    limit: Limit = 20,
    everything: All = False,
    as_json: Json = False,
) -> int:
    """Find customers, for example: handoff customers stage=lead overdue=true --sort since.

    With --json one object a line, ready for other programs.
    """
    asked = {**read_criteria(criteria), "sort": sort, "order": "desc" if descending else "asc"}
    with Services(load()) as services:
        if as_json:
            for customer in _found(services, asked, None if everything else limit):
                say_json(customer)
            return 0
        found = list(_found(services, asked, None if everything else limit))
        count = services.get("lifecycle", "/v1/customers", **{**asked, "count": "true", "limit": "1"})["count"]
    table(("customer", "company", "status", "since", "owner", "overdue"), [_row(customer) for customer in found])
    more = f": the first {len(found)} (--all shows the others)" if count > len(found) else ""
    say(f"{count:,} customers{more}" if count != 1 else "1 customer")
    return 0


def _found(services: Services, asked: Mapping[str, str | list[str]], limit: int | None) -> Iterator[Mapping[str, Any]]:
    """Customers, a page at a time."""
    after: str | None = None
    while limit is None or limit > 0:
        size = PAGE if limit is None else min(limit, PAGE)
        page = services.get("lifecycle", "/v1/customers", **asked, limit=str(size), after=after)
        yield from page["customers"]
        after = page["next"]
        if after is None:
            return
        limit = None if limit is None else limit - size


def _row(customer: Mapping[str, Any]) -> tuple[object, ...]:
    late = f"since {day_or_time(customer['due_at'])}" if customer["overdue"] else ""
    follow_up = "follow up" if customer["follow_up_due"] and not late else ""
    since = day_or_time(customer["since"])
    return (customer["customer_id"], customer["company"], customer["status"], since, customer["owner"], late or follow_up)
