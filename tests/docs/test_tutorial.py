"""The tutorial, step by step on a stack of its own: what is shown is what is printed."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.ports import free_port

from .transcript import Shell, Step, file_name, matches, steps

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(280)]

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "tutorial.md"
START_SECONDS_MAX: Final = 60.0
PATIENCE_SECONDS: Final = 20.0
"""How long an answer may lag behind what was published."""
COMMAND_SECONDS_MAX: Final = 15
"""``handoff tail --limit`` waits for records that do not come."""
ASKING: Final = re.compile(r"(handoff (customer|explain|forecast|status|tail)|curl|grep) ?")
"""How commands begin that only ask, and may be asked again."""
SLOW: Final = re.compile(r"^not ready yet \(logs in .*\):\n(?:  .*\n)+", re.MULTILINE)
"""What ``handoff up`` says besides where a machine is slow; the page says so in words."""
DEFAULT_PORTS: Final = {"LIFECYCLE": 8081, "ROUTING": 8082, "FORECAST": 8083, "KAFKA": 9092}


class Terminal:
    """The first terminal: where ``handoff up`` runs."""

    def __init__(self, folder: Path, environment: Mapping[str, str], command: str) -> None:
        self._printed = ""
        self._ready = threading.Event()
        self._process = subprocess.Popen(
            ["bash", "-c", f"exec env {command}"],
            cwd=folder,
            env={**environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def until_ready(self) -> str:
        """What it has printed when it is ready, or has ended."""
        self._ready.wait(START_SECONDS_MAX)
        return SLOW.sub("", self._printed)

    def end(self) -> str:
        """Press Ctrl-C; everything that it printed."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)
        self._reader.join()
        assert self._process.stdout
        self._process.stdout.close()
        return self._printed

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._printed += line
            if line.startswith("Ctrl-C stops it"):
                self._ready.set()
        self._ready.set()


class Reader:
    """Somebody who does what the page says, on ports of their own."""

    def __init__(self, folder: Path) -> None:
        (folder / ".venv").mkdir()
        (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
        self._ports = {default: free_port() for default in DEFAULT_PORTS.values()}
        own = {f"HANDOFF_{name}_PORT": str(self._ports[default]) for name, default in DEFAULT_PORTS.items()}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HANDOFF_") or name in MACHINE}
        self._environment = {**inherited, **own, "PATH": f"{folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        self._tour = folder / "tour"
        self._terminal: Terminal | None = None
        self._shell = Shell(folder, self._environment)
        limited = f'handoff() {{ {sys.executable} -c "$LIMITED" {COMMAND_SECONDS_MAX} handoff "$@"; }}'
        self._shell.run(f"LIMITED='{LIMITED}'\n{limited}")

    def take(self, step: Step) -> None:
        """Do what the step says, and look whether it prints what is shown."""
        text = self._own(step.text)
        if step.kind == "yaml":
            (self._tour / file_name(step)).write_text(step.text)
        elif text.rstrip().endswith("handoff up"):
            self._leave()
            self._terminal = Terminal(self._tour, self._environment, text.strip())
            self._check(step, self._terminal.until_ready())
        elif step.kind == "python":
            done = subprocess.run(
                [sys.executable, "-"], input=text, env=self._environment, capture_output=True, text=True, check=False
            )
            self._check(step, done.stdout + done.stderr)
        else:
            self._run(step, text)

    def close(self) -> None:
        """End everything."""
        try:
            self._leave()
        finally:
            self._shell.__exit__()

    def _run(self, step: Step, text: str) -> None:
        asking = all(ASKING.match(line) for line in text.splitlines())
        deadline = time.monotonic() + PATIENCE_SECONDS
        printed = self._shell.run(text)
        while asking and not self._fits(step, printed) and time.monotonic() < deadline:
            printed = self._shell.run(text)
        self._check(step, printed)

    def _check(self, step: Step, printed: str) -> None:
        shown = self._own(step.shown or "")
        assert self._fits(step, printed), f"{PAGE.name}:{step.line} shows\n{shown}\nbut it printed\n{printed}"

    def _fits(self, step: Step, printed: str) -> bool:
        return matches(self._own(step.shown or ""), printed)

    def _own(self, text: str) -> str:
        return re.sub(r"(?<=127\.0\.0\.1:)\d{4}\b", lambda found: str(self._ports[int(found[0])]), text)

    def _leave(self) -> None:
        if self._terminal:
            assert self._terminal.end().endswith("Everything is stopped; what was taken in is kept.\n")
            self._terminal = None


MACHINE: Final = ("HANDOFF_CACHE_DIR", "HANDOFF_JAVA", "HANDOFF_MAVEN_URL")
LIMITED: Final = "import subprocess, sys; subprocess.run(sys.argv[2:], timeout=float(sys.argv[1]))"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    somebody = Reader(tmp_path)
    try:
        yield somebody
    finally:
        somebody.close()


@pytest.mark.long
def test_the_tutorial_shows_what_happens(reader: Reader) -> None:
    for step in steps(PAGE.read_text(encoding="utf-8")):
        reader.take(step)


def test_what_a_slow_machine_is_told_besides_is_no_difference() -> None:
    notice = "not ready yet (logs in /tour/.handoff/logs):\n  lifecycle: bus: starting\n  routing: bus: starting\n"
    assert (
        SLOW.sub("", f"starting routing\n{notice}routing is ready\n{notice}\nready\n  logs\n")
        == "starting routing\nrouting is ready\n\nready\n  logs\n"
    )
    assert SLOW.sub("", "routing died: not ready yet\n  logs\n") == "routing died: not ready yet\n  logs\n"


def test_a_step_that_prints_something_else_is_noticed(tmp_path: Path) -> None:
    with Shell(tmp_path, {**os.environ}) as shell:
        printed = shell.run("echo one; echo two 2; echo three >&2")
    assert printed == "one\ntwo 2\nthree\n"
    assert matches("one\ntwo ...\nthree\n", printed)
    assert matches("one\n...\n", printed)
    assert matches("...\nthree\n", printed)
    assert not matches("one\ntwo 2\n", printed)
    assert not matches("one\ntwo 3\nthree\n", printed)
    assert not matches("", printed)
    assert matches("", "")
