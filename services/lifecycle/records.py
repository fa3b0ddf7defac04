"""The resources about one customer: the record and its timeline, now, as of an instant, and as they were known."""

from collections.abc import Callable
from datetime import tzinfo
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from events.business_time import end_of, instant_or_date
from events.web.conditional import MEDIA_TYPES, form_of, unchanged
from events.web.openapi import CSV, UNCHANGED
from services.lifecycle.domain.state import Policy
from services.lifecycle.reading import Moment, NotThere, Reading, customer_view, read
from services.lifecycle.store import Store
from services.lifecycle.timeline import Order, place_of, timeline_csv, timeline_view

LIMIT_MAX: Final = 500


class Json(JSONResponse):
    """JSON by msgspec: decimals and instants as they are published."""

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


def _readable(read: Callable[[str], object]) -> AfterValidator:
    def check(text: str) -> str:
        read(text)
        return text

    return AfterValidator(check)


Instant = Annotated[str, _readable(instant_or_date), Field(examples=["2026-03-31", "2026-03-31T18:00:00Z"])]
CustomerId = Annotated[str, Path(min_length=1, max_length=200)]


class RecordQuery(BaseModel):
    """The moment of a record. A bare day means through its last instant, in the business time zone."""

    model_config = ConfigDict(extra="forbid")

    as_of: Annotated[Instant | None, Field(description="Business time: what held then. Without it: all that is known.")] = None
    known_at: Annotated[
        Instant | None, Field(description="Recorded time: as it was known then. Without it: all that is known.")
    ] = None

    def moment(self, zone: tzinfo) -> Moment:
        """The moment that is meant."""
        as_of, known_at = (None if asked is None else end_of(asked, zone) for asked in (self.as_of, self.known_at))
        return Moment(as_of, known_at)


class TimelineQuery(RecordQuery):
    """The moment, and the page."""

    order: Annotated[Order, Field(description="Newest first, or oldest first.")] = "desc"
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX, description="Facts on a page. A CSV file has no pages.")] = 50
    after: Annotated[str | None, _readable(place_of), Field(description="`next` of the page before.")] = None
    format: Annotated[Literal["json", "csv"] | None, Field(description="Instead of an Accept header, for links.")] = None


def router(store: Store, policy: Callable[[], Policy]) -> APIRouter:
    """The resources."""
    routes = APIRouter()

    @routes.get("/v1/customers/{customer_id:path}", response_model=None, responses=UNCHANGED)
    def customer(request: Request, customer_id: CustomerId, query: Annotated[RecordQuery, Query()]) -> Response:
        """A customer's record: stage, status, owner, deals with their documents, hand-offs, commands, and the status's history.

        With `as_of` what held then, with `known_at` as it was known then, in the same form; with both, both.
        """
        tag = f'W/"{store.version_of(store.home(customer_id), customer_id)}"'
        if unchanged(request, tag):
            return _not_modified(tag)
        reading = _read(store, customer_id, query, policy())
        return Json(customer_view(reading), headers=_headers(tag))

    @routes.get("/v1/timeline/{customer_id:path}", response_model=None, responses=CSV | UNCHANGED)
    def timeline(request: Request, customer_id: CustomerId, query: Annotated[TimelineQuery, Query()]) -> Response:
        """Every fact of a record in the order of business time: what it says, what it changed, and what late ones corrected.

        `changed` is what the fact changes at its place; `corrected` what its arrival changed where it came late: from `since` on
        the past was another one then. In CSV it is the whole timeline, whatever `limit` says.
        """
        form = form_of(request, query.format)
        tag = f'W/"{store.version_of(store.home(customer_id), customer_id)}-{form}"'
        if unchanged(request, tag):
            return _not_modified(tag)
        reading = _read(store, customer_id, query, policy())
        place = place_of(query.after) if query.after else None
        if form == "csv":
            lines = timeline_csv(store, reading, order=query.order, after=place)
            headers = {**_headers(tag), "Content-Disposition": 'attachment; filename="timeline.csv"'}
            return StreamingResponse(lines, media_type=MEDIA_TYPES["csv"], headers=headers)
        page = timeline_view(store, reading, order=query.order, after=place, limit=query.limit)
        return Json(page, headers=_headers(tag))

    return routes


def _read(store: Store, customer_id: str, query: RecordQuery, policy: Policy) -> Reading:
    try:
        return read(store, customer_id, query.moment(policy.zone), policy)
    except NotThere as error:
        raise HTTPException(HTTPStatus.NOT_FOUND, str(error)) from None


def _headers(tag: str) -> dict[str, str]:
    return {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept"}


def _not_modified(tag: str) -> Response:
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=_headers(tag))
