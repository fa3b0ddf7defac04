"""``handoff rebuild``: a view made again beside the live one by its service; this asks for it, and shows how far it is."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
GOOD: Final = ("switched", "equal")

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

    The live view answers and takes in meanwhile. Ctrl-C ends the rebuild, and the live view stays. Exit code 1 where it did not
    come to its end, or where a check finds a difference.
    """
    with Services(load()) as services:
        if view is None:
            return _show_all(services, as_json=as_json)
        service = _service_of(view)
        if cancel:
            services.delete(service, f"{PATH}/{view}")
            said = _ended(services, service, view)
        else:
            said = _made(services, service, {"view": view, "actor": person(actor), "check": check, "share": share})
    if as_json:
        say_json(said)
    else:
        _say(said)
    return 0 if said["outcome"] in GOOD or cancel else NOT_WELL


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
    begun: str | None = None
    try:
        begun = services.post(service, PATH, asked)["rebuild"]["id"]
        return _watched(services, service, view, begun)
    except KeyboardInterrupt:
        said = services.get(service, f"{PATH}/{view}")
        last = said["rebuild"]
        if said["running"] and (last["id"] == begun if begun else last["actor"] == asked["actor"]):
            services.delete(service, f"{PATH}/{view}")
        raise CommandError(f"the rebuild is being ended, and the live view {view} stays as it is", INTERRUPTED) from None


def _watched(services: Services, service: ServiceName, view: str, begun: str | None) -> Mapping[str, Any]:
    """The rebuild at its end, shown until then."""
    with _shown(view) as show:
        while True:
            said = services.get(service, f"{PATH}/{view}")
            last: Mapping[str, Any] = said["rebuild"]
            if last["id"] != begun:
                raise CommandError(f"the rebuild {begun} is over, and {last['actor']} has begun another one", NOT_WELL)
            show(last)
            if not said["running"]:
                return last
            time.sleep(LOOK_SECONDS)


def _ended(services: Services, service: ServiceName, view: str) -> Mapping[str, Any]:
    while (said := services.get(service, f"{PATH}/{view}"))["running"]:
        time.sleep(LOOK_SECONDS)
    ended: Mapping[str, Any] = said["rebuild"]
    return ended


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
