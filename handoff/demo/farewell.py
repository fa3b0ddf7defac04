"""What to try when the year is over: a few commands, with ids and days that mean something in it."""

import os
import shutil
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from events.topics import dead_letters
from events.values import NANOSECONDS
from handoff.client import ServiceDown, Services
from handoff.demo.scene import Scene
from handoff.demo.worktime import day_of, quarter_end
from handoff.settings import SERVICES, Settings, variable

DEALS_MAX: Final = 500


def farewell(scene: Scene, settings: Settings) -> Iterator[str]:
    """What to try, a line each."""
    with Services(settings) as services:
        customer = _best_customer(services)
    last = day_of(scene.year.end - NANOSECONDS)
    ended = last if quarter_end(last) == last else _quarter_before(last)
    yield "While this runs, try in another terminal:"
    yield from (f"  export {export}" for export in _exports(settings))
    command = _command()
    if customer:
        yield f"  {command} customer {customer}"
    if scene.seen.assignments:
        yield f"  {command} explain {scene.seen.assignments[-1].customer_id}"
    yield f"  {command} forecast --as-of {ended} --by region"
    yield f"  {command} forecast --period {scene.quarter()} --by team"
    yield f"  {command} tail {dead_letters('lifecycle').name} --from-beginning"
    yield f"  curl '{settings.url('forecast')}/v1/pipeline?by=quarter&as_of={ended}'"


def _best_customer(services: Services) -> str | None:
    """Who bought most, of the first so many deals."""
    bought: dict[str, float] = {}
    try:
        deals = services.get("forecast", "/v1/deals", state="won", limit=str(DEALS_MAX))["deals"]
    except ServiceDown:  # it is started again; this is but a hint
        return None
    for deal in deals:
        bought[deal["customer_id"]] = bought.get(deal["customer_id"], 0.0) + float(deal["amount"] or 0)
    return max(bought, key=lambda customer: (bought[customer], customer), default=None)


def _quarter_before(day: date) -> date:
    """The last day of the quarter before."""
    return date(day.year, (day.month - 1) // 3 * 3 + 1, 1) - timedelta(days=1)


def _exports(settings: Settings) -> list[str]:
    """The ports that another terminal may not know."""
    ports = {name: getattr(settings, name) for name in (*(f"{service}_port" for service in SERVICES), "kafka_port")}
    return [f"{variable(name)}={port}" for name, port in ports.items() if port != Settings.model_fields[name].default]


def _command() -> str:
    """How this command is called here."""
    called = Path(sys.argv[0])
    if called.name != "handoff" or shutil.which("handoff"):
        return "handoff"
    return os.path.relpath(called) if called.is_absolute() and called.is_relative_to(Path.cwd()) else str(called)
