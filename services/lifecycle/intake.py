"""``POST /v1/events``: events for systems without a Kafka client, one or many, checked and written to their topics.

In come CloudEvents as the HTTP binding has them: structured, batched, or binary (``ce-`` headers). Each event that is right is
handed on byte for byte; of one that is not, everything that is wrong is told, and the others go in without it. The answer comes
when Kafka has acknowledged them all: 202 where any went in (or none came), 422 where none did, 503 where Kafka does not answer, and
then nothing is pretended. Sending the same again is always right: an event is known by its customer, source and id.
"""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from msgspec import DecodeError, Raw, Struct, ValidationError
from msgspec.json import Decoder, encode
from prometheus_client import Counter
from starlette.requests import ClientDisconnect

from events.bus import BusError
from events.codec import Undecodable
from events.record import Headers
from events.submission import OPEN, Refused, Submission, examine
from services.lifecycle import problems
from services.lifecycle.admission import objection
from services.lifecycle.domain.state import Policy
from services.lifecycle.publishing import Full, Publisher

BODY_BYTES_MAX: Final = 4 * 1024 * 1024
EVENTS_MAX: Final = 1_000
"""How many events one batch may have."""
RETRY_SECONDS: Final = 5
"""When to try again while Kafka is away."""

STRUCTURED: Final = "application/cloudevents+json"
BATCHED: Final = "application/cloudevents-batch+json"
_STRUCTURED_HEADERS: Final[Headers] = (("content-type", STRUCTURED.encode()),)
_CHARSETS: Final = ("", "utf-8", "utf8", "us-ascii")
_JSON: Final = re.compile(r"[^/]+/(?:[^/]+\+)?json")
_BATCH: Final = Decoder(list[Raw])
UNKNOWN: Final = "(unknown)"


class Arrived(Struct, frozen=True):
    """One event of a request, as the record that it would be. ``at``: the path at which its JSON stands in the body."""

    at: str
    headers: Headers
    value: bytes


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
        arrived = arrivals(request, body)
        examined = await run_in_threadpool(examine_all, arrived, policy(), time.time_ns)
        written = False
        try:
            await write(publisher, [each for each in examined if isinstance(each, Submission)])
            written = True
        finally:
            for each in examined:
                counted.labels(*_counted(each, written)).inc()
        return _answer(arrived, examined)

    return routes


async def read_body(request: Request) -> bytes:
    """The body, as far as it is taken: a longer one is refused before it is read."""
    too_long = HTTPException(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body may have {BODY_BYTES_MAX} bytes at most: send several smaller batches"
    )
    if request.headers.get("content-encoding", "identity") != "identity":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a compressed body is not understood: send it as it is")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > BODY_BYTES_MAX:
        raise too_long
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                raise too_long
    except ClientDisconnect:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body ended before its content-length") from None
    if not body:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body is empty: it holds the event, as JSON")
    return bytes(body)


def arrivals(request: Request, body: bytes) -> list[Arrived]:
    """The events of a request. Raises a problem for what is not one or several events by its form."""
    content_type = request.headers.get("content-type", "")
    media, _, parameters = content_type.partition(";")
    media = media.strip().lower()
    charset = parameters.lower().partition("charset=")[2].partition(";")[0].strip(' "')
    if charset not in _CHARSETS:
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the charset {charset[:40]!r} is not understood: send UTF-8")
    if media == STRUCTURED:
        return [Arrived("$", _STRUCTURED_HEADERS, body)]
    if media == BATCHED:
        return _batch(body)
    if (not media or _JSON.fullmatch(media)) and any(name.startswith("ce-") for name in request.headers):
        return [Arrived("$", _binary(request.headers.raw), body)]
    raise HTTPException(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        f"the content type {media[:100]!r} is not understood here: send one event as {STRUCTURED}, several as {BATCHED}, or the"
        " data of one as application/json with its attributes as headers (ce-specversion, ce-id, ce-source, ce-type, ce-time)",
    )


def _batch(body: bytes) -> list[Arrived]:
    try:
        events = _BATCH.decode(body)
    except ValidationError:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"a batch is a JSON array of events; one event alone is {STRUCTURED}") from None
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        detail = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {detail}") from None
    if len(events) > EVENTS_MAX:
        raise HTTPException(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the batch has {len(events)} events, at most {EVENTS_MAX} are taken: send several"
        )
    return [Arrived(f"$[{place}]", _STRUCTURED_HEADERS, bytes(event)) for place, event in enumerate(events)]


def _binary(headers: Sequence[tuple[bytes, bytes]]) -> Headers:
    """HTTP's headers as Kafka's. Values are percent-encoded in HTTP (CloudEvents HTTP binding, 3.1.3.2), and may be quoted."""
    named = ((name.decode("latin-1").lower(), value) for name, value in headers)
    attributes = [(f"ce_{name[3:]}", unquote_to_bytes(_unquoted(value))) for name, value in named if name.startswith("ce-")]
    return (*attributes, ("content-type", b"application/json"))  # nothing else gets here


def _unquoted(value: bytes) -> bytes:
    return value[1:-1].replace(b"\\", b"") if len(value) > 1 and value[:1] == value[-1:] == b'"' else value


def examine_all(arrived: Sequence[Arrived], policy: Policy, clock: Callable[[], int]) -> list[Submission | Refused]:
    """What becomes of each event."""
    return [_examine(each, policy, clock()) for each in arrived]


def _examine(arrived: Arrived, policy: Policy, now: int) -> Submission | Refused:
    found = examine(arrived.headers, arrived.value, now)
    if isinstance(found, Refused):
        return found
    structured = arrived.headers is _STRUCTURED_HEADERS
    refused = objection(found.fact, policy.tables, "$.data" if structured else "$")
    return found if refused is None else Refused((refused,), found.fact.id, found.fact.source, found.fact.type)


async def write(publisher: Publisher, accepted: Sequence[Submission]) -> None:
    """Return when Kafka has acknowledged every event. Raises a problem (503) where it does not."""
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
    events = [told(place, each, arrived[place]) for place, each in enumerate(examined)]
    counts = {"accepted": len(examined) - refused, "refused": refused}
    if refused and refused == len(examined):
        detail = "the event was refused" if refused == 1 else f"all {refused} events were refused"
        return problems.problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{detail}: nothing was written", **counts, events=events)
    were = "event was" if refused == 1 else "events were"
    detail = f"{refused} {were} refused, the other {counts['accepted']} were written" if refused else "everything was written"
    body = encode({**counts, "detail": detail, "events": events})
    return Response(body, HTTPStatus.ACCEPTED, media_type="application/json")


def told(place: int, each: Submission | Refused, arrived: Arrived) -> dict[str, Any]:
    """What the answer says of one event. Paths lead from the whole body."""
    if isinstance(each, Refused):
        said = {"id": each.id, "source": each.source, "type": each.type}
        errors = [{"path": _path(problem, arrived.at), "reason": problem.reason} for problem in each.reasons]
        return {"index": place, "accepted": False, **said, "errors": errors}
    fact = each.fact
    said = {"id": fact.id, "source": fact.source, "type": fact.type, "customer_id": fact.customer_id, "topic": each.message.topic}
    notes = {"ignored": [_moved(note, arrived.at) for note in each.ignored]} if each.ignored else {}
    return {"index": place, "accepted": True, **said, **notes}


def _path(problem: Undecodable, at: str) -> str:
    if problem.path.startswith("header ce_"):
        return problem.path.replace("ce_", "ce-", 1)
    return at if problem.path == "value" else _moved(problem.path, at)


def _moved(path: str, at: str) -> str:
    return at + path[1:] if path.startswith("$") else path
