"""What is asked after a run: silent about services that did their work, and not about a single thing that is spoilt.

A seed is run as always; then one thing is spoilt where it lies, and the check that is there for it must say so. Where a run has
nothing of the kind, the next seed is taken.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from events.bus.letters.tables import REPLAY
from events.topics import ASSIGNMENT, LIFECYCLE
from services.forecast.periods import FOREVER
from services.lifecycle.mass.runner import SOURCE
from tests.faults.evidence import Evidence
from tests.simulation.afterwards import (
    check_another_start,
    check_mass_changes,
    check_replays,
    check_views_built_anew,
    check_what_was_known,
)
from tests.simulation.databases import Databases
from tests.simulation.plan import plan
from tests.simulation.simulation import gather, room
from tests.simulation.world import World

SEEDS_MAX: Final = 60
Spoil = Callable[[World, Evidence], Evidence | None]
"""Spoils one thing of a run, in its databases or in what was gathered; None where there is nothing of the kind."""
Check = Callable[[World, Evidence], Iterable[str]]


@contextmanager
def ran(seed: int) -> Iterator[tuple[World, Evidence]]:
    """A run that has come to rest, and what came out of it."""
    with room() as folder:
        world = World(plan(seed), Databases(Path(folder)))
        try:
            world.run()
            assert not world.wrong
            yield world, gather(world)
        finally:
            world.close()


def views_built_anew(world: World, _: Evidence) -> Iterator[str]:
    return check_views_built_anew(world)


def another_start(world: World, _: Evidence) -> Iterator[str]:
    return check_another_start(world)


# ------------------------------------------------------------------------------- one thing wrong at a time


def changed(service: str, sql: str, view: str = "") -> Spoil:
    """A row of a database is changed, or more. ``{set}`` in the statement: how tables of a view end in the set that is live."""

    def spoil(world: World, evidence: Evidence) -> Evidence | None:
        live = world.site.rows(service, f"SELECT live FROM view_set WHERE name = '{view}'") if view else []
        with closing(world.site.open(service)) as database, database.begin() as cursor:
            cursor.execute(sql.format(set="_2" if live == [(1,)] else ""))
            return evidence if cursor.rowcount else None

    return spoil


def of_one(table: str, key: str, condition: str = "true") -> str:
    """The condition that names one row of a table."""
    return f"({key}) = (SELECT {key} FROM {table} WHERE {condition} ORDER BY {key} DESC LIMIT 1)"


def delete(table: str, key: str, condition: str = "true") -> str:
    """The statement that deletes one row of a table."""
    return f"DELETE FROM {table} WHERE {of_one(table, key, condition)}"


def without_a_command(_: World, evidence: Evidence) -> Evidence | None:
    commands = [fact for fact in evidence.accepted if fact[1] == SOURCE and fact[2] not in evidence.lost.batches]
    return replace(evidence, accepted=[fact for fact in evidence.accepted if fact != commands[0]]) if commands else None


def without_a_replay(_: World, evidence: Evidence) -> Evidence | None:
    replays = [dict(r.headers)[REPLAY] for rs in evidence.logs.values() for r in rs if REPLAY in dict(r.headers)]
    lost = {name.encode() for _, _, name in evidence.lost.replays}
    gone = next((name for name in replays if name not in lost), None)
    kept = {topic: [r for r in rs if dict(r.headers).get(REPLAY) != gone] for topic, rs in evidence.logs.items()}
    return replace(evidence, logs=kept) if gone is not None else None


WRITTEN: Final = of_one(
    "mass_change_record",
    "batch, customer_id",
    "written = 1 AND EXISTS (SELECT 1 FROM mass_change AS b WHERE b.id = batch AND b.state = 'applied')",
)
SPOILT: Final[list[tuple[str, Spoil, Check, str, int]]] = [
    (
        "an entry of a mass change says that nothing was written",
        changed("lifecycle", f"UPDATE mass_change_record SET written = 0 WHERE {WRITTEN}"),
        check_mass_changes,
        r"mass: batch-\d+ says of c\d+ that written is False, and the record has it",
        76,
    ),
    (
        "an entry of a mass change is not decided",
        changed("lifecycle", f"UPDATE mass_change_record SET written = NULL WHERE {WRITTEN}"),
        check_mass_changes,
        r"mass: batch-\d+ is applied, and c\d+ is not decided",
        76,
    ),
    (
        "an entry of a mass change is gone",
        changed("lifecycle", f"DELETE FROM mass_change_record WHERE {WRITTEN}"),
        check_mass_changes,
        r"mass: c\d+ has a command of batch-\d+, which it is not in",
        76,
    ),
    (
        "a command of a mass change is lost",
        without_a_command,
        check_mass_changes,
        r"mass: batch-\d+ says of c\d+ that written is True, and the record does not have it",
        76,
    ),
    (
        "a replay is not in the log",
        without_a_replay,
        check_replays,
        r"letters: the replay \(.*\) was promised, and is not there",
        44,
    ),
    (
        "nobody remembers a replay",
        changed("lifecycle", delete("letter_act", "number", "act = 'replayed'")),
        check_replays,
        r"letters: the replay \(.*\) is there, and nobody asked for it",
        44,
    ),
    (
        "forecast has lost the deals of a customer",
        changed("forecast", delete("deal_history{set}", "customer_id"), "forecast"),
        check_what_was_known,
        r"forecast: \('c\d+', '.*'\) at Moment\(.*\) is None, by the messages Deal",
        36,
    ),
    (
        "forecast has forgotten what was known before",
        changed("forecast", f"DELETE FROM deal_history{{set}} WHERE recorded_to < {FOREVER}", "forecast"),
        check_what_was_known,
        r"forecast: \('c\d+', '.*'\) at Moment\(.*\) is None, by the messages Deal",
        36,
    ),
    (
        "forecast has lost a row of a history",
        changed(
            "forecast",
            delete("deal_history{set}", "customer_id, deal_id, valid_from, recorded_from"),
            "forecast",
        ),
        views_built_anew,
        "rebuilt: forecast's table deal_history has the row ",
        44,
    ),
    (
        "a list has lost a customer",
        changed("lifecycle", delete("customer{set}", "customer_id"), "customers"),
        views_built_anew,
        "rebuilt: lifecycle's lists has the row ",
        44,
    ),
    (
        "a wake is lost",
        changed("lifecycle", delete("wake{set}", "customer_id"), "wakes"),
        views_built_anew,
        r"rebuilt: lifecycle's table wake has the row None, built anew \('c\d+', ",
        44,
    ),
    (
        "a wake is of another time",
        changed("lifecycle", f"UPDATE wake{{set}} SET at = at + 1 WHERE {of_one('wake{set}', 'customer_id')}", "wakes"),
        views_built_anew,
        r"rebuilt: lifecycle's table wake has the row \('c\d+', ",
        44,
    ),
    (
        "the trace of a fact is lost",
        changed("lifecycle", delete("trace{set}", "source, id, shard, number"), "traces"),
        views_built_anew,
        "rebuilt: lifecycle's table trace has the row ",
        44,
    ),
    (
        "the trace of a dead letter is lost",
        changed("lifecycle", delete("refused{set}", "source, id, topic, part, record_offset"), "traces"),
        views_built_anew,
        "rebuilt: lifecycle's table refused has the row ",
        44,
    ),
    *(
        (
            f"{service} does not know what it has published",
            changed(service, "UPDATE relay SET number = 0 WHERE number > 0"),
            another_start,
            rf"restart: \d+ more records on {topic}, though all had come to rest",
            1,
        )
        for service, topic in (("lifecycle", LIFECYCLE.name), ("routing", ASSIGNMENT.name))
    ),
]
"""What is spoilt, how, the check that sees it, how its finding begins, and a seed whose run has something to spoil."""


@pytest.mark.parametrize(("spoil", "check", "wanted", "first"), [each[1:] for each in SPOILT], ids=[each[0] for each in SPOILT])
def test_it_finds_what_is_spoilt(spoil: Spoil, check: Check, wanted: str, first: int) -> None:
    for seed in range(first, first + SEEDS_MAX):
        with ran(seed) as (world, evidence):
            spoilt = spoil(world, evidence)
            if spoilt is not None:
                found = list(check(world, spoilt))
                assert any(re.match(wanted, each) for each in found), f"seed {seed}: {found[:5]}"
                return
    raise AssertionError("no seed has anything of the kind")


@pytest.mark.parametrize("seed", sorted({each[-1] for each in SPOILT}))
def test_it_finds_nothing_where_nothing_is_spoilt(seed: int) -> None:
    with ran(seed) as (world, evidence):
        for check in dict.fromkeys(each[2] for each in SPOILT):
            assert list(check(world, evidence)) == []
