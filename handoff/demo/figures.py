"""The figures of the demo, as the services tell them over HTTP.

In go questions to forecast and to every ``/v1/status``, twice a second; out come the last answers. Where a service does not answer,
the last figures stand, and its status is not known.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from threading import Event
from typing import Any, Final, Self

from msgspec import Struct

from handoff.client import ServiceDown, Services
from handoff.errors import CommandError
from handoff.importing.settled import Look, settled
from handoff.settings import SERVICES, ServiceName, Settings

LOOK_SECONDS: Final = 0.5
ATTEMPTS_MAX: Final = 4


class Sum(Struct, frozen=True):
    """So many deals of so much."""

    count: int
    amount: Decimal

    @classmethod
    def of(cls, part: Mapping[str, Any]) -> Self:
        """From the JSON of a part."""
        return cls(part["count"], Decimal(part["amount"]))


class Row(Struct, frozen=True):
    """A group of the pipeline; ``weighted`` is the open deals'. ``key`` is None where it is not known."""

    key: str | None
    label: str
    open: Sum
    weighted: Decimal
    won: Sum
    lost: Sum

    @classmethod
    def of(cls, group: Mapping[str, Any]) -> Self:
        """From the JSON of a group, or of the totals."""
        opened = group["open"]
        parts = Sum.of(opened), Decimal(opened["weighted"]), Sum.of(group["won"]), Sum.of(group["lost"])
        return cls(group.get("key"), group.get("label", "all"), *parts)


class Pipeline(Struct, frozen=True):
    """What is open, won and lost, in all and by groups."""

    currency: str
    totals: Row
    statuses: tuple[Row, ...]
    stages: tuple[Row, ...]
    quarters: tuple[Row, ...]


class Figures(Struct, frozen=True):
    """The last answers. ``statuses``: of the services; None for one that does not answer. ``settled``: nothing is on its way.

    ``looks``: how often the services were asked.
    """

    pipeline: Pipeline | None = None
    statuses: Look = {}
    settled: bool = False
    looks: int = 0

    def lag(self, service: ServiceName) -> int | None:
        """How many records a service is behind; None where it does not say."""
        status = self.statuses.get(service)
        return None if status is None else status["lag"]

    def dead_letters(self, service: ServiceName) -> int:
        """How many records it could not take in, as far as it said."""
        status = self.statuses.get(service)
        return 0 if status is None else status["dead_letters"]


class Inquirer:
    """Asks again and again. ``run`` has a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.figures = Figures()

    def run(self, stop: Event) -> None:
        """Ask until it is told to stop."""
        with Services(self._settings) as services:
            while not stop.is_set():
                self.figures = self._ask(services)
                stop.wait(LOOK_SECONDS)

    def _ask(self, services: Services) -> Figures:
        before = self.figures
        now: Look = {name: _status(services, name) for name in SERVICES}
        pipeline = _pipeline(services) or before.pipeline
        return Figures(pipeline, now, settled(before.statuses, now), before.looks + 1)


def _status(services: Services, name: ServiceName) -> Mapping[str, Any] | None:
    try:
        status: Mapping[str, Any] = services.get(name, "/v1/status")
    except ServiceDown:
        return None
    return status


def _pipeline(services: Services) -> Pipeline | None:
    """All groups from one position of the log where that is to be had, so that they add up to the same totals."""
    try:
        for _ in range(ATTEMPTS_MAX):
            status, stage, quarter = (services.get("forecast", "/v1/pipeline", by=by) for by in ("status", "stage", "quarter"))
            if status["position"] == stage["position"] == quarter["position"]:
                break
    except CommandError:
        return None
    return Pipeline(
        quarter["currency"] or "",
        Row.of(quarter["totals"]),
        _rows(status["groups"]),
        _rows(stage["groups"]),
        _rows(quarter["groups"]),
    )


def _rows(groups: Iterable[Mapping[str, Any]]) -> tuple[Row, ...]:
    return tuple(Row.of(group) for group in groups)
