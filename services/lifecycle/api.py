"""What lifecycle answers over HTTP: the customer's record, health, metrics. Errors are problem+json (RFC 9457)."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.exceptions import HTTPException

from events.bus.loop import Progress
from events.bus.partitioner import murmur2
from services.lifecycle.domain.state import Policy
from services.lifecycle.reading import customer_view
from services.lifecycle.store import Store

SERVICE = "lifecycle"


class Json(Response):
    """JSON by msgspec: decimals and instants as they are published."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


def create_app(store: Store, policy: Policy, progress: Callable[[], Progress], registry: CollectorRegistry) -> FastAPI:
    """The application. It reads the store; whatever changes a record comes through Kafka."""
    app = FastAPI(title="Handoff lifecycle", version="1", default_response_class=Json)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _validation_problem)

    @app.get("/v1/customers/{customer_id:path}")
    def customer(customer_id: Annotated[str, Path(min_length=1, max_length=200)]) -> Json:
        """A customer's record: stage, status, owner, deals, and the history of its status."""
        shard = murmur2(customer_id.encode(), store.shards)
        record = store.load(shard, [customer_id], policy).get(customer_id)
        if record is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"no fact of a customer {customer_id!r} has been taken in")
        return Json(customer_view(record, store.events_of(shard, customer_id)), headers={"ETag": f'W/"{record.version}"'})

    @app.get("/livez")
    def livez() -> Json:
        """The process answers."""
        return Json({"alive": True})

    @app.get("/readyz")
    def readyz() -> Json:
        """Whether the service does its work, check by check."""
        checks = health(store, progress())
        ready = all(check["ok"] for check in checks)
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return Json({"ready": ready, "checks": checks}, status_code=status)

    @app.get("/metrics")
    def metrics() -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/v1/status")
    def status() -> Json:
        """How far the service has come; ``lag`` is 0 when everything that was published is reflected and relayed."""
        return Json(status_view(store, progress()))

    return app


def health(store: Store, progress: Progress) -> list[dict[str, Any]]:
    """The checks of ``/readyz``: each with a name, whether it is well, and what to know."""
    letters = store.ledger.dead_letters()
    bugs = letters.get("Bug", 0)
    return [
        {"name": "bus", "ok": progress.state == "running", "detail": progress.error or progress.state},
        {"name": "bugs", "ok": bugs == 0, "detail": f"{bugs} records were buried as bugs: they wait for a fix" if bugs else ""},
    ]


def status_view(store: Store, progress: Progress) -> Mapping[str, Any]:
    """The body of ``/v1/status``, the same for every service."""
    return {
        "service": SERVICE,
        "state": progress.state,
        "lag": progress.lag,
        "lag_seconds": round(progress.lag_seconds, 3),
        "position": sum(progress.positions.values()),
        "positions": {f"{place.topic}[{place.partition}]": number for place, number in sorted(progress.positions.items())},
        "dead_letters": sum(store.ledger.dead_letters().values()),
    }


# ------------------------------------------------------------------------------------------ problems


def _problem(status: int, detail: str, **more: Any) -> JSONResponse:
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


async def _http_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _problem(error.status_code, str(error.detail))


async def _validation_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    errors = [{"place": ".".join(map(str, each["loc"])), "reason": each["msg"]} for each in error.errors()]
    return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(f"{e['place']}: {e['reason']}" for e in errors), errors=errors)
