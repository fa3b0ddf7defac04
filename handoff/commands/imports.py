"""``handoff import``: data of other systems, published as facts."""

import sys
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from events.bus.kafka import KafkaBus
from events.topics import DIRECTORY
from handoff.client import Services
from handoff.console import Narrator, complain, err, say, say_json
from handoff.errors import NOT_WELL
from handoff.importing import maven as maven_export
from handoff.importing.csv_file import Rejected
from handoff.importing.directory import additions, message_of, read_versions
from handoff.importing.publish import publish
from handoff.importing.settled import wait_until_settled
from handoff.options import Json, KafkaAddress
from handoff.settings import load

REJECTED_SHOWN: Final = 20
WAIT_SECONDS: Final = 600.0

app = typer.Typer(help="Publish data of other systems as facts.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder with the CSV files.", show_default=False)]
Wait = Annotated[bool, typer.Option("--wait", help="Return when all services have caught up with it.")]
Timeout = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long --wait waits at most.")]
Rejects = Annotated[Path | None, typer.Option(metavar="FILE", help="Write every rejected row and its reason to this file.")]


@app.callback()
def imports() -> None:
    """Publish data of other systems as facts."""


@app.command()
def maven(
    folder: Folder,
    wait: Wait = False,
    timeout: Timeout = WAIT_SECONDS,
    rejects: Rejects = None,
    kafka: KafkaAddress = None,
    as_json: Json = False,
) -> int:
    """Import the Maven "CRM Sales Opportunities" export: its opportunities as facts, its sales teams into the directory.

    Importing it again changes nothing. Rows that cannot be taken over are listed, and the others imported: exit code 1.
    """
    began = time.monotonic()
    settings = load(kafka=kafka)
    export = maven_export.read_export(folder, time.time_ns())
    with Narrator(err()) as narrator:
        bus = KafkaBus(settings.bootstrap, client_id="handoff-import")
        try:
            versions = additions(
                read_versions(bus.read(DIRECTORY.name)), export.directory.reps, maven_export.DIRECTORY_SINCE, maven_export.SOURCE
            )
            publish(bus, [message_of(version) for version in versions], lambda written: None)
            publish(bus, export.messages, _Gauge(narrator, len(export.messages)))
        finally:
            bus.close()
        if wait:
            with Services(settings) as services:
                wait_until_settled(services, timeout, narrator.progress)
    seconds = time.monotonic() - began
    _tell_rejected(export.rejected, rejects)
    if as_json:
        rejected = len(export.rejected)
        say_json({"read": export.read, "published": len(export.messages), "rejected": rejected, "seconds": round(seconds, 3)})
    else:
        say(
            f"{export.read:,} opportunities were read and {len(export.messages):,} facts published in {seconds:.1f} s; "
            f"{len(export.rejected):,} rows were rejected; "
            f"{len(versions)} versions of the directory were added"
        )
    return NOT_WELL if export.rejected else 0


class _Gauge:
    """Tells how many messages are written, and how fast."""

    def __init__(self, narrator: Narrator, total: int) -> None:
        self._narrator = narrator
        self._total = total
        self._began = time.monotonic()

    def __call__(self, written: int) -> None:
        rate = written / max(time.monotonic() - self._began, 0.001)
        self._narrator.progress(f"published {written:,} of {self._total:,} facts ({rate:,.0f} a second)")


def _tell_rejected(rejected: tuple[Rejected, ...], file: Path | None) -> None:
    lines = [f"{each.place} {each.reason}" for each in rejected]
    if file is not None:
        file.write_text("".join(f"{line}\n" for line in lines))
    for line in lines[:REJECTED_SHOWN]:
        complain(line)
    if len(lines) > REJECTED_SHOWN:
        complain(f"and {len(lines) - REJECTED_SHOWN} more rows; --rejects FILE writes them all")
    sys.stderr.flush()
