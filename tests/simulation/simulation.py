"""A plan in, what is wrong out: the run, all that came out of it, and the plain recomputation from what went in.

The recomputation is that of the fault campaign (:mod:`tests.faults.checker`), which knows neither bus nor database. What can only
be asked of services that one has in hand is in :mod:`tests.simulation.afterwards`.
"""

import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from typing import Any, Final

from events.bus.database import SQLITE
from events.record import TopicPartition
from events.topics import DIRECTORY, TOPICS
from services.forecast.directory import Directories
from services.forecast.inquiry import Inquiry
from services.forecast.questions import ForecastQuery, PipelineQuery
from services.forecast.settings import Settings
from services.forecast.store import Store as ForecastStore
from services.lifecycle.reading import NOW, customer_view, read
from services.lifecycle.store import Store as LifecycleStore
from services.lifecycle.tables import StatusTables
from services.routing.store import Store as RoutingStore
from tests.faults import gathering
from tests.faults.checker import findings
from tests.faults.evidence import Answer, Evidence
from tests.faults.load import Item
from tests.simulation.afterwards import (
    check_another_start,
    check_mass_changes,
    check_replays,
    check_views_built_anew,
    check_what_was_known,
)
from tests.simulation.databases import Databases
from tests.simulation.services import REAL, UTC, Kinds
from tests.simulation.steps import SERVICES, Plan
from tests.simulation.world import World

QUESTIONS: Final = 12
"""So many of the campaign's questions are asked after each run, others after each."""
CUSTOMERS_MAX: Final = 500
LETTERS: Final = "SELECT topic, part, record_offset FROM dead_letter"
SETTINGS: Final = Settings(_env_file=None)  # type: ignore[call-arg]
IN_MEMORY: Final = Path("/dev/shm")


def simulate(
    plan: Plan,
    *,
    kinds: Kinds = REAL,
    database: str = SQLITE,
    tell: Callable[[str], None] = lambda _: None,
    look: Callable[[World], None] = lambda _: None,
) -> list[str]:
    """Run a plan; what is wrong. That the run itself or its checks break off is wrong, too.

    ``database``: as ``HANDOFF_DATABASE``; nothing is in it. ``look``: looks at the world when all is done.
    """
    with room() as folder:
        world = World(plan, Databases(Path(folder), database), kinds=kinds, tell=tell)
        try:
            found = list(_wrong(world))
            look(world)
            return found
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            return [f"broken off: {type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"]
        finally:
            world.close()


def room() -> AbstractContextManager[str]:
    """A folder, in memory where that can be."""
    return tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None)


def _wrong(world: World) -> Iterator[str]:
    world.run()
    if world.wrong:
        yield from world.wrong
        return
    evidence = gather(world)
    yield from findings(evidence, world.now * 1_000_000)
    yield from check_mass_changes(world, evidence)
    yield from check_replays(world, evidence)
    yield from check_what_was_known(world, evidence)
    yield from check_views_built_anew(world)
    yield from check_another_start(world)


def gather(world: World) -> Evidence:
    """Everything that came out of a run."""
    site, bus = world.site, world.bus
    lifecycle = LifecycleStore(site.open("lifecycle"), site.shape.shards, code_version="simulation")
    routing = RoutingStore(site.open("routing"), code_version="simulation")
    try:
        tables = StatusTables(bus, UTC)
        tables.refresh()
        shards = range(site.shape.shards)
        customers = [(shard, name) for shard in shards for name in lifecycle.customers_after(shard, "", CUSTOMERS_MAX)]
        return Evidence(
            sent=[Item(each.number, each.message, each.malformed) for each in world.outside.sent],
            partitions=site.shape.shards,
            logs={topic.name: bus.records(topic.name) for topic in TOPICS},
            accepted=gathering.stored_facts(lifecycle, customers),
            records={name: customer_view(read(lifecycle, name, NOW, tables.policy)) for _, name in customers},
            notifications=gathering.notifications(lifecycle),
            withheld=gathering.withheld(lifecycle),
            decisions=list(routing.replay()),
            letters={service: site.rows(service, LETTERS) for service in SERVICES},
            answers=_answers(world),
            lost=world.lost,
        )
    finally:
        lifecycle.close()
        routing.close()


def _answers(world: World) -> list[Answer]:
    """What forecast says, to some questions."""
    place = TopicPartition(DIRECTORY.name, 0)
    bus, now = world.bus, world.now * 1_000_000
    directories = Directories(lambda offset: bus.read(DIRECTORY.name, offset), lambda: bus.end_offsets([place])[place])
    directories.refresh()
    store = ForecastStore(world.site.open("forecast"))
    try:
        inquiry = Inquiry(store, directories, SETTINGS, lambda: now)
        asked = Random(world.plan.seed).sample(gathering.questions(now), QUESTIONS)
        return [gathering.answer_of(path, said, _ask(inquiry, path, said)) for path, said in asked]
    finally:
        store.close()


def _ask(inquiry: Inquiry, path: str, said: Mapping[str, str]) -> Mapping[str, Any]:
    if path == "/v1/pipeline":
        pipeline = PipelineQuery.model_validate(said)
        with inquiry.view(pipeline) as view:
            return inquiry.pipeline(view, pipeline).model_dump()
    forecast = ForecastQuery.model_validate(said)
    with inquiry.view(forecast) as view:
        return inquiry.forecast(view, forecast).model_dump()
