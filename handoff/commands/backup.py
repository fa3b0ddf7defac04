"""``handoff backup``, ``handoff restore`` and ``handoff restored``: copies of the databases, made, put back, made good."""

import time
from collections.abc import Collection, Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

import typer
from msgspec import to_builtins
from pydantic import ValidationError

from events.bus.database import SQLITE, CannotOpen, open_database
from events.values import NANOSECONDS, format_instant
from handoff.backups import making, manifest, restoring
from handoff.configuration import masked
from handoff.console import Narrator, out, say, say_json
from handoff.errors import CommandError
from handoff.options import DataDir, Json, Partitions
from handoff.settings import SERVICES, ServiceName, load
from services.lifecycle import restorations
from services.lifecycle.settings import Settings as LifecycleSettings
from services.lifecycle.shards import are_empty, counted
from services.lifecycle.store import Store

RECOVER: Final = "docs/how-to/recover.md"
_BEGINS: Final = (
    "lifecycle takes its inputs in from their beginning at its next start, and says customers anew. Where the beginning of an input"
    " is gone, it stops instead, and says what to do"
)
_BEGINS_WITHOUT: Final = (
    "lifecycle takes in what its inputs still have at its next start. A customer of whom a fact is left is said anew by that alone:"
    " statuses, deals and hand-offs that consumers know by facts that are gone are taken back from them; forecast's figures drop"
)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the backup.", show_default=False)]
Replace = Annotated[bool, typer.Option("--replace", help="Replace files that are there; they are kept in a folder beside.")]
WithoutThePast = Annotated[
    bool,
    typer.Option(
        "--without-the-past",
        help="The database is new, and may lack what the inputs no longer have: statuses, deals and hand-offs that consumers know"
        " by facts that are gone are taken back from them.",
    ),
]
Only = Annotated[list[str] | None, typer.Option("--only", metavar="SERVICE", help="Only this service's; may be given again.")]


def backup(folder: Folder, data_dir: DataDir = None, as_json: Json = False) -> int:
    """Copy the databases of all services into a new folder, while they run, and check the copies.

    The folder appears when everything in it is whole, and has a manifest with digests, rows and positions.
    """
    settings = load(data_dir=data_dir)
    _refuse_postgresql("pg_dump")
    now = format_instant(time.time_ns() // NANOSECONDS * NANOSECONDS)
    with Narrator(out()) as narrator:
        made = making.make(settings.data_dir, folder, now, narrator.step)
    if as_json:
        say_json(to_builtins(made))
        return 0
    for service, copy in made.stores.items():
        say(f"{service:<10} {copy.bytes:>12,} bytes, {sum(copy.rows.values()):>10,} rows, checked")
    absent = [service for service in SERVICES if service not in made.stores]
    if absent:
        say(f"nothing of {', '.join(absent)}: no file is there")
    say(f"the backup is in {folder}; keep it on another machine")
    return 0


def restore(
    folder: Folder,
    only: Only = None,
    replace: Replace = False,
    data_dir: DataDir = None,
    partitions: Partitions = None,
    as_json: Json = False,
) -> int:
    """Put a backup back, with the services stopped. Then start them: each catches up with what Kafka has since.

    Everything is checked before anything is changed: the manifest, digests, versions, and that no service runs.
    """
    settings = load(data_dir=data_dir, partitions=partitions)
    _refuse_postgresql("pg_restore")
    found = manifest.read(folder)
    services = _services(only or ())
    aside = f"replaced-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}" if replace else None
    moved = restoring.restore(folder, found, settings.data_dir, services, settings.partitions, aside=aside)
    restored = [service for service in found.stores if service in services or not services]
    if as_json:
        say_json({"restored": restored, "made_at": found.made_at, "kept": [str(file) for file in moved]})
        return 0
    say(f"{', '.join(restored)}: as of {found.made_at}, in {settings.data_dir}")
    if moved:
        say(f"what was there is kept in {moved[0].parent}")
    say("start the services: each catches up with what Kafka has since then; `handoff status` shows the lag go down")
    return 0


def restored(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="lifecycle; the others need nothing.", show_default=False)],
    without_the_past: WithoutThePast = False,
    data_dir: DataDir = None,
    partitions: Partitions = None,
    as_json: Json = False,
) -> int:
    """Say that lifecycle's database is older than what was published from it, and is meant: at its next start it catches up.

    For a database that was put back by other means than `handoff restore` (pg_restore, a file), or is new. With lifecycle stopped.
    A new one catches up only where its inputs still have their beginning, or with `--without-the-past`.
    """
    settings = load(data_dir=data_dir, partitions=partitions)
    (name,) = _services([service])
    if name != "lifecycle":
        raise CommandError(f"{name} needs nothing: it goes on from the positions in its database by itself ({RECOVER})")
    url = _database()
    file = manifest.file_of(settings.data_dir, name)
    named = str(file) if url == SQLITE else masked(url)
    if url == SQLITE:
        if not file.is_file():
            raise _nothing_there(named)
        restoring.refuse_in_use(file)
    shards = range(settings.partitions)
    try:
        with closing(open_database(url, file, schema=name)) as opened:
            _check_shards(named, opened.tables(), settings.partitions)
            Store(opened, settings.partitions, code_version=version("handoff"))
            with opened.begin() as cursor:
                restorations.declare(cursor, shards, without_the_past=without_the_past)
                empty = are_empty(cursor, shards)
    except CannotOpen as error:
        raise CommandError(str(error)) from error
    if as_json:
        said = {"service": name, "database": named, "shards": len(shards)}
        say_json({**said, "empty": empty, "without_the_past": without_the_past})
        return 0
    say(f"{named}, {len(shards)} shards: {'nothing is stored there' if empty else 'declared to be restored'}")
    if empty:
        say(_BEGINS_WITHOUT if without_the_past else _BEGINS)
    else:
        say("lifecycle catches up at its next start: facts since then are taken in again, and customers said anew")
    return 0


def _check_shards(named: str, tables: Collection[str], partitions: int) -> None:
    """Raise where a database is not lifecycle's, or of another number of shards: those that are not declared could not start."""
    there = counted(tables)
    if not there:
        raise _nothing_there(named)
    if there != partitions:
        raise CommandError(f"{named} has {there} shards, and HANDOFF_PARTITIONS is {partitions}: set it to what it was")


def _nothing_there(named: str) -> CommandError:
    return CommandError(
        f"there is no database of lifecycle in {named}: set HANDOFF_DATABASE and HANDOFF_DATA_DIR, which say where it is, as they"
        " are set for the service. If a new one is meant, start lifecycle first: it makes it, and says what to do next"
    )


def _services(named: Sequence[str]) -> list[ServiceName]:
    known = {name: name for name in SERVICES}
    if strange := [name for name in named if name not in known]:
        raise CommandError(f"{strange[0]!r} is no service: there are {', '.join(SERVICES)}")
    return [known[name] for name in named]  # type: ignore[index]


def _database() -> str:
    try:
        return LifecycleSettings().database
    except ValidationError as error:
        raise CommandError("; ".join(each["msg"].removeprefix("Value error, ") for each in error.errors())) from None


def _refuse_postgresql(program: str) -> None:
    if _database() != SQLITE:
        raise CommandError(f"HANDOFF_DATABASE is a PostgreSQL database, which {program} is for: {RECOVER} has the exact commands")
