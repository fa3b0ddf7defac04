"""What the closing of the demo is made from: late facts, traces that tell something, ends of months, settings of another shell."""

from collections.abc import Mapping
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from events.assignments import LeadAssigned
from events.bus.memory import MemoryBus
from events.codec import encode
from events.record import Record
from events.topics import ASSIGNMENT, TOPICS
from handoff.demo import calling
from handoff.demo.farewell import farewell
from handoff.demo.late import LateFacts
from handoff.demo.simulation import simulate
from handoff.demo.watcher import TELLING_KEPT, Telling, Watcher
from handoff.demo.worktime import DAY, Year, month_ends
from handoff.settings import ServiceName, load
from tests.ports import free_port

from .conftest import Answering
from .demo_scenes import scene

YEAR = Year(date(2026, 7, 1))


def test_late_facts_are_those_that_came_days_after_they_had_happened() -> None:
    facts = LateFacts(YEAR)
    passed = list(facts.of(simulate(3, YEAR, leads=300)))
    assert passed == list(simulate(3, YEAR, leads=300))  # the year itself is as it was
    late = facts.found()
    first = [arrival for arrival in passed if arrival.happening is not None]
    assert len(late) == sum(YEAR.begin <= each.happening.at < each.at - DAY for each in first if each.happening)
    assert 0.01 < len(late) / len(first) < 0.05
    assert all(before.arrived_at <= after.arrived_at for before, after in pairwise(late))
    assert {fact.type.split(".")[1] for fact in late} >= {"lead", "opportunity", "quote", "order"}


def decision(number: int, territories: int, *excluded: str) -> Record:
    members = [{"rep_id": "anna", "weight": 1}, *({"rep_id": rep, "weight": 1, "excluded": "has a day off"} for rep in excluded)]
    trace: dict[str, Any] = {"territories": [{"territory": "All", "holds": True}] * territories, "members": members}
    assigned = LeadAssigned(customer_id=f"C-{number}", assignment_id=f"A-{number}", rep_id="anna", territory="All", trace=trace)
    message = encode(
        ASSIGNMENT.name,
        "crm.lead.assigned.v1",
        assigned,
        source="handoff/routing",
        id=assigned.assignment_id,
        occurred_at=0,
        recorded_at=0,
    )
    return Record(message.topic, 0, number, message.timestamp or 0, message.key, message.value, message.headers)


def test_traces_that_tell_most_come_first_and_the_others_are_forgotten() -> None:
    watcher = Watcher(MemoryBus({topic.name: topic.partitions(1) for topic in TOPICS}), lambda data, at: None)
    watcher.take_in([decision(number, 1) for number in range(2 * TELLING_KEPT)])
    watcher.take_in([decision(100, 7), decision(101, 2, "ben"), decision(102, 4, "ben", "chiara")])
    telling = watcher.seen().telling
    assert len(telling) == TELLING_KEPT
    assert [each.customer_id for each in telling[:4]] == ["C-102", "C-101", "C-100", "C-9"]
    assert telling[1].excluded == (("ben", "has a day off"),)


@pytest.mark.parametrize("until", [date(2026, 7, 1), date(2026, 1, 1), date(2026, 11, 22), date(2026, 3, 1)])
def test_a_year_has_twelve_ends_of_months(until: date) -> None:
    ends = month_ends(Year(until))
    assert len(ends) == 12
    assert all(before < after for before, after in pairwise(ends))
    assert all(Year(until).first <= day < until for day in ends)
    assert {(day.month, day.day) for day in ends if day.month != 2} == {
        (m, 30 + (m in {1, 3, 5, 7, 8, 10, 12})) for m in range(1, 13) if m != 2
    }


def test_another_shell_is_told_what_is_not_as_it_is_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA", "LIFECYCLE", "ROUTING", "FORECAST"):
        monkeypatch.delenv(f"HANDOFF_{name}_PORT")
    port = free_port()
    assert calling.exports(load()) == ""
    assert calling.exports(load(forecast_port=port, host="::1")) == f"export HANDOFF_HOST=::1 HANDOFF_FORECAST_PORT={port}"


def test_a_command_is_called_as_this_shell_finds_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert calling.command().endswith("handoff")
    (tmp_path / "handoff").touch(mode=0o755)
    assert calling.command() == "handoff"


def pipeline(opened: str = "10.00") -> dict[str, Any]:
    part = {"count": 1, "amount": opened}
    none = {"count": 0, "amount": "0.00"}
    states = {"open": {**part, "weighted": "5.00"}, "won": none, "lost": none}
    return {"currency": "EUR", "totals": states, "groups": [{"key": "A-Team", "label": "A-Team", **states}]}


def test_it_suggests_the_decision_that_still_holds_and_claims_no_difference_where_there_is_none(
    services: Mapping[ServiceName, Answering],
) -> None:
    told = (
        Telling(9, "C-1", "A-1", "anna", (("ben", "is away"),)),
        Telling(8, "C-2", "A-2", "chiara", ()),
        Telling(7, "C-3", "A-3", "dev", ()),
    )
    shown = replace(scene(), seen=replace(scene().seen, telling=told, buried={}))
    services["routing"].says("/v1/assignments/C-1", {"assignments": [{"reason": "gone"}, {"assignment_id": "A-1"}]})
    services["routing"].says("/v1/assignments/C-2", {"assignments": [{"assignment_id": "A-2"}]})
    services["forecast"].says("/v1/pipeline", pipeline())
    assert [tuple(each) for each in farewell(shown, (), load(), "handoff")] == [
        ("Why chiara got C-2: every rule tried, every rep, the values they saw", "handoff explain C-2"),
        ("The pipeline as it stood on 2026-06-30: 1 deals open, 10 EUR", "handoff forecast --as-of 2026-06-30 --by team"),
        (
            "The same as it was known that evening: no late fact since",
            "handoff forecast --as-of 2026-06-30 --known-at 2026-06-30",
        ),
    ]
