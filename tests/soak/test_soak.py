"""The soak itself: what it calls flat, its picture and page; and a run of seconds on a real Kafka, counted anew."""

import json
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from events.bus.partitioner import murmur2
from events.record import Record
from tests.soak.__main__ import main
from tests.soak.flat import MEMORY, Rule, Series, judge, series, slope, verdicts
from tests.soak.listening import Latencies
from tests.soak.page import main as write_page
from tests.soak.page import page
from tests.soak.plot import picture
from tests.soak.recount import SPOILED, Astray, compared, forwarded, present
from tests.soak.soak import FORMAT
from tests.soak.traffic import probe_message
from tests.soak.watching import way

MINUTES = 60


def run(**processes: float) -> dict[str, Any]:
    """A run in which nothing rises but the memory of some services, by MiB a minute."""
    names = ("lifecycle", "routing", "forecast", "kafka")
    return {
        "minutes": MINUTES,
        "rate": 500.0,
        "seed": 1,
        "started": "2026-03-01T09:00:00+00:00",
        "machine": {"cpus": 2, "machine": "x86_64", "system": "Linux", "python": "3.11", "kafka": "4", "fsync_ms": 1.0},
        "samples": [sample(minute, {name: processes.get(name, 0.0) for name in names}) for minute in range(MINUTES)],
        "latencies_ms": {"rep out": [{"minute": m, "p50": 20.0, "p99": 50.0, "max": 60.0, "count": 9} for m in range(MINUTES)]},
        "end": end(),
    }


def sample(minute: int, rising: dict[str, float]) -> dict[str, Any]:
    """One look. Every seventh minute is disturbed."""
    services = [name for name in rising if name != "kafka"]
    return {
        "seconds": minute * 60.0,
        "sent": minute * 30_000,
        "load_average": 1.0,
        "work_ms": 2.0,
        "processes": {
            name: {
                "resident_mib": 120.0,
                "anonymous_mib": 100.0 + minute * rise + (40.0 if minute % 7 == 0 else 0.0),
                "handles": 30,
                "log_handles": 10 + 4 * minute,
                "threads": 9,
                "cpu_seconds": minute * 3.0,
            }
            for name, rise in rising.items()
        },
        "services": {name: {"state": "running", "lag": 3, "lag_seconds": 0.1, "dead_letters": 0} for name in services},
        "disk_mib": dict.fromkeys((*rising, *(f"{name} wal" for name in services)), minute * 5.0)
        | {f"{name} wal": 16.0 for name in services},
    }


def end(**other: Any) -> dict[str, Any]:
    letters = {"lifecycle": 7, "routing": 0, "forecast": 0}
    sound = {"settled_seconds": 0.5, "sent": 900, "malformed": 7, "error": "", "missed_probes": [], "dead_letters": letters}
    counted = {"deaths": [], "warnings": [], "customers": 40, "deals": 90, "answers": 20, "findings": []}
    return {**sound, **counted, **other}


def not_kept(found: dict[str, Any]) -> list[str]:
    return [each.name for each in verdicts(found) if not each.kept]


def test_the_slope_is_not_moved_by_what_disturbs_for_a_while() -> None:
    points = [(float(minute), 2.0 * minute + (1000 if minute in (3, 4, 17) else 0)) for minute in range(30)]
    assert slope(points) == pytest.approx(2.0)


def test_what_does_not_rise_is_flat_however_it_is_disturbed() -> None:
    assert not_kept(run()) == []


def test_a_leak_of_a_service_is_told_with_its_name() -> None:
    assert not_kept(run(routing=0.3)) == ["memory, routing"], "18 MiB in an hour"
    assert not_kept(run(routing=0.1)) == [], "6 MiB in an hour"


def test_what_kafka_holds_open_of_its_log_grows_with_it() -> None:
    found = {each.name: [value for _, value in each.points] for each in series(run())}
    assert set(found["handles, kafka"]) == {30}
    assert found["files of its log that kafka holds open"] == [10 + 4 * minute for minute in range(MINUTES)]


def test_the_first_half_is_the_warm_up() -> None:
    rises_at_first = Series("memory", "MiB", [(float(minute), min(minute, 25) * 10.0) for minute in range(60)], MEMORY)
    assert judge(rises_at_first, 60).kept
    rises_late = Series("memory", "MiB", [(float(minute), max(minute, 35) * 10.0) for minute in range(60)], MEMORY)
    assert not judge(rises_late, 60).kept


def test_a_level_can_be_too_high_though_it_is_flat() -> None:
    lag = [(float(minute), 900.0) for minute in range(60)]
    assert not judge(Series("lag", "records", lag, Rule(0, 500, 500)), 60).kept


def test_figures_that_are_missing_are_not_flat() -> None:
    assert not judge(Series("lag", "records", [], MEMORY), 60).kept


@pytest.mark.parametrize(
    ("other", "name"),
    [
        ({"error": "BusError: Kafka is away"}, "published"),
        ({"findings": ["forecast: one cent"]}, "totals"),
        ({"dead_letters": {"lifecycle": 6, "routing": 0, "forecast": 0}}, "dead letters"),
        ({"dead_letters": {"lifecycle": 7, "routing": 1, "forecast": 0}}, "dead letters"),
        ({"deaths": ["routing"]}, "deaths"),
        ({"warnings": ["lifecycle: WARNING slow"]}, "warnings"),
        ({"missed_probes": ["probe-3"]}, "probes missed"),
        ({"settled_seconds": 40.0}, "settled"),
    ],
)
def test_a_run_that_was_not_sound_is_not_called_so(other: dict[str, Any], name: str) -> None:
    assert not_kept({**run(), "end": end(**other)}) == [name]


def test_a_question_that_was_not_answered_is_told() -> None:
    found = run()
    assert not_kept(found) == []
    found["samples"][7]["services"]["routing"] = None
    found["samples"][8]["answers_ms"] = {"/v1/pipeline": 8.0}
    assert not_kept(found) == ["questions without an answer"]
    [told] = [each for each in verdicts(found) if not each.kept]
    assert told.figure == f"2 of {3 * MINUTES + 2}"


def test_a_run_that_did_not_come_to_its_end_is_not_sound() -> None:
    found = run()
    del found["end"]
    assert not_kept(found) == ["the end"]


def test_of_a_short_run_no_trend_is_told() -> None:
    found = {**run(routing=9.0), "minutes": 5}
    assert not_kept(found) == []


def test_the_way_that_measures_the_machine_comes_by_every_place() -> None:
    there, places = way(1_000), [0]
    while (place := there[places[-1]]) != 0:
        places.append(place)
    assert sorted(places) == list(range(1_000))


def test_the_page_and_the_picture_tell_every_figure() -> None:
    found = run(routing=0.3)
    text = page(found)
    judged = verdicts(found)
    for each in judged:
        assert f"| {each.name} | {each.figure}" in text
    assert f"**{len(judged) - 1} of {len(judged)} figures" in text
    root = ElementTree.fromstring(picture(found))
    assert sum(1 for _ in root.iter("{http://www.w3.org/2000/svg}path")) == 4 + 4 + 3 + 2 + 4 + 1 + 4
    labels = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert f"routing: {100 + 59 * 0.3:.0f}" in labels


def test_a_run_that_other_code_wrote_makes_no_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "soak.json"
    file.write_text(json.dumps({**run(), "format": 1}))
    assert write_page([str(file)]) == 1
    assert f"has format 1, this code reads {FORMAT}: run `make soak` again" in capsys.readouterr().err


def test_what_comes_late_counts_for_its_minute() -> None:
    latencies, now = Latencies(), time.perf_counter()
    for due in (now, now + 60, now + 61):
        latencies.note("rep out", due)
    first, second = latencies.by_minute()["rep out"]
    assert [(each["minute"], each["count"]) for each in (first, second)] == [(0, 1), (1, 2)]
    latencies.note("rep out", now - 5)
    later, unchanged = latencies.by_minute()["rep out"]
    assert (later["count"], unchanged) == (2, second)
    assert later["p50"] == first["p50"]
    assert later["p99"] == later["max"] >= 5_000


def test_facts_are_counted_anew_where_their_customer_is_at_home() -> None:
    home = murmur2(b"ada", 2)
    away = 1 - home
    message = probe_message("ada", 1)

    def lying(topic: str, partition: int, offset: int = 0, source: str = "crm") -> Record:
        headers = tuple((name, source.encode() if name == "ce_source" else value) for name, value in message.headers)
        return Record(topic, partition, offset, time.time_ns() // 10**6, message.key, message.value, headers)

    here, moved = lying("crm.opportunity.v1", home), lying("lifecycle.moved.v1", home)
    histories, sent = present([here, moved, lying("crm.opportunity.v1", home, 1, SPOILED)], home, 2)
    assert (len(histories), sent) == (1, 2), "what was moved was sent elsewhere, and what is spoiled is no fact"
    assert [image["figures"][0] for ((_, image, _),) in histories[0].images] == [10_000]
    assert present([lying("crm.opportunity.v1", away)], away, 2) == ([], 1)


def test_a_stray_that_was_not_sent_home_is_found() -> None:
    home = murmur2(b"ada", 2)

    def noted(*places: tuple[str, int]) -> list[Astray]:
        found = [Astray(0, 2), Astray(1, 2)]
        for number, (topic, partition) in enumerate(places):
            said = probe_message("ada", 1)
            record = Record(topic, partition, number, time.time_ns() // 10**6, said.key, said.value, said.headers)
            assert list(found[partition].noting([record])) == [record]
        return found

    at_home, astray, moved = ("crm.opportunity.v1", home), ("crm.opportunity.v1", 1 - home), ("lifecycle.moved.v1", home)
    assert list(forwarded(noted(at_home))) == []
    assert list(forwarded(noted(astray, moved, astray, at_home))) == []
    [left] = forwarded(noted(astray))
    assert left.startswith("1 facts lie in another partition")
    [more] = forwarded(noted(at_home, moved))
    assert more.startswith("1 facts were sent to")


def test_what_is_missing_is_found() -> None:
    assert list(compared(listed=3, customers=3, sent=9, lying=9)) == []
    assert len(list(compared(listed=2, customers=3, sent=9, lying=8))) == 2


@pytest.mark.long
@pytest.mark.kafka
@pytest.mark.timeout(300)
def test_a_run_of_seconds_is_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    json_file = tmp_path / "soak.json"
    code = main(["--minutes", "0.3", "--rate", "100", "--seed", "5", "--json", str(json_file)])
    said = capsys.readouterr().out
    assert code == 0, said
    found = json.loads(json_file.read_text())
    assert found["end"]["malformed"] > 0
    assert found["end"]["deals"] > 100
    assert {"status change out", "rep out", "deal in the forecast"} <= found["latencies_ms"].keys()
    assert len(found["samples"]) >= 4
    picture(found)
    page(found)
