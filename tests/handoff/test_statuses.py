"""handoff statuses: what each command says of files and versions, and how it ends."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from events.values import parse_instant
from handoff.differences import differences
from services.lifecycle.domain.table import Tables
from services.lifecycle.matrix import content_view, table_view
from services.lifecycle.statuses import BUILT_IN, built_in, read_statuses

FILE = BUILT_IN.read_text()


def told(text: str) -> dict[str, Any]:
    return content_view(read_statuses(text.encode()).content.table(0))


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], str]:
    """Writes a status table; answers with its path."""

    def write(text: str) -> str:
        path = tmp_path / "ours.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_a_right_file(handoff: Callable[..., Any], file: Callable[[str], str]) -> None:
    path = file(f"effective_from: 2026-07-01\n{FILE}")
    assert handoff("statuses", "check", path) == (0, f"{path} is right: 13 statuses, in force from 2026-07-01T00:00:00Z\n", "")
    assert json.loads(handoff("statuses", "check", path, "--json").out) == {
        "ok": True,
        "statuses": 13,
        "effective_from": "2026-07-01T00:00:00Z",
        "problems": [],
    }


def test_a_wrong_file_is_bad_news_with_every_mistake(handoff: Callable[..., Any], file: Callable[[str], str]) -> None:
    path = file(FILE.replace("quote: Proposal  ", "quote: Propsal   ").replace("stage: customer", "stage: custommer"))
    line = FILE[: FILE.index("quote: Proposal")].count("\n") + 1
    for command in (["check", path], ["publish", path], ["diff", path, path]):
        ended = handoff("statuses", *command)
        assert (ended.code, ended.out) == (1, "")
        assert len(ended.err.splitlines()) == 2
        assert f"{path}:{line}:10 triggers.quote: there is no status 'Propsal' (did you mean 'Proposal'?)" in ended.err
    found = json.loads(handoff("statuses", "check", path, "--json").out)
    assert (found["ok"], len(found["problems"]), found["problems"][-1]["line"]) == (False, 2, line)


@pytest.mark.parametrize("command", [["check"], ["publish"], ["diff", "nowhere.yaml"]], ids=lambda command: command[0])
def test_a_file_that_is_not_there_is_wrong_usage(handoff: Callable[..., Any], command: list[str]) -> None:
    assert handoff("statuses", *command, "nowhere.yaml") == (2, "", "handoff: nowhere.yaml: No such file or directory\n")


@pytest.mark.parametrize(
    ("option", "line"),
    [
        (["--from", "soon"], "--from: 'soon' is"),
        (["--from", "2026-07-01T09:00:00"], "--from: '2026-07-01T09:00:00' has no offset"),
        (["--author", " "], "--author: a name has 1 to 200 printable characters"),
    ],
)
def test_a_wrong_option_of_publish(handoff: Callable[..., Any], file: Callable[[str], str], option: list[str], line: str) -> None:
    ended = handoff("statuses", "publish", file(FILE), *option)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"handoff: {line}")


def test_publish_needs_kafka(handoff: Callable[..., Any], file: Callable[[str], str]) -> None:
    ended = handoff("statuses", "publish", file(FILE), "--kafka", "127.0.0.1:1")
    assert ended.code == 2
    assert "Kafka does not answer at 127.0.0.1:1" in ended.err


def test_a_version_is_shown_with_the_process(services: dict[str, Any], handoff: Callable[..., Any]) -> None:
    known = read_tables()
    view = {**table_view(built_in(), known, parse_instant("2026-03-01T00:00:00Z")), "versions": [], "problems": ["what is wrong"]}
    view["versions"] = [{name: view[name] for name in ("version", "effective_from", "until", "in_force", "author", "recorded_at")}]
    services["lifecycle"].says("/v1/statuses", view)
    ended = handoff("statuses", "show", "0")
    lines = ended.out.splitlines()
    assert lines[0] == "Version 0, in force from the beginning, now"
    assert next(line for line in lines if "Proposal" in line).split() == ["prospect", "Proposal", "50", "14d", "3d", "quote"]
    assert "  entered when: A quote has been written." in lines
    assert ended.err == "handoff: what is wrong\n"
    assert json.loads(handoff("statuses", "show", "--as-of", "2026-03-01", "--json").out) == view
    assert services["lifecycle"].asked == ["/v1/statuses?version=0", "/v1/statuses?as_of=2026-03-01"]


def read_tables() -> Tables:
    return Tables((built_in(),))


def test_a_version_that_there_is_not(services: dict[str, Any], handoff: Callable[..., Any]) -> None:
    services["lifecycle"].says("/v1/statuses", {"detail": "there is no version 7 of the status table, only 0"}, 404)
    for command in (["show", "7"], ["diff", "7", "7"]):
        ended = handoff("statuses", *command)
        assert (ended.code, ended.err) == (
            1,
            "handoff: lifecycle answers 404: there is no version 7 of the status table, only 0\n",
        )


def test_a_file_against_a_version(services: dict[str, Any], handoff: Callable[..., Any], file: Callable[[str], str]) -> None:
    services["lifecycle"].says("/v1/statuses", told(FILE))
    path = file(FILE.replace("probability: 50", "probability: 45"))
    assert handoff("statuses", "diff", "0", path) == (0, "  Proposal: probability: 50 -> 45\n", "")
    found = json.loads(handoff("statuses", "diff", "0", path, "--json").out)
    assert found == [{"where": "Proposal", "field": "probability", "before": 50, "after": 45}]
    assert handoff("statuses", "diff", "0", file(FILE)) == (0, f"0 and {path} say the same\n", "")


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        (
            "name: Proposal",
            "name: Offer",
            ["- Proposal: status: prospect, 50 %", "+ Offer: status: prospect, 50 %", "  triggers: quote: Proposal -> Offer"],
        ),
        ("      - Price list\n", "", ["  Proposal: tools: Template for quotes; Price list -> Template for quotes"]),
        ("    follow_up: 30d\n", "", ["- Closed Won: follow_up: 30d"]),
        ("opportunities_enabled: true ", "opportunities_enabled: false", ["  opportunities_enabled: true -> false"]),
        ("target_duration: 1d", "target_duration: 24h", []),
        ("disqualified: Dead ", "disqualified: Unqualified ", ["  triggers: disqualified: Dead -> Unqualified"]),
    ],
)
def test_differences_in_words(old: str, new: str, lines: list[str]) -> None:
    changed = FILE.replace(old, new, 1)
    if old == "name: Proposal":
        changed = changed.replace("quote: Proposal", "quote: Offer")
    assert changed != FILE
    assert [str(each) for each in differences(told(FILE), told(changed))] == lines


def test_another_order_is_a_difference() -> None:
    view = told(FILE)
    turned = {**view, "statuses": [*view["statuses"][:6], view["statuses"][7], view["statuses"][6], *view["statuses"][8:]]}
    (difference,) = differences(view, turned)
    assert (difference.where, difference.field) == ("statuses", "order")
