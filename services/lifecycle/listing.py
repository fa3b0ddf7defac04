"""``GET /v1/customers``: find customers and list them, in pages or as one CSV file. All shards are read as one."""

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import AfterValidator, Field

from events.values import format_instant
from events.web import cursors
from events.web.conditional import form_of
from events.web.openapi import CSV
from events.web.spreadsheet import csv_of, safe
from services.lifecycle.criteria import Criteria, refused
from services.lifecycle.customers import Line, Selection, Sort
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import StatusTable
from services.lifecycle.store import Store

LIMIT_MAX: Final = 1000
CSV_PAGE: Final = 1000
_INSTANTS: Final = ("since", "began_at", "active_at", "touched_at")
_TEXTS: Final = ("customer_id", "stage", "status", "owner", "company", "country", "source", "source_kind")
COLUMNS: Final = (
    *("customer_id", "company", "stage", "status", "probability", "since", "owner", "country", "source", "source_kind", "score"),
    *("began_at", "active_at", "touched_at", "due_at", "overdue", "follow_up_at", "follow_up_due"),
)
"""What is said of a customer, in this order."""


def place_of(cursor: str) -> tuple[Sort, int | None, str]:
    """The column, its value and the id after which a page begins. Raises ``ValueError``."""
    sort, value, customer_id = cursors.place_of(cursor, tuple[Sort, cursors.Whole | None, str])
    if (value is None) != (sort == "customer_id"):
        raise ValueError("is not a cursor: take `next` of the page before")
    return sort, value, customer_id


def _cursor_of(sort: Sort, line: Line) -> str:
    value = None if sort == "customer_id" else getattr(line.summary, sort)
    return cursors.cursor_of(sort, value, line.customer_id)


def _cursor(text: str) -> str:
    place_of(text)
    return text


class CustomersQuery(Criteria):
    """``/v1/customers``."""

    sort: Annotated[Sort, Field(description="By id, or by an instant: the first fact, the status, the last activity.")] = (
        "customer_id"
    )
    order: Annotated[Literal["asc", "desc"], Field(description="Rising or falling.")] = "asc"
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX, description="Customers on a page. A CSV file has no pages.")] = 100
    after: Annotated[str | None, AfterValidator(_cursor), Field(description="`next` of the page before.")] = None
    count: Annotated[bool, Field(description="Say how many are meant in all, too.")] = False
    format: Annotated[Literal["json", "csv"] | None, Field(description="Instead of an Accept header, for links.")] = None


def entry(line: Line, table: StatusTable, now: int) -> dict[str, Any]:
    """What is said of a customer; ``table`` is the one in force ``now`` (nanoseconds since 1970)."""
    summary = line.summary
    row = table.row(summary.status)
    said: dict[str, Any] = {name: getattr(summary, name, None) for name in COLUMNS}
    said["customer_id"] = line.customer_id
    for name in _INSTANTS:
        said[name] = None if said[name] is None else format_instant(said[name])
    touched = max(summary.since, summary.touched_at or summary.since)
    due_at = summary.since + row.target_duration if row is not None and row.target_duration is not None else None
    follow_up_at = touched + row.follow_up if row is not None and row.follow_up is not None else None
    for name, at in (("due_at", due_at), ("follow_up_at", follow_up_at)):
        said[name] = None if at is None else format_instant(at)
    said["overdue"] = due_at is not None and due_at <= now
    said["follow_up_due"] = follow_up_at is not None and follow_up_at <= now
    return said


def router(store: Store, policy: Callable[[], Policy], clock: Callable[[], int]) -> APIRouter:
    """The resource. ``clock``: nanoseconds since 1970."""
    routes = APIRouter()

    @routes.get("/v1/customers", response_model=None, responses=CSV)
    def customers(request: Request, query: Annotated[CustomersQuery, Query()]) -> Response | dict[str, Any]:
        """Find customers by stage, status, owner, country, source, age, score and idleness; those overdue; follow-ups due.

        Sorted by id or by an instant, and within that by id. `overdue` and `follow_up_due` go by the table in force now. In CSV it
        is the whole list, whatever `limit` says.
        """
        now, present = clock(), policy()
        table = present.tables.at(now)
        selection = query.selection(now, present.zone, present.tables)
        place = place_of(query.after) if query.after else None
        if place is not None and place[0] != query.sort:
            raise refused("after", f"is of a list sorted by {place[0]}: go on with that, or begin anew")
        if form_of(request, query.format) == "csv":
            lines = _all(store, selection, query, place)
            headers = {"Content-Disposition": 'attachment; filename="customers.csv"', "Vary": "Accept"}
            return StreamingResponse(_csv(lines, table, now), media_type="text/csv; charset=utf-8; header=present", headers=headers)
        page = _page(store, selection, query, place, query.limit + 1)
        following = _cursor_of(query.sort, page[query.limit - 1]) if len(page) > query.limit else None
        found = {
            "as_of": format_instant(now),
            "customers": [entry(line, table, now) for line in page[: query.limit]],
            "next": following,
        }
        return {**found, "count": store.customers(selection)} if query.count else found

    return routes


def _page(
    store: Store, selection: Selection, query: CustomersQuery, place: tuple[Sort, int | None, str] | None, limit: int
) -> Sequence[Line]:
    after = None if place is None else place[1:]
    return store.listed(selection, sort=query.sort, descending=query.order == "desc", after=after, limit=limit)


def _all(
    store: Store, selection: Selection, query: CustomersQuery, place: tuple[Sort, int | None, str] | None
) -> Iterator[Sequence[Line]]:
    while page := _page(store, selection, query, place, CSV_PAGE):
        yield page
        last = page[-1]
        place = (query.sort, getattr(last.summary, query.sort, None), last.customer_id)


def _csv(pages: Iterator[Sequence[Line]], table: StatusTable, now: int) -> Iterator[str]:
    yield csv_of(COLUMNS, [])
    for page in pages:
        entries = (entry(line, table, now) for line in page)
        yield csv_of(None, [[safe(each[name]) if name in _TEXTS else each[name] for name in COLUMNS] for each in entries])
