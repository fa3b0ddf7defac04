"""``handoff customer ID --timeline``: every fact in words, in pages, on a terminal of 80 columns."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from handoff.console import duration
from handoff.timeline import changes

NEW = {"stage": "lead", "status": "New", "probability": 0}
OPEN = {"stage": "prospect", "status": "Proposal", "probability": 50}
EUR = {"amount": "800.00", "currency": "EUR"}


def entry(type_: str, day: int, changed: dict[str, Any], **more: Any) -> dict[str, Any]:
    at = f"2026-03-{day:02}T09:00:00Z"
    said = {"type": type_, "source": "crm", "id": str(day), "occurred_at": at, "recorded_at": at, "data": {}, "changed": changed}
    return {**said, "version": day, "late": False, "delay_seconds": 0.0, "corrected": None, **more}


QUOTED = entry(
    "crm.quote.created.v1",
    3,
    {
        "status": {"from": NEW, "to": OPEN},
        "deals": [{"deal_id": "opportunity:o1", "status": {"from": "New", "to": "Proposal"}, "amount": {"from": None, "to": EUR}}],
    },
    late=True,
    delay_seconds=172800.0,
    corrected={"since": "2026-03-03T09:00:00Z", "together_with": []},
)
LEAD = entry("crm.lead.created.v1", 1, {"status": {"from": None, "to": NEW}, "profile": ["company"]})


def page(*entries: dict[str, Any], following: str | None = None) -> dict[str, Any]:
    head = {"customer_id": "a/b", "as_of": None, "known_at": None, "version": 9, "facts": 2}
    return {**head, "timeline": list(entries), "next": following}


def test_every_fact_in_words(services: dict[str, Any], handoff: Callable[..., Any]) -> None:
    services["lifecycle"].says("/v1/timeline/a%2Fb", page(QUOTED, LEAD))
    lines = handoff("customer", "a/b", "--timeline").out.splitlines()
    assert lines[0] == "a/b: 2 of 2 facts, newest first"
    assert [" ".join(line.split()) for line in lines[2:]] == [
        "when fact changed late",
        "2026-03-03 09:00:00 quote.created lead, New -> prospect, Proposal; o1: Proposal, 800 EUR"
        " 2 d, corrects since 2026-03-03 09:00:00",
        "2026-03-01 09:00:00 lead.created lead, New; company",
    ]
    assert services["lifecycle"].asked == ["/v1/timeline/a%2Fb?limit=20"]


def test_on_a_terminal_of_80_columns(services: dict[str, Any], terminal: Callable[..., list[str]]) -> None:
    services["lifecycle"].says("/v1/timeline/a%2Fb", page(QUOTED, LEAD, following="x"))
    lines = terminal(80, "customer", "a/b", "--timeline")
    assert lines[0] == "a/b: 2 of 2 facts, newest first (--all shows the others)"
    assert max(map(len, lines)) <= 80
    words = " ".join(" ".join(lines).split())
    assert "Proposal" in words
    assert "quote.created" in words


def test_all_of_it_is_asked_for_in_pages(services: dict[str, Any], handoff: Callable[..., Any]) -> None:
    answers = iter([page(QUOTED, following="cursor"), page(LEAD)])
    services["lifecycle"].answers["/v1/timeline/a%2Fb"] = lambda: (200, next(answers))
    told = json.loads(handoff("customer", "a/b", "--timeline", "--all", "--json", "--as-of", "2026-03-31").out)
    assert told == page(QUOTED, LEAD)
    assert services["lifecycle"].asked == [
        "/v1/timeline/a%2Fb?as_of=2026-03-31&limit=500",
        "/v1/timeline/a%2Fb?as_of=2026-03-31&limit=500&after=cursor",
    ]


def test_what_changed_in_words() -> None:
    deal = {"deal_id": "quote:q1", "state": {"from": "open", "to": "won"}, "owner": {"from": None, "to": "ann"}}
    more = {
        "probability": {"from": 50, "to": 100},
        "amount": {"from": EUR, "to": None},
        "category": {"from": "likely", "to": "worst"},
    }
    verdict = {"effective": False, "rule": "not-below", "explanation": "the record is a lead"}
    handoffs = [{"assignment_id": "a", "rep_id": "ann", "progress": "touched", "reason": None}]
    changed = {"owner": {"from": "ann", "to": None}, "handoffs": handoffs, "deals": [deal | more], "command": verdict}
    assert list(changes(changed)) == [
        "owner ann -> nobody",
        "touched (ann)",
        "quote:q1: won, owner ann, 100 %, no amount, worst",
        "no effect: the record is a lead",
    ]
    assert list(changes({"command": {"effective": True, "rule": None, "explanation": None}})) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (630, "10.5 min"), (7200, "2 h"), (100_000, "1.2 d"), (-90, "-1.5 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("delay", "shown"), [(0.0, "lead, New; company"), (90.0, "lead, New; company 1.5 min")])
def test_what_was_overtaken_and_changed_nothing_of_the_past(
    services: dict[str, Any], handoff: Callable[..., Any], delay: float, shown: str
) -> None:
    overtaken = {**LEAD, "late": True, "delay_seconds": delay, "corrected": {"since": None, "together_with": []}}
    services["lifecycle"].says("/v1/timeline/c", page(overtaken))
    assert " ".join(handoff("customer", "c", "--timeline").out.splitlines()[-1].split()).endswith(f"lead.created {shown}")
