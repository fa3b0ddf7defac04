"""``handoff dead-letters``: what the services could not take in: which, why, replayed, dropped. It asks the services over HTTP."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from handoff.client import ServiceDown, Services
from handoff.console import ROWS_SHOWN, Narrator, complain, day_or_time, err, say, say_json, table
from handoff.errors import NOT_WELL
from handoff.letters import PATH, Act, Asked, again, chosen, done_about, kept, listed, of_one
from handoff.options import Json
from handoff.person import person
from handoff.settings import ServiceName, load

GROUPS_SHOWN: Final = 12
STATES: Final = {"waiting": "waiting", "replayed": "replayed", "dropped": "dropped", "any": "in all"}
VALUE_SHOWN: Final = 4000
"""Characters of a value that are shown at a terminal."""

app = typer.Typer(help="What the services could not take in: list, show, replay, drop.", no_args_is_help=True)

Which = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[WHICH]...",
        help="Letters, as lifecycle/17; or criteria: service, error, topic, source, type, id, customer_id (each as often as you"
        " like), state (waiting, replayed, dropped, any), partition, offset, recorded_from, recorded_to, text, again, newer_than.",
        show_default=False,
    ),
]
Letter = Annotated[str, typer.Argument(metavar="LETTER", help="The letter, for example lifecycle/17.", show_default=False)]
By = Annotated[str, typer.Option(metavar="WHAT", help="Count by reason, error, topic, source, type, customer_id, day or state.")]
Limit = Annotated[int, typer.Option(min=1, metavar="N", help="So many letters of each service at most.")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]
Actor = Annotated[str | None, typer.Option(metavar="NAME", help="Who decides; without it the user of this machine.")]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for whoever asks later.")]
Because = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why nothing is to be done, or what was done instead.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would become of each.")]
Force = Annotated[
    bool, typer.Option("--force", help="Also what would be refused again, as another letter, and what is replayed already.")
]
Wait = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Wait so long for what comes of it; 0 not at all.")]


@app.callback()
def dead_letters() -> None:
    """What the services could not take in: list, show, replay, drop."""


@app.command(name="list")
def list_(which: Which = None, by: By = "reason", limit: Limit = ROWS_SHOWN, everything: All = False, as_json: Json = False) -> int:
    """Show what waits: how many of each reason, and the newest. For example: handoff dead-letters list error=Bug.

    With --json one letter a line, ready for other programs.
    """
    asked = chosen(which)
    down = 0
    with Services(load()) as services:
        for service in asked.services:
            try:
                if as_json:
                    for letter in listed(services, service, asked, None if everything else limit):
                        say_json(letter)
                else:
                    _show_list(services, service, asked, by, None if everything else limit)
            except ServiceDown as error:
                complain(f"{error}; its dead letters are not shown")
                down += 1
    return NOT_WELL if down else 0


@app.command()
def show(letter: Letter, as_json: Json = False) -> int:
    """Show a letter: where it lay, why it was refused, its bytes, what was done, and what would become of it now."""
    service, number = of_one(letter)
    with Services(load()) as services:
        said = services.get(service, f"{PATH}/{number}")
    if as_json:
        say_json(said)
    else:
        _show(said)
    return 0


@app.command()
def replay(
    which: Which = None,
    everything: All = False,
    force: Force = False,
    dry_run: DryRun = False,
    actor: Actor = None,
    reason: Reason = None,
    wait: Wait = 60.0,
    as_json: Json = False,
) -> int:
    """Publish letters once more, byte for byte, where they came from. For example: handoff dead-letters replay error=Bug.

    Only what would be taken in now is replayed, all else stays. Repeating it is safe. Exit code 1 where some fail again.
    """
    act = Act("replay", person(actor), reason, force=force, dry_run=dry_run)
    return _do(chosen(which, must=True, everything=everything), act, wait, as_json=as_json)


@app.command()
def drop(
    reason: Because,
    which: Which = None,
    everything: All = False,
    dry_run: DryRun = False,
    actor: Actor = None,
    as_json: Json = False,
) -> int:
    """Note that nothing is to be done about letters. They stay for a while, and can be replayed all the same."""
    act = Act("drop", person(actor), reason, dry_run=dry_run)
    return _do(chosen(which, must=True, everything=everything), act, 0, as_json=as_json)


def _do(asked: Asked, act: Act, wait: float, *, as_json: bool) -> int:
    found: list[dict[str, Any]] = []
    with Services(load()) as services, Narrator(err()) as narrator:
        for service in asked.services:
            try:
                found.append(_of_service(services, service, asked, act, wait, narrator))
            except ServiceDown as error:
                complain(f"{error}; nothing more was done about its dead letters")
                found.append({"service": service, "down": True})
    if as_json:
        say_json(found)
    else:
        for each in found:
            if not each.get("down") and each["seen"]:
                _say_done(each, act)
        if not any(each.get("down") or each["seen"] for each in found):
            say("no letter is meant")
    return NOT_WELL if any(each.get("down") or each["again"] != 0 for each in found) else 0


def _of_service(
    services: Services, service: ServiceName, asked: Asked, act: Act, wait: float, narrator: Narrator
) -> dict[str, Any]:
    tally = done_about(services, service, asked, act, narrator.progress)
    said: dict[str, Any] = {"service": service, **tally.said(), "again": 0, "failed": []}
    if act.verb == "replay" and not act.dry_run and tally.done and wait:
        found = again(services, service, tally, wait, narrator.progress)
        said |= {"again": found.count, "failed": found.letters}
    return said


def _say_done(each: Mapping[str, Any], act: Act) -> None:
    service, done = each["service"], each["done"]
    verb = {"replay": "replayed", "drop": "dropped"}[act.verb]
    if act.dry_run:
        say(f"{service}: {done:,} of {each['seen']:,} would be {verb}", style="bold")
    else:
        rate = f" in {each['seconds']:.1f} s" if each["seen"] > ROWS_SHOWN else ""
        say(f"{service}: {done:,} of {each['seen']:,} {verb}{rate}", style="bold")
    _say_kept(each, act)
    if act.dry_run and each["letters"]:
        rows = [(one["letter"], one["done"] or "stays", _verdict(one)) for one in each["letters"][:ROWS_SHOWN]]
        table(("letter", "", "what would become of it"), rows)
        if len(each["letters"]) > ROWS_SHOWN:
            say(f"the first {ROWS_SHOWN}; --json shows the others")
    if each["again"] is None:
        say(f"  {service} has not caught up yet; later: handoff dead-letters list again=true")
    elif each["again"]:
        first = each["failed"][-1]
        say(f"  {each['again']:,} failed again, for example {first['letter']}: {_plain(first['path'])} {_plain(first['reason'])}")
        say("  see: handoff dead-letters list again=true")


def _say_kept(each: Mapping[str, Any], act: Act) -> None:
    """What stays; with one example of each reason, which says the way out, where no table does."""
    for why, count in each["kept_by_reason"].items():
        say(f"  {count:,} stay: {why}")
        examples = (one for one in each["letters"] if one["done"] is None and one["verdict"] and kept(one) == why)
        if not act.dry_run and (example := next(examples, None)):
            path, reason = (example["verdict"][name] or "" for name in ("path", "reason"))
            say(_plain(f"    for example {example['letter']}: {f'{path} {reason}'.strip()}"))


def _verdict(one: Mapping[str, Any]) -> str:
    judged = one["verdict"]
    if judged is None:
        return str(one["why"] or "")
    if judged["outcome"] == "refused":
        return _plain(f"refused: {judged['error']} {judged['path'] or ''} {judged['reason']}")
    return f"{judged['outcome']}: {judged['reason']}" if judged["reason"] else str(judged["outcome"])


def _show_list(services: Services, service: ServiceName, asked: Asked, by: str, limit: int | None) -> None:
    groups = services.get(service, f"{PATH}/groups", **asked.query(service), by=by, limit=str(GROUPS_SHOWN))
    count = groups["count"]
    say(f"{service}: {count:,} {STATES.get(asked.state, asked.state)}", style="bold")
    if not count:
        return
    rows = [(each["count"], day_or_time(each["last"]), _kind(each, by)) for each in groups["groups"]]
    table(("letters", "last", by), rows, right=("letters",))
    if groups["more"]:
        say(f"the {GROUPS_SHOWN} most frequent; the others: {PATH}/groups of {service}")
    say()
    found = list(listed(services, service, asked, limit))
    table(("letter", "recorded", "lay at", "customer", "reason"), [_row(letter) for letter in found], right=("letter",))
    if count > len(found):
        say(f"the newest {len(found):,} (--all shows the others)")
    say()


def _kind(group: Mapping[str, Any], by: str) -> str:
    return _why(group) if by == "reason" else _plain(group[by]) or "(none)"


def _row(letter: Mapping[str, Any]) -> tuple[object, ...]:
    place = f"{letter['topic']}[{letter['partition']}]:{letter['offset']}"
    done = "" if letter["state"] == "waiting" else f"({letter['state']}) "
    first = f"(again, first {letter['replay_of']}) " if letter["replay_of"] else ""
    recorded = day_or_time(letter["recorded_at"])
    return (letter["letter"], recorded, place, _plain(letter["customer_id"]), f"{done}{first}{_why(letter)}")


def _why(letter: Mapping[str, Any]) -> str:
    return _plain(": ".join(filter(None, (letter["error"], f"{letter['path']} {letter['reason']}".strip()))))


def _show(letter: Mapping[str, Any]) -> None:
    say(f"{letter['letter']}: {letter['error']}, {letter['state']}", style="bold")
    say(_plain(f"{letter['path']} {letter['reason']}".strip()))
    say(f"{letter['topic']}[{letter['partition']}] at {letter['offset']}, recorded {letter['recorded_at'] or 'at no time'}")
    say(f"tried {letter['attempts']} x by version {letter['code_version']}")
    for what, name in (("source", "source"), ("id", "id"), ("type", "type")):
        if letter[name] is not None:
            say(f"{what} {_plain(letter[name])}")
    if letter["replay_of"]:
        say(f"it is a replay of {letter['replay_of']} that failed")
    if letter["became"]:
        say(f"its replays became {', '.join(letter['became'])}")
    for act in letter["done"]:
        published = "" if act["published"] is None else ", in Kafka" if act["published"] else ", on its way to Kafka"
        why = f": {_plain(act['reason'])}" if act["reason"] else ""
        say(f"{act['act']} by {_plain(act['actor']) or 'somebody'} at {day_or_time(act['at'])}{published}{why}")
    say(f"replayed now it would be {_verdict(letter)}")
    say()
    say(f"key {_text(letter['key'])}")
    table(("header", "value"), [(_plain(header["name"]), _text(header)) for header in letter["headers"]])
    say()
    say(_text(letter["value"]))


def _text(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return "(none)"
    text = value["text"] if value["text"] is not None else f"(no text; base64) {value['base64']}"
    cut = len(text) - VALUE_SHOWN
    return _plain(text) if cut <= 0 else f"{_plain(text[:VALUE_SHOWN])}... ({cut:,} characters more: --json)"


def _plain(text: str | None) -> str:
    """A text from outside without what a terminal would obey."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text or "")
