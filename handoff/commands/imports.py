"""``handoff import``: data of other systems, published as facts."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Final, Self

import typer

from events.bus import Bus
from events.bus.kafka import KafkaBus
from events.topics import DIRECTORY
from handoff.client import Services
from handoff.console import Narrator, complain, err, say, say_json
from handoff.errors import NOT_WELL
from handoff.importing import bpic12 as bpic12_log
from handoff.importing import maven as maven_export
from handoff.importing.directory import additions, message_of, read_versions
from handoff.importing.publish import publish
from handoff.importing.rejected import Rejected
from handoff.importing.settled import wait_until_settled
from handoff.options import Json, KafkaAddress
from handoff.settings import Settings, load

REJECTED_SHOWN: Final = 20
WAIT_SECONDS: Final = 600.0

app = typer.Typer(help="Publish data of other systems as facts.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder with the CSV files.", show_default=False)]
Log = Annotated[
    Path, typer.Argument(metavar="FILE", help="The event log in XES, as it is (.xes.gz) or unpacked.", show_default=False)
]
Wait = Annotated[bool, typer.Option("--wait", help="Return when all services have caught up with it.")]
Timeout = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long --wait waits at most.")]
Rejects = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write everything that is rejected, with place and reason, to this file.")
]


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
    with _Rejects(rejects, "rows") as rejected:
        for each in export.rejected:
            rejected.add(each)
        with _publishing(settings, wait, timeout) as (bus, narrator):
            versions = additions(
                read_versions(bus.read(DIRECTORY.name)), export.directory.reps, maven_export.DIRECTORY_SINCE, maven_export.SOURCE
            )
            publish(bus, [message_of(version) for version in versions], lambda written: None)
            gauge = _Gauge(narrator, lambda: f"of {len(export.messages):,} facts")
            published = publish(bus, export.messages, gauge)
    seconds = time.monotonic() - began
    if as_json:
        _say_json(export.read, published, rejected.count, seconds)
    else:
        say(
            f"{export.read:,} opportunities were read and {published:,} facts published in {seconds:.1f} s; "
            f"{rejected.count:,} rows were rejected; "
            f"{len(versions)} versions of the directory were added"
        )
    return rejected.code


@app.command()
def bpic12(
    file: Log,
    wait: Wait = False,
    timeout: Timeout = WAIT_SECONDS,
    rejects: Rejects = None,
    kafka: KafkaAddress = None,
    as_json: Json = False,
) -> int:
    """Import the event log of the BPI Challenge 2012: loan applications at a bank, from lead to order, as facts.

    Facts are published while the file is read, in constant memory. Importing it again changes nothing. Applications that cannot be
    taken over are listed, and the others imported: exit code 1.
    """
    began = time.monotonic()
    settings = load(kafka=kafka)
    with _Rejects(rejects, "applications") as rejected:
        log = bpic12_log.Applications(file, time.time_ns(), rejected.add)
        with _publishing(settings, wait, timeout) as (bus, narrator):
            gauge = _Gauge(narrator, lambda: f"facts of {log.read:,} applications, {log.share:.0%} of the file")
            published = publish(bus, log.messages(), gauge)
    seconds = time.monotonic() - began
    if as_json:
        _say_json(log.read, published, rejected.count, seconds)
    else:
        say(
            f"{log.read:,} applications were read and {published:,} facts published in {seconds:.1f} s; "
            f"{rejected.count:,} applications were rejected"
        )
    return rejected.code


@contextmanager
def _publishing(settings: Settings, wait: bool, timeout: float) -> Iterator[tuple[Bus, Narrator]]:
    """A bus to publish on, and who tells about it; at the end it is waited for, if that is wished, until all is reflected."""
    with Narrator(err()) as narrator:
        bus = KafkaBus(settings.bootstrap, client_id="handoff-import")
        try:
            yield bus, narrator
        finally:
            bus.close()
        if wait:
            with Services(settings) as services:
                wait_until_settled(services, timeout, narrator.progress)


def _say_json(read: int, published: int, rejected: int, seconds: float) -> None:
    say_json({"read": read, "published": published, "rejected": rejected, "seconds": round(seconds, 3)})


class _Gauge:
    """Tells how many messages are written, and how fast; ``of``: of how many, or of what."""

    def __init__(self, narrator: Narrator, of: Callable[[], str]) -> None:
        self._narrator = narrator
        self._of = of
        self._began = time.monotonic()

    def __call__(self, written: int) -> None:
        rate = written / max(time.monotonic() - self._began, 0.001)
        self._narrator.progress(f"published {written:,} {self._of()} ({rate:,.0f} a second)")


class _Rejects:
    """What was rejected: all of it goes to a file, if there is one, as it comes; the first ones are told at the end.

    A context manager. ``things``: what is rejected, in the plural.
    """

    def __init__(self, file: Path | None, things: str) -> None:
        self.count = 0
        self._things = things
        self._shown: list[str] = []
        self._stack = ExitStack()
        self._file = None if file is None else self._stack.enter_context(file.open("w", encoding="utf-8"))

    def add(self, rejected: Rejected) -> None:
        """One more."""
        line = f"{rejected.place} {rejected.reason}"
        self.count += 1
        if self.count <= REJECTED_SHOWN:
            self._shown.append(line)
        if self._file is not None:
            self._file.write(f"{line}\n")

    @property
    def code(self) -> int:
        """The exit code."""
        return NOT_WELL if self.count else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stack.close()
        for line in self._shown:
            complain(line)
        if self.count > REJECTED_SHOWN:
            complain(f"and {self.count - REJECTED_SHOWN:,} more {self._things}; --rejects FILE writes them all")
        sys.stderr.flush()
