"""Scenes for the tests of the screen: figures as the forecast service would tell them, in full and before there are any."""

from datetime import date
from typing import Any

from handoff.demo.figures import Figures, Pipeline, Row
from handoff.demo.player import Played
from handoff.demo.scene import Scene
from handoff.demo.watcher import Assignment, Letter, Seen
from handoff.demo.worktime import DAY, HOUR, Year
from handoff.settings import SERVICES

YEAR = Year(date(2026, 7, 1))
ADDRESSES = {service: f"http://127.0.0.1:{8081 + place}" for place, service in enumerate(SERVICES)}


def row(key: str | None, opened: tuple[int, str, str], won: tuple[int, str] = (0, "0"), lost: tuple[int, str] = (0, "0")) -> Row:
    """A group as forecast tells it."""
    group: dict[str, Any] = {
        "key": key,
        "label": key or "no date",
        "open": dict(zip(("count", "amount", "weighted"), opened, strict=True)),
        "won": dict(zip(("count", "amount"), won, strict=True)),
        "lost": dict(zip(("count", "amount"), lost, strict=True)),
    }
    return Row.of(group)


QUARTERS = tuple(
    row(key, (number, f"{number}000.00", f"{number}00.00"), (number * 2, f"{number}5000.00"))
    for number, key in enumerate(("2025-Q2", "2025-Q3", "2025-Q4", "2026-Q1", "2026-Q2", "2026-Q3", "2026-Q4"), start=1)
)
PIPELINE = Pipeline(
    currency="EUR",
    totals=row("all", (155, "1811801.00", "720945.50"), (245, "1948067.00"), (351, "3111282.00")),
    statuses=(
        row("Closed Lost", (0, "0", "0"), lost=(351, "3111282.00")),
        row("In Negotiation", (15, "239890.00", "179917.50")),
        row("Opportunity Identified", (23, "297965.00", "29796.50")),
        row("Proposal", (87, "988824.00", "494412.00")),
    ),
    stages=(row("prospect", (135, "1600000.00", "650000.00")), row("customer", (20, "211801.00", "70945.50"))),
    quarters=(*QUARTERS, row(None, (1, "10.00", "1.00"))),
)


def scene(day: int = 200, *, assigned: int = 40, buried: int = 12, pipeline: Pipeline | None = PIPELINE, note: str = "") -> Scene:
    """The ``day``-th day of the year."""
    begun = YEAR.begin + day * DAY
    statuses = {service: {"lag": 17 * place, "dead_letters": 0} for place, service in enumerate(SERVICES)}
    assignments = tuple(
        Assignment(
            begun - (assigned - n) * HOUR, f"C-{1000 + n}", "chiara", "EMEA Enterprise (DE, 2,300 employees): weighted round robin"
        )
        for n in range(assigned)
    )
    letters = tuple(
        Letter("lifecycle", f"header ce_time: number {n} has no offset: add Z or +01:00, for example") for n in range(buried)
    )
    return Scene(
        year=YEAR,
        played=Played(begun, 8123, 64.3, 3, False),
        seen=Seen(assigned, assignments, {"lifecycle": buried}, letters),
        figures=Figures(pipeline, statuses),
        addresses=ADDRESSES,
        note=note,
    )
