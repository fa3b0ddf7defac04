"""What routing answers over HTTP: who has a record, and why. It reads the desk's log; decisions come through Kafka."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from fastapi import Depends, FastAPI, HTTPException, Path
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry

from events.bus.letters.office import Office
from events.bus.progress import Progress
from events.web import dead_letters
from events.web.application import application
from services.routing import health, problems
from services.routing.outbound import published
from services.routing.publication import Reference
from services.routing.store import Store


class Json(JSONResponse):
    """JSON by msgspec: as it is published."""

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


def create_app(
    store: Store,
    reference: Reference,
    progress: Callable[[], Progress],
    registry: CollectorRegistry,
    office: Office | None = None,
) -> FastAPI:
    """The application. Without an ``office`` there are no dead letters."""
    app = application("Handoff routing", default_response_class=Json)
    problems.install(app)
    app.include_router(health.router(store, reference, progress, registry))
    if office is not None:
        app.include_router(dead_letters.router(office))

    @app.get("/v1/assignments/{customer_id:path}", dependencies=[Depends(problems.no_parameters)])
    def assignments(customer_id: Annotated[str, Path(min_length=1, max_length=200)]) -> Json:
        """What was published about a record, newest first, each with its trace."""
        events = store.events_of(customer_id)
        if not events:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"routing has decided nothing about a customer {customer_id!r}")
        said = [data for event in reversed(events) if (data := published(event)) is not None]
        return Json({"customer_id": customer_id, "assignments": said})

    return app
