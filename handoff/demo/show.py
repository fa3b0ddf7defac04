"""The demo from the first process to the last: the stack on a data directory of its own, the year, and what is seen of it.

On a terminal the screen is drawn again and again; in a pipe a few plain lines come every few seconds.
"""

import time
from contextlib import suppress
from typing import Final

from rich.console import Console
from rich.live import Live

from handoff.console import PIPE_SECONDS, Narrator, say
from handoff.demo.farewell import farewell
from handoff.demo.lines import figures, lines
from handoff.demo.performance import Performance
from handoff.demo.scene import Scene
from handoff.demo.screen import screen
from handoff.demo.settings import DemoSettings
from handoff.demo.worktime import Year
from handoff.stack import Stack

REFRESH_SECONDS: Final = 0.25


class Announcer:
    """Tells about processes: on a line of its own while there is no screen, else on the screen. A :class:`Reporter`.

    Where nobody reads the pipe any more, nothing is told: the processes are to be stopped all the same.
    """

    def __init__(self, narrator: Narrator) -> None:
        self._narrator = narrator
        self.performance: Performance | None = None

    def step(self, text: str) -> None:
        """What is being done now."""
        if self.performance is None:
            with suppress(BrokenPipeError):
                self._narrator.step(text)

    def note(self, text: str) -> None:
        """What happened, to be kept."""
        if self.performance is not None:
            self.performance.note(text)
            return
        with suppress(BrokenPipeError):
            self._narrator.note(text)

    def rest(self) -> None:
        """Nothing is being done now."""
        self._narrator.rest()


class Show:
    """One demo: of about so many leads, in so many seconds (0 as fast as it goes)."""

    def __init__(self, console: Console, settings: DemoSettings, year: Year, *, seed: int, leads: int, seconds: float) -> None:
        self._console = console
        self._settings = settings
        self._year = year
        self._seed = seed
        self._leads = leads
        self._seconds = seconds

    def run(self, announcer: Announcer, *, ends: bool) -> None:
        """Start everything, and play the year. ``ends``: that is the end; else everything is kept running until Ctrl-C."""
        with Stack(self._settings, announcer, log_time=False) as stack:
            announcer.rest()
            self._introduce(stack)
            with Performance(stack, self._year, seed=self._seed, leads=self._leads, seconds=self._seconds) as performance:
                scene = self._perform(performance, announcer)
            if ends:
                return
            say()
            for line in farewell(scene, self._settings):
                say(line)
            say("Ctrl-C stops it.", style="dim")
            stack.run()

    def _introduce(self, stack: Stack) -> None:
        if not self._drawn:
            for name, url in {"Kafka": stack.bootstrap, **{program.name: program.url for program in stack.programs}}.items():
                say(f"{name:<10} {url}")

    @property
    def _drawn(self) -> bool:
        return self._console.is_terminal and not self._console.is_dumb_terminal

    def _perform(self, performance: Performance, announcer: Announcer) -> Scene:
        """The last scene, once the year is over."""
        if not self._drawn:
            return self._tell(performance)
        announcer.performance = performance
        try:
            return self._draw(performance)
        finally:
            announcer.performance = None

    def _draw(self, performance: Performance) -> Scene:
        scene = performance.scene()
        try:
            with Live(console=self._console, screen=True, auto_refresh=False) as live:
                while not performance.over(scene):
                    live.update(screen(scene, *self._console.size), refresh=True)
                    time.sleep(REFRESH_SECONDS)
                    performance.tend()
                    scene = performance.scene()
        finally:  # what was on the screen last stays
            self._console.print(screen(scene, *self._console.size))
        say(f"The year is over: {_counted(scene)}", style="bold")
        return scene

    def _tell(self, performance: Performance) -> Scene:
        scene, told, told_at = performance.scene(), None, time.monotonic()
        while not performance.over(scene):
            first_totals = told is None and any(figures(scene))
            if first_totals or time.monotonic() - told_at >= PIPE_SECONDS:
                for line in lines(scene, told):
                    say(line)
                told, told_at = scene, time.monotonic()
            time.sleep(REFRESH_SECONDS)
            performance.tend()
            scene = performance.scene()
        say(f"The year is over: {_counted(scene)}")
        for line in figures(scene):
            say(line)
        return scene


def _counted(scene: Scene) -> str:
    letters = sum(scene.buried().values())
    return f"{scene.played.published:,} facts, {scene.seen.assigned:,} assignments, {letters:,} dead letters"
