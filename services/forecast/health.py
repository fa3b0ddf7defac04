"""Probes, metrics and status: whether the service lives, does its work, and how far it has come."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from eventsourcing.persistence import PersistenceError
from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from events.bus import BusError
from events.bus.letters.keeping import waiting
from events.bus.progress import Progress, named
from events.web.openapi import UNREADY
from services.forecast.directory import Directories
from services.forecast.figures import Figures
from services.forecast.store import Store

SERVICE: Final = "forecast"


def router(store: Store, directories: Directories, progress: Callable[[], Progress], registry: CollectorRegistry) -> APIRouter:
    """The resources that every service has."""
    routes = APIRouter(tags=["health"])

    @routes.get("/livez")
    def livez() -> dict[str, bool]:
        """The process answers."""
        return {"alive": True}

    @routes.get("/readyz", responses=UNREADY)
    def readyz() -> JSONResponse:
        """Whether the service does its work, check by check."""
        found = checks(store, directories, progress())
        ready = all(check["ok"] for check in found)
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse({"ready": ready, "checks": found}, status_code=status)

    @routes.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @routes.get("/v1/status")
    def status() -> dict[str, Any]:
        """How far the service has come; ``lag`` is 0 when everything that was published is reflected, the directory included."""
        now = progress()
        with store.snapshot() as cursor:
            figures = Figures(cursor)
            position, positions, letters = figures.position(), figures.positions(), figures.dead_letters()
        ends = named({place: offset + now.unread.get(place, 0) for place, offset in now.positions.items()})
        return {
            "service": SERVICE,
            "state": now.state,
            "lag": now.lag + _behind(directories),
            "lag_seconds": round(now.lag_seconds, 3),
            "position": position,
            "positions": positions,
            "unread": {log: end - positions[log] for log, end in ends.items() if end > positions.get(log, end)},
            "dead_letters": sum(letters.values()),
        }

    return routes


def checks(store: Store, directories: Directories, now: Progress) -> list[dict[str, Any]]:
    """The checks of ``/readyz``: each with a name, whether it is well, and what to know."""
    read = directories.position is not None
    known = [
        {"name": "bus", "ok": now.state == "running", "detail": now.error or now.state},
        {"name": "directory", "ok": read, "detail": directories.problem or ("" if read else "it was not read yet")},
    ]
    try:
        with store.snapshot() as cursor:
            bugs = waiting(cursor).get("Bug", 0)
    except PersistenceError as error:
        return [*known, {"name": "database", "ok": False, "detail": f"it cannot be asked: {error}"}]
    return [
        *known,
        {"name": "database", "ok": True, "detail": ""},
        {"name": "bugs", "ok": bugs == 0, "detail": f"{bugs} records were buried as bugs: they wait for a fix" if bugs else ""},
    ]


def _behind(directories: Directories) -> int:
    """How much of the directory is not read yet; unknown while the bus is away, which the state says already."""
    try:
        return directories.behind()
    except (BusError, LookupError):
        return 0
