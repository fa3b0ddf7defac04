"""Requests: any bytes as an HTTP request to one of the services, with content in its store.

An input is the service, the method, and the target as it stands in a request, then headers, an empty line, and the body; so a
failing one can be read, and sent with curl. It goes to the application itself (ASGI), as a server hands it on.

What is promised: an answer, never 500; a status that OpenAPI names; a problem document where something is wrong; JSON that is as
OpenAPI says it is.
"""
# ruff: noqa: E501 - requests stand in one line each

import asyncio
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import jsonschema_rs
from fastapi import FastAPI

from docs.generator.http import applications
from events.bus.database import SQLITE
from tests.fuzz.target import Run, Target
from tests.fuzz.worlds import SERVICES, Worlds

PROBLEM: Final = "application/problem+json"
METHODS: Final = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")
CHUNK: Final = 700
TEXTS: Final = ("%00", "%ED%A0%80", "%F0%9F%A6%86", "%25_%27", "9" * 20)
"""As they stand in a request: no character of PostgreSQL's, half of one, a large one, some of SQL's, a number beyond 64 bits."""


class Answer(NamedTuple):
    """What came back. ``route``: the path of the operation that answered, if one did."""

    status: int
    headers: dict[str, str]
    body: bytes
    route: str | None


class Request(NamedTuple):
    """What is sent."""

    service: str
    method: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @classmethod
    def of(cls, data: bytes) -> "Request":
        """The request that an input is: any bytes are one that a server would hand on."""
        head, _, body = data.partition(b"\n\n")
        first, *lines = head.split(b"\n")
        service, method, target = (*first.split(b" ", 2), b"", b"", b"")[:3]
        name, verb = service.decode("latin-1"), method.decode("latin-1")
        pairs = (line.partition(b": ") for line in lines[:100])
        headers = tuple((name.lower(), value) for name, _, value in pairs if name and not {*name, *value} & {*b"\r\0"})
        return cls(
            name if name in SERVICES else SERVICES[len(name) % len(SERVICES)],
            verb if verb in METHODS else METHODS[len(verb) % 2],
            bytes(byte for byte in target if 0x20 < byte < 0x7F) or b"/",
            headers,
            body,
        )


async def ask(app: FastAPI, request: Request) -> Answer:
    """Send a request to an application, as uvicorn does."""
    path, _, query = request.target.partition(b"?")
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "scheme": "http",
        "root_path": "",
        "method": request.method,
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "headers": request.headers,
        "state": {},
    }
    pieces = [request.body[at : at + CHUNK] for at in range(0, max(1, len(request.body)), CHUNK)]
    incoming = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces)} for number, piece in enumerate(pieces, start=1)
    ]
    answer: dict[str, Any] = {"status": 0, "headers": []}
    body = bytearray()

    async def receive() -> dict[str, Any]:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.update(message)
        else:
            body.extend(message.get("body", b""))

    await app(scope, receive, send)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer["headers"]}
    return Answer(answer["status"], headers, bytes(body), getattr(scope.get("route"), "path_format", None))


class Promises:
    """What the OpenAPI of a service promises of its answers."""

    def __init__(self, app: FastAPI) -> None:
        self._document = app.openapi()
        self._validators: dict[tuple[str, ...], jsonschema_rs.Validator] = {}

    def check(self, request: Request, answer: Answer) -> None:
        """Raise ``AssertionError`` where an answer is not what is promised."""
        assert answer.status, "no answer"
        assert answer.status != HTTPStatus.INTERNAL_SERVER_ERROR, answer.body[:500]
        media = answer.headers.get("content-type", "").partition(";")[0]
        if request.method == "HEAD":
            return
        said = json.loads(answer.body) if media.endswith("json") else None
        answer.body.decode() if media.startswith("text/") else None
        if answer.status >= HTTPStatus.BAD_REQUEST and answer.route != "/readyz":
            assert media == PROBLEM, f"{answer.status} as {media!r}"
            assert said["status"] == answer.status
            assert said["title"]
            assert isinstance(said["detail"], str)
            assert said["detail"], "no detail"
        self._conforms(request, answer, media, said)

    def _conforms(self, request: Request, answer: Answer, media: str, said: Any) -> None:
        route = answer.route
        operation = self._document["paths"].get(route or "", {}).get(request.method.lower())
        if route is None or operation is None:
            return
        answers = operation["responses"]
        status = next((s for s in (str(answer.status), f"{answer.status // 100}XX", "default") if s in answers), None)
        assert status is not None, f"{answer.status} is no status of {request.method} {route}: {', '.join(answers)}"
        content = answers[status].get("content", {})
        if not answer.body:
            return
        assert media in content, f"{media!r} is no form of {answer.status} of {request.method} {route}: {', '.join(content)}"
        if said is None or not (schema := content[media].get("schema")):
            return
        key = (route, request.method, status, media)
        if key not in self._validators:
            whole = {**schema, "components": self._document.get("components", {})}
            self._validators[key] = jsonschema_rs.Draft202012Validator(whole)
        for error in self._validators[key].iter_errors(said):
            raise AssertionError(f"{request.method} {route} {answer.status}: {error.message[:300]} at {error.instance_path}")


@contextmanager
def opened(database: str = SQLITE) -> Iterator[Run]:
    """What is fed requests, to services on an empty database (as ``HANDOFF_DATABASE``)."""
    worlds = Worlds(database)
    promises = {name: Promises(app) for name, app in worlds.apps.items()}
    loop = asyncio.new_event_loop()

    def run(data: bytes) -> None:
        request = Request.of(data)
        promises[request.service].check(request, loop.run_until_complete(ask(worlds.apps[request.service], request)))

    try:
        yield run
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        worlds.close()


# ----------------------------------------------------------------------------------------------- inputs


_JSON: Final = "Content-Type: application/json"
_EVENT: Final = (
    '{"specversion": "1.0", "id": "web-1", "source": "website", "type": "crm.lead.created.v1", "time": "2026-03-01T09:30:00Z",'
    ' "data": {"customer_id": "C-1", "company": "Acme", "employees": 250}}'
)
_GETS: Final = {
    "lifecycle": (
        *("/", "/livez", "/readyz", "/metrics", "/v1/status", "/openapi.json", "/v1/statuses", "/v1/statuses?at=2026-03-01"),
        "/v1/customers?stage=lead&country=DE&sort=since&order=desc&limit=2&count=true",
        "/v1/customers?text=comp&created_from=2026-03-01&score_min=1&overdue=true&format=csv",
        *(
            "/v1/customers/C-1",
            "/v1/customers/C-1?as_of=2026-03-02&known_at=2026-03-03",
            "/v1/customers/C%2F1",
            "/v1/customers/%00",
        ),
        *(
            "/v1/timeline/C-1?limit=1",
            "/v1/timeline/C-1?format=csv&order=asc",
            "/v1/events?source=crm&id=lead-1",
            "/v1/events/crm/a%2Fb",
        ),
        *("/v1/process-map?subject=deals&from=2017&variants=3", "/v1/process-map?as_of=2026-03-02", "/v1/process-map.svg?arrows=5"),
        *("/v1/commands/command-1", "/v1/commands/%00?source=%00", "/v1/mass-changes", "/v1/mass-changes/x/records?effective=true"),
    ),
    "routing": ("/v1/status", "/readyz", "/metrics", "/v1/assignments/C-1", "/v1/assignments/nobody", "/v1/assignments/%2e%2e%2f"),
    "forecast": (
        *("/v1/status", "/readyz", "/metrics", "/v1/pipeline?by=team", "/v1/pipeline?by=quarter&as_of=2017-02-01&format=csv"),
        *("/v1/forecast?period=2017-Q2&by=rep", "/v1/forecast?period=2017&min_probability=20&known_at=2017-03-01"),
        *("/v1/deals?limit=1", "/v1/deals?by=team&key=A&state=won", "/v1/deals/opportunity:O%2F2?customer_id=C-2", "/v1/deals/x"),
        *("/v1/deals?after=WyJDLTEiLCAib3Bwb3J0dW5pdHk6Ty0xIl0=", "/v1/rebuilds", "/v1/rebuilds/forecast", "/v1/rebuilds/%00"),
    ),
}
_LETTERS: Final = (
    *(
        "?state=any&count=true",
        "?error=Undecodable&text=json&order=asc",
        "?format=csv",
        "?recorded_from=2026-03-01",
        "/1",
        "/1/value",
    ),
    *("/groups?by=reason", "/groups?by=day&state=any", "/99", "/0", "?newer_than=9223372036854775807", "/1?check=false"),
)
_POSTS: Final = (
    ("lifecycle", "/v1/events", "Content-Type: application/cloudevents+json", _EVENT),
    ("lifecycle", "/v1/events", "Content-Type: application/cloudevents-batch+json", f'[{_EVENT}, {{"id": 1}}, 7]'),
    ("lifecycle", "/v1/events", "content-type: application/json\nce-id: 1\nce-source: a\nce-specversion: 1.0\nce-type: x", "{}"),
    ("lifecycle", "/v1/commands", _JSON, '{"command": "set-owner", "customer_id": "C-1", "rep_id": "ann", "actor": "dana"}'),
    ("lifecycle", "/v1/commands?create=true", f"{_JSON}\nIdempotency-Key: k-1", '{"command": "revert", "customer_id": "new", "stage": "lead", "actor": "x"}'),
    ("lifecycle", "/v1/mass-changes", _JSON, '{"filter": {"stage": ["lead"]}, "change": {"command": "convert"}, "actor": "dana"}'),
    ("lifecycle", "/v1/mass-changes", f"{_JSON}\nIdempotency-Key: b-1", '{"filter": {}, "all": true, "change": {"command": "set-status", "status": "Dead"}, "actor": "d"}'),
    ("lifecycle", "/v1/mass-changes/b-1/apply", _JSON, ""),
    ("lifecycle", "/v1/mass-changes/b-1/cancel", _JSON, ""),
    ("lifecycle", "/v1/mass-changes/b-1/revert", _JSON, '{"actor": "dana"}'),
    *(
        (service, f"/v1/dead-letters/{act}", _JSON, '{"filter": {"error": ["Undecodable"]}, "actor": "dana", "reason": "x", "dry_run": true}')
        for service in SERVICES
        for act in ("replay", "drop")
    ),
    ("forecast", "/v1/rebuilds", _JSON, '{"view": "forecast", "actor": "dana", "check": true, "share": 50}'),
    ("lifecycle", "/v1/mass-changes", _JSON, '{"\\ud800": 1, "filter": {"\\udfff": "\\u0000"}}'),
    ("forecast", "/v1/dead-letters/drop", _JSON, '{"\\ud800": 1, "filter": {"source": ["\\u0000"]}}'),
    ("routing", "/v1/dead-letters/replay", _JSON, "[" * 3000),
    ("lifecycle", "/v1/events", "Content-Type: application/cloudevents-batch+json\nContent-Length: " + "9" * 5000, "[]"),
)  # fmt: skip
WORDS: Final = (
    *(b"%00", b"%2F", b"%ff", b"%ED%A0%80", b"..%2f", b"\\ud800", b"\\u0000", b"null", b"1e400", b"NaN", b"9" * 40, b"-1", b"&&&&"),
    *(b"after=", b"limit=0", b"format=csv", b"as_of=1677-09-21", b"as_of=2262-04-11", b"as_of=2026-03-01T00:00:00%2B14:00", b"count=1"),
    *(b"If-None-Match: *\n", b"Accept: text/csv;q=nan\n", b"Accept: " + b"*/*;q=," * 20 + b"\n", b"Content-Encoding: gzip\n", b"charset=utf-16"),
    *(b"application/cloudevents+json", b"application/cloudevents-batch+json", b"ce-id: %00\n", b'"all": true', b'"dry_run": true', b'"force": true'),
    *(b"filter", b"customer_id", b"set-status", b"Idempotency-Key: ", b"W10=", b"lifecycle ", b"forecast ", b"routing ", b"POST ", b"GET "),
)  # fmt: skip


def _corpus() -> Iterable[bytes]:
    for service in SERVICES:
        for path in (*_GETS[service], *(f"/v1/dead-letters{each}" for each in _LETTERS)):
            yield f"{service} GET {path}\nAccept: */*\n\n".encode()
    for service, path, headers, body in _POSTS:
        yield f"{service} POST {path}\n{headers}\n\n{body}".encode()
    yield from _questions()


def _questions() -> Iterator[bytes]:
    """Every parameter of everything that can be asked for, with texts that are hard for somebody."""
    for service, app in applications().items():
        for path, operations in app.openapi()["paths"].items():
            for parameter in operations.get("get", {}).get("parameters", ()):
                name, inside = parameter["name"], parameter["in"] == "path"
                for text in TEXTS:
                    asked = path.replace(f"{{{name}}}", text) if inside else f"{path}?{name}={text}"
                    yield f"{service} GET {re.sub('{[^}]*}', 'C-1', asked)}\n\n".encode()


TARGETS: Final = (Target("http", opened, _corpus, WORDS, cpu_seconds_max=15),)
