"""Playing a year on a bus, watching what comes of it, and where the demo keeps it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from events.assignments import LeadAssigned
from events.bus.memory import Fault, MemoryBus
from events.codec import Fact, decode, encode
from events.facts import ActivityLogged
from events.record import Message, Record, TopicPartition
from events.topics import ASSIGNMENT, TOPICS
from events.values import NANOSECONDS
from handoff.demo.arrival import Arrival
from handoff.demo.company import PHONES
from handoff.demo.folder import MARK, make_anew
from handoff.demo.player import BATCH, RATE_SECONDS, Player
from handoff.demo.simulation import simulate
from handoff.demo.story import Happening
from handoff.demo.watcher import KEPT, Watcher, reason_of
from handoff.demo.worktime import DAY, Year
from handoff.errors import CommandError
from handoff.stack.folder import claim

YEAR = Year(date(2026, 7, 1))
SHARDS = 4
Eventually = Callable[..., None]


def small_year() -> list[Arrival]:
    return list(simulate(3, YEAR, leads=150, shards=SHARDS))


def new_bus() -> MemoryBus:
    return MemoryBus({topic.name: topic.partitions(SHARDS) for topic in TOPICS})


@contextmanager
def playing(player: Player) -> Iterator[threading.Thread]:
    stop = threading.Event()
    thread = threading.Thread(target=player.run, args=(stop,))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def written(bus: MemoryBus) -> list[Record]:
    places = [TopicPartition(topic.name, part) for topic in TOPICS for part in range(topic.partitions(SHARDS))]
    return [record for place in places for record in bus.log(place).read(0, bus.log(place).end)[0]]


def texts(records: list[Record] | list[Message]) -> list[str]:
    return sorted(repr((each.topic, each.key, each.value, each.headers, each.timestamp)) for each in records)


def test_the_whole_year_is_written_as_it_is(eventually: Eventually) -> None:
    arrivals, bus = small_year(), new_bus()
    assert len(arrivals) > 1.2 * BATCH
    player = Player(bus, YEAR, iter(arrivals), seconds=0, shards=SHARDS)
    with playing(player):
        eventually(lambda: player.played().over)
    assert texts(written(bus)) == texts([arrival.message for arrival in arrivals])
    assert player.played().published == len(arrivals)
    assert player.played().now == YEAR.end


def test_the_year_passes_by_the_clock(eventually: Eventually) -> None:
    arrivals, bus, elapsed = small_year(), new_bus(), [0.0]
    middle = YEAR.begin + (YEAR.end - YEAR.begin) // 2
    half = sum(arrival.at <= middle for arrival in arrivals)
    player = Player(bus, YEAR, iter(arrivals), seconds=100, shards=SHARDS, clock=lambda: elapsed[0])
    with playing(player):
        eventually(lambda: player.played().published > 0)  # what happened before the year comes at once
        assert player.played().published == sum(arrival.at == YEAR.begin for arrival in arrivals)
        elapsed[0] = 50.0
        eventually(lambda: player.played().now == middle)
        assert player.played().published == half
        assert not player.played().over
        elapsed[0] = 1000.0
        eventually(lambda: player.played().over)
    assert player.played().published == len(arrivals)


def test_answers_are_written_when_they_are_due_and_never_after_the_year(eventually: Eventually) -> None:
    bus, elapsed = new_bus(), [10.0]
    player = Player(bus, YEAR, iter([]), seconds=100, shards=SHARDS, clock=lambda: elapsed[0])
    numbers = count(1)

    def answer(at: int) -> Happening:
        number = next(numbers)
        return Happening(at, PHONES, f"A-{number}", ActivityLogged(customer_id="C-1", activity_id=f"A-{number}"))

    with playing(player):
        eventually(lambda: player.played().now == YEAR.begin)
        player.answer([answer(YEAR.begin + 20 * DAY), answer(YEAR.begin + 300 * DAY), answer(YEAR.end + DAY)])
        assert player.played().waiting == 2
        elapsed[0] += 20
        eventually(lambda: player.played().published == 1)
        player.answer([answer(YEAR.begin + 10 * DAY)])  # late: its time has passed
        eventually(lambda: player.played().published == 2)
        elapsed[0] += 100
        eventually(lambda: player.played().over and not player.played().waiting)
    facts = {record.value: decode(record) for record in written(bus)}
    stamps = [fact.recorded_at for fact in facts.values() if isinstance(fact, Fact)]
    assert len(stamps) == 3
    assert sorted(stamps)[-1] < YEAR.end
    assert all(isinstance(fact, Fact) and fact.occurred_at <= fact.recorded_at for fact in facts.values())


def test_where_nothing_is_written_the_rate_is_nothing(eventually: Eventually) -> None:
    elapsed = [0.0]
    player = Player(new_bus(), YEAR, iter(small_year()), seconds=100, shards=SHARDS, clock=lambda: elapsed[0])
    with playing(player):
        eventually(lambda: player.played().published > 0)
        elapsed[0] = 1.0
        eventually(lambda: player.played().rate > 0)
    elapsed[0] += 1.1 * RATE_SECONDS
    assert player.played().rate == 0


@pytest.mark.parametrize("fault", ["refused", "unanswered"])
def test_what_kafka_does_not_take_is_written_again_by_another_producer(fault: Fault, eventually: Eventually) -> None:
    arrivals, bus = small_year(), new_bus()
    numbers = count(1)
    bus.fault = lambda message: fault if next(numbers) in (1, BATCH + 200) else None
    player = Player(bus, YEAR, iter(arrivals), seconds=0, shards=SHARDS)
    with playing(player):
        eventually(lambda: player.played().over)
    assert next(numbers) > len(arrivals) + 2
    assert set(texts(written(bus))) == set(texts([arrival.message for arrival in arrivals]))
    assert player.played().published == len(arrivals)


# ------------------------------------------------------------------------------------------- watcher


def condition(field: str, value: object, *, holds: bool = True) -> dict[str, Any]:
    return {"test": "in", "holds": holds, "field": field, "operand": [], "value": value}


ENTERPRISE = {
    "territories": [
        {"territory": "Partners", "holds": False, "condition": condition("source_kind", "marketing", holds=False)},
        {
            "territory": "EMEA Enterprise",
            "holds": True,
            "condition": {
                "test": "all",
                "holds": True,
                "of": [
                    condition("country", "DE"),
                    {
                        "test": "any",
                        "holds": True,
                        "of": [condition("employees", 2300), condition("annual_revenue", "10.00 EUR", holds=False)],
                    },
                ],
            },
        },
    ]
}


def assigned(trace: dict[str, Any], territory: str = "default", pool: str | None = "everyone") -> LeadAssigned:
    return LeadAssigned(
        customer_id="C-1",
        assignment_id="C-1/0000000001/1",
        rep_id="anna",
        territory=territory,
        pool=pool,
        strategy="weighted_round_robin" if pool else "fixed_rep",
        trace=trace,
    )


@pytest.mark.parametrize(
    ("decision", "reason"),
    [
        (
            assigned(ENTERPRISE, "EMEA Enterprise", "emea enterprise"),
            "EMEA Enterprise (DE, 2,300 employees): weighted round robin in emea enterprise",
        ),
        (assigned({"territories": ENTERPRISE["territories"][:1]}), "no territory: weighted round robin in everyone"),
        (
            assigned({"territories": [{"territory": "All", "holds": True}]}, "All", None),
            "All: fixed rep",
        ),
        (
            assigned(
                {
                    "territories": [
                        {"territory": "Rich", "holds": True, "condition": condition("annual_revenue", "150000000.00 EUR")}
                    ]
                },
                "Rich",
            ),
            "Rich (annual revenue 150,000,000 EUR): weighted round robin in everyone",
        ),
    ],
)
def test_the_reason_of_an_assignment_fits_a_line(decision: LeadAssigned, reason: str) -> None:
    assert reason_of(decision) == reason


def test_an_assignment_is_answered_once_however_often_it_comes() -> None:
    told: list[tuple[str, int]] = []
    watcher = Watcher(new_bus(), lambda data, at: told.append((data.assignment_id, at)))
    message = encode(
        ASSIGNMENT.name,
        "crm.lead.assigned.v1",
        assigned(ENTERPRISE, "EMEA Enterprise"),
        source="handoff/routing",
        id="C-1/0000000001/1",
        occurred_at=5 * NANOSECONDS,
        recorded_at=5 * NANOSECONDS,
    )
    record = Record(message.topic, 0, 0, message.timestamp or 0, message.key, message.value, message.headers)
    watcher.take_in([record, record])
    watcher.take_in([record])
    assert told == [("C-1/0000000001/1", 5 * NANOSECONDS)]
    assert watcher.seen().assigned == 1
    assert [each.rep_id for each in watcher.seen().assignments] == ["anna"]


def test_dead_letters_are_counted_by_service_and_the_last_are_kept() -> None:
    watcher = Watcher(new_bus(), lambda data, at: None)
    headers = (("dl_reason", b"has no offset"), ("dl_path", b"header ce_time"))
    watcher.take_in([Record("lifecycle.dead-letter.v1", 0, n, 0, None, b"", headers) for n in range(KEPT + 5)])
    watcher.take_in([Record("routing.dead-letter.v1", 0, 0, 0, None, b"", (("dl_reason", b"is odd"), ("dl_path", b"")))])
    seen = watcher.seen()
    assert seen.buried == {"lifecycle": KEPT + 5, "routing": 1}
    assert len(seen.letters) == KEPT
    assert [(letter.service, letter.reason) for letter in seen.letters[-2:]] == [
        ("lifecycle", "header ce_time: has no offset"),
        ("routing", "is odd"),
    ]


def test_a_watcher_sees_what_is_on_the_topics(eventually: Eventually) -> None:
    bus, stop = new_bus(), threading.Event()
    watcher = Watcher(bus, lambda data, at: None)
    bus.append(Message("forecast.dead-letter.v1", None, b"{}", (("dl_reason", b"is odd"),)))
    thread = threading.Thread(target=watcher.run, args=(stop,))
    thread.start()
    try:
        eventually(lambda: watcher.seen().buried == {"forecast": 1})
    finally:
        stop.set()
        thread.join(10)


# -------------------------------------------------------------------------------------------- folder


def test_the_directory_of_a_demo_is_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "demo"
    make_anew(folder)
    (folder / "kafka").mkdir()
    (folder / "kafka" / "log").write_text("old")
    (folder / "lifecycle.sqlite").write_text("old")
    make_anew(folder)
    assert not (folder / "kafka").exists()
    assert not (folder / "lifecycle.sqlite").exists()
    assert (folder / MARK).is_file()


def test_what_no_demo_has_made_is_never_deleted(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CommandError, match=r"holds what no demo has made \(thesis.txt\)"):
        make_anew(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_demo_that_runs_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    make_anew(folder)
    (folder / "kafka").mkdir()
    with claim(folder), pytest.raises(CommandError, match="in use"):
        make_anew(folder)
    assert (folder / "kafka").exists()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(CommandError, match="cannot be made anew"):
        make_anew(tmp_path / "data" / "demo")
