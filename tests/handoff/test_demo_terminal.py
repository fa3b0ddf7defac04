"""The demo on a terminal: what happens to Kafka is seen, a changed size is followed, and the terminal is left as it was."""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .demo_process import environment, nothing_runs, own_ports

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300), pytest.mark.long]

LEAVE_SCREEN = "\x1b[?1049l"
SHOW_CURSOR = "\x1b[?25h"
CTRL_C = b"\x03"
SECONDS_MAX = 100.0
STARTER = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "handoff", "demo", *sys.argv[1:]])
"""
"""The terminal becomes the one that sends signals: for Ctrl-C, and when it is closed."""


class Terminal:
    """A demo on a terminal of its own; ``text`` is all that was written to it."""

    def __init__(self, data_dir: Path, *options: str, **variables: str) -> None:
        self.data_dir = data_dir / "demo"
        self.text = ""
        self.master, slave = os.openpty()
        self.resize(80, 24)
        with open(slave, "wb") as terminal:
            self.process = subprocess.Popen(
                [sys.executable, "-c", STARTER, *options],
                env={**environment(data_dir, own_ports()), "TERM": "xterm-256color", **variables},
                stdin=terminal,
                stdout=terminal,
                stderr=terminal,
                start_new_session=True,
            )

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def read(self) -> bool:
        """Take in what is there; whether more may come."""
        if not select.select([self.master], [], [], 0.1)[0]:
            return True
        try:
            self.text += os.read(self.master, 1 << 16).decode(errors="replace")
        except OSError:  # whoever wrote is gone
            return False
        return True

    def read_until(self, met: Callable[[], object]) -> None:
        deadline = time.monotonic() + SECONDS_MAX
        while not met():
            assert time.monotonic() < deadline, self.text[-4000:]
            assert self.read(), self.text[-4000:]

    def count(self, pattern: str) -> int:
        return len(re.findall(pattern, self.text))

    def end(self) -> int:
        while self.read():
            pass
        return self.process.wait(30)

    def close(self) -> None:
        """Close the terminal's window."""
        if self.master >= 0:
            os.close(self.master)
        self.master = -1


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Opens terminals; ends what still runs on one when the test is over."""
    opened: list[Terminal] = []

    def new(*options: str, **variables: str) -> Terminal:
        opened.append(Terminal(tmp_path, *options, **variables))
        return opened[-1]

    yield new
    for each in opened:
        each.close()
        if each.process.poll() is None:
            each.process.send_signal(signal.SIGTERM)
        each.process.wait(30)


def test_the_screen_lives_while_kafka_is_started_again_and_follows_the_size(terminal: Callable[..., Terminal]) -> None:
    demo = terminal("--leads", "100", "--seconds", "120", COLUMNS="80", LINES="24")
    demo.read_until(lambda: demo.count("all open"))
    os.kill(int((demo.data_dir / "kafka" / "broker.pid").read_text()), signal.SIGKILL)
    demo.read_until(lambda: "is ready again" in demo.text)
    told = {int(seconds) for seconds in re.findall(r"Kafka ended; it is started again \((\d+) s ago\)", demo.text)}
    assert {0, 1, 2} <= told  # the seconds are counted on the screen

    shown = r"(?<!//)127\.0\.0\.1:\d+/v1/status"  # only the wide screen shows whole addresses; in links they begin with http://
    assert not demo.count(shown)
    demo.resize(160, 50)
    demo.read_until(lambda: demo.count(shown))
    demo.resize(40, 8)
    demo.read_until(lambda: demo.count("assigned, "))

    demo.type(CTRL_C)
    assert demo.end() == 0
    assert demo.text.rstrip().endswith("Everything is stopped.")
    assert demo.text.rindex(LEAVE_SCREEN) < demo.text.rindex("Everything is stopped.")
    assert demo.text.rindex(SHOW_CURSOR) > demo.text.rindex("\x1b[?25l")
    assert nothing_runs(demo.data_dir)


@pytest.mark.parametrize("moment", ["Kafka: starting", "all open"])
def test_a_terminal_that_is_closed_stops_everything(terminal: Callable[..., Terminal], moment: str) -> None:
    demo = terminal("--leads", "100", "--seconds", "120")
    demo.read_until(lambda: moment in demo.text)
    demo.close()
    demo.process.wait(45)
    assert nothing_runs(demo.data_dir)


def test_without_colours_or_unicode_it_shows_the_same(terminal: Callable[..., Terminal]) -> None:
    demo = terminal("--leads", "30", "--fast", NO_COLOR="1", PYTHONIOENCODING="ascii")
    demo.read_until(lambda: "Ctrl-C stops it." in demo.text)
    demo.type(CTRL_C)
    assert demo.end() == 0
    assert "####" in demo.text
    assert demo.text.isascii()
    assert not re.search(r"\x1b\[[\d;]*3\d[\d;]*m", demo.text)
    assert "handoff explain C-" in demo.text
