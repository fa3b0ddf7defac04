"""``handoff rebuild``: a view made again beside the live one by its service; this asks for it, and shows how far it is."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Annotated, Any, Final, Protocol

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from handoff.client import ServiceDown, Services
from handoff.console import Narrator, complain, day_or_time, err, say, say_json, table
from handoff.errors import INTERRUPTED, NOT_WELL, USAGE, CommandError
from handoff.options import Json
from handoff.person import person
from handoff.settings import ServiceName, load

PATH: Final = "/v1/rebuilds"
VIEWS: Final[Mapping[str, ServiceName]] = {
    "forecast": "forecast",
    "customers": "lifecycle",
    "traces": "lifecycle",
    "wakes": "lifecycle",
}
"""Which service has which view."""
LOOK_SECONDS: Final = 0.3
SWITCHED: Final = "switched"
GOOD: Final = (SWITCHED, "equal")

View = Annotated[
    str | None,
    typer.Argument(
        metavar="[VIEW]", help=f"The view: {', '.join(VIEWS)}. Without it all are shown, as they stand.", show_default=False
    ),
]
Check = Annotated[bool, typer.Option("--check", help="Compare it with the live view, byte for byte, and do not switch.")]
Cancel = Annotated[bool, typer.Option("--cancel", help="End the one that is under way.")]
Share = Annotated[int, typer.Option(min=5, max=100, metavar="PERCENT", help="Of the time of one processor; at 100 it never rests.")]
Actor = Annotated[str | None, typer.Option(metavar="NAME", help="Who asks; without it the user of this machine.")]


def rebuild(
    view: View = None, check: Check = False, cancel: Cancel = False, share: Share = 50, actor: Actor = None, as_json: Json = False
) -> int:
    """Make a view again beside the live one, then switch to it in one step. For example: handoff rebuild forecast --check.

    The live view answers and takes in meanwhile. Ctrl-C ends the rebuild, and says whether the live view has stayed. Exit code 1
    where it did not come to its end, where a check finds a difference, or where it was too late for --cancel.
    """
    with Services(load()) as services:
        if view is None:
            return _show_all(services, as_json=as_json)
        service = _service_of(view)
        if cancel:
            begun = services.delete(service, f"{PATH}/{view}")["rebuild"]["id"]
            said = _ended(services, service, view, begun, lambda _: None)
        else:
            said = _made(services, service, {"view": view, "actor": person(actor), "check": check, "share": share})
    if as_json:
        say_json(said)
    else:
        _say(said)
    well = said["outcome"] != SWITCHED if cancel else said["outcome"] in GOOD
    return 0 if well else NOT_WELL


def _service_of(view: str) -> ServiceName:
    if view not in VIEWS:
        raise CommandError(f"there is no view {view!r}: it is one of {', '.join(VIEWS)}", USAGE)
    return VIEWS[view]


def _show_all(services: Services, *, as_json: bool) -> int:
    found: list[Mapping[str, Any]] = []
    down = 0
    for service in dict.fromkeys(VIEWS.values()):
        try:
            found += services.get(service, PATH)["views"]
        except ServiceDown as error:
            complain(f"{error}; its views are not shown")
            down += 1
    if as_json:
        say_json(found)
    else:
        table(("view", "service", "made again", "the last one, or the present one"), [_row(each) for each in found])
    return NOT_WELL if down else 0


def _row(each: Mapping[str, Any]) -> tuple[object, ...]:
    last = each["rebuild"]
    told = "never" if last is None else f"{day_or_time(last['begun_at'])} by {last['actor']}: "
    if last is not None:
        told += _progress(last) if each["running"] else str(last["outcome"])
    return each["view"], each["service"], f"{each['generation']} x", told


# -------------------------------------------------------------------------------------------- watching


class Shown(Protocol):
    """Shows how far a rebuild is."""

    def __call__(self, said: Mapping[str, Any]) -> None: ...


def _made(services: Services, service: ServiceName, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ask for a rebuild, and show it until its end. Ctrl-C ends it, also where it comes before the answer to the request."""
    view = asked["view"]
    before = _last(services, service, view)
    try:
        begun = services.post(service, PATH, asked)["rebuild"]["id"]
        with _shown(view) as show:
            return _ended(services, service, view, begun, show)
    except KeyboardInterrupt:
        raise CommandError(_interrupted(services, service, asked, before), INTERRUPTED) from None


def _interrupted(services: Services, service: ServiceName, asked: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    """End what was asked for, and say what came of it: a rebuild may have come to its end before it heard of it."""
    view = asked["view"]
    last = _last(services, service, view)
    if last.get("id") == before.get("id") or last["actor"] != asked["actor"]:
        return f"nothing was begun, and the live view {view} stays as it is"
    complain(f"the rebuild of {view} is being ended: wait for what comes of it")
    with suppress(CommandError):  # it has ended by itself meanwhile
        services.delete(service, f"{PATH}/{view}")
    outcome = _ended(services, service, view, last["id"], lambda _: None)["outcome"]
    if outcome == SWITCHED:
        return f"it was too late: the view {view} was made again, and switched to"
    return f"the rebuild has ended ({outcome}), and the live view {view} stays as it is"


def _last(services: Services, service: ServiceName, view: str) -> Mapping[str, Any]:
    """The rebuild that is under way, or was the last; nothing where there was none."""
    return services.get(service, f"{PATH}/{view}")["rebuild"] or {}


def _ended(services: Services, service: ServiceName, view: str, begun: str, show: Shown) -> Mapping[str, Any]:
    """The rebuild at its end, shown until then."""
    while True:
        said = services.get(service, f"{PATH}/{view}")
        last: Mapping[str, Any] = said["rebuild"]
        if last["id"] != begun:
            raise CommandError(f"the rebuild {begun} is over, and {last['actor']} has begun another one", NOT_WELL)
        show(last)
        if not said["running"]:
            return last
        time.sleep(LOOK_SECONDS)


@contextmanager
def _shown(view: str) -> Iterator[Shown]:
    """A bar at a terminal, and a line now and then in a pipe; on standard error both."""
    console = err()
    if not console.is_terminal:
        with Narrator(console) as narrator:
            yield lambda said: narrator.progress(f"{view}: {_progress(said)}")
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[told]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(view, total=None, told="")

        def show(said: Mapping[str, Any]) -> None:
            total = said["total"] or None
            bar.update(task, description=f"{view} {said['phase']}", completed=said["done"], total=total, told=_pace(said))

        yield show


def _progress(said: Mapping[str, Any]) -> str:
    return f"{said['phase']}, {said['done']:,} of {said['total']:,} {_pace(said)}".rstrip()


def _pace(said: Mapping[str, Any]) -> str:
    """How fast it goes, and how long it will take from here on."""
    if said["per_second"] is None:
        return ""
    return f"{said['per_second']:,.0f} a second, {timedelta(seconds=round(said['eta_seconds']))} to go"


# ---------------------------------------------------------------------------------------------- saying


def _say(said: Mapping[str, Any]) -> None:
    took = timedelta(seconds=round(said["seconds"]))
    match said["outcome"]:
        case "switched":
            say(f"made again in {took} from {said['done']:,} records, and switched to", style="bold")
        case "equal":
            say(f"byte for byte the same: {said['done']:,} rows, in {took}", style="bold")
        case "different":
            say("not the same; the live view was left as it is. The first difference:", style="bold")
            _say_difference(said["difference"])
        case outcome:
            detail = f": {said['detail']}" if said["detail"] else ""
            say(f"{outcome}{detail}; the live view was left as it is", style="bold")


def _say_difference(difference: Mapping[str, Any]) -> None:
    key = ", ".join(f"{name} {value}" for name, value in difference["key"].items())
    say(f"table {difference['table']}, {key}")
    what = f"column {difference['column']}: " if difference["column"] else ""
    say(f"{what}in the live view {difference['live']!r}, made again {difference['made']!r}")
