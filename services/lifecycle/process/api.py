"""The process map over HTTP: as JSON, and as a picture."""

from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from events.web.conditional import unchanged
from events.web.openapi import UNCHANGED
from services.lifecycle.admission import unknown_status
from services.lifecycle.criteria import refused
from services.lifecycle.domain.state import Policy
from services.lifecycle.process.maps import Made, Maps, ProcessAnswer
from services.lifecycle.process.question import MapQuery, PictureQuery, Question
from services.lifecycle.process.svg import picture
from services.lifecycle.store import Store

SVG: Final = "image/svg+xml"


def router(store: Store, policy: Callable[[], Policy], clock: Callable[[], int]) -> APIRouter:
    """The resources. ``policy``: the present one; ``clock``: nanoseconds since 1970."""
    routes = APIRouter(tags=["process"])
    maps = Maps(store, policy, clock)

    def made(query: MapQuery) -> Made:
        tables = policy().tables
        if query.status is not None and not tables.knows(query.status):
            raise refused("status", unknown_status(query.status, tables))
        question = Question.of(query, policy().zone)
        if question.began_from > question.began_to:
            raise refused("from", "is after `to`: no case can begin between them")
        return maps.of(question)

    @routes.get("/v1/process-map", response_model=ProcessAnswer, response_class=JSONResponse, responses=UNCHANGED)
    def process_map(request: Request, query: Annotated[MapQuery, Query()]) -> Response:
        """What really happened, beside what was meant: transitions, conversion, times, rework, skips, variants."""
        return _respond(request, made(query), "application/json", msgspec.json.encode)

    @routes.get("/v1/process-map.svg", response_class=Response, responses={200: {"content": {SVG: {}}}, **UNCHANGED})
    def process_map_svg(request: Request, query: Annotated[PictureQuery, Query()]) -> Response:
        """The process map as one picture (SVG), which needs nothing else: no script, no font, no other file."""
        return _respond(request, made(query), SVG, lambda found: picture(found, query.arrows).encode())

    return routes


def _respond(request: Request, made: Made, media_type: str, body: Callable[[ProcessAnswer], bytes]) -> Response:
    """304 where the client has the answer, else the answer."""
    headers = {"ETag": made.tag, "Cache-Control": "no-cache"}
    if unchanged(request, made.tag):
        return Response(status_code=304, headers=headers)
    return Response(body(made.answer), media_type=media_type, headers=headers)
