"""``handoff mass-change``: one decision about many customers, seen beforehand, applied, and taken back where it was wrong."""

import time
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from handoff.client import Services
from handoff.console import Narrator, err, say, say_json, table
from handoff.criteria import Criteria, read_criteria
from handoff.errors import USAGE, CommandError
from handoff.options import Json
from handoff.person import person
from handoff.settings import load

ROWS_SHOWN: Final = 20
LOOK_SECONDS: Final = 0.2
PATH: Final = "/v1/mass-changes"

app = typer.Typer(help="Change many customers at once: preview, apply, take back.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The mass change, as `preview` names it.", show_default=False)]
Actor = Annotated[str | None, typer.Option(metavar="NAME", help="Who decides; without it the user of this machine.")]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why; recycling needs one.")]
Apply = Annotated[bool, typer.Option("--apply", help="Apply it as soon as it has been previewed.")]
All = Annotated[bool, typer.Option("--all", help="Mean all customers, where no criterion is given.")]
SetStatus = Annotated[str | None, typer.Option(metavar="STATUS", help="Set the status.")]
Revert = Annotated[str | None, typer.Option(metavar="STAGE", help="Take them back to a lower stage: lead or prospect.")]
Convert = Annotated[bool, typer.Option("--convert", help="Make leads prospects.")]
SetOwner = Annotated[str | None, typer.Option(metavar="REP", help="Give them to a rep.")]
Recycle = Annotated[bool, typer.Option("--recycle", help="Give leads back to marketing.")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="With --recycle: an instant or a day at which they are New again.")]


@app.callback()
def mass_change() -> None:
    """Change many customers at once: preview, apply, take back."""


@app.command()
def preview(
    criteria: Criteria = None,
    set_status: SetStatus = None,
    revert: Revert = None,
    convert: Convert = False,
    set_owner: SetOwner = None,
    recycle: Recycle = False,
    until: Until = None,
    reason: Reason = None,
    actor: Actor = None,
    everybody: All = False,
    apply_it: Apply = False,
    as_json: Json = False,
) -> int:
    """See what a change would do, for example: handoff mass-change preview status=New country=DE --set-owner ann."""
    change = _change(set_status, revert, convert, set_owner, recycle, until)
    body = {
        "filter": read_criteria(criteria),
        "all": everybody,
        "change": change,
        "actor": person(actor),
        "reason": reason,
    }
    with Services(load()) as services:
        batch = _until_done(services, services.post("lifecycle", PATH, body)["id"])
        if apply_it:
            batch = _applied(services, batch["id"])
        return _show(services, batch, as_json)


@app.command(name="apply")
def apply_(batch_id: Id, as_json: Json = False) -> int:
    """Do what was previewed: one command for each customer that changes. Those that have changed since stay as they are."""
    with Services(load()) as services:
        return _show(services, _applied(services, batch_id), as_json)


@app.command()
def show(batch_id: Id, as_json: Json = False) -> int:
    """How far a mass change is, and what became of every customer."""
    with Services(load()) as services:
        return _show(services, services.get("lifecycle", f"{PATH}/{batch_id}"), as_json)


@app.command(name="revert")
def revert_(batch_id: Id, reason: Reason = None, actor: Actor = None, apply_it: Apply = False, as_json: Json = False) -> int:
    """Take a mass change back: a preview of its own, which gives each customer what it had, where nobody changed it since."""
    body = {"actor": person(actor), "reason": reason}
    with Services(load()) as services:
        batch = _until_done(services, services.post("lifecycle", f"{PATH}/{batch_id}/revert", body)["id"])
        if apply_it:
            batch = _applied(services, batch["id"])
        return _show(services, batch, as_json)


@app.command()
def cancel(batch_id: Id, as_json: Json = False) -> int:
    """Give it up. What is done already stays, and can be taken back."""
    with Services(load()) as services:
        return _show(services, services.post("lifecycle", f"{PATH}/{batch_id}/cancel"), as_json)


@app.command(name="list")
def list_(as_json: Json = False) -> int:
    """The last mass changes."""
    with Services(load()) as services:
        found = services.get("lifecycle", PATH, limit=str(ROWS_SHOWN))["mass_changes"]
    if as_json:
        say_json(found)
        return 0
    rows = [(each["id"], each["state"], _said(each), each["changing"], each["written"], each["actor"]) for each in found]
    table(("mass change", "state", "change", "changing", "written", "by"), rows, right=("changing", "written"))
    return 0


def _change(
    status: str | None, stage: str | None, convert: bool, owner: str | None, recycle: bool, until: str | None
) -> Mapping[str, Any]:
    """The one change that was asked for."""
    asked: list[Mapping[str, Any]] = []
    if status is not None:
        asked.append({"command": "set-status", "status": status})
    if stage is not None:
        asked.append({"command": "revert", "stage": stage})
    if convert:
        asked.append({"command": "convert"})
    if owner is not None:
        asked.append({"command": "set-owner", "rep_id": owner})
    if recycle:
        asked.append({"command": "recycle", "until": until})
    elif until is not None:
        raise CommandError("--until says when a recycled lead comes back: it needs --recycle", USAGE)
    if len(asked) != 1:
        raise CommandError("say one change: --set-status, --revert, --convert, --set-owner or --recycle", USAGE)
    return asked[0]


def _applied(services: Services, id_: str) -> Mapping[str, Any]:
    services.post("lifecycle", f"{PATH}/{id_}/apply")
    return _until_done(services, id_)


def _until_done(services: Services, id_: str) -> Mapping[str, Any]:
    """The mass change when lifecycle has done its work on it."""
    with Narrator(err()) as narrator:
        while True:
            batch: Mapping[str, Any] = services.get("lifecycle", f"{PATH}/{id_}")
            if batch["state"] == "previewing":
                narrator.progress(f"{id_}: looked at {batch['previewed']:,} of {batch['selected']:,} customers{_trouble(batch)}")
            elif batch["state"] == "applying":
                done = f"decided on {batch['decided']:,} of {batch['previewed']:,}, {batch['written']:,} commands written"
                narrator.progress(f"{id_}: {done}{_trouble(batch)}")
            else:
                return batch
            time.sleep(LOOK_SECONDS)


def _trouble(batch: Mapping[str, Any]) -> str:
    return f" (waits: {batch['trouble']})" if batch["trouble"] else ""


def _show(services: Services, batch: Mapping[str, Any], as_json: bool) -> int:
    if as_json:
        say_json(batch)
        return 0
    say(f"{batch['id']}: {_said(batch)}, {batch['state']}", style="bold")
    of = f" of {batch['selected']:,} customers"
    stay = ", ".join(f"{count:,} {rule}" for rule, count in batch["staying_by_rule"].items())
    staying = f"; {batch['staying']:,} stay ({stay})" if batch["staying"] else ""
    if batch["state"] in ("previewing", "previewed"):
        say(f"{batch['changing']:,}{of} would change{staying}")
    else:
        say(f"{batch['written']:,}{of} were changed{staying}")
    page = services.get("lifecycle", f"{PATH}/{batch['id']}/records", limit=str(ROWS_SHOWN))
    if page["records"]:
        say()
        table(("customer", "before", "after", "outcome"), [_row(record) for record in page["records"]])
    if page["next"]:
        say(f"the first {ROWS_SHOWN}; all of them: {PATH}/{batch['id']}/records?format=csv of lifecycle")
    if batch["state"] == "previewed" and batch["changing"]:
        say(f"to do it: handoff mass-change apply {batch['id']}")
    elif batch["written"] and not batch["reverted_by"] and batch["state"] in ("applied", "cancelled"):
        say(f"to take it back: handoff mass-change revert {batch['id']}")
    return 0


def _said(batch: Mapping[str, Any]) -> str:
    """What is wanted, in a few words."""
    if batch["change"] is None:
        return f"takes back {batch['reverts']}"
    change = dict(batch["change"])
    return " ".join([change.pop("command"), *map(str, change.values())])


def _row(record: Mapping[str, Any]) -> tuple[object, ...]:
    outcome = f"{record['outcome']}: {record['explanation']}" if record["explanation"] else record["outcome"]
    return (record["customer_id"], _standing(record["before"]), _standing(record["after"]), outcome)


def _standing(standing: Mapping[str, Any]) -> str:
    return f"{standing['status']}, {standing['owner'] or 'nobody'}"
