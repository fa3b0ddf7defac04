"""A demo while it runs: the year is played, watched and asked about, each in a thread; a scene can be taken at any time."""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event
from types import TracebackType
from typing import Final, Self

from events.assignments import LeadAssigned
from events.bus.kafka import KafkaBus
from handoff.demo.figures import Inquirer
from handoff.demo.late import Late, LateFacts
from handoff.demo.player import Player
from handoff.demo.reps import answers
from handoff.demo.scene import Scene
from handoff.demo.simulation import simulate
from handoff.demo.watcher import Watcher
from handoff.demo.worktime import Year
from handoff.stack import Stack

LOOKS: Final = 3
"""After so many looks in which nothing moved, the services have come to the end: the first may have begun before."""
NOTE_SECONDS: Final = 15.0
NOTES_KEPT: Final = 4
"""So many may come at once: where Kafka dies, services may too. The newest is told first."""


class Performance:
    """A context manager; everything ends with it. ``seconds``: how long the year takes, 0 as fast as it goes."""

    def __init__(self, stack: Stack, year: Year, *, seed: int, leads: int, seconds: float) -> None:
        self._stack = stack
        self._year = year
        shards = stack.settings.partitions
        self._bus = KafkaBus(stack.bootstrap, client_id="handoff-demo")
        self._late = LateFacts(year)
        arrivals = self._late.of(simulate(seed, year, leads=leads, shards=shards))
        self._player = Player(self._bus, year, arrivals, seconds=seconds, shards=shards)
        self._inquirer = Inquirer(stack.settings)
        self._watcher = Watcher(self._bus, lambda assigned, at: self._answered(seed, assigned, at))
        self._stop = Event()
        self._running: list[Future[None]] = []
        self._held = ExitStack()
        self._notes: deque[tuple[str, float]] = deque(maxlen=NOTES_KEPT)
        self._quiet = (-1, 0)

    def __enter__(self) -> Self:
        self._held.callback(self._bus.close)
        threads = self._held.enter_context(ThreadPoolExecutor(3, thread_name_prefix="demo"))
        self._held.callback(self._stop.set)
        parts: tuple[Callable[[Event], None], ...] = (self._watcher.run, self._player.run, self._inquirer.run)
        self._running = [threads.submit(run, self._stop) for run in parts]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._held.close()

    def note(self, text: str) -> None:
        """What happened to a process: on the scene for a while."""
        self._notes.appendleft((text, time.monotonic()))

    def scene(self) -> Scene:
        """The present moment."""
        addresses = {program.name: program.url for program in self._stack.programs}
        now = time.monotonic()
        recent = ((text, now - at) for text, at in tuple(self._notes))
        note = " | ".join(f"{text} ({seconds:.0f} s ago)" for text, seconds in recent if seconds < NOTE_SECONDS)
        return Scene(self._year, self._player.played(), self._watcher.seen(), self._inquirer.figures, addresses, note)

    def late(self) -> tuple[Late, ...]:
        """The facts that came late. When the year is over."""
        return self._late.found()

    def tend(self) -> None:
        """Keep the stack alive. Raises what has gone wrong, there or in one of the threads."""
        self._stack.tend()
        for part in self._running:
            if part.done():
                part.result()

    def over(self, scene: Scene) -> bool:
        """Whether the year was played, and everything that came of it has arrived everywhere."""
        if not scene.played.over or scene.played.waiting:
            return False
        if self._quiet[0] != scene.played.published:  # something was written since
            self._quiet = (scene.played.published, scene.figures.looks)
        return scene.figures.settled and scene.figures.looks >= self._quiet[1] + LOOKS

    def _answered(self, seed: int, assigned: LeadAssigned, at: int) -> None:
        self._player.answer(answers(seed, assigned, at))
