"""What routing answers over HTTP: who has a record and why, health, metrics. Errors are problem+json (RFC 9457)."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from fastapi import Depends, FastAPI, Path, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.exceptions import HTTPException

from events.bus.progress import Progress
from services.routing.outbound import published
from services.routing.publication import Reference
from services.routing.store import Store

SERVICE = "routing"


class Json(Response):
    """JSON by msgspec: as it is published."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


def create_app(store: Store, reference: Reference, progress: Callable[[], Progress], registry: CollectorRegistry) -> FastAPI:
    """The application. It reads the desk's log; decisions come through Kafka."""
    app = FastAPI(title="Handoff routing", version="1", default_response_class=Json)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _validation_problem)

    @app.get("/v1/assignments/{customer_id:path}", dependencies=[Depends(_no_parameters)])
    def assignments(customer_id: Annotated[str, Path(min_length=1, max_length=200)]) -> Json:
        """What was published about a record, newest first, each with its trace."""
        events = store.events_of(customer_id)
        if not events:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"routing has decided nothing about a customer {customer_id!r}")
        said = [data for event in reversed(events) if (data := published(event)) is not None]
        return Json({"customer_id": customer_id, "assignments": said})

    @app.get("/livez")
    def livez() -> Json:
        """The process answers."""
        return Json({"alive": True})

    @app.get("/readyz")
    def readyz() -> Json:
        """Whether the service does its work, check by check; wrong files are told, and do not make it unready."""
        checks = health(store, reference, progress())
        ready = all(check["ok"] for check in checks)
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return Json({"ready": ready, "checks": checks}, status_code=status)

    @app.get("/metrics")
    def metrics() -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/v1/status")
    def status() -> Json:
        """How far the service has come; ``lag`` is 0 when both hops are settled and all decisions are published."""
        now = progress()
        return Json(
            {
                "service": SERVICE,
                "state": now.state,
                "lag": now.lag,
                "lag_seconds": round(now.lag_seconds, 3),
                "position": sum(now.positions.values()),
                "positions": {f"{place.topic}[{place.partition}]": offset for place, offset in sorted(now.positions.items())},
                "dead_letters": sum(store.ledger.dead_letters().values()),
            }
        )

    return app


def _no_parameters(request: Request) -> None:
    wrong = [{"loc": ("query", name), "msg": "there is no such parameter"} for name in request.query_params]
    if wrong:
        raise RequestValidationError(wrong)


def health(store: Store, reference: Reference, now: Progress) -> list[dict[str, Any]]:
    """The checks of ``/readyz``: each with a name, whether it is well, and what to know."""
    bugs = store.ledger.dead_letters().get("Bug", 0)
    rules, directory = reference.rules.newest, reference.directory.newest
    versions = f"rules v{rules.version if rules else '-'}, directory v{directory.version if directory else '-'}"
    problems = reference.problems()
    return [
        {"name": "bus", "ok": now.state == "running", "detail": now.error or now.state},
        {"name": "reference", "ok": rules is not None and directory is not None, "detail": "\n".join([versions, *problems])},
        {"name": "bugs", "ok": bugs == 0, "detail": f"{bugs} records were buried as bugs: they wait for a fix" if bugs else ""},
    ]


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
