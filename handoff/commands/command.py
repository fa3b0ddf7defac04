"""``handoff command``: decide about a customer's record, and see what it comes to.

Each command goes to lifecycle, which writes it to Kafka; then its verdict is awaited. Exit code 1 where it has no effect, or none
that is known yet.
"""

import time
from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from handoff.client import Services
from handoff.console import day_or_time, say, say_json
from handoff.errors import NOT_WELL
from handoff.options import Json
from handoff.person import person
from handoff.settings import load

LOOK_SECONDS: Final = 0.1

app = typer.Typer(help="Decide about a customer's record: its status, its stage, its owner.", no_args_is_help=True)

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.", show_default=False)]
Reason = Annotated[str | None, typer.Option(help="Why, for whoever reads it later.", show_default=False)]
Actor = Annotated[str | None, typer.Option(help="Who decides; without it whoever is logged in here.", show_default=False)]
Create = Annotated[bool, typer.Option("--create", help="Also for a customer whom nobody knows yet: it becomes a lead.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the verdict.")]
Seconds = Annotated[float, typer.Option(min=0, help="How long to wait for it.")]


@app.command("set-status")
def set_status(
    customer_id: Customer,
    status: Annotated[str, typer.Argument(metavar="STATUS", help="The status, by its name in the table.", show_default=False)],
    reason: Reason = None,
    actor: Actor = None,
    create: Create = False,
    wait: Wait = True,
    seconds: Seconds = 10.0,
    as_json: Json = False,
) -> int:
    """Set the status by hand; it holds until a fact of the record sets another one."""
    said = {"status": status, "reason": reason, "actor": person(actor)}
    return _command("set-status", customer_id, said, create=create, seconds=seconds if wait else None, as_json=as_json)


@app.command()
def revert(
    customer_id: Customer,
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="The stage to go back to: lead or prospect.")] = "lead",
    reason: Reason = None,
    actor: Actor = None,
    create: Create = False,
    wait: Wait = True,
    seconds: Seconds = 10.0,
    as_json: Json = False,
) -> int:
    """Take the record back to a lower stage; only facts dated later promote it again."""
    said = {"stage": stage, "reason": reason, "actor": person(actor)}
    return _command("revert", customer_id, said, create=create, seconds=seconds if wait else None, as_json=as_json)


@app.command()
def convert(
    customer_id: Customer,
    actor: Actor = None,
    create: Create = False,
    wait: Wait = True,
    seconds: Seconds = 10.0,
    as_json: Json = False,
) -> int:
    """Make a lead a prospect by hand."""
    said = {"actor": person(actor)}
    return _command("convert", customer_id, said, create=create, seconds=seconds if wait else None, as_json=as_json)


@app.command("set-owner")
def set_owner(
    customer_id: Customer,
    rep_id: Annotated[str, typer.Argument(metavar="REP", help="The rep who has the record from now on.", show_default=False)],
    reason: Reason = None,
    actor: Actor = None,
    create: Create = False,
    wait: Wait = True,
    seconds: Seconds = 10.0,
    as_json: Json = False,
) -> int:
    """Give the record to a rep."""
    said = {"rep_id": rep_id, "reason": reason, "actor": person(actor)}
    return _command("set-owner", customer_id, said, create=create, seconds=seconds if wait else None, as_json=as_json)


@app.command()
def recycle(
    customer_id: Customer,
    reason: Annotated[str, typer.Option(help="Why, in the words that reports group by.", show_default=False)],
    until: Annotated[
        str | None,
        typer.Option(help="When it is New again: a date, or a time with offset; without it for good.", show_default=False),
    ] = None,
    lead_id: Annotated[str | None, typer.Option("--lead", help="The lead; without it the customer's last one.")] = None,
    create: Create = False,
    wait: Wait = True,
    seconds: Seconds = 10.0,
    as_json: Json = False,
) -> int:
    """Send a lead back to marketing, until a date or for good; a date that has passed brings it back at once."""
    said = {"reason": reason, "until": until, "lead_id": lead_id}
    return _command("recycle", customer_id, said, create=create, seconds=seconds if wait else None, as_json=as_json)


@app.command()
def show(
    command_id: Annotated[str, typer.Argument(metavar="ID", help="The command's id.", show_default=False)],
    customer_id: Annotated[str | None, typer.Option("--customer", help="Whose command it is.", show_default=False)] = None,
    source: Annotated[str | None, typer.Option(help="The source of one that was sent as an event.", show_default=False)] = None,
    as_json: Json = False,
) -> int:
    """What a command comes to now: a fact that came later may have changed it."""
    with Services(load()) as services:
        told = services.get("lifecycle", f"/v1/commands/{quote(command_id, safe='')}", customer_id=customer_id, source=source)
    return _show(told, as_json)


def _command(
    name: str, customer_id: str, said: Mapping[str, str | None], *, create: bool, seconds: float | None, as_json: bool
) -> int:
    body = {"command": name, "customer_id": customer_id, **{field: value for field, value in said.items() if value is not None}}
    with Services(load()) as services:
        told = services.post("lifecycle", "/v1/commands", body, create="true" if create else None)
        if seconds is not None:
            told = _verdict(services, told["id"], customer_id, seconds)
    if seconds is not None:
        return _show(told, as_json)
    if as_json:
        say_json(told)
    else:
        say(f"{name} {customer_id}: taken in as {told['id']}; `handoff command show {told['id']}` says what it comes to")
    return 0


def _verdict(services: Services, command_id: str, customer_id: str, seconds: float) -> Any:
    """The verdict, or that it is pending after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        told = services.get("lifecycle", f"/v1/commands/{quote(command_id, safe='')}", customer_id=customer_id)
        if told["verdict"] != "pending" or time.monotonic() >= deadline:
            return told
        time.sleep(LOOK_SECONDS)


def _show(told: Mapping[str, Any], as_json: bool) -> int:
    if as_json:
        say_json(told)
    else:
        for number, line in enumerate(lines(told)):
            say(line, style="" if number else "bold")
    return 0 if told["verdict"] == "effective" else NOT_WELL


def lines(told: Mapping[str, Any]) -> list[str]:
    """A verdict for people: what it is, by which rule, and how the record stands."""
    named = f"{told.get('type', 'the command')} {told['id']} of {told.get('customer_id') or 'nobody known'}"
    match told["verdict"]:
        case "effective":
            back = f", back on {day_or_time(told['wakes_at'])}" if told.get("wakes_at") else ""
            found = [f"{named}: effective", *map("  {}".format, _changed(told["changed"])), f"  {_stands(told['record'])}{back}"]
        case "no effect":
            found = [f"{named}: no effect ({told['rule']})", f"  {told['explanation']}", f"  {_stands(told['record'])}"]
        case "refused":
            found = [f"{named}: refused ({told['rule']})", f"  {told['explanation']}"]
        case _:
            found = [f"{named}: not judged yet", f"  {told['explanation']}"]
    return found


def _changed(changed: Mapping[str, Any]) -> list[str]:
    """What a command changes at its place."""
    found = []
    if status := changed.get("status"):
        before = f"{status['from']['stage']}, {status['from']['status']}" if status["from"] else "nothing"
        found.append(f"{before} → {status['to']['stage']}, {status['to']['status']}")
    if owner := changed.get("owner"):
        found.append(f"owner {owner['from'] or 'nobody'} → {owner['to'] or 'nobody'}")
    return found


def _stands(record: Mapping[str, Any]) -> str:
    return f"now: {record['stage']}, {record['status']} ({record['probability']} %), owner {record['owner'] or 'nobody'}"
