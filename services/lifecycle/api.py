"""What lifecycle answers over HTTP: it reads records, and hands what is sent to it on to Kafka, through which all changes come."""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from fastapi import Depends, FastAPI, HTTPException, Path
from fastapi.responses import Response
from prometheus_client import CollectorRegistry

from events.bus.partitioner import murmur2
from events.bus.progress import Progress
from services.lifecycle import health, intake, listing, matrix, problems
from services.lifecycle.mass import api as mass_change
from services.lifecycle.mass.api import Resources
from services.lifecycle.metrics import Senders, intake_counter
from services.lifecycle.publishing import Publisher
from services.lifecycle.reading import customer_view
from services.lifecycle.store import Store
from services.lifecycle.sweep import Sweep
from services.lifecycle.tables import StatusTables


class Json(Response):
    """JSON by msgspec: decimals and instants as they are published."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


def create_app(
    store: Store,
    tables: StatusTables,
    progress: Callable[[], Progress],
    registry: CollectorRegistry,
    senders: Senders | None = None,
    publisher: Publisher | None = None,
    sweep: Sweep | None = None,
    mass: Resources | None = None,
    clock: Callable[[], int] = time.time_ns,
) -> FastAPI:
    """The application. ``senders``: whose records had to be sent home; ``sweep``: the worker's; ``clock``: nanoseconds since 1970.

    Without a ``publisher`` nothing is taken in, without ``mass`` there are no mass changes.
    """
    app = FastAPI(title="Handoff lifecycle", version="1", docs_url=None, redoc_url=None, default_response_class=Json)
    problems.install(app)
    app.include_router(health.router(store, tables, progress, registry, senders or Senders(), sweep))
    app.include_router(listing.router(store, lambda: tables.policy, clock))
    app.include_router(matrix.router(tables, clock))
    if publisher is not None:
        app.include_router(intake.router(publisher, lambda: tables.policy, intake_counter(registry)))
    if mass is not None:
        app.include_router(mass_change.router(mass))

    @app.get("/v1/customers/{customer_id:path}", dependencies=[Depends(problems.no_parameters)])
    def customer(customer_id: Annotated[str, Path(min_length=1, max_length=200)]) -> Json:
        """A customer's record: stage, status, owner, deals, and the history of its status."""
        shard = murmur2(customer_id.encode(), store.shards)
        record = store.load(shard, [customer_id], tables.policy).get(customer_id)
        if record is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"no fact of a customer {customer_id!r} has been taken in")
        return Json(customer_view(record, store.events_of(shard, customer_id)), headers={"ETag": f'W/"{record.version}"'})

    return app
