"""Forecast on the memory bus and a real database: publish what lifecycle would, let it settle, ask over HTTP."""

import csv
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from events.bus.cursor import Cursor
from events.bus.database import TRANSIENT, open_database
from events.bus.loop import Loop
from events.bus.memory import MemoryBus, drain
from events.bus.rebuild import sets
from events.bus.rebuild.builder import Builder
from events.codec import encode
from events.facts import Stage
from events.published import (
    Amounts,
    Cause,
    DealChange,
    DealImage,
    DealsChanged,
    DealState,
    Published,
    Status,
    StatusChanged,
    StatusState,
)
from events.record import Message, Record, TopicPartition
from events.reference import Directory, Rep, Version
from events.topics import DIRECTORY, LIFECYCLE, TOPICS
from events.values import Money, parse_instant
from services.forecast.api import create_app
from services.forecast.directory import Directories
from services.forecast.inbound import GROUP, Inbound
from services.forecast.inbound import TOPICS as INPUTS
from services.forecast.metrics import Metrics, StateCollector
from services.forecast.rebuilding import ForecastView
from services.forecast.settings import Settings
from services.forecast.store import TABLES, VIEW, Store

SHARDS = 4
CAUSE = Cause(source="crm", id="fact-1", type="crm.opportunity.created.v1")
NOW = "2018-01-15T12:00:00Z"
TYPES = {data: name for name, data in LIFECYCLE.types.items()}


def money(amount: str | int, currency: str = "USD") -> Money:
    return Money(amount=Decimal(amount), currency=currency)


def image(amount: str | int | None = None, state: Any = "open", *, currency: str = "USD", **fields: Any) -> DealImage:
    """A deal's image: likely, or won at its amount, unless told."""
    figure = None if amount is None else money(amount, currency)
    if state == "open":
        defaults = {"status": "In Discussion", "probability": 20, "amounts": Amounts(amount=figure, likely=figure, upside=figure)}
    else:
        won = {
            "status": "Closed Won",
            "probability": 100,
            "amounts": Amounts(amount=figure, worst=figure, likely=figure, upside=figure),
        }
        lost = {"status": "Closed Lost", "probability": 0, "amounts": Amounts(amount=figure)}
        defaults = won if state == "won" else lost
    known = None if figure is None else currency
    return DealImage(**{"state": state, "category": "likely", "currency": known, **defaults, **fields})


def change(deal_id: str, *states: tuple[str, DealImage], since: str | None = None) -> DealChange:
    """From the first state (or ``since``) on, the deal's history is these; without any it never was."""
    return DealChange(
        deal_id=deal_id,
        since=since or (states[0][0] if states else None),
        states=tuple(DealState(effective_at=at, image=held) for at, held in states),
    )


class Forecast:
    """One worker over a memory bus. ``crash`` forgets it as it is and starts another on the same database."""

    def __init__(self, path: Path, *, seed: int | None = None, records_max: int = 7, **settings: Any) -> None:
        """``path``: of the file, where no setting names another database."""
        self.path = path
        self.now = NOW
        self.records_max = records_max
        self.settings = Settings(data_dir=path.parent, **settings)
        self.bus = MemoryBus({topic.name: topic.partitions(SHARDS) for topic in TOPICS}, seed=seed)
        self.versions: dict[str, itertools.count[int]] = {}
        self.stores: list[Store] = []
        self.registry = CollectorRegistry()
        self.start()

    def start(self) -> None:
        """Another worker, and another HTTP server, on the same database."""
        self.registry = CollectorRegistry()
        database = open_database(self.settings.database, self.path, schema="forecast")
        self.store = Store(database, code_version="test", identity=self.bus.identity)
        self.store.adopt_time_zone(self.settings.zone)
        self.ledger = self.store.ledger
        self.worker = Inbound(self.ledger, Metrics(self.registry), self.settings.zone)
        self.loop = Loop(
            self.bus,
            self.worker,
            group=GROUP,
            topics=INPUTS,
            instance="forecast-1",
            records_max=self.records_max,
            poll_seconds=0,
            transient=TRANSIENT,
        )
        self.stores.append(self.store)
        place = TopicPartition(DIRECTORY.name, 0)
        self.directories = Directories(
            lambda offset: self.bus.read(DIRECTORY.name, offset), lambda: self.bus.end_offsets([place])[place]
        )
        self.directories.refresh()
        view = ForecastView(self.bus, self.store.snapshot, self.worker.taking, TRANSIENT, records_a_step=3, left_max=2)
        self.builder = Builder(self.store.ledger, self.store.snapshot, [view], worker="forecast-1", transient=TRANSIENT)
        self.registry.register(StateCollector(self.store, self.loop.progress, "test"))
        self._http: TestClient | None = None

    crash = start

    @property
    def http(self) -> TestClient:
        """A client of the HTTP server."""
        if self._http is None:
            clock = lambda: parse_instant(self.now)  # noqa: E731
            self._http = TestClient(
                create_app(
                    self.store, self.directories, self.loop.progress, self.registry, self.settings, clock, builder=self.builder
                )
            )
        return self._http

    def close(self) -> None:
        """Free everything."""
        for store in self.stores:
            store.close()

    # ---------------------------------------------------------------------------- what lifecycle publishes

    def message(self, data: Published) -> Message:
        """What lifecycle publishes, as a message."""
        recorded = parse_instant(data.recorded_at)
        return encode(
            LIFECYCLE.name,
            TYPES[type(data)],
            data,
            source="handoff/lifecycle",
            id=f"{data.customer_id}/{data.version:010d}",
            occurred_at=recorded,
            recorded_at=recorded,
        )

    def publish(self, *data: Published) -> list[Record]:
        """Published events into the log."""
        return [self.bus.append(self.message(each)) for each in data]

    def version(self, customer: str) -> int:
        """The customer's next version."""
        return next(self.versions.setdefault(customer, itertools.count(1)))

    def deals(
        self, customer: str, *changes: DealChange, recorded: str | None = None, part: int = 1, parts: int = 1
    ) -> DealsChanged:
        """A message about deals, recorded when the first of them begins unless told."""
        return DealsChanged(
            customer_id=customer,
            version=self.version(customer),
            recorded_at=recorded or changes[0].since or NOW,
            cause=CAUSE,
            deals=changes,
            part=part,
            parts=parts,
        )

    def deal(self, customer: str, deal_id: str, *states: tuple[str, DealImage], recorded: str | None = None) -> Record:
        """One deal's history, published."""
        return self.publish(self.deals(customer, change(deal_id, *states), recorded=recorded))[0]

    def statuses(
        self, customer: str, at: str, stage: Stage, name: str, *, recorded: str | None = None, part: int = 1, parts: int = 1
    ) -> StatusChanged:
        """A message about a record's status from an instant on, recorded then unless told."""
        shown = Status(stage=stage, name=name, probability=0)
        return StatusChanged(
            customer_id=customer,
            version=self.version(customer),
            recorded_at=recorded or at,
            cause=CAUSE,
            since=at,
            states=(StatusState(effective_at=at, cause=CAUSE, stage=stage, name=name, probability=0),),
            current=shown,
            part=part,
            parts=parts,
        )

    def status(self, customer: str, at: str, stage: Stage, name: str, *, recorded: str | None = None) -> Record:
        """A record's status from an instant on, published."""
        return self.publish(self.statuses(customer, at, stage, name, recorded=recorded))[0]

    def reps(self, version: int, effective_from: str, reps: Iterable[Rep]) -> None:
        """A version of the directory, published and read."""
        content = msgspec.Raw(msgspec.json.encode(Directory(reps=tuple(reps))))
        value = msgspec.json.encode(Version(version=version, effective_from=effective_from, author="test", content=content))
        self.bus.append(Message(DIRECTORY.name, None, value, partition=0))
        self.directories.refresh()

    def settle(self) -> None:
        """Until everything is reflected."""
        drain([self.loop])

    # ------------------------------------------------------------------------------------------- answers

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """The body of an answer."""
        response = self.http.get(path, params=parameters)
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        return body

    def csv(self, path: str, **parameters: Any) -> list[dict[str, str]]:
        """The lines of an answer in CSV."""
        response = self.http.get(path, params=parameters, headers={"Accept": "text/csv"})
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/csv")
        return list(csv.DictReader(io.StringIO(response.text)))

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """The live view, table by table and row by row."""
        with self.store.snapshot() as cursor:
            live = sets.to_read(cursor, VIEW).live
            return {table.name: _sorted_rows(cursor, table.of(live)) for table in TABLES}

    def rows_of(self, number: int) -> int:
        """How many rows a set of tables has."""
        with self.store.snapshot() as cursor:
            return sum(len(_sorted_rows(cursor, table.of(number))) for table in TABLES)


def _sorted_rows(cursor: Cursor, table: str) -> list[tuple[Any, ...]]:
    cursor.execute(f"SELECT * FROM {table}")
    return sorted(map(tuple, cursor.fetchall()), key=repr)


def group(body: Mapping[str, Any], key: str | None) -> dict[str, Any]:
    """The group of that key."""
    found: Sequence[dict[str, Any]] = [each for each in body["groups"] if each["key"] == key]
    assert len(found) == 1, [each["key"] for each in body["groups"]]
    return found[0]
