"""The network client of kafka-python 3.0.12, but one that closes every socket that it opens.

kafka-python forgets a socket in two places, and leaves it to the garbage collector: where connecting fails or is broken off, since
``KafkaNetSocket.connect`` then loses the only reference; and where a client is closed while bytes wait to be written, since the
connection ends after they are written, and the loop that would write them has stopped. Both happen in daily life: the first with
every try at a broker that is away, and with every client that is closed soon after it was made.
"""

from typing import Any, Final

from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket

_DIRECT: Final = "direct"


class _Socket(KafkaNetSocket):  # type: ignore[misc]
    """A connection without a proxy. kafka-python chooses the class by the scheme of ``proxy_url``."""

    SCHEMES = (_DIRECT,)

    async def sock_connect(self, net: Any, sock: Any, sockaddr: Any, timeout_at: float | None = None) -> Any:
        try:
            return await super().sock_connect(net, sock, sockaddr, timeout_at=timeout_at)
        except BaseException:  # the end of the coroutine too, which is how closing the client breaks it off
            sock.close()
            raise


class NetworkClient(KafkaNetClient):  # type: ignore[misc]
    """What clients of kafka-python take as their setting ``kafka_client``."""

    def __init__(self, **configuration: Any) -> None:
        super().__init__(**{**configuration, "proxy_url": configuration.get("proxy_url") or f"{_DIRECT}:"})

    def close(self, node_id: Any = None) -> None:
        if node_id is not None:
            super().close(node_id)
            return
        self._net.stop()  # or its thread goes on using, and opening, what is closed here
        connections = list(self._manager._conns.values())
        self._manager.close()
        for connection in connections:
            if connection.transport is not None:  # it waits for its bytes to be written
                connection.transport._close()
        super().close()
