"""``python -m tests.soak.page soak.json``: the page and the picture of a run, in ``docs``. Nothing in them is written by hand."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from tests.soak.flat import Verdict, number, series, verdicts
from tests.soak.plot import picture
from tests.soak.soak import FORMAT

FOLDER: Final = Path(__file__).parents[2] / "docs"
FIRST_MINUTES: Final = 5
WHAT: Final = """\
What a service holds must not depend on how long it has run. `make soak` starts what `handoff up` starts (Kafka, three services
on SQLite) and publishes leads, opportunities, quotes, orders, activities and commands at a steady rate: about new customers all the
time, some twice, late, in the wrong partition, or such that nobody can read them. Nine of ten facts are told when they happen, as
a company's are; the tenth happened up to 300 days ago, so its record is folded again from there. It looks at everything every five
seconds. At the end all facts are read back from Kafka, folded plainly, and held against what forecast answers.
"""
HOW: Final = """\
The first half is the warm-up: caches fill (`HANDOFF_CACHE_RECORDS`, `HANDOFF_CACHE_FACTS`), Java's heap and the write-ahead
logs find their size. The level is the median of the second half; the trend is the median of the slopes between any two of its
samples (Theil and Sen), told as what it would be in an hour. Memory is what a process has asked for (anonymous pages); pages of
files, which the kernel takes back when it needs them, do not count. Latency counts from when a fact was due by the schedule,
whatever delayed it, the publisher included.
"""


def main(arguments: Sequence[str]) -> int:
    """Write both; 1 where the run was written by other code."""
    found = json.loads(Path(arguments[0]).read_text())
    if found.get("format") != FORMAT:
        print(f"{arguments[0]} has format {found.get('format')}, this code reads {FORMAT}: run `make soak` again", file=sys.stderr)
        return 1
    (FOLDER / "soak.md").write_text(page(found))
    (FOLDER / "soak.svg").write_text(picture(found))
    print("written: docs/soak.md, docs/soak.svg")
    return 0


def page(found: Mapping[str, Any]) -> str:
    """The page."""
    return "\n".join(_page(found)) + "\n"


def _page(found: Mapping[str, Any]) -> Iterator[str]:
    judged = verdicts(found)
    yield f"# {found['minutes']:g} minutes at {found['rate']:g} facts a second\n"
    yield WHAT
    yield _where(found)
    yield f"**{sum(each.kept for each in judged)} of {len(judged)} figures are as they should be.**\n"
    yield "![Memory, handles, lag, latency, CPU time and disk over the run](soak.svg)\n"
    yield "## Whether all is right\n"
    yield from _table(judged, trends=False)
    yield "\n## What is flat\n"
    yield HOW
    yield from _table(judged, trends=True)
    yield "\n## What has no rule\n"
    yield "Stores grow with what is stored, answers over all of it take longer, and Kafka holds the segments of its log open."
    yield "Two lines tell of the machine alone: how late facts were published, and the processor time of always the same loop.\n"
    yield f"| figure | after {FIRST_MINUTES} minutes | at the end |"
    yield "|---|---:|---:|"
    for each in series(found):
        early = [value for minute, value in each.points if minute <= FIRST_MINUTES]
        if each.rule is None and early:
            late = [value for minute, value in each.points if minute >= each.points[-1][0] - FIRST_MINUTES]
            disk = each.name.startswith("on the disk")
            figures = (early[-1], late[-1]) if disk else (median(early), median(late))
            yield f"| {each.name} | {number(figures[0])} {each.unit} | {number(figures[1])} {each.unit} |"


def _where(found: Mapping[str, Any]) -> str:
    machine = found["machine"]
    load = median(sample["load_average"] for sample in found["samples"])
    note = f" {found['note']}" if found.get("note") else ""
    return (
        f"This page and the picture are made of such a run (`make soak-page`), begun {found['started']}, seed {found['seed']}:\n"
        f"{machine['cpus']} CPUs ({machine['machine']}, {machine['system']}), Python {machine['python']}, Kafka {machine['kafka']},"
        f" {machine['fsync_ms']:.1f} ms an fsync,\nload average {load:.1f} (median).{note}\n"
    )


def _table(judged: Sequence[Verdict], *, trends: bool) -> Iterator[str]:
    """Those with a trend, or those without."""
    yield "| figure | level | trend | rule | |" if trends else "| what | figure | rule | |"
    yield "|---|---:|---:|---|---|" if trends else "|---|---|---|---|"
    for each in judged:
        flat = each.trend.endswith("in an hour")
        said = "yes" if each.kept else "**no**"
        if flat and trends:
            yield f"| {each.name} | {each.figure} | {each.trend.removesuffix(' in an hour')}/h | {each.rule} | {said} |"
        elif not flat and not trends:
            more = f" ({each.trend})" if each.trend else ""
            yield f"| {each.name} | {each.figure}{more} | {each.rule} | {said} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
