"""Events as HTTP requests carry them (the CloudEvents HTTP binding): structured, batched, or binary with ``ce-`` headers.

In goes a request, out come events as the records that they would be, byte for byte; or a problem, for a body that is not one or
several events by its form. Everything is limited.
"""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote_to_bytes

from fastapi import HTTPException, Request
from msgspec import DecodeError, Raw, Struct, ValidationError
from msgspec.json import Decoder
from starlette.requests import ClientDisconnect

from events.codec import Undecodable
from events.record import Headers

EVENTS_MAX: Final = 1_000
"""How many events one batch may have."""

STRUCTURED: Final = "application/cloudevents+json"
BATCHED: Final = "application/cloudevents-batch+json"
_STRUCTURED_HEADERS: Final[Headers] = (("content-type", STRUCTURED.encode()),)
_CHARSETS: Final = ("", "utf-8", "utf8", "us-ascii")
_JSON: Final = re.compile(r"[^/]+/(?:[^/]+\+)?json")
_BATCH: Final = Decoder(list[Raw])


class Arrived(Struct, frozen=True):
    """One event of a request, as the record that it would be. ``at``: the path at which its JSON stands in the body."""

    at: str
    headers: Headers
    value: bytes


async def read_body(request: Request) -> bytes:
    """The body; how long it may be is in :mod:`events.web.bodies`."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a compressed body is not understood: send it as it is")
    try:
        body = await request.body()
    except ClientDisconnect:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body ended before its content-length") from None
    if not body:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body is empty: it holds the event, as JSON")
    return body


def events_of(request: Request, body: bytes) -> list[Arrived]:
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


def place(problem: Undecodable, at: str) -> str:
    """Where something is wrong, as whoever sent the request sees it; ``at`` is where the event stands in it."""
    if problem.path.startswith("header ce_"):
        return problem.path.replace("ce_", "ce-", 1)
    return at if problem.path == "value" else moved(problem.path, at)


def moved(path: str, at: str) -> str:
    """A path in an event, from the whole body."""
    return at + path[1:] if path.startswith("$") else path
