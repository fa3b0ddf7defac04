"""What is asked after a run of services that one has in hand: what they say of themselves, and what they come to once more."""

import itertools
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final

from msgspec.structs import replace

from events.bus.letters.tables import REPLAY
from events.bus.memory import drain
from events.bus.rebuild import Table, View, sets
from events.topics import LIFECYCLE, TOPICS
from events.values import parse_instant
from services.forecast.domain import deal_of
from services.forecast.figures import Figures
from services.forecast.store import TABLES, VIEW, Moment
from services.forecast.store import Store as ForecastStore
from services.lifecycle import customers
from services.lifecycle.mass.batches import Batches
from services.lifecycle.mass.runner import SOURCE
from services.lifecycle.rebuilding import TracesView, WakesView, fill_lists
from services.lifecycle.store import Store as LifecycleStore
from services.lifecycle.tables import StatusTables
from tests.faults import gathering
from tests.faults.evidence import Evidence
from tests.faults.inputs import facts_of
from tests.forecast.naive import Naive
from tests.simulation.process import Border
from tests.simulation.services import REAL, UTC, start
from tests.simulation.world import World

MOMENTS: Final = 6
"""At so many moments the view is looked at as it was known at others."""
BATCHES_MAX: Final = 10_000


def check_mass_changes(world: World, evidence: Evidence) -> Iterator[str]:
    """What batches say that they have written is in the records, and nothing else of them is; but for batches that were lost."""
    database = world.site.open("lifecycle")
    batches = Batches(database)
    accepted = {(customer, id) for customer, source, id, _ in evidence.accepted if source == SOURCE}
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
    for customer, id in sorted((customer, id) for customer, id in accepted - known if id not in evidence.lost.batches):
        yield f"mass: {customer} has a command of {id}, which it is not in"
    database.close()


def check_replays(world: World, evidence: Evidence) -> Iterator[str]:
    """Every replay that an operator was promised lies in the log that the letter came from, and no other that is known of does."""
    promised = gathering.replays(world.site.open("lifecycle"))
    headers = [(record, dict(record.headers)) for records in evidence.logs.values() for record in records]
    written = {(r.topic, r.partition, said[REPLAY].decode()) for r, said in headers if REPLAY in said and "dl_topic" not in said}
    for name in sorted(promised - written):
        yield f"letters: the replay {name} was promised, and is not there"
    for name in sorted((written - promised).difference(evidence.lost.replays)):
        yield f"letters: the replay {name} is there, and nobody asked for it"


def check_what_was_known(world: World, evidence: Evidence) -> Iterator[str]:
    """What forecast holds at some moments, as it was known at others: what the messages say that had come by then (I2)."""
    messages = {(fact.customer_id, fact.data.version): fact.data for _, fact in evidence.facts(LIFECYCLE.name)}
    naive = Naive(list(messages.values()))
    chance = Random(world.plan.seed)
    recorded = sorted({parse_instant(message.recorded_at) for message in messages.values()})
    occurred = sorted({fact.occurred_at for facts in facts_of(evidence).values() for fact in facts})
    store = ForecastStore(world.site.open("forecast"))
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


def check_views_built_anew(world: World) -> Iterator[str]:
    """The view of forecast from the log that is kept for ever, lists, wakes and traces of lifecycle from its events: the same."""
    site = world.site
    world.everybody_leaves()
    process = start(
        replace(site, open=lambda _: site.open("rebuilt"), kinds=REAL), "forecast", "forecast-1", Border(lambda _: None)
    )
    try:
        drain(process.loops)
    finally:
        process.free()
    for table in TABLES:
        live, anew = (_rows(world, name, VIEW, table) for name in ("forecast", "rebuilt"))
        yield from _compared(f"forecast's table {table.name}", live, anew)
    lines = _rows(world, "lifecycle", customers.VIEW, customers.TABLE)
    _fill_lists(world)
    yield from _compared("lifecycle's lists", lines, _rows(world, "lifecycle", customers.VIEW, customers.TABLE))
    yield from _check_made(world, lambda store: WakesView(store, StatusTables(world.bus, UTC)))
    yield from _check_made(world, TracesView)


def _rows(world: World, database: str, view: str, table: Table, *, other: bool = False) -> list[tuple[Any, ...]]:
    """The rows of a table that can be made again, in the set that is live, or in the other one."""
    ((live,),) = world.site.rows(database, f"SELECT live FROM view_set WHERE name = '{view}'")
    name = table.of(1 - live if other else live)
    condition = f" WHERE {table.only.format(table=name)}" if table.only else ""
    return sorted(world.site.rows(database, f"SELECT * FROM {name}{condition}"), key=repr)


def _fill_lists(world: World) -> None:
    """As if they had never been there."""
    store = LifecycleStore(world.site.open("lifecycle"), world.site.shape.shards, code_version="simulation")
    try:
        with store.database.begin() as cursor:
            cursor.execute(f"DELETE FROM {customers.live(cursor)}")
            cursor.execute("DELETE FROM view")
        tables = StatusTables(world.bus, UTC)
        tables.refresh()
        for _ in fill_lists(store, lambda: tables.policy):
            pass
    finally:
        store.close()


def _check_made(world: World, view_on: Callable[[LifecycleStore], View]) -> Iterator[str]:
    """A view of lifecycle is as it is made from what is stored, in the set that is not live."""
    store = LifecycleStore(world.site.open("lifecycle"), world.site.shape.shards, code_version="simulation")
    try:
        view = view_on(store)
        with store.database.begin() as cursor:
            other = sets.to_read(cursor, view.name).other
            for table in view.tables:
                cursor.execute(f"DELETE FROM {table.of(other)}")
        filling = view.filling(other)
        while filling.step(store.database.begin):
            pass
        for table in view.tables:
            live, anew = (_rows(world, "lifecycle", view.name, table, other=other) for other in (False, True))
            yield from _compared(f"lifecycle's table {table.name}", live, anew)
    finally:
        store.close()


def _compared(what: str, live: list[tuple[Any, ...]], anew: list[tuple[Any, ...]]) -> Iterator[str]:
    if live != anew:
        one, other = next((a, b) for a, b in itertools.zip_longest(live, anew) if a != b)
        yield f"rebuilt: {what} has the row {one}, built anew {other}"


# -------------------------------------------------------------------------------------------- started anew


def check_another_start(world: World) -> Iterator[str]:
    """Everybody is killed and started again: what was done is done, so nobody writes anything."""
    before = {topic.name: len(world.bus.records(topic.name)) for topic in TOPICS}
    world.restart()
    yield from world.wrong
    for name, count in before.items():
        after = len(world.bus.records(name))
        if after != count:
            yield f"restart: {after - count} more records on {name}, though all had come to rest"
