"""What a client can send and hold on to has an end: bodies, heads, silence, connections. On a real port, byte for byte."""

import asyncio
import json
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from events.web import bodies
from events.web.bodies import BODY_BYTES_MAX
from events.web.server import CONNECTIONS_MAX, HEAD_BYTES_MAX, IDLE_SECONDS_MAX, Impatient, Server

CHUNK = 64 * 1024


class Hasty(Impatient):
    """One that waits for no more than a moment."""

    stall_seconds_max = 0.1


class Looked(Impatient):
    """One that looks when it is told to."""

    stall_seconds_max = 3600.0


LARGE = 64 * 1024 * 1024
"""Bytes of an answer that no buffers of the system hold."""


def application() -> FastAPI:
    app = FastAPI()
    bodies.install(app, seconds_max=0.3)

    @app.post("/length")
    async def length(request: Request) -> int:
        return len(await request.body())

    @app.get("/large")
    async def large() -> Response:
        return Response(bytes(LARGE))

    @app.exception_handler(HTTPException)
    async def told(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"detail": error.detail}, error.status_code, error.headers)

    return app


@contextmanager
def served(kind: type[Impatient] = Hasty, idle_seconds: int = IDLE_SECONDS_MAX) -> Iterator[tuple[Server, int]]:
    """A server, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(application(), listener)
        server.uvicorn.config.http = kind
        server.uvicorn.config.timeout_keep_alive = idle_seconds
        server.start()
        try:
            yield server, listener.getsockname()[1]
        finally:
            server.stop()
            assert not server.thread.is_alive()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served() as (_, port):
        yield port


def said(port: int, *pieces: bytes) -> bytes:
    """All that comes back, until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        answer = bytearray()
        try:
            for piece in pieces:
                connection.sendall(piece)
            while got := connection.recv(CHUNK):
                answer += got
        except ConnectionError:  # it is closed while we still talk
            pass
        return bytes(answer)


def post(length: int | str, body: bytes = b"") -> bytes:
    return f"POST /length HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n".encode() + body


KEPT = b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
"""A request after which the connection stays."""


def test_a_body_of_the_limit_is_read(port: int) -> None:
    assert said(port, post(BODY_BYTES_MAX, b" " * BODY_BYTES_MAX)).endswith(str(BODY_BYTES_MAX).encode())


@pytest.mark.parametrize("length", [BODY_BYTES_MAX + 1, 10**19])
def test_a_longer_one_is_refused_before_it_comes(port: int, length: int) -> None:
    answer = said(port, post(length))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert f"the body may have {BODY_BYTES_MAX} bytes at most".encode() in answer


def test_one_of_unknown_length_is_refused_where_it_becomes_too_long(port: int) -> None:
    head = b"POST /length HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    piece = f"{CHUNK:x}\r\n".encode() + b" " * CHUNK + b"\r\n"
    assert said(port, head, *[piece] * (BODY_BYTES_MAX // CHUNK), b"1\r\n \r\n").startswith(b"HTTP/1.1 413 ")


def test_a_body_that_does_not_end_is_given_up(port: int) -> None:
    answer = said(port, post(10, b"123"))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body did not come within 0.3 s" in answer


@pytest.mark.parametrize("begun", [b"", b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nX-More: "])
def test_a_head_that_does_not_end_is_given_up(port: int, begun: bytes) -> None:
    assert said(port, begun) == b""


def test_after_an_answer_too(port: int) -> None:
    assert said(port, KEPT, b"POST /le").count(b"HTTP/1.1 200 OK") == 1


def test_a_connection_may_be_idle_after_an_answer_for_longer_than_a_head_may_take(port: int) -> None:
    """Who asks every five seconds, or fifteen, is not to meet a connection that is closed at that moment."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.connect()
        kept = connection.sock
        for _ in range(3):
            connection.request("POST", "/length", b"{}")
            assert connection.getresponse().read() == b"2"
            assert connection.sock is kept
            for _ in range(3):
                assert said(port) == b"", "closed after the time for a head, or twice that"


def test_one_that_stays_idle_is_closed() -> None:
    with served(idle_seconds=1) as (_, port):
        assert said(port, KEPT).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("rest", [b"{", b"{}"], ids=["a part", "all"])
@pytest.mark.parametrize("path", ["/nowhere", "/length"])
def test_a_body_that_comes_after_the_answer_holds_nothing(port: int, path: str, rest: bytes) -> None:
    length = 2 if path == "/nowhere" else BODY_BYTES_MAX + 1
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"}"):
            got = connection.recv(CHUNK)
            assert got, answer
            answer += got
        assert answer[:12] in (b"HTTP/1.1 404", b"HTTP/1.1 413")
        connection.sendall(rest)
        with suppress(ConnectionError):
            assert connection.recv(CHUNK) == b""


def test_an_answer_that_is_read_slowly_is_sent_and_one_that_is_not_read_is_given_up() -> None:
    with served(Looked) as (server, port), socket.create_connection(("127.0.0.1", port), timeout=20) as reader:
        reader.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        read(reader, CHUNK)
        (connection,) = server.uvicorn.server_state.connections
        for _ in range(3):
            look(connection)
            read(reader, LARGE // 4)
        assert not connection.transport.is_closing()
        look(connection)
        look(connection)
        assert not server.uvicorn.server_state.connections


def read(connection: socket.socket, length: int) -> None:
    """So much of what comes."""
    while length > 0:
        got = len(connection.recv(length))
        assert got
        length -= got


def look(connection: Impatient) -> None:
    """Let a connection look after its client, and the server do what follows."""

    async def looks() -> None:
        connection.look()
        await asyncio.sleep(0)

    asyncio.run_coroutine_threadsafe(looks(), connection.loop).result(20)


def test_a_client_that_reads_nothing_does_not_keep_the_server_from_ending() -> None:
    with served(Looked) as (server, port), socket.create_connection(("127.0.0.1", port), timeout=20) as reader:
        reader.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        read(reader, CHUNK)
        server.stop()
        assert not server.thread.is_alive()


def test_of_a_connection_that_was_reset_nothing_is_remembered() -> None:
    with served(Looked) as (server, port):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(KEPT)
            read(connection, CHUNK // 1024)
            (kept,) = server.uvicorn.server_state.connections
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        while server.uvicorn.server_state.connections:
            look(kept)
        assert (kept.timeout_keep_alive_task, kept._timer.cancelled()) == (None, True)


@pytest.mark.parametrize(
    "junk",
    [
        b"GET / HTTP/1.1\r\nX: " + b"a" * (2 * HEAD_BYTES_MAX) + b"\r\n\r\n",
        b"GET /" + b"a" * (2 * HEAD_BYTES_MAX),
        b"\x00\xff\x16\x03\x01",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n",
        b"POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffffffff\r\n",
        b"POST /length HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_the_next_one_is_served(port: int, junk: bytes) -> None:
    answer = said(port, junk)
    assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 413", b"HTTP/1.1 501", b"")
    assert said(port, post(2, b"{}")).endswith(b"2")


def test_a_server_has_no_more_than_its_connections_and_closes_them_later_than_clients_and_proxies() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = Server(FastAPI(), listener).uvicorn.config
    assert (config.limit_concurrency, config.h11_max_incomplete_event_size) == (CONNECTIONS_MAX, HEAD_BYTES_MAX)
    clients_keep, proxies_keep = 5, 60
    assert config.timeout_keep_alive > max(clients_keep, proxies_keep)


def test_what_the_server_tells_after_the_body_may_take_as_long_as_it_likes() -> None:
    """A long answer waits for the client to go away: that is no body."""

    async def told() -> list[Any]:
        pieces = [{"type": "http.request", "body": b"{}", "more_body": False}, {"type": "http.disconnect"}]
        came: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            came.extend([await receive(), await receive()])

        async def receive() -> Any:
            return pieces.pop(0)

        limited = bodies._Limited(app, seconds_max=0)
        await limited({"type": "http", "headers": []}, receive, None)  # type: ignore[arg-type]
        return came

    assert json.dumps(asyncio.run(told()), default=str).count("http.") == 2
