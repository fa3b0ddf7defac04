"""``python -m tests.bench.page bench.json bench-long.json``: ``docs/bench.md`` of runs. Nothing in it is written by hand."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.bench.report import FORMAT, number
from tests.bench.result import Goal

PAGE: Final = Path(__file__).parents[2] / "docs" / "bench.md"
WHAT: Final = """\
# What it costs

A figure of one machine says little about another one. So `make bench` and `make bench-long` measure what Handoff does, the
*subject*, against a *floor* taken in the same round: what the same machine does with the same rows and bytes and no domain, or the
same work where it is smaller. A ratio is the median of the ratios of the rounds; the column after it has the least and the
greatest of them. Goals that are not reached are here too.
"""


def main(arguments: Sequence[str]) -> int:
    """Write the page; 1 where a run is not one to be quoted."""
    runs = [json.loads(Path(file).read_text()) for file in arguments]
    for file, run in zip(arguments, runs, strict=True):
        if fault := _fault(run):
            print(f"{file} {fault}: run the bench again", file=sys.stderr)
            return 1
    PAGE.write_text(page(runs))
    print(f"written: docs/{PAGE.name}")
    return 0


def page(runs: Sequence[Mapping[str, Any]]) -> str:
    """The page."""
    return "\n".join([WHAT, *(line for run in runs for line in _run(run))]).rstrip() + "\n"


def _fault(run: Mapping[str, Any]) -> str | None:
    if run.get("format") != FORMAT:
        return f"has format {run.get('format')}, this code reads {FORMAT}"
    if run["quick"]:
        return "is of a quick run, whose figures are not to be quoted"
    return "is of a run that came to no end" if run["broken"] else None


def _run(run: Mapping[str, Any]) -> Iterator[str]:
    machine = run["machine"]
    yield f"## Begun {run['started']}\n"
    yield f"{machine['cpus']} CPUs ({machine['machine']}, {machine['system']}), Python {machine['python']},"
    yield f"SQLite {machine['sqlite']}, Kafka {machine['kafka']}, {machine['fsync_ms']:.1f} ms an fsync,"
    yield f"load average {machine['load_average'][0]:.1f} before it; {run['rounds']} rounds.\n"
    if run["rows"]:
        yield "| row | subject | floor | unit | ratio | least to most | goal | reached |"
        yield "|---|---:|---:|---|---:|---:|---:|---|"
        for row in run["rows"]:
            low, high = row["spread"]
            figures = f"{number(row['subject']['median'])} | {number(row['floor']['median'])} | {row['unit']} | {row['ratio']:.2f}"
            yield f"| {row['name']} | {figures} | {low:.2f} to {high:.2f} | {_goal(row)} | {_reached(row)} |"
        yield ""
        for row in run["rows"]:
            yield f"- **{row['name']}**: {row['subject']['what']} ÷ {row['floor']['what']}"
        yield ""
    if run["measures"]:
        yield "| row | what | figure | unit | goal | reached |"
        yield "|---|---|---:|---|---:|---|"
        for row in run["measures"]:
            figures = f"{number(row['median'])} | {row['unit']}"
            yield f"| {row['name']} | {row['what']} | {figures} | {_goal(row)} | {_reached(row)} |"
        yield ""


def _goal(row: Mapping[str, Any]) -> str:
    said = row.get("goal")
    return "-" if said is None else str(Goal.from_json(said))


def _reached(row: Mapping[str, Any]) -> str:
    return {None: "-", True: "yes", False: "**no**"}[row.get("reached")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
