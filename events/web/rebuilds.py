"""``/v1/rebuilds``: make a view again beside the live one, see how far that is, end it. The same in every service."""

from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response
from msgspec.json import encode
from pydantic import BaseModel, ConfigDict, Field

from events.bus.rebuild.builder import Builder, Wanted
from events.bus.rebuild.jobs import STALE_SECONDS, Busy, Job, Rebuild
from events.bus.rebuild.sets import Standing
from events.values import NANOSECONDS, format_instant

PATH: Final = "/v1/rebuilds"
ACTOR_MAX: Final = 200


class RebuildWanted(BaseModel):
    """What is to be done."""

    model_config = ConfigDict(extra="forbid")

    view: Annotated[str, Field(max_length=64, description="The view; `GET /v1/rebuilds` says which there are.")]
    actor: Annotated[str, Field(min_length=1, max_length=ACTOR_MAX, description="Who asks for it.")]
    check: Annotated[
        bool, Field(description="Compare it with the live view, byte for byte, and throw it away, instead of switching to it.")
    ] = False
    share: Annotated[
        int, Field(ge=5, le=100, description="Percent of the time of one thread that the work may take; at 100 it never rests.")
    ] = 50


def router(builder: Builder) -> APIRouter:
    """The resources."""
    routes = APIRouter(prefix=PATH, tags=["rebuilds"])

    @routes.get("", response_model=None)
    def listed() -> Response:
        """The views of this service, how each stands, and the rebuild that is under way, or was the last."""
        return _json({"views": [_said(builder, name) for name in builder.views]})

    @routes.get("/{view}", response_model=None)
    def one(view: str) -> Response:
        """A view, how it stands, and the rebuild that is under way, or was the last: how far it is, how fast, and until when."""
        return _json(_said(builder, view))

    @routes.post("", response_model=None, status_code=HTTPStatus.ACCEPTED)
    def begin(asked: RebuildWanted) -> Response:
        """Make a view again beside the live one, and then switch to it in one step (or compare the two: `check`).

        It is accepted (202) and done by the service, whoever watches; `Location` is where to ask. The live view answers and takes
        in meanwhile, and stays as it is if anything goes wrong. Only one rebuild of a view at a time (409 says whose).
        """
        try:
            job = builder.begin(Wanted(asked.view, asked.actor, asked.check, asked.share))
        except KeyError:
            raise _unknown(builder, asked.view) from None
        except Busy as busy:
            raise HTTPException(HTTPStatus.CONFLICT, _busy(busy.job, builder.now())) from None
        return _json(_said(builder, job.view), HTTPStatus.ACCEPTED, {"Location": f"{PATH}/{job.view}"})

    @routes.delete("/{view}", response_model=None, status_code=HTTPStatus.ACCEPTED)
    def cancel(view: str) -> Response:
        """End the rebuild of a view that is under way: the live view stays, what was made is deleted.

        Accepted (202) means that it is not switched to; 409 that there is nothing to end any more, and what came of the last one.
        """
        try:
            if not builder.cancel(view):
                raise HTTPException(HTTPStatus.CONFLICT, _over(builder.job(view)[0]))
        except KeyError:
            raise _unknown(builder, view) from None
        return _json(_said(builder, view), HTTPStatus.ACCEPTED)

    return routes


def _said(builder: Builder, view: str) -> dict[str, Any]:
    try:
        job, standing = builder.job(view)
    except KeyError:
        raise _unknown(builder, view) from None
    return {
        "view": view,
        "service": builder.service,
        "generation": standing.generation,
        "running": job.running,
        "rebuild": None if job.rebuild is None else _rebuild(job, job.rebuild, standing, builder.now()),
    }


def _rebuild(job: Job, rebuild: Rebuild, standing: Standing, now: int) -> dict[str, Any]:
    done, total = rebuild.done, max(rebuild.done, rebuild.total)
    seconds = max(0, job.beat - rebuild.phase_at) / NANOSECONDS
    rate = done / seconds if job.running and done and seconds else None
    return {
        "id": rebuild.id,
        "check": rebuild.check,
        "actor": rebuild.actor,
        "worker": rebuild.worker,
        "share": rebuild.share,
        "phase": rebuild.phase,
        "done": done,
        "total": total,
        "per_second": None if rate is None else round(rate, 1),
        "eta_seconds": None if rate is None else round((total - done) / rate, 1),
        "begun_at": format_instant(rebuild.begun_at),
        "ended_at": None if rebuild.ended_at is None else format_instant(rebuild.ended_at),
        "seconds": round(((rebuild.ended_at or now) - rebuild.begun_at) / NANOSECONDS, 1),
        "cancelled": job.cancelled,
        "outcome": rebuild.outcome,
        "detail": rebuild.detail or None,
        "difference": rebuild.difference,
    }


def _busy(job: Job, now: int) -> str:
    assert job.rebuild is not None
    silent = max(0, now - job.beat) // NANOSECONDS
    who = f"{job.rebuild.worker}, asked by {job.rebuild.actor} at {format_instant(job.rebuild.begun_at)}"
    return (
        f"the view {job.view} is being made again by {who} ({job.rebuild.done:,} of {job.rebuild.total:,}): wait for it, or end it"
        f" with `handoff rebuild {job.view} --cancel`; its last sign of life was {silent} s ago, and after {STALE_SECONDS} s it"
        " counts as dead"
    )


def _over(job: Job) -> str:
    said = f"the view {job.view} is not being made again: there is nothing to end"
    if job.rebuild is None or job.rebuild.ended_at is None:
        return said
    return f"{said}; the last rebuild has ended at {format_instant(job.rebuild.ended_at)}: {job.rebuild.outcome}"


def _unknown(builder: Builder, view: str) -> HTTPException:
    names = ", ".join(builder.views)
    return HTTPException(HTTPStatus.NOT_FOUND, f"{builder.service} has no view {view[:64]!r}; it has {names}")


def _json(content: Any, status: int = HTTPStatus.OK, headers: dict[str, str] | None = None) -> Response:
    return Response(encode(content), media_type="application/json", status_code=status, headers=headers)
