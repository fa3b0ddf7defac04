"""The process map: each figure in a story, and all of them against a plain recomputation."""

from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.lifecycle.domain.mining import process_map
from services.lifecycle.domain.path import Process, path_of
from services.lifecycle.domain.process_map import ProcessMap, StatusFigures, Times, Transition
from services.lifecycle.domain.table import DEFAULT, StatusRow

from .naive_map import Visit, naive

DAY = 86_400 * 10**9
END = 1000 * DAY
STAGE = {row.name: row.stage for row in DEFAULT.rows}
WITH_TARGETS = replace(
    DEFAULT, rows=tuple(replace(row, target_duration=3 * DAY) if row.name in ("New", "Proposal") else row for row in DEFAULT.rows)
)
OPPORTUNITY, NEGOTIATION, WON, LOST = "Opportunity Identified", "In Negotiation", "Closed Won", "Closed Lost"


def trace(*said: tuple[int, str]) -> list[Visit]:
    """Statuses with the day on which each begins."""
    return [(day * DAY, STAGE.get(name, "prospect"), name) for day, name in said]


def mapped(*traces: list[Visit], table: Any = DEFAULT, **more: Any) -> ProcessMap:
    return process_map(traces, Process.of(table), END, **more)


def status(found: ProcessMap, name: str) -> StatusFigures:
    return next(each for each in found.statuses if each.status == name)


def move(found: ProcessMap, before: str, after: str) -> Transition:
    return next(each for each in found.transitions if (each.from_status, each.to_status) == (before, after))


def days(times: Times) -> tuple[int, float | None, float | None]:
    return times.count, *(None if each is None else each / 86_400 for each in (times.median_seconds, times.p90_seconds))


def test_of_no_cases_there_is_an_empty_map() -> None:
    found = mapped([], [])
    assert (found.cases, found.moves, found.transitions, found.variants.listed) == (0, 0, [], [])
    assert found.never_seen == [row.name for row in DEFAULT.rows]
    assert {(step.reached, step.share, step.conversion) for step in found.path} == {(0, None, None)}
    assert (found.rework.share, found.skips.share) == (None, None)


def test_a_transition_counts_what_directly_follows_and_how_long_the_first_lasted() -> None:
    found = mapped(
        trace((0, "New"), (1, "Qualified"), (4, "New"), (9, "Qualified")),
        trace((0, "New"), (2, "Qualified")),
        trace((0, "New"), (2, "Dead")),
    )
    qualified = move(found, "New", "Qualified")
    assert (qualified.count, qualified.cases, qualified.direction) == (3, 2, "forward")
    assert days(qualified.time) == (3, 2, 4.4)  # 1, 2 and 5 days: nine tenths of the way is 0.8 from 2 to 5
    assert [(each.from_status, each.to_status, each.count) for each in found.transitions] == [
        ("New", "Qualified", 3),
        ("New", "Dead", 1),
        ("Qualified", "New", 1),
    ]


def test_a_visit_that_goes_on_is_no_completed_one_but_has_an_age() -> None:
    found = status(mapped(trace((0, "New"), (990, "Qualified")), trace((980, "Qualified"))), "Qualified")
    assert (found.visits, found.cases, found.now) == (2, 2, 2)
    assert days(found.completed) == (0, None, None)
    assert days(found.open) == (2, 15, 19)


def test_who_went_further_has_reached_what_lies_before() -> None:
    found = mapped(
        trace((0, "New"), (2, OPPORTUNITY), (5, WON)),
        trace((0, "Proposal"), (7, LOST)),
        trace((0, "New"), (1, "Dead")),
        trace((0, "New"), (1, "Qualified")),
    )
    assert [(step.status, step.reached, step.share, step.conversion) for step in found.path] == [
        ("New", 4, 1.0, None),
        ("Qualified", 3, 0.75, 0.75),
        (OPPORTUNITY, 2, 0.5, 0.6667),
        ("In Discussion", 2, 0.5, 1.0),
        ("Identified Decision Makers", 2, 0.5, 1.0),
        ("Proposal", 2, 0.5, 1.0),
        (NEGOTIATION, 1, 0.25, 0.5),
        ("Purchasing", 1, 0.25, 1.0),
        (WON, 1, 0.25, 1.0),
    ]
    assert [(each.stage, each.reached, each.cases, each.conversion) for each in found.stages] == [
        ("lead", 4, 3, None),
        ("prospect", 2, 2, 0.5),
        ("customer", 1, 1, 0.5),
    ]
    assert days(found.path[2].time) == (2, 1, 1.8)
    assert days(found.path[8].time) == (1, 5, 5)


def test_where_cases_end_is_not_on_the_path() -> None:
    assert [row.name for row in DEFAULT.rows if row.name not in path_of(DEFAULT)] == ["Unqualified", "Dead", "Recycled", LOST]


def test_a_status_of_ones_own_is_on_the_path_unless_it_is_less_probable() -> None:
    rows = list(DEFAULT.rows)
    rows.insert(1, StatusRow("Contacted", "lead", 0))
    rows.insert(3, StatusRow("Accepted by sales", "lead", 5))
    rows.insert(-2, StatusRow("On hold", "prospect", 15))
    rows.append(StatusRow("Renewal", "customer", 100))
    added = set(path_of(replace(DEFAULT, rows=tuple(rows)))) - set(path_of(DEFAULT))
    assert added == {"Contacted", "Accepted by sales", "Renewal"}


def test_rework_is_to_go_back_or_to_be_there_again() -> None:
    found = mapped(
        trace((0, "Proposal"), (1, NEGOTIATION), (2, "Proposal"), (3, NEGOTIATION), (4, WON)),
        trace((0, LOST), (1, "Proposal")),
        trace((0, "New"), (1, "Dead")),
    )
    assert (found.rework.transitions, found.rework.cases, found.rework.share) == (3, 2, 0.6667)
    assert (move(found, NEGOTIATION, "Proposal").rework, move(found, NEGOTIATION, "Proposal").direction) == (1, "back")
    assert (move(found, "Proposal", NEGOTIATION).count, move(found, "Proposal", NEGOTIATION).rework) == (2, 1)
    assert (status(found, NEGOTIATION).visits, status(found, NEGOTIATION).cases) == (2, 1)


def test_a_skip_is_a_move_along_the_path_over_some_of_it() -> None:
    found = mapped(
        trace((0, OPPORTUNITY), (1, "Proposal"), (2, LOST)),
        trace((0, "Proposal"), (1, OPPORTUNITY)),
        trace((0, "Dead"), (1, OPPORTUNITY)),
    )
    assert move(found, OPPORTUNITY, "Proposal").skipped == ["In Discussion", "Identified Decision Makers"]
    assert move(found, "Proposal", LOST).skipped == move(found, "Proposal", OPPORTUNITY).skipped == []
    assert (found.skips.transitions, found.skips.cases) == (1, 1)


def test_variants_most_frequent_first_and_the_others() -> None:
    some = [trace((0, "New"), (1, "Dead"))] * 3 + [trace((0, "New"))] * 2 + [trace((0, "New"), (1, "Qualified"))]
    found = mapped(*some, variants=2).variants
    assert [(each.statuses, each.count, each.share) for each in found.listed] == [(["New", "Dead"], 3, 0.5), (["New"], 2, 0.3333)]
    assert (found.distinct, found.complete, found.others) == (3, True, 1)


def test_where_variants_find_no_room_all_else_is_counted_as_ever() -> None:
    some = [trace((0, "New"), (1, "Dead"))] * 3 + [trace((0, "New"), (1, "Qualified"), (2, "Dead"), (3, "New"))] * 2
    whole, short = mapped(*some), mapped(*some, room=1)
    assert (short.variants.distinct, short.variants.complete, short.variants.others) == (2, False, 2)
    assert replace_variants(short) == replace_variants(whole)


def replace_variants(found: ProcessMap) -> dict[str, Any]:
    return {name: value for name, value in asdict(found).items() if name != "variants"}


def test_a_long_way_is_named_by_its_beginning() -> None:
    (listed,) = mapped(trace(*((day, ("New", "Qualified")[day % 2]) for day in range(200)))).variants.listed
    assert (listed.length, len(listed.statuses), listed.statuses[:2]) == (200, 50, ["New", "Qualified"])


def test_times_beside_the_target_of_the_table() -> None:
    some = [trace((0, "New"), (3, "Qualified")), trace((0, "New"), (4, "Qualified")), trace((0, "New")), trace((999, "New"))]
    found = status(mapped(*some, table=WITH_TARGETS), "New")
    assert (found.target_seconds, found.over_target, found.over_target_share, found.open_over_target) == (3 * 86_400, 1, 0.5, 1)
    assert status(mapped(*some, table=WITH_TARGETS), "Qualified").over_target is None


def test_what_the_table_lacks_stands_behind_its_stage() -> None:
    found = mapped(trace((0, "Old"), (1, "Older"), (2, "Proposal"), (3, "Old"), (4, "New")))
    names = [each.status for each in found.statuses]
    assert names[names.index(LOST) :] == [LOST, "Old", "Older", WON]
    assert (found.not_in_table, status(found, "Old").in_table, status(found, "Old").probability) == (["Old", "Older"], False, None)
    assert move(found, "Old", "Older").direction == move(found, "Proposal", "Old").direction == "unordered"
    assert (move(found, "Proposal", "Old").rework, move(found, "Old", "New").direction) == (1, "back")


def test_neighbours_of_the_same_status_are_one_visit() -> None:
    found = mapped(trace((0, "Proposal"), (1, "Proposal"), (3, WON)))
    assert (found.moves, days(status(found, "Proposal").completed)) == (1, (1, 3, 3))


def test_the_longest_time_that_there_can_be() -> None:
    first, last = -(2**63), 2**63 - 1
    found = process_map([[(first, "lead", "New"), (last, "lead", "Dead")]], Process.of(DEFAULT), last)
    assert status(found, "New").completed.median_seconds == (2**64 - 1) // 10**9


# ------------------------------------------------------------------------------------------- properties

NAMES = st.sampled_from([*((row.stage, row.name) for row in DEFAULT.rows), ("prospect", "Old"), ("lead", "Proposal")])


@st.composite
def logs(draw: st.DrawFn) -> list[list[Visit]]:
    """Some cases, of which many share their statuses and their times."""
    cases = []
    for _ in range(draw(st.integers(0, 8))):
        at = draw(st.integers(0, 3)) * DAY
        case = []
        for stage, name in draw(st.lists(NAMES, max_size=7)):
            case.append((at, stage, name))
            at += draw(st.sampled_from([1, DAY, 3 * DAY, 10**9 + 1, 7 * DAY // 3]))
        cases.append(case)
    return cases


@pytest.mark.parametrize("room", [4_000_000, 40])
@given(cases=logs())
def test_it_agrees_with_the_plain_recomputation(room: int, cases: list[list[Visit]]) -> None:
    found = process_map(cases, Process.of(WITH_TARGETS), END, variants=100, room=room)
    rows = [(row.stage, row.name, row.target_duration) for row in WITH_TARGETS.rows]
    plain = naive(cases, rows, path_of(WITH_TARGETS), END)
    assert found.cases == plain["cases"]
    assert {(each.stage, each.status): pick(each, plain_status) for each in found.statuses} == plain["statuses"]
    assert {each.stage: pick(each, plain_stage) for each in found.stages} == plain["stages"]
    assert [told(step.time) for step in found.path] == plain["path"]
    assert {
        ((each.from_stage, each.from_status), (each.to_stage, each.to_status)): pick(each, ("count", "cases", "time"))
        for each in found.transitions
    } == plain["transitions"]
    assert (found.rework.transitions, found.rework.cases) == plain["rework"]
    assert (found.skips.transitions, found.skips.cases) == plain["skips"]
    assert sum(each.rework for each in found.transitions) == found.rework.transitions
    if found.variants.complete:
        assert len(plain["variants"]) == found.variants.distinct
        assert sorted(each.count for each in found.variants.listed) == sorted(plain["variants"].values())


plain_status = ("visits", "cases", "started", "now", "completed", "open", "over_target", "open_over_target")
plain_stage = ("visits", "cases", "reached", "completed", "open")


def told(times: Times) -> tuple[int, int | None, int | None]:
    return times.count, times.median_seconds, times.p90_seconds


def pick(figures: Any, names: tuple[str, ...]) -> dict[str, Any]:
    found = {name: getattr(figures, name) for name in names}
    return {name: told(value) if isinstance(value, Times) else value for name, value in found.items()}


@given(cases=logs(), seed=st.randoms(use_true_random=False))
def test_the_order_in_which_cases_come_does_not_matter(cases: list[list[Visit]], seed: Any) -> None:
    shuffled = list(cases)
    seed.shuffle(shuffled)
    assert process_map(shuffled, Process.of(DEFAULT), END) == process_map(cases, Process.of(DEFAULT), END)
