"""Probes, metrics and status: whether the service lives, does its work, and how far it has come."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from eventsourcing.persistence import PersistenceError
from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from events.bus.progress import Progress, named
from events.web.openapi import UNREADY
from services.routing.publication import Reference
from services.routing.store import Store

SERVICE: Final = "routing"


def router(store: Store, reference: Reference, progress: Callable[[], Progress], registry: CollectorRegistry) -> APIRouter:
    """The resources that every service has."""
    routes = APIRouter(tags=["health"])

    @routes.get("/livez")
    def livez() -> dict[str, bool]:
        """The process answers."""
        return {"alive": True}

    @routes.get("/readyz", responses=UNREADY)
    def readyz() -> JSONResponse:
        """Whether the service does its work, check by check; wrong files are told, and do not make it unready."""
        found = checks(store, reference, progress())
        ready = all(check["ok"] for check in found)
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse({"ready": ready, "checks": found}, status_code=status)

    @routes.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @routes.get("/v1/status")
    def status() -> dict[str, Any]:
        """How far the service has come; ``lag`` is 0 when both hops are settled and all decisions are published."""
        now = progress()
        return {
            "service": SERVICE,
            "state": now.state,
            "lag": now.lag,
            "lag_seconds": round(now.lag_seconds, 3),
            "position": sum(now.positions.values()),
            "positions": named(now.positions),
            "unread": named(now.unread),
            "dead_letters": sum(store.ledger.dead_letters().values()),
        }

    return routes


def checks(store: Store, reference: Reference, now: Progress) -> list[dict[str, Any]]:
    """The checks of ``/readyz``: each with a name, whether it is well, and what to know."""
    rules, directory = reference.rules.newest, reference.directory.newest
    versions = f"rules v{rules.version if rules else '-'}, directory v{directory.version if directory else '-'}"
    known = [
        {"name": "bus", "ok": now.state == "running", "detail": now.error or now.state},
        {
            "name": "reference",
            "ok": rules is not None and directory is not None,
            "detail": "\n".join([versions, *reference.problems()]),
        },
    ]
    try:
        bugs = store.ledger.dead_letters().get("Bug", 0)
    except PersistenceError as error:
        return [*known, {"name": "database", "ok": False, "detail": f"it cannot be asked: {error}"}]
    return [
        *known,
        {"name": "database", "ok": True, "detail": ""},
        {"name": "bugs", "ok": bugs == 0, "detail": f"{bugs} records were buried as bugs: they wait for a fix" if bugs else ""},
    ]
