"""``POST /v1/events``: events for systems without a Kafka client, one or many, checked and written to their topics.

In come CloudEvents as the HTTP binding has them: structured, batched, or binary (``ce-`` headers). Each event that is right is
handed on byte for byte; of one that is not, everything that is wrong is told, and the others go in without it. The answer comes
when Kafka has acknowledged them all: 202 where any went in (or none came), 422 where none did, 503 where Kafka does not answer, and
then nothing is pretended. Sending the same again is always right: an event is known by its customer, source and id.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from msgspec.json import encode
from prometheus_client import Counter

from events.bus import BusError
from events.submission import OPEN, Refused, Submission
from services.lifecycle import problems
from services.lifecycle.admission import admit
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import Tables
from services.lifecycle.http_events import BATCHED, EVENTS_MAX, STRUCTURED, Arrived, events_of, moved, place, read_body
from services.lifecycle.publishing import Full, Publisher

RETRY_SECONDS: Final = 5
"""When to try again while Kafka is away."""
UNKNOWN: Final = "(unknown)"


def router(publisher: Publisher, policy: Callable[[], Policy], counted: Counter) -> APIRouter:
    """The resource. ``counted``: events by type and outcome."""
    routes = APIRouter(tags=["intake"])

    @routes.post(
        "/v1/events",
        status_code=HTTPStatus.ACCEPTED,
        dependencies=[Depends(problems.no_parameters)],
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    STRUCTURED: {"schema": {"type": "object"}},
                    BATCHED: {"schema": {"type": "array", "items": {"type": "object"}, "maxItems": EVENTS_MAX}},
                    "application/json": {"schema": {"type": "object"}},
                },
            }
        },
    )
    async def publish(request: Request) -> Response:
        """Take in one CloudEvent or a batch of them, and write them to their topics.

        Answers when Kafka has acknowledged all that are accepted. Every event is told of by itself: accepted, or refused with all
        that is wrong with it.
        """
        body = await read_body(request)
        arrived = events_of(request, body)
        examined = await run_in_threadpool(admit_all, arrived, policy().tables)
        await write(publisher, examined, counted)
        return _answer(arrived, examined)

    return routes


def admit_all(arrived: Sequence[Arrived], tables: Tables) -> list[Submission | Refused]:
    """What becomes of each event."""
    return [admit(each.headers, each.value, time.time_ns(), tables) for each in arrived]


async def write(publisher: Publisher, examined: Sequence[Submission | Refused], counted: Counter) -> None:
    """Return when Kafka has acknowledged every event that was accepted. Raises a problem (503) where it does not."""
    written = False
    try:
        await _acknowledged(publisher, [each for each in examined if isinstance(each, Submission)])
        written = True
    finally:
        for each in examined:
            counted.labels(*_counted(each, written)).inc()


async def _acknowledged(publisher: Publisher, accepted: Sequence[Submission]) -> None:
    if not accepted:
        return
    try:
        await asyncio.wrap_future(publisher.submit([each.message for each in accepted]))
    except Full as error:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, f"nothing was written: {error}", {"Retry-After": "1"}) from error
    except (BusError, LookupError) as error:
        detail = (
            f"Kafka has not acknowledged the events ({error}): they may have been written or not. Send all of them again,"
            " as they are: what was written already is known by its source and id"
        )
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": str(RETRY_SECONDS)}) from error


def _counted(each: Submission | Refused, written: bool) -> tuple[str, str]:
    """Type and outcome, for the metric: whatever senders call their types, there is an end to them."""
    if isinstance(each, Submission):
        return each.fact.type, "accepted" if written else "unwritten"
    return each.type if each.type in OPEN else UNKNOWN, "refused"


def _answer(arrived: Sequence[Arrived], examined: Sequence[Submission | Refused]) -> Response:
    refused = sum(isinstance(each, Refused) for each in examined)
    events = [told(number, each, arrived[number]) for number, each in enumerate(examined)]
    counts = {"accepted": len(examined) - refused, "refused": refused}
    if refused and refused == len(examined):
        detail = "the event was refused" if refused == 1 else f"all {refused} events were refused"
        return problems.problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{detail}: nothing was written", **counts, events=events)
    were = "event was" if refused == 1 else "events were"
    detail = f"{refused} {were} refused, the other {counts['accepted']} were written" if refused else "everything was written"
    body = encode({**counts, "detail": detail, "events": events})
    return Response(body, HTTPStatus.ACCEPTED, media_type="application/json")


def told(number: int, each: Submission | Refused, arrived: Arrived) -> dict[str, Any]:
    """What the answer says of one event. Paths lead from the whole body."""
    if isinstance(each, Refused):
        said = {"id": each.id, "source": each.source, "type": each.type}
        return {"index": number, "accepted": False, **said, "errors": errors_of(each, arrived.at)}
    fact = each.fact
    said = {"id": fact.id, "source": fact.source, "type": fact.type, "customer_id": fact.customer_id, "topic": each.message.topic}
    notes = {"ignored": [moved(note, arrived.at) for note in each.ignored]} if each.ignored else {}
    return {"index": number, "accepted": True, **said, **notes}


def errors_of(refused: Refused, at: str) -> list[dict[str, str]]:
    """Everything that is wrong with an event; ``at`` is where it stands in the body."""
    return [{"path": place(problem, at), "reason": problem.reason} for problem in refused.reasons]
