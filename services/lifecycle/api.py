"""What lifecycle answers over HTTP: it reads records, and hands what is sent to it on to Kafka, through which all changes come."""

import time
from collections.abc import Callable

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from events.bus.letters.office import Office
from events.bus.progress import Progress
from events.bus.rebuild.builder import Builder
from events.web import dead_letters, rebuilds
from events.web.application import application
from services.lifecycle import commands, health, intake, listing, matrix, problems, records, whereabouts
from services.lifecycle.mass import api as mass_change
from services.lifecycle.mass.api import Resources
from services.lifecycle.metrics import Senders, intake_counter
from services.lifecycle.process import api as process
from services.lifecycle.publishing import Publisher
from services.lifecycle.records import Json
from services.lifecycle.store import Store
from services.lifecycle.sweep import Sweep
from services.lifecycle.tables import StatusTables


def create_app(
    store: Store,
    tables: StatusTables,
    progress: Callable[[], Progress],
    registry: CollectorRegistry,
    senders: Senders | None = None,
    publisher: Publisher | None = None,
    sweep: Sweep | None = None,
    mass: Resources | None = None,
    office: Office | None = None,
    builder: Builder | None = None,
    clock: Callable[[], int] = time.time_ns,
) -> FastAPI:
    """The application. ``senders``: whose records had to be sent home; ``sweep``: the worker's; ``clock``: nanoseconds since 1970.

    Without a ``publisher`` nothing is taken in, without ``mass`` there are no mass changes, without ``office`` no dead letters,
    without a ``builder`` no rebuilds.
    """
    app = application("Handoff lifecycle", default_response_class=Json)
    problems.install(app)
    app.include_router(health.router(store, tables, progress, registry, senders or Senders(), sweep))
    app.include_router(listing.router(store, lambda: tables.policy, clock))
    app.include_router(process.router(store, lambda: tables.policy, clock))
    app.include_router(matrix.router(tables, clock))
    app.include_router(whereabouts.router(store, progress))
    if publisher is not None:
        counted = intake_counter(registry)
        app.include_router(intake.router(publisher, lambda: tables.policy, counted))
        app.include_router(commands.router(commands.Desk(store, lambda: tables.policy, progress), publisher, counted))
    if mass is not None:
        app.include_router(mass_change.router(mass))
    if office is not None:
        app.include_router(dead_letters.router(office))
    if builder is not None:
        app.include_router(rebuilds.router(builder))
    app.include_router(records.router(store, lambda: tables.policy))
    return app
