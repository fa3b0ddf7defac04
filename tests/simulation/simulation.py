"""A plan in, what is wrong out: the run, all that came out of it, and the plain recomputation from what went in.

The recomputation is that of the fault campaign (:mod:`tests.faults.checker`), which knows neither bus nor database. What is added
here can only be asked of services that one has in hand: views built anew (I6), and that another start of everybody changes nothing.
"""

import itertools
import sqlite3
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, Final

from events.bus.database.sqlite import SQLite
from events.bus.letters.tables import REPLAY
from events.bus.memory import drain
from events.record import TopicPartition
from events.topics import DIRECTORY, LIFECYCLE, TOPICS
from events.values import parse_instant
from services.forecast.directory import Directories
from services.forecast.domain import deal_of
from services.forecast.figures import Figures
from services.forecast.inquiry import Inquiry
from services.forecast.questions import ForecastQuery, PipelineQuery
from services.forecast.settings import Settings
from services.forecast.store import Moment
from services.forecast.store import Store as ForecastStore
from services.lifecycle.mass.batches import Batches
from services.lifecycle.mass.runner import SOURCE
from services.lifecycle.reading import NOW, customer_view, read
from services.lifecycle.store import Store as LifecycleStore
from services.lifecycle.tables import StatusTables
from services.routing.store import Store as RoutingStore
from tests.faults import gathering
from tests.faults.checker import findings
from tests.faults.evidence import Answer, Evidence
from tests.faults.inputs import facts_of
from tests.faults.load import Item
from tests.forecast.naive import Naive
from tests.simulation.process import Border
from tests.simulation.services import REAL, UTC, Kinds, Site, start
from tests.simulation.steps import SERVICES, Plan
from tests.simulation.world import World

QUESTIONS: Final = 12
"""So many of the campaign's questions are asked after each run, others after each."""
MOMENTS: Final = 6
"""At so many moments the view is looked at as it was known at others."""
IN_MEMORY: Final = Path("/dev/shm")
VIEW_TABLES: Final = ("deal_history", "status_history", "customer", "boundary", "held_part")
_REBUILT: Final = "rebuilding"


def simulate(plan: Plan, *, kinds: Kinds = REAL, tell: Callable[[str], None] = lambda _: None) -> list[str]:
    """Run a plan; what is wrong. That the run itself or its checks break off is wrong, too."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        world = World(plan, Path(folder), kinds=kinds, tell=tell)
        try:
            return list(_wrong(world))
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            return [f"broken off: {type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"]
        finally:
            world.close()


def _wrong(world: World) -> Iterator[str]:
    world.run()
    if world.wrong:
        yield from world.wrong
        return
    evidence = gather(world)
    yield from findings(evidence, world.now * 1_000_000)
    yield from _mass_changed(world, evidence)
    yield from _replayed(world, evidence)
    yield from _as_known_then(world, evidence)
    yield from _rebuilt(world)
    yield from _started_anew(world)


def gather(world: World) -> Evidence:
    """Everything that came out of a run."""
    folder, bus = world.site.folder, world.bus
    lifecycle = LifecycleStore(SQLite(folder / "lifecycle.sqlite"), world.plan.shape.shards, code_version="simulation")
    routing = RoutingStore(SQLite(folder / "routing.sqlite"), code_version="simulation")
    try:
        tables = StatusTables(bus, UTC)
        tables.refresh()
        customers = gathering.customers_of(folder / "lifecycle.sqlite")
        return Evidence(
            sent=[Item(each.number, each.message, each.malformed) for each in world.outside.sent],
            logs={topic.name: bus.records(topic.name) for topic in TOPICS},
            accepted=gathering.stored_facts(lifecycle, customers),
            records={name: customer_view(read(lifecycle, name, NOW, tables.policy)) for _, name in customers},
            notifications=gathering.notifications(lifecycle),
            decisions=list(routing.replay()),
            letters={name: gathering.buried(folder / f"{name}.sqlite") for name in SERVICES},
            answers=_answers(world),
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
    store = ForecastStore(world.site.folder / "forecast.sqlite")
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


def _mass_changed(world: World, evidence: Evidence) -> Iterator[str]:
    """What batches say that they have written is in the records, and nothing else of them is."""
    database = SQLite(world.site.folder / "lifecycle.sqlite")
    batches = Batches(database)
    accepted = {(customer, id) for customer, source, id in evidence.accepted if source == SOURCE}
    known: set[tuple[str, str]] = set()
    for batch in batches.newest(BATCHES_MAX):
        for entry in batches.entries(batch.id, limit=BATCHES_MAX):
            command = (entry.customer_id, batch.id)
            known.add(command)
            if batch.state == "applied" and (entry.written is None or not entry.acknowledged):
                yield f"mass: {batch.id} is applied, and {entry.customer_id} is not decided"
            elif entry.acknowledged and bool(entry.written) != (command in accepted):
                seen = "has it" if command in accepted else "does not have it"
                yield f"mass: {batch.id} says of {entry.customer_id} that written is {entry.written}, and the record {seen}"
    for customer, id in sorted(accepted - known):
        yield f"mass: {customer} has a command of {id}, which it is not in"
    database.close()


def _replayed(world: World, evidence: Evidence) -> Iterator[str]:
    """Every replay that an operator was promised lies in the log that the letter came from, and no other does."""
    with closing(sqlite3.connect(world.site.folder / "lifecycle.sqlite")) as database:
        query = (
            "SELECT d.topic, d.part, d.number, a.number FROM letter_act AS a JOIN dead_letter AS d ON d.number = a.letter"
            " WHERE a.act = 'replayed'"
        )
        promised = {(topic, part, f"lifecycle/{letter}/{act}") for topic, part, letter, act in database.execute(query)}
    headers = [(record, dict(record.headers)) for records in evidence.logs.values() for record in records]
    written = {(r.topic, r.partition, said[REPLAY].decode()) for r, said in headers if REPLAY in said and "dl_topic" not in said}
    for name in sorted(promised - written):
        yield f"letters: the replay {name} was promised, and is not there"
    for name in sorted(written - promised):
        yield f"letters: the replay {name} is there, and nobody asked for it"


BATCHES_MAX: Final = 10_000
SETTINGS: Final = Settings(_env_file=None)  # type: ignore[call-arg]


def _as_known_then(world: World, evidence: Evidence) -> Iterator[str]:
    """What forecast holds at some moments, as it was known at others: what the messages say that had come by then (I2)."""
    messages = {(fact.customer_id, fact.data.version): fact.data for _, fact in evidence.facts(LIFECYCLE.name)}
    naive = Naive(list(messages.values()))
    chance = Random(world.plan.seed)
    recorded = sorted({parse_instant(message.recorded_at) for message in messages.values()})
    occurred = sorted({fact.occurred_at for facts in facts_of(evidence).values() for fact in facts})
    store = ForecastStore(world.site.folder / "forecast.sqlite")
    try:
        for moment in [Moment(chance.choice(occurred), chance.choice(recorded)) for _ in range(MOMENTS if recorded else 0)]:
            with store.snapshot() as cursor:
                seen = {(each.customer_id, each.deal_id): each.deal for each in Figures(cursor).deals(moment, None, ("", ""))}
            wanted = {key: deal_of(image, UTC) for key, image in naive.deals(*moment).items()}
            if seen != wanted:
                name = next(key for key in [*wanted, *seen] if seen.get(key) != wanted.get(key))
                yield f"forecast: {name} at {moment} is {seen.get(name)}, by the messages {wanted.get(name)}"
    finally:
        store.close()


# --------------------------------------------------------------------------------------- built anew (I6)


def _rebuilt(world: World) -> Iterator[str]:
    """The view of forecast from the log that is kept for ever, and the lists of lifecycle from its events: as they are."""
    folder = world.site.folder / _REBUILT
    folder.mkdir()
    site = Site(folder=folder, bus=world.bus, shape=world.plan.shape, clock=world.site.clock)
    world.everybody_leaves()
    process = start(site, "forecast", "forecast-1", Border(lambda _: None))
    try:
        drain(process.loops)
    finally:
        process.free()
    yield from _compared("forecast's", *(_rows(each / "forecast.sqlite", VIEW_TABLES) for each in (world.site.folder, folder)))
    yield from _compared("lifecycle's", _rows(world.site.folder / "lifecycle.sqlite", ("customer",)), _filled(world, folder))


def _filled(world: World, folder: Path) -> Mapping[str, list[Any]]:
    path = folder / "lifecycle.sqlite"
    with closing(sqlite3.connect(world.site.folder / path.name)) as live, closing(sqlite3.connect(path)) as database:
        live.backup(database)
        database.executescript("DELETE FROM customer; DELETE FROM view;")
    store = LifecycleStore(SQLite(path), world.plan.shape.shards, code_version="simulation")
    try:
        tables = StatusTables(world.bus, UTC)
        tables.refresh()
        for _ in store.fill_lists(lambda: tables.policy):
            pass
    finally:
        store.close()
    return _rows(path, ("customer",))


def _rows(path: Path, tables: tuple[str, ...]) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(path)) as database:
        return {table: sorted(database.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in tables}


def _compared(whose: str, live: Mapping[str, list[Any]], anew: Mapping[str, list[Any]]) -> Iterator[str]:
    for table, rows in live.items():
        if rows != anew[table]:
            one, other = next((a, b) for a, b in itertools.zip_longest(rows, anew[table]) if a != b)
            yield f"rebuilt: {whose} table {table} has the row {one}, built anew {other}"


# -------------------------------------------------------------------------------------------- started anew


def _started_anew(world: World) -> Iterator[str]:
    """Everybody is killed and started again: what was done is done, so nobody writes anything."""
    before = {topic.name: len(world.bus.records(topic.name)) for topic in TOPICS}
    world.restart()
    yield from world.wrong
    for name, count in before.items():
        after = len(world.bus.records(name))
        if after != count:
            yield f"restart: {after - count} more records on {name}, though all had come to rest"
