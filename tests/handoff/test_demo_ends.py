"""However a demo, or ``handoff up``, ends in a pipe: nothing of it runs afterwards, and nobody has to read a traceback.

That a signal ends it once the year is over is tested with the year itself.
"""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .demo_process import Demo, environment, nothing_runs, own_ports

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240), pytest.mark.long]


@pytest.mark.parametrize(
    ("command", "lines", "folder"),
    [
        (("demo", "--leads", "30"), 5, "demo"),
        (("demo", "--leads", "30", "--fast"), 20, "demo"),
        (("up",), 1, "."),
    ],
)
def test_when_nobody_reads_any_more_everything_is_stopped(
    tmp_path: Path, command: tuple[str, ...], lines: int, folder: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "handoff", *command],
        env=environment(tmp_path, own_ports()),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout:  # then it is closed, as `head` does
        read = [process.stdout.readline() for _ in range(lines)]
    with process.stderr:
        complaints = process.stderr.read()
    assert (process.wait(60), complaints) == (0, "")
    assert read[0] == "Kafka: starting\n"
    assert nothing_runs(tmp_path / folder)


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("Kafka: starting", signal.SIGINT),
        ("Kafka: starting", signal.SIGHUP),
        ("starting lifecycle", signal.SIGTERM),
        ("20", signal.SIGINT),  # the first totals, under their day
    ],
)
def test_a_signal_at_any_moment_stops_everything(tmp_path: Path, moment: str, number: int) -> None:
    demo = Demo(tmp_path, "--leads", "30")
    demo.read_until(moment)
    assert demo.end(number) == 0, demo.lines
    assert demo.lines[-1] == "Everything is stopped."
    assert nothing_runs(tmp_path / "demo")


def test_more_signals_while_it_stops_change_nothing(tmp_path: Path) -> None:
    demo = Demo(tmp_path, "--leads", "30")
    demo.read_until("starting lifecycle")
    demo.process.send_signal(signal.SIGINT)
    demo.read_until("stopping")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        demo.process.send_signal(number)
    assert demo.end(signal.SIGINT) == 0, demo.lines
    assert demo.lines[-1] == "Everything is stopped."
    assert nothing_runs(tmp_path / "demo")
