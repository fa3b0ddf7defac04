"""The picture of a process map: well-formed, everything within its frame, nothing over anything else, the same every time."""

import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from random import Random
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.lifecycle.domain.mining import process_map
from services.lifecycle.domain.path import Process
from services.lifecycle.domain.process_map import ProcessMap
from services.lifecycle.domain.table import DEFAULT, StatusRow, StatusTable
from services.lifecycle.process.layout import BOX, FONT, NAME, layout
from services.lifecycle.process.maps import ProcessAnswer
from services.lifecycle.process.svg import picture
from services.lifecycle.process.words import duration, percent, text_width, wrapped

DAY = 86_400 * 10**9
SVG = "{http://www.w3.org/2000/svg}"


def wandering(table: StatusTable, cases: int, seed: int = 1) -> ProcessMap:
    """Cases that go anywhere: every transition that there can be occurs."""
    random = Random(seed)
    traces = []
    for _ in range(cases):
        at, trace = random.randrange(100) * DAY, []
        for row in random.choices(table.rows, k=random.randint(1, 12)):
            trace.append((at, row.stage, row.name))
            at += random.randrange(1, 40 * DAY)
        traces.append(trace)
    return process_map(traces, Process.of(table), 1000 * DAY, variants=5)


def answer(found: ProcessMap, **more: Any) -> ProcessAnswer:
    asked = {"subject": "records", "as_of": "2026-04-01T08:30:00Z", "position": 7, "table_version": 1, "only": {}, **more}
    return ProcessAnswer.of(found, **asked)


def drawn(found: ProcessMap, arrows: int = 30, **more: Any) -> Element:
    return fromstring(picture(answer(found, **more), arrows))


def named(*names: str) -> StatusTable:
    """A table whose statuses beside the triggers' have these names."""
    added = tuple(StatusRow(name, "prospect", 20) for name in names)
    return replace(DEFAULT, rows=(*DEFAULT.rows[:6], *added, *DEFAULT.rows[6:]))


MAPS = {
    "empty": process_map([], Process.of(DEFAULT), DAY),
    "one": process_map([[(0, "lead", "New")]], Process.of(DEFAULT), DAY),
    "few": wandering(DEFAULT, 3),
    "many": wandering(DEFAULT, 3000),
    "long names": wandering(named("An extraordinarily long name of a status" * 2, "W" * 80, "見積もりを提出しました" * 7), 500),
    "hundred statuses": wandering(named(*(f"Step {number}" for number in range(87))), 500),
}


def texts(svg: Element) -> Iterator[tuple[str, float, float, float, float, bool]]:
    """Every text: what, its left, right, top and bottom, and whether it stands upright."""
    for text in svg.iter(f"{SVG}text"):
        size, x, y = float(text.get("font-size", FONT)), float(text.get("x", 0)), float(text.get("y", 0))
        width = text_width(text.text or "", size)
        turned = (text.get("transform") or "").startswith("rotate(-90 ")
        left = x - {"start": 0.0, "middle": width / 2, "end": width}[text.get("text-anchor", "start")]
        yield (text.text or "", *((x - size, x, y - width, y) if turned else (left, left + width, y - size, y)), not turned)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("arrows", [0, 30, 100])
def test_every_text_and_every_box_is_within_the_frame(name: str, arrows: int) -> None:
    svg = drawn(MAPS[name], arrows, only={"source": "s" * 200, "owner": "W" * 200})
    _, _, width, height = map(float, svg.get("viewBox", "").split())
    for text, left, right, top, bottom, _ in texts(svg):
        assert 0 <= left <= right <= width, text
        assert 0 <= top <= bottom <= height, text
    for rect in svg.iter(f"{SVG}rect"):
        x, y, w, h = (float(rect.get(each, 0)) for each in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= width + 0.1
        assert 0 <= y <= y + h <= height + 0.1


@pytest.mark.parametrize("name", MAPS)
def test_no_box_lies_over_another_and_each_holds_what_is_said_of_it(name: str) -> None:
    svg = drawn(MAPS[name])
    boxes = []
    for group in svg.iter(f"{SVG}g"):
        frame = group.find(f"{SVG}rect")
        if frame is None:
            continue
        x, y, w, h = (float(frame.get(each, 0)) for each in ("x", "y", "width", "height"))
        boxes.append((x, y, x + w, y + h))
        for text, left, right, top, bottom, _ in texts(group):
            assert x <= left <= right <= x + w + 0.1, text
            assert y <= top <= bottom <= y + h, text
    assert len(boxes) == len(MAPS[name].statuses)
    for one, other in combinations(boxes, 2):
        assert one[2] <= other[0] or other[2] <= one[0], "boxes stand side by side"


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("arrows", [30, 100])
def test_no_label_of_an_arrow_lies_over_another_or_over_a_box(name: str, arrows: int) -> None:
    plan = layout(MAPS[name], arrows)
    places = []
    for arrow in plan.arrows:
        half, line = text_width(arrow.label, FONT) / 2, arrow.y - arrow.width / 2 - 4
        places.append((arrow.label_x - half, arrow.label_x + half, line - FONT, line))
    for one, other in combinations(places, 2):
        assert one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] or other[3] <= one[2]
    for box in plan.boxes:
        assert all(bottom <= box.y or top >= box.y + box.height for _, _, top, bottom in places)


@pytest.mark.parametrize("name", MAPS)
def test_arrows_are_the_most_frequent_transitions_and_the_others_are_counted(name: str) -> None:
    found = MAPS[name]
    plan = layout(found, 10)
    assert {id(arrow.transition) for arrow in plan.arrows} == {id(move) for move in found.transitions[:10]}
    said = " ".join(text for text, *_ in texts(drawn(found, 10)))
    if len(found.transitions) > 10:
        hidden = found.transitions[10:]
        assert f"{len(hidden):,} other transitions are not drawn: {sum(move.count for move in hidden):,} moves" in said
    else:
        assert "not drawn" not in said


def test_forward_runs_above_and_back_below_and_the_width_is_how_often() -> None:
    plan = layout(MAPS["many"], 100)
    ys = {box.figures.status: (box.y, box.y + box.height) for box in plan.boxes}
    for arrow in plan.arrows:
        top, bottom = ys[arrow.transition.from_status]
        assert (arrow.y < top and arrow.x1 < arrow.x2) if arrow.transition.direction == "forward" else arrow.y > bottom
    ordered = sorted(plan.arrows, key=lambda arrow: arrow.transition.count)
    assert [arrow.width for arrow in ordered] == sorted(arrow.width for arrow in ordered)


def test_it_says_in_text_what_it_shows() -> None:
    trace = [(0, "lead", "New"), (2 * DAY, "prospect", "Proposal"), (5 * DAY, "prospect", "Opportunity Identified")]
    found = process_map([trace] * 1234, Process.of(DEFAULT), 10 * DAY)
    svg = drawn(found, only={"source": "web", "owner": ""})
    title, description = svg.findtext(f"{SVG}title"), svg.findtext(f"{SVG}desc") or ""
    assert title == "How 1,234 records really moved"
    assert svg.get("aria-labelledby") == "title description"
    assert {each.get("id") for each in svg} >= {"title", "description"}
    assert "as of 2026-04-01 08:30 UTC, source web, owner none" in description
    assert "Proposal 1,234 (100 %)" in description
    assert "New to Proposal 1,234, median 2.0 d" in description
    said = [text for text, *_ in texts(svg)]
    assert {"1,234 · 2.0 d", "1,234 · 3.0 d", "In Discussion"} <= set(said)
    assert any("100 % of records went back or round again (1,234 moves)" in text for text in said)
    assert "100 % New → Proposal → Opportunity Identified (1,234)" in said
    colours = {kind: len(svg.findall(f".//{SVG}path[@class='{kind} arrow']")) for kind in ("forward", "skip", "back")}
    assert colours == {"forward": 0, "skip": 1, "back": 1}


def test_a_target_that_is_not_kept_is_marked() -> None:
    rows = tuple(replace(row, target_duration=DAY) if row.name == "New" else row for row in DEFAULT.rows)
    trace = [(0, "lead", "New"), (2 * DAY, "lead", "Qualified")]
    svg = drawn(process_map([trace], Process.of(replace(DEFAULT, rows=rows)), 3 * DAY))
    (late,) = [text for text in svg.iter(f"{SVG}text") if text.get("class") == "back said" and text.text == "100 %"]
    assert late.get("text-anchor") == "end"


def test_it_needs_nothing_else_and_is_the_same_every_time() -> None:
    found = answer(MAPS["many"])
    text = picture(found, 30)
    assert text == picture(found, 30)
    assert not re.search(r"<script|<image|<use|href|url\(|@import|@font-face|javascript:|on\w+=", text)
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert "prefers-color-scheme:dark" in text
    svg = fromstring(text)
    for each in svg.iter():
        if each.tag in (f"{SVG}text", f"{SVG}rect", f"{SVG}path", f"{SVG}polygon"):
            assert each.get("fill"), "colours are attributes too, for programs without style sheets"


@given(names=st.lists(st.text(min_size=1, max_size=80), min_size=2, max_size=5, unique=True), source=st.text(max_size=40))
def test_whatever_a_status_is_called_the_picture_is_xml(names: list[str], source: str) -> None:
    trace = [(number * DAY, "prospect", name) for number, name in enumerate(names)]
    svg = drawn(process_map([trace], Process.of(DEFAULT), 10 * DAY), only={"source": source})
    assert len(svg.findall(f".//{SVG}path")) == len(names) - 1


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "-"),
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1.0 h"),
        (86_399, "24.0 h"),
        (86_400, "1.0 d"),
    ],
)
def test_durations_for_people(seconds: int | None, said: str) -> None:
    assert duration(seconds) == said
    assert duration(123_456_789) == "1,428.9 d"


@pytest.mark.parametrize(("share", "said"), [(None, "-"), (0.0, "0.0 %"), (0.1234, "12.3 %"), (0.9999, "100 %"), (1.0, "100 %")])
def test_shares_for_people(share: float | None, said: str) -> None:
    assert percent(share) == said


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("New", ["New"]),
        ("Opportunity Identified", ["Opportunity", "Identified"]),
        ("a" * 60, ["a" * 12, "a" * 12, "a" * 11 + "…"]),
        ("One two three four five six seven eight nine", ["One two", "three four", "five six…"]),
        ("   ", [""]),
    ],
)
def test_names_are_broken_between_words(name: str, lines: Sequence[str]) -> None:
    found = wrapped(name, BOX - 14, NAME, 3)
    assert len(found) == len(lines)
    assert all(text_width(line, NAME) <= BOX - 14 for line in found)
    assert [line.rstrip("…")[:6] for line in found] == [line.rstrip("…")[:6] for line in lines]
    assert found[-1].endswith("…") == lines[-1].endswith("…")
