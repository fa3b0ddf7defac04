"""The picture in the how-to about process maps: an invented year of a small company, the same every time."""

from collections.abc import Iterator
from random import Random
from typing import Final

from events.values import NANOSECONDS, format_instant, parse_instant
from services.lifecycle.domain.mining import process_map
from services.lifecycle.domain.path import Process
from services.lifecycle.process.maps import ProcessAnswer
from services.lifecycle.process.svg import picture
from services.lifecycle.statuses import built_in

CASES: Final = 2_400
DAY: Final = 86_400 * NANOSECONDS
BEGIN: Final = parse_instant("2025-01-01T00:00:00Z")
END: Final = parse_instant("2026-01-01T00:00:00Z") - 1
_NEXT: Final = {
    "New": [("Qualified", 60), ("Opportunity Identified", 8), ("Dead", 18), ("Unqualified", 9), ("", 5)],
    "Qualified": [("Opportunity Identified", 66), ("Recycled", 10), ("Dead", 12), ("", 12)],
    "Recycled": [("New", 40), ("", 60)],
    "Opportunity Identified": [("In Discussion", 52), ("Proposal", 24), ("Closed Lost", 14), ("", 10)],
    "In Discussion": [("Proposal", 60), ("Opportunity Identified", 9), ("Closed Lost", 18), ("", 13)],
    "Proposal": [("In Negotiation", 48), ("In Discussion", 12), ("Closed Won", 7), ("Closed Lost", 22), ("", 11)],
    "In Negotiation": [("Purchasing", 38), ("Proposal", 17), ("Closed Won", 16), ("Closed Lost", 18), ("", 11)],
    "Purchasing": [("Closed Won", 82), ("In Negotiation", 9), ("", 9)],
}
"""Where a status leads, with weights; an empty name: nowhere."""


def svg() -> str:
    """The picture."""
    table = built_in()
    stages = {row.name: row.stage for row in table.rows}
    random = Random(2025)  # noqa: S311 - an example, not a secret
    traces = ([(at, stages[name], name) for at, name in _way(random)] for _ in range(CASES))
    found = process_map(traces, Process.of(table), END, variants=5)
    as_of = format_instant(END)
    answer = ProcessAnswer.of(found, subject="records", as_of=as_of, position=0, table_version=table.version, only={})
    return picture(answer, arrows=30)


def _way(random: Random) -> Iterator[tuple[int, str]]:
    at, name = BEGIN + random.randrange(300) * DAY, "New"
    while name and at <= END:
        yield at, name
        at += int(random.expovariate(1 / 9) * DAY) + DAY // 24
        names, weights = zip(*_NEXT.get(name, [("", 1)]), strict=True)
        (name,) = random.choices(names, weights)
