"""``handoff statuses``: the sales process as a file, as versions, and what is different between them."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from events.bus.kafka import KafkaBus
from events.files.reading import Written
from events.files.yaml_tree import FILE_BYTES_MAX, FileError
from events.values import day_start, format_instant, parse_instant_or_date
from handoff.client import Services
from handoff.console import complain, day_or_time, say, say_json, table
from handoff.differences import differences
from handoff.errors import NOT_WELL, CommandError
from handoff.options import Json, KafkaAddress
from handoff.person import person
from handoff.settings import load
from services.lifecycle.domain.process import SalesProcess
from services.lifecycle.matrix import content_view
from services.lifecycle.publication import Publication, publish
from services.lifecycle.statuses import read_statuses

AUTHOR_MAX: Final = 200
COLUMNS: Final = ("stage", "name", "probability", "target_duration", "follow_up")
LISTS: Final = {
    "objectives": "objectives",
    "entry_criteria": "entered when",
    "exit_criteria": "left when",
    "actions": "actions",
    "tools": "tools",
}

app = typer.Typer(help="The statuses and the sales process: check and publish a table, look at the versions.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="A status table (YAML).", show_default=False)]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        help="In force from this instant, or from 00:00 UTC of a day; else what the file says, else now.",
        show_default=False,
    ),
]
Author = Annotated[str | None, typer.Option("--author", help="Who publishes it; else the user's name.", show_default=False)]
VersionNumber = Annotated[
    int | None, typer.Argument(metavar="VERSION", help="A version; else the one in force.", show_default=False)
]
AsOf = Annotated[str | None, typer.Option(help="The version in force then: an instant, or a day (to its end).", show_default=False)]
Side = Annotated[str, typer.Argument(help="A version's number, or a file.", show_default=False)]


@app.command()
def check(file: File, as_json: Json = False) -> int:
    """Say everything that is wrong with a status table, by line and column. Exit code 1 where something is."""
    try:
        written = _read(file)
    except FileError as error:
        return _wrong(error, as_json=as_json)
    statuses = len(written.content.statuses)
    if as_json:
        say_json({"ok": True, "statuses": statuses, "effective_from": written.effective_from, "problems": []})
    else:
        since = f", in force from {written.effective_from}" if written.effective_from else ""
        say(f"{file} is right: {statuses} statuses{since}")
    return 0


@app.command("publish")
def publish_file(file: File, since: From = None, author: Author = None, kafka: KafkaAddress = None, as_json: Json = False) -> int:
    """Publish a status table as the next version, once it is right. The same again is not published again.

    A version from an instant that is past folds the records concerned again. Exit code 1 where the file is wrong, or where somebody
    else took the number at the same moment.
    """
    try:
        written = _read(file)
    except FileError as error:
        return _wrong(error, as_json=as_json)
    begin = _instant(since, "--from") if since else _instant(written.effective_from, str(file)) if written.effective_from else None
    bus = KafkaBus(load(kafka=kafka).bootstrap, client_id="handoff-statuses")
    try:
        done = publish(
            bus,
            written.content,
            effective_from=begin,
            author=_author(author),
            now=time.time_ns(),
        )
    finally:
        bus.close()
    if as_json:
        say_json(
            {
                "outcome": done.outcome,
                "version": done.table.version,
                "author": done.table.author,
                "effective_from": format_instant(done.table.effective_from),
                "until": None if done.holds_until is None else format_instant(done.holds_until),
                "late": done.late,
            }
        )
    else:
        _tell(file, done)
    return NOT_WELL if done.outcome == "overtaken" else 0


@app.command()
def show(version: VersionNumber = None, as_of: AsOf = None, as_json: Json = False) -> int:
    """Show a version of the status table with the whole process, and which versions there are."""
    with Services(load()) as services:
        asked = None if version is None else str(version)
        found = services.get("lifecycle", "/v1/statuses", version=asked, as_of=as_of)
    if as_json:
        say_json(found)
        return 0
    since = day_or_time(found["effective_from"]) if found["effective_from"] else "the beginning"
    until = f" until {day_or_time(found['until'])}" if found["until"] else ""
    say(f"Version {found['version']}, in force from {since}{until}{', now' if found['in_force'] else ''}", style="bold")
    if found["comment"]:
        say(found["comment"])
    rows = [(*(status[name] for name in COLUMNS), _set_by(found, status)) for status in found["statuses"]]
    table(("stage", "status", "%", "target", "follow up", "set by"), rows, right=("%",))
    for status in found["statuses"]:
        _process(status)
    _versions(found)
    return 0


@app.command()
def diff(before: Side, after: Side, as_json: Json = False) -> int:
    """Show what is different between two status tables: versions by their numbers, or files."""
    try:
        sides = [_side(side) for side in (before, after)]
    except FileError as error:
        return _wrong(error, as_json=as_json)
    found = differences(*sides)
    if as_json:
        say_json(msgspec.to_builtins(found))
        return 0
    for difference in found:
        say(str(difference))
    if not found:
        say(f"{before} and {after} say the same")
    return 0


# ------------------------------------------------------------------------------------------------ reading


def _read(file: Path) -> Written[SalesProcess]:
    with file.open("rb") as opened:
        return read_statuses(opened.read(FILE_BYTES_MAX + 1), str(file))


def _wrong(error: FileError, *, as_json: bool) -> int:
    if as_json:
        say_json({"ok": False, "problems": msgspec.to_builtins(error.problems)})
    else:
        for line in str(error).splitlines():
            complain(line)
    return NOT_WELL


def _side(text: str) -> Mapping[str, Any]:
    """A table that was named, as lifecycle tells it."""
    if text.isascii() and text.isdecimal() and len(text) < 10:
        with Services(load()) as services:
            version: Mapping[str, Any] = services.get("lifecycle", "/v1/statuses", version=text)
            return version
    return content_view(_read(Path(text)).content.table(0))


def _instant(text: str, where: str) -> int:
    try:
        when = parse_instant_or_date(text)
        return when if isinstance(when, int) else day_start(when)
    except ValueError as error:
        raise CommandError(f"{where}: {error}") from None


def _author(said: str | None) -> str:
    if said is not None and (not said.strip() or len(said) > AUTHOR_MAX or not said.isprintable()):
        raise CommandError(f"--author: a name has 1 to {AUTHOR_MAX} printable characters")
    return person(said)


# ------------------------------------------------------------------------------------------------ telling


def _tell(file: Path, done: Publication) -> None:
    number, since = done.table.version, format_instant(done.table.effective_from)
    match done.outcome:
        case "overtaken":
            complain(
                f"{done.table.author} has published another table as version {number} at the same moment: {file} is not published;"
                f" look at it (`handoff statuses diff {number} {file}`), and publish again"
            )
            return
        case "unchanged":
            say(f"{file} says what version {number} says already: nothing is published")
            return
        case "published":
            say(f"{file} is version {number}, in force from {since}")
    if done.holds_until is not None:
        say(f"another version takes over from {format_instant(done.holds_until)}")
    if done.late:
        say("that is past: records with facts since then are folded again, and what changes is published (see `handoff status`)")


def _set_by(found: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    return ", ".join(trigger for trigger, name in found["triggers"].items() if name == status["name"])


def _process(status: Mapping[str, Any]) -> None:
    lines = [f"  {title}: {'; '.join(status[name])}" for name, title in LISTS.items() if status[name]]
    if not lines and not status["definition"]:
        return
    say()
    say(status["name"], style="bold")
    if status["definition"]:
        say(f"  {status['definition']}")
    for line in lines:
        say(line)


def _versions(found: Mapping[str, Any]) -> None:
    rows = [
        (
            each["version"],
            day_or_time(each["effective_from"]) or "the beginning",
            each["author"] or "built in",
            "now" * each["in_force"],
        )
        for each in reversed(found["versions"])
    ]
    say()
    table(("version", "in force from", "by", ""), rows, right=("version",), title="Versions")
    for problem in found["problems"]:
        complain(problem)
