"""``handoff process-map``: tables in a pipe and at terminals, JSON, and the picture as a file."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.lifecycle.domain.mining import process_map
from services.lifecycle.domain.path import Process
from services.lifecycle.domain.table import DEFAULT
from services.lifecycle.process.maps import ProcessAnswer

DAY = 86_400 * 10**9
URL = "/v1/process-map"
STAGE = {row.name: row.stage for row in DEFAULT.rows} | {"Old": "prospect"}


def answer(*ways: tuple[int, str], only: Mapping[str, str] | None = None) -> Any:
    """What lifecycle answers, where so many went such ways, with three days in each status."""
    traces = [
        [(3 * DAY * number, STAGE[name], name) for number, name in enumerate(way.split(" > "))]
        for count, way in ways
        for _ in range(count)
    ]
    found = process_map(traces, Process.of(DEFAULT), 100 * DAY)
    asked: Any = {"subject": "records", "as_of": "2026-04-01T08:30:00Z", "position": 7, "table_version": 0, "only": only or {}}
    return msgspec.to_builtins(ProcessAnswer.of(found, **asked))


SOLD = (1200, "New > Qualified > Opportunity Identified > Proposal > Closed Won")
LOOP = (40, "New > Old > New > Dead")


def test_the_tables_in_a_pipe(services: dict[str, Any], handoff: Callable[..., Any]) -> None:
    services["lifecycle"].says(URL, answer(SOLD, LOOP, only={"source": "web", "owner": ""}))
    ended = handoff("process-map")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "How 1,240 records really moved, as of 2026-04-01 08:30:00, source web, owner none",
        "4,920 moves",
        "rework: 3.2 % went back or round again (40 moves)",
        "skips: 96.8 % went over a status (2,400 moves)",
        "",
        "stage     reached  of all  of last  median in it",
        "lead        1,240   100 %                  6.0 d",
        "prospect    1,240   100 %    100 %         6.0 d",
        "customer    1,200  96.8 %   96.8 %             -",
        "",
        "status                      reached  of all  of last  median until",
        "New                           1,240   100 %                    0 s",
        "Qualified                     1,200  96.8 %   96.8 %         3.0 d",
        "Opportunity Identified        1,200  96.8 %    100 %         6.0 d",
        "In Discussion                 1,200  96.8 %    100 %         9.0 d",
        "Identified Decision Makers    1,200  96.8 %    100 %         9.0 d",
        "Proposal                      1,200  96.8 %    100 %         9.0 d",
        "In Negotiation                1,200  96.8 %    100 %        12.0 d",
        "Purchasing                    1,200  96.8 %    100 %        12.0 d",
        "Closed Won                    1,200  96.8 %    100 %        12.0 d",
        "",
        "in status               cases  visits    now  median    p90  target  longer",
        "New                     1,240   1,280      0   3.0 d  3.0 d",
        "Qualified               1,200   1,200      0   3.0 d  3.0 d",
        "Dead                       40      40     40       -      -",
        "Opportunity Identified  1,200   1,200      0   3.0 d  3.0 d",
        "Proposal                1,200   1,200      0   3.0 d  3.0 d",
        "Old (not in the table)     40      40      0   3.0 d  3.0 d",
        "Closed Won              1,200   1,200  1,200       -      -",
        "never seen: Unqualified, Recycled, In Discussion, Identified Decision Makers, In Negotiation, Purchasing, Closed Lost",
        "",
        "Transitions",
        "from                    to                      times  cases  after",
        "New                     Qualified               1,200  1,200  3.0 d",
        "Qualified               Opportunity Identified  1,200  1,200  3.0 d",
        "Opportunity Identified  Proposal                1,200  1,200  3.0 d  over 2",
        "Proposal                Closed Won              1,200  1,200  3.0 d  over 2",
        "New                     Dead                       40     40  3.0 d",
        "New                     Old                        40     40  3.0 d",
        "Old                     New                        40     40  3.0 d  rework 40",
        "",
        "The most frequent of 2 ways",
        " share  cases  way",
        "96.8 %  1,200  New > Qualified > Opportunity Identified > Proposal > Closed Won",
        " 3.2 %     40  New > Old > New > Dead",
    ]


def test_of_nothing_there_is_nothing_to_show(services: dict[str, Any], handoff: Callable[..., Any]) -> None:
    services["lifecycle"].says(URL, answer())
    assert handoff("process-map").out.splitlines() == [
        "How 0 records really moved, as of 2026-04-01 08:30:00",
        "nothing is known of any such case",
    ]


@pytest.mark.parametrize("columns", [80, 160])
def test_at_a_terminal_nothing_is_wider_than_it(services: dict[str, Any], terminal: Callable[..., list[str]], columns: int) -> None:
    services["lifecycle"].says(URL, answer(SOLD, LOOP))
    lines = terminal(columns, "process-map")
    assert max(map(len, lines)) <= columns
    assert any(line.split()[:2] == ["Proposal", "1,200"] for line in lines)


def test_more_transitions_than_are_shown(services: dict[str, Any], handoff: Callable[..., Any]) -> None:
    names = [row.name for row in DEFAULT.rows]
    pairs = [(1, f"{before} > {after}") for before in names[:5] for after in names[5:]]
    services["lifecycle"].says(URL, answer(*pairs))
    short, long = handoff("process-map").out, handoff("process-map", "--all").out
    assert "The 20 most frequent of 40 transitions (--all shows the others)" in short
    assert "30 went another way" in short
    assert len(long.splitlines()) - len(short.splitlines()) == 20


def test_what_is_asked_reaches_the_service_and_the_answer_comes_as_it_is(
    services: dict[str, Any], handoff: Callable[..., Any]
) -> None:
    body = answer(LOOP)
    services["lifecycle"].says(URL, body)
    chosen = ["--from", "2026-01-01", "--to", "2026-02-01", "--as-of", "2026-03-01", "--stage", "lead", "--status", "Dead"]
    chosen += ["--source", "web", "--country", "DE", "--owner", "", "--subject", "deals"]
    assert json.loads(handoff("process-map", "--json", *chosen).out) == body
    assert services["lifecycle"].asked == [
        f"{URL}?subject=deals&from=2026-01-01&to=2026-02-01&as_of=2026-03-01&stage=lead&status=Dead&source=web&country=DE&owner="
    ]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--svg", "map.svg", "--json"], "--svg and --json are two forms of the same answer: ask for one"),
        (["--arrows", "3"], "--arrows is about the picture: it needs --svg"),
    ],
)
def test_what_does_not_go_together(handoff: Callable[..., Any], arguments: list[str], line: str) -> None:
    assert handoff("process-map", *arguments) == (2, "", f"handoff: {line}\n")


def test_a_question_that_the_service_refuses(services: dict[str, Any], handoff: Callable[..., Any]) -> None:
    services["lifecycle"].says(URL, {"detail": "stage: must be one of lead, prospect, customer"}, 422)
    ended = handoff("process-map", "--stage", "won")
    assert ended == (2, "", "handoff: lifecycle answers 422: stage: must be one of lead, prospect, customer\n")


def test_the_picture_in_a_file_and_on_standard_output(
    services: dict[str, Any], handoff: Callable[..., Any], tmp_path: Path
) -> None:
    services["lifecycle"].says(f"{URL}.svg", {"svg": "→"})
    file = tmp_path / "map.svg"
    ended = handoff("process-map", "--svg", str(file), "--arrows", "12", "--status", "In Negotiation")
    assert (ended.code, ended.out) == (0, f"the process map is in {file}\n")
    assert services["lifecycle"].asked == [f"{URL}.svg?subject=records&status=In+Negotiation&arrows=12"]
    assert json.loads(file.read_text(encoding="utf-8")) == json.loads(handoff("process-map", "--svg", "-").out) == {"svg": "→"}


@pytest.mark.parametrize(
    ("name", "reason"), [("no/map.svg", "No such file or directory"), ("/dev/full", "No space left on device")]
)
def test_a_file_that_cannot_be_written(
    services: dict[str, Any], handoff: Callable[..., Any], tmp_path: Path, name: str, reason: str
) -> None:
    services["lifecycle"].says(f"{URL}.svg", {})
    file = tmp_path / name
    told = f"handoff: the picture cannot be written to {file}: {reason}\n"
    assert handoff("process-map", "--svg", str(file)) == (2, "", told)
