"""Answers that are sent only when they are new (ETag, RFC 9110), in the form that was asked for (JSON or CSV)."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeVar

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel

Form = Literal["json", "csv"]
MEDIA_TYPES: Final[Mapping[Form, str]] = {"json": "application/json", "csv": "text/csv; charset=utf-8; header=present"}
_ACCEPTED: Final[Mapping[Form, tuple[str, ...]]] = {
    "json": ("application/json", "application/*", "*/*"),
    "csv": ("text/csv", "text/*", "*/*"),
}

A = TypeVar("A", bound=BaseModel)


def form_of(request: Request, told: Form | None) -> Form:
    """The form that is asked for: by ``format``, else by ``Accept``; JSON where both are as welcome, or neither is."""
    if told is not None:
        return told
    qualities = _qualities(request.headers.get("accept", "*/*"))

    def quality(form: Form) -> float:
        return next((qualities[media] for media in _ACCEPTED[form] if media in qualities), 0.0)

    return "csv" if quality("csv") > quality("json") else "json"


def etag(*parts: Any) -> str:
    """A weak tag: the same while the same question has the same answer."""
    return f'W/"{hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:32]}"'


def unchanged(request: Request, tag: str) -> bool:
    """Whether the client has this answer already."""
    known = request.headers.get("if-none-match", "")
    tags = {each.strip().removeprefix("W/") for each in known.split(",")}
    return known.strip() == "*" or tag.removeprefix("W/") in tags


def respond(request: Request, tag: str, form: Form, answer: Callable[[], A], csv: Callable[[A], str] | None = None) -> Response:
    """304 where the client has the answer; else the answer, which is made only now."""
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept"}
    if unchanged(request, tag):
        return Response(status_code=304, headers=headers)
    body = answer()
    content = csv(body) if form == "csv" and csv else body.model_dump_json()
    return Response(content, media_type=MEDIA_TYPES[form if csv else "json"], headers=headers)


def _qualities(accept: str) -> dict[str, float]:
    """Media types and how welcome they are."""
    found: dict[str, float] = {}
    for each in accept.split(","):
        media, *parameters = (part.strip().lower() for part in each.split(";"))
        quality = next((p.partition("=")[2] for p in parameters if p.startswith("q=")), "1")
        try:
            found[media] = float(quality)
        except ValueError:
            found[media] = 0.0
    return found
