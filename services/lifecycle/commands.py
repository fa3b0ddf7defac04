"""``/v1/commands``: what people decide about a record, taken in like any event, and what it comes to.

A command is a fact: it enters the set, and the fold says at its place whether it has effect, now and whatever comes later. So it is
answered with 202 when Kafka has it, and its verdict is asked for. Refused at once is only what no later fact can mend: what is
wrong by its form, a status that no table has; and a customer whom nobody knows, for a slip of the pen would make a record of it.
"""

import time
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import quote, urlencode

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from msgspec.json import encode
from msgspec.structs import replace
from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict, Field

from events.bus.progress import Progress
from events.codec import Fact
from events.submission import Refused, Submission
from events.values import format_instant
from services.lifecycle import problems
from services.lifecycle.admission import admit
from services.lifecycle.domain.state import Policy
from services.lifecycle.http_events import STRUCTURED, events_of, read_body
from services.lifecycle.intake import errors_of, write
from services.lifecycle.keys import Taken
from services.lifecycle.plain_commands import SOURCE, Remembered, Wrong, headers_of, read_plain
from services.lifecycle.publishing import Publisher
from services.lifecycle.store import Store
from services.lifecycle.verdicts import TYPES, stored, told

KEY: Final = "idempotency-key"


class Sent(BaseModel):
    """How a command is taken in."""

    model_config = ConfigDict(extra="forbid")

    create: Annotated[bool, Field(description="Also for a customer whom nobody knows yet: the command makes a lead of it.")] = False


class Asked(BaseModel):
    """Which of the commands that are called so."""

    model_config = ConfigDict(extra="forbid")

    source: Annotated[str, Field(min_length=1, description="The source of a command that was sent as a CloudEvent.")] = SOURCE
    customer_id: Annotated[str | None, Field(min_length=1, max_length=200, description="Only that customer's.")] = None


class Desk:
    """What the resources rest on. Thread-safe."""

    def __init__(self, store: Store, policy: Callable[[], Policy], progress: Callable[[], Progress]) -> None:
        self.store = store
        self.policy = policy
        self.progress = progress
        self.remembered = Remembered()

    def admit(self, request: Request, body: bytes, create: bool) -> Submission:
        """The command that a request is. Raises a problem for one that is refused at once."""
        found = self._plain(request, body) if _is_plain(request) else self._event(request, body)
        if not create:
            self._must_know(found.fact.customer_id)
        first = self._first(found.fact, plain=_is_plain(request))
        if first is None or (first.type, first.data) != (found.fact.type, found.fact.data):
            name = f"another command of {found.fact.customer_id!r} is called {found.fact.id!r}"
            raise _unprocessable(f"{name}: give this one an id of its own")
        return found if first.occurred_at == found.fact.occurred_at else self._as_it_was(found, first)

    def _first(self, fact: Fact, *, plain: bool) -> Fact | None:
        """What was said first under the name of a command: this, if nothing was; None where it was something else."""
        known = stored(self.store, fact)
        try:
            return self.remembered.first(known or (self.store.keys.first(fact) if plain else fact))
        except Taken:
            return None

    def _plain(self, request: Request, body: bytes) -> Submission:
        try:
            type_, data = read_plain(body)
        except Wrong as wrong:
            raise _Refusal(Refused(tuple(wrong.problems)), "$") from None
        id_ = request.headers.get(KEY, "").strip('"') or str(uuid.uuid4())
        now = time.time_ns()
        found = admit(headers_of(id_, type_, now), data, now, self.policy().tables)
        if isinstance(found, Refused):  # it has no header of the name that the record would have
            reasons = (replace(each, path=each.path.replace("ce_id", KEY)) for each in found.reasons)
            found = replace(found, reasons=tuple(reasons))
        return _admitted(found, "$")

    def _event(self, request: Request, body: bytes) -> Submission:
        arrived = events_of(request, body)
        if len(arrived) != 1:
            raise _unprocessable(f"this takes one command, here are {len(arrived)}: send several events to /v1/events")
        at = arrived[0].at
        found = _admitted(admit(arrived[0].headers, arrived[0].value, time.time_ns(), self.policy().tables), at)
        if found.fact.type not in TYPES:
            raise _unprocessable(
                f"{found.fact.type} is no command: send it to /v1/events (commands are {', '.join(sorted(TYPES))})"
            )
        return found

    def _must_know(self, customer_id: str) -> None:
        if not self.store.version_of(self.store.home(customer_id), customer_id):
            detail = f"no fact of a customer {customer_id!r} has been taken in ({self.progress().lag} records wait to be read)"
            way_out = "send what is known of it first, or say create (?create=true, --create): then the command makes a lead of it"
            raise HTTPException(HTTPStatus.NOT_FOUND, f"{detail}: {way_out}")

    def _as_it_was(self, found: Submission, first: Fact) -> Submission:
        """The same command with the time that it got first. One that gives its time itself has said something else."""
        if found.fact.source != SOURCE:
            raise _unprocessable(
                f"the command {first.id!r} of {first.source!r} is known, and happened at {format_instant(first.occurred_at)}:"
                " sent again it must say the same time"
            )
        assert found.message.value is not None
        headers = headers_of(first.id, first.type, first.occurred_at)
        return _admitted(admit(headers, found.message.value, time.time_ns(), self.policy().tables), "$")


def router(desk: Desk, publisher: Publisher, counted: Counter) -> APIRouter:
    """The resources. ``counted``: events by type and outcome."""
    routes = APIRouter(tags=["commands"])

    @routes.post(
        "/v1/commands",
        status_code=HTTPStatus.ACCEPTED,
        openapi_extra={
            "parameters": [
                {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "description": "The id of a command in the plain form: the same again is the same command. Random without it.",
                    "schema": {"type": "string", "maxLength": 200},
                }
            ],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"type": "object"}}, STRUCTURED: {"schema": {"type": "object"}}},
            },
        },
    )
    async def command(request: Request, sent: Annotated[Sent, Query()]) -> Response:
        """Take in one command, in the plain form or as a CloudEvent, and write it to its topic.

        Answers when Kafka has acknowledged it; `Location` is where its verdict will be.
        """
        body = await read_body(request)
        try:
            found = await run_in_threadpool(desk.admit, request, body, sent.create)
        except _Refusal as refusal:
            errors = errors_of(refusal.refused, refusal.at)
            detail = "; ".join(f"{each['path']}: {each['reason']}" for each in errors)
            return problems.problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)
        await write(publisher, [found], counted)
        return _accepted(found)

    @routes.get("/v1/commands/{id:path}")
    def verdict(id: str, asked: Annotated[Asked, Query()]) -> Response:
        """What a command comes to now: pending, effective, no effect (by which rule), or refused. A late fact may change it."""
        pending = desk.remembered.get((asked.source, id), asked.customer_id)
        now, policy = desk.progress(), desk.policy()
        return told(desk.store, policy, now, (asked.source, id), asked.customer_id, pending)

    return routes


class _Refusal(Exception):  # noqa: N818 - an answer on its way out
    def __init__(self, refused: Refused, at: str) -> None:
        super().__init__(refused)
        self.refused = refused
        self.at = at


def _admitted(found: Submission | Refused, at: str) -> Submission:
    if isinstance(found, Refused):
        raise _Refusal(found, at)
    return found


def _unprocessable(detail: str) -> HTTPException:
    return HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


def _is_plain(request: Request) -> bool:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media == "application/json" and not any(name.startswith("ce-") for name in request.headers)


def _accepted(found: Submission) -> Response:
    fact = found.fact
    asked = {"customer_id": fact.customer_id} | ({} if fact.source == SOURCE else {"source": fact.source})
    location = f"/v1/commands/{quote(fact.id, safe='')}?{urlencode(asked)}"
    body = {
        "id": fact.id,
        "source": fact.source,
        "customer_id": fact.customer_id,
        "type": fact.type,
        "time": format_instant(fact.occurred_at),
        "verdict": "pending",
        "location": location,
    }
    return Response(encode(body), HTTPStatus.ACCEPTED, {"Location": location}, "application/json")
