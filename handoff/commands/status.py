"""``handoff status``: whether the services run, how far behind they are, and what they could not take in."""

from typing import Any

from handoff.client import ServiceDown, Services
from handoff.console import say_json, table
from handoff.errors import NOT_WELL
from handoff.options import Json
from handoff.settings import SERVICES, load

RUNNING = "running"
DOWN = "down"


def status(as_json: Json = False) -> int:
    """Show the state, the lag and the dead letters of each service. Exit code 1 unless all of them run.

    The lag counts records that are not reflected yet, and what is not yet published: all 0 means settled. Of a service with several
    workers the one at the port that is set tells of its own partitions.
    """
    settings = load()
    with Services(settings) as services:
        found = look(services)
    if as_json:
        say_json(found)
    else:
        rows = [
            (name, each["state"], each["lag"], each["lag_seconds"], found["dead_letters"][name], settings.url(name))
            for name, each in ((name, found["services"][name]) for name in SERVICES)
        ]
        headers = ("service", "state", "lag", "seconds", "dead letters", "address")
        table(headers, rows, right=("lag", "seconds", "dead letters"))
    return 0 if all(each["state"] == RUNNING for each in found["services"].values()) else NOT_WELL


def look(services: Services) -> dict[str, Any]:
    """The body of ``handoff status --json``. What a service that does not answer would say is null."""
    states: dict[str, Any] = {}
    letters: dict[str, Any] = {}
    for name in SERVICES:
        try:
            said = services.status(name)
        except ServiceDown:
            said = {"state": DOWN, "lag": None, "lag_seconds": None, "dead_letters": None}
        states[name] = {key: said[key] for key in ("state", "lag", "lag_seconds")}
        letters[name] = said["dead_letters"]
    return {"services": states, "dead_letters": letters}
