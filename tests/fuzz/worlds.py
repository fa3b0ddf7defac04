"""The three services with real content in them, each as its application and its OpenAPI: what requests are sent to."""

import tempfile
import time
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.testclient import TestClient
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from events.bus.database import SQLITE, TRANSIENT
from events.bus.letters.office import Office
from events.facts import LeadCreated, OpportunityCreated, OpportunityWon, QuoteCreated, StatusSet
from events.record import Message
from events.reference import Rep
from events.topics import LIFECYCLE
from events.values import Price, parse_instant
from services.forecast.api import create_app as forecast_app
from services.forecast.rehearsal import Rehearsal as ForecastRehearsal
from services.lifecycle.api import create_app as lifecycle_app
from services.lifecycle.mass.api import Resources
from services.lifecycle.mass.batches import Batches
from services.lifecycle.mass.runner import Runner
from services.lifecycle.metrics import StateCollector
from services.lifecycle.publishing import Publisher
from services.lifecycle.rehearsal import Rehearsal as LifecycleRehearsal
from services.routing.api import create_app as routing_app
from services.routing.metrics import StateCollector as RoutingState
from services.routing.progress import both
from services.routing.rehearsal import Rehearsal as RoutingRehearsal
from tests.forecast.harness import Forecast, image
from tests.lifecycle.harness import Lifecycle
from tests.routing.harness import Routing
from tests.routing.words import status_changed

NOW: Final = "2026-03-03T12:00:00Z"
SERVICES: Final = ("lifecycle", "routing", "forecast")


class Worlds:
    """The services. ``database``: as ``HANDOFF_DATABASE``; nothing is in it. ``close`` frees them."""

    def __init__(self, database: str = SQLITE) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        folder = Path(self._folder.name)
        (folder / "routing").mkdir()
        self._lifecycle = Lifecycle(folder / "lifecycle.sqlite", database=database)
        self._lifecycle.bus._clock = _written_at  # its own begins before what is sent over HTTP happens, and would have it refused
        self._routing = Routing(folder / "routing", database=database)
        self._forecast = Forecast(folder / "forecast.sqlite", database=database)
        self._publisher = Publisher(self._lifecycle.bus)
        self._publisher.start()
        self.apps: Mapping[str, FastAPI] = {
            "lifecycle": self._of_lifecycle(),
            "routing": self._of_routing(),
            "forecast": self._of_forecast(),
        }

    def settle(self) -> None:
        """Let all happen that was asked for, and waits: what was posted is taken in, batches and views are made."""
        self._lifecycle.settle()
        self._work()
        for world in (self._routing, self._forecast):
            world.settle()
        for builder in (self._lifecycle.builder, self._forecast.builder):
            while builder.step() is not None:
                pass

    def routed(self) -> list[str]:
        """The customers that routing has decided something about, which it does not list."""
        named = (getattr(event, "customer_id", None) for event in self._routing.log())
        return sorted({customer for customer in named if customer is not None})

    def close(self) -> None:
        """Free everything."""
        self._publisher.close()
        for store in self._lifecycle.stores:
            store.close()
        self._routing.close()
        self._forecast.close()
        self._folder.cleanup()

    def _of_lifecycle(self) -> FastAPI:
        world = self._lifecycle
        amount = Price(amount=Decimal("1234.50"), currency="EUR")
        for number in range(1, 6):
            customer = f"C-{number}"
            lead = LeadCreated(customer_id=customer, lead_id=f"L-{number}", company=f"Company {number}", country="DE", score=number)
            world.publish("crm.lead.created.v1", lead, f"2026-03-0{number % 2 + 1}T09:00:00Z", id=f"lead-{number}")
        opened = OpportunityCreated(customer_id="C-1", opportunity_id="O-1", amount=amount, owner="ann")
        world.publish("crm.opportunity.created.v1", opened, "2026-03-02T10:00:00Z", id="opened")
        quote = QuoteCreated(customer_id="C-1", quote_id="Q-1", opportunity_id="O-1", amount=amount)
        world.publish("crm.quote.created.v1", quote, "2026-03-02T08:00:00Z", id="a/b")
        world.publish("crm.opportunity.won.v1", OpportunityWon(customer_id="C-2", opportunity_id="O-2"), "2026-03-02T11:00:00Z")
        command = StatusSet(customer_id="C-3", status="Qualified", actor="dana")
        world.publish("crm.status.set.v1", command, "2026-03-02T12:00:00Z", id="command-1", source="handoff/commands")
        world.bus.append(_junk("crm.lead.v1"))
        world.settle()
        registry = CollectorRegistry()
        registry.register(StateCollector(world.loop.progress, world.store.ledger.dead_letters))
        batches, clock = Batches(world.store.database), lambda: parse_instant(NOW)
        runner = self._runner = Runner(batches, world.store, lambda: world.policy, self._publisher.publish, clock)
        mass = Resources(world.store, batches, runner, lambda: world.policy, clock)
        rehearsal = LifecycleRehearsal(world.store, world.tables)
        office = Office(
            world.store.ledger.letters,
            world.store.database.read,
            rehearsal,
            ends=world.bus.end_offsets,
            transient=TRANSIENT,
            now=clock,
        )
        app = lifecycle_app(
            *(world.store, world.tables, world.loop.progress, registry),
            publisher=self._publisher,
            mass=mass,
            office=office,
            builder=world.builder,
            clock=clock,
        )
        self._change_many(app)
        return app

    def _change_many(self, app: FastAPI) -> None:
        """Mass changes in each state that lasts: done, given up, seen beforehand."""
        client, path = TestClient(app), "/v1/mass-changes"
        for name, then in (("done", "apply"), ("done-too", "apply"), ("given-up", "cancel"), ("seen", None), ("seen-too", None)):
            change = {"command": "set-owner", "rep_id": f"rep-{name}"}
            wanted = {"filter": {"customer_id": ["C-4", "C-5"]}, "change": change, "actor": "dana"}
            client.post(path, json=wanted, headers={"Idempotency-Key": name}).raise_for_status()
            self._work()
            if then is not None:
                client.post(f"{path}/{name}/{then}").raise_for_status()
                self._work()

    def _work(self) -> None:
        while self._runner.step():
            self._lifecycle.settle()

    def _of_routing(self) -> FastAPI:
        world = self._routing
        for number in range(1, 4):
            world.says(status_changed(f"C-{number}", 1))
        world.bus.append(_junk(LIFECYCLE.name))
        world.settle()
        store = world.store
        rehearsal = RoutingRehearsal(store, world.reference)
        office = Office(
            store.ledger.letters,
            store.read,
            rehearsal,
            ends=world.bus.end_offsets,
            transient=TRANSIENT,
            now=lambda: parse_instant(NOW),
        )
        registry = CollectorRegistry()
        progress = lambda: both([loop.progress for loop in world.loops])  # noqa: E731
        registry.register(RoutingState(progress, store.ledger.dead_letters))
        return routing_app(store, world.reference, progress, registry, office)

    def _of_forecast(self) -> FastAPI:
        world = self._forecast
        world.reps(1, "2016-01-01T00:00:00Z", [Rep(rep_id="ann", name="Ann", team="A", region="West")])
        first, then = "2017-01-10T09:00:00Z", "2017-03-10T09:00:00Z"
        world.status("C-1", first, "prospect", "In Discussion")
        basics: dict[str, Any] = {"owner": "ann", "product": "GTX", "source": "web", "region": "Bavaria"}
        dated = image(100, close_date=date(2017, 4, 30), **basics)
        world.deal("C-1", "opportunity:O-1", (first, dated), (then, image(90, "won", closed_at=then, **basics)))
        world.deal("C-2", "opportunity:O/2", (first, image("50.50", probability=50, close_date=date(2017, 5, 31))))
        world.bus.append(_junk(LIFECYCLE.name))
        world.settle()
        store, clock = world.store, lambda: parse_instant("2018-01-15T12:00:00Z")
        rehearsal = ForecastRehearsal(store, world.worker.taking.read)
        office = Office(store.ledger.letters, store.snapshot, rehearsal, ends=world.bus.end_offsets, transient=TRANSIENT, now=clock)
        return forecast_app(
            store, world.directories, world.loop.progress, world.registry, world.settings, clock, office, world.builder
        )


def _written_at() -> int:
    """What the log notes for what is sent over HTTP now; what happened later, by more than an hour, would be refused."""
    return max(time.time_ns(), parse_instant(NOW)) // 1_000_000


def _junk(topic: str) -> Message:
    headers = (("ce_specversion", b"1.0"), ("ce_id", b"j-1"), ("ce_source", b"/web"), ("ce_type", b"crm.lead.created.v1"))
    message = Message(topic, b"C-9", b'\xff\xfe{"customer_id": \x00', (*headers, ("x-raw", b"\xff\x00")))
    return replace(message, timestamp=parse_instant("2026-03-01T09:00:00Z") // 1_000_000)
