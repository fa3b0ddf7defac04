"""``handoff database prepare``: makes all tables in PostgreSQL as their owner, and grants each service what it needs.

A service makes its tables itself where it may. Where it shall append events and not be able to change one, it cannot be their
owner: somebody else makes them, once and after each upgrade, and that is this command.
"""

from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import version
from typing import Annotated

import typer
from pydantic import ValidationError

from events.bus.database import SQLITE, CannotOpen, Database, open_database
from handoff.console import say, say_json
from handoff.errors import CommandError
from handoff.options import Json, Partitions
from handoff.settings import SERVICES, ServiceName, load
from services.forecast.store import Store as Forecast
from services.lifecycle.mass.batches import Batches
from services.lifecycle.settings import Settings as LifecycleSettings
from services.lifecycle.store import Store as Lifecycle
from services.routing.store import Store as Routing

app = typer.Typer(help="PostgreSQL: tables that services append to and cannot change.", no_args_is_help=True)


@app.callback()
def database() -> None:
    """PostgreSQL: tables that services append to and cannot change."""


@app.command()
def prepare(
    lifecycle: Annotated[str | None, typer.Option(metavar="ROLE", help="The role that lifecycle runs as.")] = None,
    routing: Annotated[str | None, typer.Option(metavar="ROLE", help="The role that routing runs as.")] = None,
    forecast: Annotated[str | None, typer.Option(metavar="ROLE", help="The role that forecast runs as.")] = None,
    reader: Annotated[str | None, typer.Option(metavar="ROLE", help="A role that reads everything, for reports.")] = None,
    partitions: Partitions = None,
    as_json: Json = False,
) -> int:
    """Make the schemas and tables of all services as the owner (HANDOFF_DATABASE names it), and grant roles what they need.

    To be run before the services start, and after each upgrade; running it again changes nothing. The roles exist.
    """
    shards = load(partitions=partitions).partitions
    url = _url()
    writers: Mapping[ServiceName, str | None] = {"lifecycle": lifecycle, "routing": routing, "forecast": forecast}
    _check_roles(writers, reader)
    done: dict[str, list[str]] = {}
    try:
        for service in SERVICES:
            done[service] = _prepared(url, service, shards, writers[service], reader)
    except CannotOpen as error:
        raise CommandError(str(error)) from error
    if as_json:
        say_json(done)
    else:
        for name, statements in done.items():
            say(f"-- {name}: its tables are there")
            for statement in statements:
                say(f"{statement};")
    return 0


def _check_roles(writers: Mapping[ServiceName, str | None], reader: str | None) -> None:
    if "" in (*writers.values(), reader):
        raise CommandError("a ROLE has a name: leave the option out where nothing shall be granted")
    if reader is not None and reader in writers.values():
        raise CommandError(f"--reader: {reader!r} is a service's role too, and would lose what the service needs: name another one")


def _url() -> str:
    try:
        url = LifecycleSettings().database
    except ValidationError as error:
        raise CommandError("; ".join(each["msg"].removeprefix("Value error, ") for each in error.errors())) from None
    if url == SQLITE:
        raise CommandError("HANDOFF_DATABASE is sqlite, where each service makes its own file: name a PostgreSQL database")
    return url


def _prepared(url: str, service: ServiceName, shards: int, writer: str | None, reader: str | None) -> list[str]:
    with closing(open_database(url, "", schema=service)) as opened:
        from events.bus.database.postgres import Postgres  # noqa: PLC0415 - the driver could be loaded

        assert isinstance(opened, Postgres)
        _make(service, opened, shards)
        return list(opened.grant(writer, reader))


def _make(service: ServiceName, opened: Database, shards: int) -> None:
    made_by = version("handoff")
    match service:
        case "lifecycle":
            Lifecycle(opened, shards, code_version=made_by)
            Batches(opened)
        case "routing":
            Routing(opened, code_version=made_by)
        case "forecast":
            Forecast(opened, code_version=made_by)
