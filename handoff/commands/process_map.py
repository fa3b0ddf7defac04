"""``handoff process-map``: what really happens between the statuses, as tables, as JSON, or as one picture."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from handoff.client import Services
from handoff.console import day_or_time, say, say_json, table
from handoff.errors import CommandError
from handoff.options import Json
from handoff.settings import load
from services.lifecycle.process.words import duration, percent

ROWS_SHOWN: Final = 20
STDOUT: Final = Path("-")

Subject = Annotated[str, typer.Option(help="Whose statuses: `records` or `deals`.")]
From = Annotated[str | None, typer.Option("--from", help="Only cases that began not before this: a day or an instant.")]
To = Annotated[
    str | None, typer.Option("--to", help="Only cases that began not after this: a day (through its end) or an instant.")
]
AsOf = Annotated[
    str | None, typer.Option(help="What had happened by then: a day (through its end) or an instant; without it by now.")
]
Stage = Annotated[str | None, typer.Option(help="Only cases that are at this stage: lead, prospect or customer.")]
Status = Annotated[str | None, typer.Option(help="Only cases that are in this status.")]
Source = Annotated[str | None, typer.Option(help="Only cases of this source; empty: without one.")]
Country = Annotated[str | None, typer.Option(help="Only cases of this country; empty: without one.")]
Owner = Annotated[str | None, typer.Option(help="Only cases of this owner; empty: without one.")]
Svg = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the picture into a file, or with - to standard output.")]
Arrows = Annotated[int | None, typer.Option(help="How many transitions the picture shows: the most frequent ones.")]
All = Annotated[bool, typer.Option("--all", help=f"Every transition, not only the {ROWS_SHOWN} most frequent.")]


def process_map(
    subject: Subject = "records",
    begun_from: From = None,
    begun_to: To = None,
    as_of: AsOf = None,
    stage: Stage = None,
    status: Status = None,
    source: Source = None,
    country: Country = None,
    owner: Owner = None,
    svg: Svg = None,
    arrows: Arrows = None,
    everything: All = False,
    as_json: Json = False,
) -> int:
    """Show what really happens: conversion, time in each status, transitions, rework, skips, the most frequent ways."""
    if svg is not None and as_json:
        raise CommandError("--svg and --json are two forms of the same answer: ask for one")
    if arrows is not None and svg is None:
        raise CommandError("--arrows is about the picture: it needs --svg")
    asked = {"subject": subject, "from": begun_from, "to": begun_to, "as_of": as_of, "stage": stage, "status": status}
    asked |= {"source": source, "country": country, "owner": owner}
    with Services(load()) as services:
        if svg is not None:
            shown = None if arrows is None else str(arrows)
            _write(svg, services.text("lifecycle", "/v1/process-map.svg", **asked, arrows=shown))
            return 0
        answer = json.loads(services.text("lifecycle", "/v1/process-map", **asked))
    if as_json:
        say_json(answer)
    else:
        _tell(answer, None if everything else ROWS_SHOWN)
    return 0


def _write(file: Path, picture: str) -> None:
    if file == STDOUT:
        print(picture, end="", flush=True)
        return
    try:
        file.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"the picture cannot be written to {file}: {error.strerror}") from error
    say(f"the process map is in {file}")


def _tell(answer: Mapping[str, Any], limit: int | None) -> None:
    chosen = "".join(f", {name} {value or 'none'}" for name, value in answer["only"].items())
    say(f"How {answer['cases']:,} {answer['subject']} really moved, as of {day_or_time(answer['as_of'])}{chosen}", style="bold")
    if not answer["cases"]:
        say("nothing is known of any such case")
        return
    rework, skips = answer["rework"], answer["skips"]
    say(f"{answer['moves']:,} moves")
    say(f"rework: {percent(rework['share'])} went back or round again ({rework['transitions']:,} moves)")
    say(f"skips: {percent(skips['share'])} went over a status ({skips['transitions']:,} moves)")
    _conversion(answer)
    _statuses(answer)
    _transitions(answer["transitions"], limit)
    _variants(answer)


def _conversion(answer: Mapping[str, Any]) -> None:
    """Stages, and the statuses that lead to a sale: who was there or further."""
    columns = ("reached", "of all", "of last")
    for what, steps, times, said in (
        ("stage", answer["stages"], "completed", "median in it"),
        ("status", answer["path"], "time", "median until"),
    ):
        rows = [
            (
                step[what],
                f"{step['reached']:,}",
                percent(step["share"]),
                "" if step["conversion"] is None else percent(step["conversion"]),
                duration(step[times]["median_seconds"]),
            )
            for step in steps
        ]
        say()
        table((what, *columns, said), rows, right=(*columns, said))


def _statuses(answer: Mapping[str, Any]) -> None:
    columns = ("cases", "visits", "now", "median", "p90", "target", "longer")
    rows = [
        (
            each["status"] if each["in_table"] else f"{each['status']} (not in the table)",
            f"{each['cases']:,}",
            f"{each['visits']:,}",
            f"{each['now']:,}",
            duration(each["completed"]["median_seconds"]),
            duration(each["completed"]["p90_seconds"]),
            "" if each["target_seconds"] is None else duration(each["target_seconds"]),
            "" if each["over_target_share"] is None else percent(each["over_target_share"]),
        )
        for each in answer["statuses"]
        if each["visits"]
    ]
    say()
    table(("in status", *columns), rows, right=columns)
    if answer["never_seen"]:
        say(f"never seen: {', '.join(answer['never_seen'])}")


def _transitions(transitions: list[Mapping[str, Any]], limit: int | None) -> None:
    rows = [
        (
            each["from_status"],
            each["to_status"],
            f"{each['count']:,}",
            f"{each['cases']:,}",
            duration(each["time"]["median_seconds"]),
            _remark(each),
        )
        for each in transitions[:limit]
    ]
    cut = limit is not None and len(transitions) > limit
    title = f"The {limit} most frequent of {len(transitions)} transitions (--all shows the others)" if cut else "Transitions"
    say()
    table(("from", "to", "times", "cases", "after", ""), rows, right=("times", "cases", "after"), title=title)


def _remark(transition: Mapping[str, Any]) -> str:
    if transition["rework"]:
        return f"rework {transition['rework']:,}"
    return f"over {len(transition['skipped'])}" if transition["skipped"] else ""


def _variants(answer: Mapping[str, Any]) -> None:
    variants = answer["variants"]
    rows = [
        (
            percent(way["share"]),
            f"{way['count']:,}",
            " > ".join(way["statuses"]) + (" > ..." if way["length"] > len(way["statuses"]) else ""),
        )
        for way in variants["listed"]
    ]
    distinct = f"{variants['distinct']:,}{'' if variants['complete'] else ' or more'}"
    say()
    table(("share", "cases", "way"), rows, right=("share", "cases"), title=f"The most frequent of {distinct} ways")
    if variants["others"]:
        say(f"{variants['others']:,} went another way")
