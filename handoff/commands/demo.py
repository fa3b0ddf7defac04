"""``handoff demo``: a simulated year of a small company on a stack of its own, live on the screen."""

import os
import sys
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import Annotated, Final

import typer
from rich.console import Console

from handoff.commands.up import ending_by_interrupt
from handoff.console import Narrator, out
from handoff.demo.folder import make_anew
from handoff.demo.settings import DemoSettings
from handoff.demo.show import Show
from handoff.demo.simulation import LEADS, SEED
from handoff.demo.worktime import Year
from handoff.errors import CommandError
from handoff.options import DataDir, ForecastPort, Host, KafkaPort, LifecyclePort, Partitions, RoutingPort
from handoff.settings import load
from handoff.voice import Voice

SECONDS: Final = 180.0

Seconds = Annotated[float, typer.Option(min=1, metavar="SECONDS", help="How long the year takes.")]
Fast = Annotated[bool, typer.Option("--fast", help="As fast as it goes, whatever --seconds says.")]
Seed = Annotated[int, typer.Option(help="Another seed is another year.")]
Until = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="The day on which the year ends; today without it.", show_default=False),
]
Leads = Annotated[int, typer.Option(min=1, max=20_000, help="How many leads come in, about.")]
Exit = Annotated[bool, typer.Option("--exit", help="Stop everything when the year is over.")]


def demo(
    seconds: Seconds = SECONDS,
    fast: Fast = False,
    seed: Seed = SEED,
    leads: Leads = LEADS,
    until: Until = None,
    ends: Exit = False,
    data_dir: DataDir = None,
    kafka_port: KafkaPort = None,
    lifecycle_port: LifecyclePort = None,
    routing_port: RoutingPort = None,
    forecast_port: ForecastPort = None,
    partitions: Partitions = None,
    host: Host = None,
) -> int:
    """Play a simulated year of a small company against the whole stack, and show what comes of it, live.

    The same seed and day give the same year. It runs on a directory of its own (demo, in the data directory), made anew each time.
    """
    settings = DemoSettings.of(
        load(
            data_dir=data_dir,
            kafka_port=kafka_port,
            lifecycle_port=lifecycle_port,
            routing_port=routing_port,
            forecast_port=forecast_port,
            partitions=partitions,
            host=host,
        )
    )
    console = _output()
    year = _year(until)
    with ending_by_interrupt() as heed, Narrator(console) as narrator:
        voice = Voice(narrator)
        try:
            make_anew(settings.data_dir)
            show = Show(console, voice, settings, year, seed=seed, leads=leads, seconds=0 if fast else seconds, heed=heed)
            show.run(ends=ends)
        except KeyboardInterrupt:
            voice.rest()
            voice.say("Everything is stopped.")
    return 0


def _output() -> Console:
    """Standard output. What its encoding does not have becomes a question mark: an ellipsis is no reason to fail."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if sys.stdout.isatty() and any(os.get_terminal_size(sys.stdout.fileno())):
        for copy in ("COLUMNS", "LINES"):  # where a shell exports them, they are what the size was then, for ever
            os.environ.pop(copy, None)
    return out()


def _year(until: datetime | None) -> Year:
    today = datetime.now(UTC).date()
    if until is not None and until.date() > today:
        raise CommandError(
            f"--until: {until.date()} is in the future, and services show nothing that has not happened: today is {today}"
        )
    return Year(until.date() if until else today)
