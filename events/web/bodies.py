"""How much of a request is read, and for how long: no body is taken into memory beyond a limit, whatever it is for."""

import asyncio
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES_MAX: Final = 4 * 1024 * 1024
BODY_SECONDS_MAX: Final = 60.0
"""From the head of a request to the end of its body."""


def install(app: FastAPI, *, seconds_max: float = BODY_SECONDS_MAX) -> None:
    """Let the application answer 413 to a body that is too long, where it becomes so, and 408 to one that takes too long."""
    app.add_middleware(_Limited, seconds_max=seconds_max)


class _Limited:
    """The application behind the limits."""

    def __init__(self, app: ASGIApp, seconds_max: float) -> None:
        self._app = app
        self._seconds_max = seconds_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(scope, receive, self._seconds_max) if scope["type"] == "http" else None
        await self._app(scope, body.receive if body else receive, send)


class _Body:
    """The body of one request while it is read."""

    def __init__(self, scope: Scope, receive: Receive, seconds_max: float) -> None:
        self._receive = receive
        self._seconds_max = seconds_max
        self._deadline = asyncio.get_running_loop().time() + seconds_max
        self._announced = _announced(scope)
        self._read = 0
        self._more = True

    async def receive(self) -> Message:
        """The next piece; after the last one whatever the server tells, whenever it does. Raises 408, 413."""
        if not self._more:
            return await self._receive()
        if self._announced > BODY_BYTES_MAX:
            raise _too_long()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            detail = f"the body did not come within {self._seconds_max:g} s: send it again, or less at once"
            raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, detail, {"Connection": "close"}) from None
        self._more = bool(message.get("more_body", False))
        self._read += len(message.get("body", b""))
        if self._read > BODY_BYTES_MAX:
            raise _too_long()
        return message


def _too_long() -> HTTPException:
    return HTTPException(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body may have {BODY_BYTES_MAX} bytes at most: send less at once"
    )


def _announced(scope: Scope) -> int:
    """How long the body is said to be; a number that is too long to be read is as large as they come."""
    length: bytes = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    if not length.isdigit():
        return 0
    return int(length) if len(length) < 20 else BODY_BYTES_MAX + 1
