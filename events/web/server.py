"""The HTTP server of a service, with an end to everything that a client can hold on to: connections, heads, silence, answers.

Bodies have their limits in :mod:`events.web.bodies`, because it is the application that reads them.
"""

import asyncio
import socket
import threading
from typing import Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS_MAX: Final = 1_000
"""Beyond so many at a time the server answers 503 at once."""
HEAD_BYTES_MAX: Final = 64 * 1024
"""The request line and the headers; a longer one is answered with 400."""
STALL_SECONDS_MAX: Final = 30.0
"""A connection is ended, after so long or twice that at most, where the client does not come to the end of a head, or of a body
that was answered before; or reads nothing of what it was sent."""
IDLE_SECONDS_MAX: Final = 75
"""A connection on which nothing comes after an answer is closed.

Later than clients and proxies close theirs (5 s, 60 s) or ask again (a Prometheus after 15 s): where both come at the same moment,
the question is lost.
"""
GRACE_SECONDS_MAX: Final = 3
"""When the service ends, answers that are on their way have so long."""


class Impatient(H11Protocol):
    """A connection that is ended when the client does not go on."""

    stall_seconds_max = STALL_SECONDS_MAX
    _timer: asyncio.TimerHandle | None = None
    _before: tuple[object, ...] | None = None
    _pauses = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._unset_keepalive_if_required()  # where the client has reset the connection, uvicorn would remember it for as long
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        self._pauses += 1
        super().pause_writing()

    def look(self) -> None:
        """End the connection if the client has not gone on since the last look."""
        awaited = self._awaited()
        if awaited is not None and awaited == self._before:
            self.transport.abort()
        self._before = awaited

    def _watch(self) -> None:
        self.look()
        self._timer = self.loop.call_later(self.stall_seconds_max, self._watch)

    def _awaited(self) -> tuple[object, ...] | None:
        """What the client has to do, and how far it is; None where it is our turn, or it is idle, which has a limit of its own.

        While we wait for it to read, nothing more is written: what is left only becomes less.
        """
        if self.flow.write_paused or self.transport.is_closing():
            return self._pauses, self.transport.get_write_buffer_size()
        answered = self.cycle is None or self.cycle.response_complete
        idle = self.timeout_keep_alive_task is not None and not self.conn.trailing_data[0]
        return (self.cycle,) if answered and not idle else None


class _Uvicorn(uvicorn.Server):
    """One that leaves no connection open."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # so that they are told


class Server:
    """Serves an application on a socket that listens already, in a thread of its own."""

    def __init__(self, app: FastAPI, listener: socket.socket) -> None:
        self.uvicorn: Final = _Uvicorn(
            uvicorn.Config(
                app,
                http=Impatient,
                ws="none",
                log_config=None,
                access_log=False,
                limit_concurrency=CONNECTIONS_MAX,
                h11_max_incomplete_event_size=HEAD_BYTES_MAX,
                timeout_keep_alive=IDLE_SECONDS_MAX,
                timeout_graceful_shutdown=GRACE_SECONDS_MAX,
            )
        )
        self.thread: Final = threading.Thread(target=self.uvicorn.run, args=([listener],), name="http", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self.thread.start()

    def stop(self) -> None:
        """Take no more questions, and return when those that were asked are answered or given up."""
        self.uvicorn.should_exit = True
        if self.thread.is_alive():
            self.thread.join(timeout=GRACE_SECONDS_MAX + 2)
