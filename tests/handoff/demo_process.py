"""A ``handoff demo`` as a process of its own, for the tests that start one: its lines, its services, its end."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

from handoff.settings import PREFIX, SERVICES
from handoff.stack.folder import claim
from tests.ports import free_ports


def environment(data_dir: Path, ports: dict[str, int]) -> dict[str, str]:
    """Ports and a directory of one's own."""
    named = {f"HANDOFF_{name.upper()}_PORT": str(port) for name, port in ports.items()}
    return {**os.environ, **named, "HANDOFF_DATA_DIR": str(data_dir)}


def own_ports() -> dict[str, int]:
    """Free ones."""
    names = (*SERVICES, "kafka")
    return dict(zip(names, free_ports(len(names)), strict=True))


def nothing_runs(data_dir: Path) -> bool:
    """Whether nothing of a stack on the directory runs any more: whoever does keeps a lock, and Kafka its process id's."""
    with claim(data_dir):
        pid = data_dir / "kafka" / "broker.pid"
        return not pid.exists() or not pid.read_text().strip() or not Path(f"/proc/{pid.read_text().strip()}").exists()


class Tried(NamedTuple):
    """A command that the demo suggests, why, and what it answered."""

    why: str
    command: str
    out: str


class Demo:
    """One that was started with these options, in a pipe."""

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.data_dir = data_dir
        self.ports = own_ports()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "handoff", "demo", *options],
            env=environment(data_dir, self.ports),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []

    def read_until(self, beginning: str) -> None:
        """Read what it says up to a line that begins so."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if line.startswith(beginning):
                return
        raise AssertionError(f"it ended, and never said {beginning!r}:\n" + "\n".join(self.lines))

    def get(self, service: str, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[service]}{path}", timeout=10) as answer:
            return json.load(answer)

    def suggested(self) -> list[tuple[str, str]]:
        """The commands that it suggests, each with what it is for."""
        pairs = zip(self.lines, self.lines[1:], strict=False)
        return [(why[3:], command.strip()) for why, command in pairs if re.match(r"\d\. ", why)]

    def tried(self) -> list[Tried]:
        """The same as one would try them: in a shell that knows nothing but the line that the demo says to type first."""
        export = next(line for line in self.lines if line.startswith("   export "))
        bare = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        return [Tried(why, command, _output(f"set -e\n{export}\n{command}", bare)) for why, command in self.suggested()]

    def end(self, number: int | None = None) -> int:
        """Wait for its end, after a signal to it; its exit code."""
        if number is not None:
            self.process.send_signal(number)
        assert self.process.stdout is not None
        with self.process.stdout:
            self.lines += [line.rstrip("\n") for line in self.process.stdout]
        return self.process.wait(30)


def _output(script: str, variables: dict[str, str]) -> str:
    done = subprocess.run(["sh", "-c", script], env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout
