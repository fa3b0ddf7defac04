"""Probes, metrics and status: whether the service lives, does its work, and how far it has come."""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec
from eventsourcing.persistence import PersistenceError
from fastapi import APIRouter
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from events.bus.progress import Progress, named
from events.web.openapi import UNREADY
from services.lifecycle.metrics import Senders
from services.lifecycle.store import Store
from services.lifecycle.sweep import Sweep, Swept
from services.lifecycle.tables import StatusTables

SERVICE: Final = "lifecycle"


def router(
    store: Store,
    tables: StatusTables,
    progress: Callable[[], Progress],
    registry: CollectorRegistry,
    senders: Senders,
    sweep: Sweep | None,
) -> APIRouter:
    """The resources that every service has."""
    routes = APIRouter(tags=["health"])

    def swept() -> Swept:
        return Swept() if sweep is None else sweep.progress

    @routes.get("/livez")
    def livez() -> dict[str, bool]:
        """The process answers."""
        return {"alive": True}

    @routes.get("/readyz", responses=UNREADY)
    def readyz() -> JSONResponse:
        """Whether the service does its work, check by check; a wrong version of the status table is told, and leaves it ready."""
        found = checks(store, tables, progress(), swept())
        ready = all(check["ok"] for check in found)
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse({"ready": ready, "checks": found}, status_code=status)

    @routes.get("/metrics", response_class=PlainTextResponse)
    def metrics() -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @routes.get("/v1/status")
    def status() -> dict[str, Any]:
        """How far the service has come; ``lag`` is 0 when everything that was published is reflected and relayed.

        ``moved``: records that lay in another partition than their customer's since the start, by source. ``status_table``: the
        version that is in force now, what is wrong on its topic, and how far records have followed versions that came late (the
        sweep that is under way, or the last one).
        """
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
            "moved": dict(senders.counts),
            "status_table": {
                "version": tables.policy.tables.at(time.time_ns()).version,
                "known": tables.policy.tables.newest.version,
                "problems": tables.problems(),
                "sweep": msgspec.to_builtins(swept()),
            },
        }

    return routes


def checks(store: Store, tables: StatusTables, now: Progress, swept: Swept) -> list[dict[str, Any]]:
    """The checks of ``/readyz``: each with a name, whether it is well, and what to know."""
    newest = tables.policy.tables.newest.version
    left = [f"{swept.failed} records cannot follow it, and stay as they are: the log says why; a restart tries again"]
    told = [f"versions up to {newest}", *tables.problems(), *(left if swept.failed else ())]
    known = [
        {"name": "bus", "ok": now.state == "running", "detail": now.error or now.state},
        {"name": "status table", "ok": not swept.failed, "detail": "\n".join(told)},
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
