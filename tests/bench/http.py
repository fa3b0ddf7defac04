"""The forecast's answers over HTTP, one after the other over one connection, against the same app's constant route.

Rows: ``totals`` and ``period``, each question about another past instant so that nothing that was added up before helps, and
``not-modified``, the live totals asked for with the tag of the answer that one has.
"""

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from events.values import format_instant
from tests.bench.result import BrokenRunError, Comparison, Goal, Lap
from tests.bench.timing import Step, race

CONSTANT: Final = "/livez"
STEPS: Final = 10
PER_STEP: Final = 20
INSTANTS: Final = 500
"""More than the forecast remembers, by far: in a circle of so many questions none is remembered."""


class Connection:
    """A kept connection that does as little as possible besides sending a request and reading the answer whole."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=30)
        self._host = f"{parts.hostname}:{parts.port}"
        self._pending = b""

    def close(self) -> None:
        self._socket.close()

    def get(self, path: str, tag: str = "") -> tuple[int, bytes, bytes]:
        """Status, head in lower case, and body."""
        condition = f"If-None-Match: {tag}\r\n" if tag else ""
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n{condition}\r\n".encode())
        while (end := self._pending.find(b"\r\n\r\n")) < 0:
            self._receive()
        head, self._pending = self._pending[:end].lower(), self._pending[end + 4 :]
        status = int(head[9:12])
        begin = head.find(b"content-length:")
        length = int(head[begin + 15 :].split(b"\r\n", 1)[0]) if begin >= 0 and status != 304 else 0
        while len(self._pending) < length:
            self._receive()
        body, self._pending = self._pending[:length], self._pending[length:]
        return status, head, body

    def ask(self, path: str, wanted: int = 200, tag: str = "") -> None:
        """Get an answer of that status."""
        status, _, body = self.get(path, tag)
        if status != wanted:
            raise BrokenRunError(f"{path} answers {status}, not {wanted}: {body[:200].decode(errors='replace')}")

    def tag(self, path: str) -> str:
        """The tag of an answer."""
        _, head, _ = self.get(path)
        return "W/" + head.split(b"etag: w/", 1)[1].split(b"\r\n", 1)[0].decode()

    def _receive(self) -> None:
        got = self._socket.recv(1 << 16)
        if not got:
            raise BrokenRunError("the forecast closed the connection")
        self._pending += got


def http_rows(url: str, database: Path, rounds: int) -> Iterator[Comparison]:
    """Requests a second of three questions, against the constant route."""
    deals, instants = _deals_and_instants(database)
    moments = cycle(quote(format_instant(each)) for each in instants)
    laps: dict[str, list[Lap]] = {"totals": [], "period": [], "not-modified": []}
    with closing(Connection(url)) as connection:
        tag = connection.tag("/v1/pipeline")
        questions = (
            partial(_several, lambda: connection.ask(CONSTANT)),
            partial(_several, lambda: connection.ask(f"/v1/pipeline?as_of={next(moments)}")),
            partial(_several, lambda: connection.ask(f"/v1/forecast?period=2025-Q4&as_of={next(moments)}")),
            partial(_several, lambda: connection.ask("/v1/pipeline", 304, tag)),
        )
        for question in questions:
            question()  # warm up
        for turn in range(rounds):
            seconds = race(*([question] * STEPS for question in questions), turn=turn)
            constant, *others = (STEPS * PER_STEP / each for each in seconds)
            for name, figure in zip(laps, others, strict=True):
                laps[name].append(Lap(figure, constant))
    subjects = {
        "totals": f"GET /v1/pipeline of {deals:,} deals, uncached",
        "period": f"GET /v1/forecast of a quarter, {deals:,} deals, uncached",
        "not-modified": "GET /v1/pipeline with its ETag: 304",
    }
    goals = {"totals": Goal(0.5), "period": Goal(0.5), "not-modified": Goal(0.9)}
    for name, found in laps.items():
        yield Comparison(
            name=name,
            subject=subjects[name],
            floor=f"GET {CONSTANT} of the same app",
            unit="req/s",
            laps=tuple(found),
            goal=goals[name],
        )


def _several(question: Step) -> None:
    for _ in range(PER_STEP):
        question()


def _deals_and_instants(database: Path) -> tuple[int, list[int]]:
    """How many deals there are, and the last instants after each of which a figure is another."""
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        deals = connection.execute("SELECT count(DISTINCT customer_id || '/' || deal_id) FROM deal_history").fetchone()[0]
        rows = connection.execute("SELECT instant FROM boundary ORDER BY instant DESC LIMIT ?", (INSTANTS,)).fetchall()
    instants = [row[0] for row in rows]
    if len(instants) < 100:
        raise BrokenRunError(f"only {len(instants)} instants at which a figure changes: they would be remembered")
    return deals, instants
