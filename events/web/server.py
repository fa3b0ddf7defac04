"""The HTTP server of a service, with an end to everything that a client can hold on to: connections, heads, silence.

Bodies have their limits in :mod:`events.web.bodies`, because it is the application that reads them.
"""

import asyncio
from typing import Any, Final

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS_MAX: Final = 1_000
"""Beyond so many at a time the server answers 503 at once."""
HEAD_BYTES_MAX: Final = 64 * 1024
"""The request line and the headers; a longer one is answered with 400."""
HEAD_SECONDS_MAX: Final = 30.0
"""A connection whose next request is not complete, but for its body, is closed after so long, or twice that at most."""
IDLE_SECONDS_MAX: Final = 75
"""A connection on which nothing comes after an answer is closed.

Later than clients and proxies close theirs (5 s, 60 s) or ask again (a Prometheus after 15 s): where both come at the same moment,
the question is lost.
"""


class Impatient(H11Protocol):
    """A connection that is closed when the head of a request does not come to an end."""

    head_seconds_max = HEAD_SECONDS_MAX
    _look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def _wait(self, before: Any) -> None:
        """Look again in a while; ``before``: the request after which a head was awaited at the last look, if one was.

        The first head is awaited from the beginning, another one when some of it has come: until then the connection is idle.
        """
        begun = self.cycle is None or self.conn.trailing_data[0]
        awaited = (self.cycle,) if begun and self.conn.their_state is h11.IDLE else None
        if awaited is not None and awaited == before:
            self.transport.close()
            return
        self._look = self.loop.call_later(self.head_seconds_max, self._wait, awaited)


def server(app: FastAPI) -> uvicorn.Server:
    """A server that is run with a socket that listens already."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=Impatient,
            log_config=None,
            access_log=False,
            limit_concurrency=CONNECTIONS_MAX,
            h11_max_incomplete_event_size=HEAD_BYTES_MAX,
            timeout_keep_alive=IDLE_SECONDS_MAX,
        )
    )
