"""The demo from the first process to the last: the stack on a data directory of its own, the year, and what is seen of it.

On a terminal the screen is drawn again and again; in a pipe a few plain lines come every few seconds.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event
from typing import Final

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from handoff.console import PIPE_SECONDS
from handoff.demo import calling
from handoff.demo.farewell import farewell
from handoff.demo.late import Late
from handoff.demo.lines import LEGEND, figures, lines
from handoff.demo.performance import Performance
from handoff.demo.scene import Scene
from handoff.demo.screen import screen
from handoff.demo.settings import DemoSettings
from handoff.demo.worktime import Year
from handoff.errors import CommandError
from handoff.stack import Stack
from handoff.voice import Voice

REFRESH_SECONDS: Final = 0.25


class Announcer:
    """Tells about processes: on a line of its own while there is no screen, else on the screen. A :class:`Reporter`."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self.performance: Performance | None = None

    def step(self, text: str) -> None:
        """What is being done now."""
        if self.performance is None:
            self._voice.step(text)

    def note(self, text: str) -> None:
        """What happened, to be kept."""
        if self.performance is None:
            self._voice.note(text)
        else:
            self.performance.note(text)


class Show:
    """One demo: of about so many leads, in so many seconds (0 as fast as it goes). ``heed``: as of :class:`handoff.stack.Stack`."""

    def __init__(
        self,
        console: Console,
        voice: Voice,
        settings: DemoSettings,
        year: Year,
        *,
        seed: int,
        leads: int,
        seconds: float,
        heed: Callable[[], None],
    ) -> None:
        self._console = console
        self._voice = voice
        self._announcer = Announcer(voice)
        self._settings = settings
        self._year = year
        self._seed = seed
        self._leads = leads
        self._seconds = seconds
        self._heed = heed

    def run(self, *, ends: bool) -> None:
        """Start everything, and play the year. ``ends``: that is the end; else everything is kept running until Ctrl-C."""
        with Stack(self._settings, self._announcer, log_time=False, heed=self._heed) as stack:
            self._voice.rest()
            if not self._drawn:
                self._introduce(stack)
            with Performance(stack, self._year, seed=self._seed, leads=self._leads, seconds=self._seconds) as performance:
                scene = self._draw(performance) if self._drawn else self._tell(performance)
                late = performance.late()
            if ends:
                return
            self._part(scene, late)
            stack.run()

    @property
    def _drawn(self) -> bool:
        return self._console.is_terminal and not self._console.is_dumb_terminal

    # ------------------------------------------------------------------------------------- in a pipe

    def _introduce(self, stack: Stack) -> None:
        for name, url in {"Kafka": stack.bootstrap, **{program.name: program.url for program in stack.programs}}.items():
            self._voice.say(f"{name:<10} {url}")
        self._voice.say(LEGEND)

    def _tell(self, performance: Performance) -> Scene:
        scene, told, told_at = performance.scene(), None, time.monotonic()
        while not performance.over(scene):
            first_totals = told is None and any(figures(scene))
            if first_totals or time.monotonic() - told_at >= PIPE_SECONDS:
                for line in lines(scene, told):
                    self._voice.say(line)
                told, told_at = scene, time.monotonic()
            time.sleep(REFRESH_SECONDS)
            performance.tend()
            scene = performance.scene()
        self._voice.say(f"The year is over: {_counted(scene)}")
        for line in figures(scene):
            self._voice.say(line)
        return scene

    # --------------------------------------------------------------------------------- on a terminal

    def _draw(self, performance: Performance) -> Scene:
        """The last scene, once the year is over. It is drawn in a thread: starting Kafka again takes seconds, which are seen."""
        self._announcer.performance = performance
        stop = Event()
        live = Live(console=self._console, screen=True, auto_refresh=False)
        try:
            with ExitStack() as held:
                held.callback(self._heard, live.stop)
                self._heard(live.start)
                thread = held.enter_context(ThreadPoolExecutor(1, thread_name_prefix="screen"))
                held.callback(stop.set)
                drawing = thread.submit(self._refresh, live, performance, stop)
                while not performance.over(scene := performance.scene()):
                    time.sleep(REFRESH_SECONDS)
                    performance.tend()
                    if drawing.done():
                        self._heard(drawing.result)
        finally:  # what was on the screen last stays
            self._announcer.performance = None
            self._heard(lambda: self._console.print(self._screen(performance)))
        self._voice.say(f"The year is over: {_counted(scene)}", style="bold")
        return scene

    def _refresh(self, live: Live, performance: Performance, stop: Event) -> None:
        while not stop.is_set():
            live.update(self._screen(performance), refresh=True)
            stop.wait(REFRESH_SECONDS)

    def _screen(self, performance: Performance) -> RenderableType:
        return screen(performance.scene(), *self._console.size, ascii_only=self._console.options.ascii_only)

    def _heard(self, write: Callable[[], object]) -> None:
        with self._voice.heard():
            write()

    # ----------------------------------------------------------------------------------- at the end

    def _part(self, scene: Scene, late: tuple[Late, ...]) -> None:
        """Tell what to try. A command is one line, however narrow the terminal is: it is to be copied."""
        self._voice.say()
        self._voice.say("Everything keeps running. In another terminal, try what a CRM cannot show:", style="bold")
        if export := calling.exports(self._settings):
            self._whole(f"   {export}")
        try:
            for number, suggestion in enumerate(farewell(scene, late, self._settings, calling.command()), start=1):
                self._voice.say(f"{number}. {suggestion.why}")
                self._whole(f"   {suggestion.command}")
        except CommandError as error:  # killed a moment ago, and started again
            self._voice.say(f"   (no more to suggest: {error})")
        self._voice.say("Ctrl-C stops it.", style="dim")

    def _whole(self, line: str) -> None:
        """A line that only the terminal itself may wrap."""
        if not self._console.is_terminal:
            self._voice.say(line)
            return
        with self._voice.heard():
            self._console.print(Text(line, "cyan"), soft_wrap=True)


def _counted(scene: Scene) -> str:
    letters = sum(scene.buried().values())
    return f"{scene.played.published:,} facts, {scene.seen.assigned:,} assignments, {letters:,} dead letters"
