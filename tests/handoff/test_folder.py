"""The data directory: one stack at a time, and everything wrong with it in one line."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handoff.errors import USAGE, CommandError
from handoff.stack.folder import PROCESSES, check_databases, claim

HOLDER = """
import sys, pathlib
from handoff.stack.folder import claim
with claim(pathlib.Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.read()
"""


def complaint(attempt: Callable[[], Any]) -> str:
    with pytest.raises(CommandError) as caught:
        attempt()
    assert caught.value.code == USAGE
    assert "\n" not in str(caught.value)
    return str(caught.value)


def enter(data_dir: Path) -> None:
    with claim(data_dir):
        pass


def test_a_new_directory_is_made(tmp_path: Path) -> None:
    enter(tmp_path / "a" / "b")
    enter(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "logs").is_dir()


@pytest.mark.parametrize("inside", ["", "below", "below/that"])
def test_a_file_where_the_directory_should_be(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").touch()
    message = complaint(lambda: enter(tmp_path / "file" / inside))
    assert str(tmp_path / "file") in message
    assert "HANDOFF_DATA_DIR" in message


def test_a_directory_in_use_says_by_whom(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"mine\n"
        message = complaint(lambda: enter(tmp_path))
        holder.kill()
    assert f"in use by another `handoff up` or `handoff restore` (process {holder.pid})" in message
    enter(tmp_path)  # the lock does not outlive its holder


def test_a_start_waits_for_what_a_killed_stack_left_running(tmp_path: Path) -> None:
    """A process that inherited the lock is on its way out; the next start comes through when it is gone, and not before."""
    with claim(tmp_path) as lock:
        left = subprocess.Popen(["sleep", "0.5"], pass_fds=(lock,))
    with claim(tmp_path):
        assert left.poll() is not None or left.wait(0.1) == 0
    assert (tmp_path / PROCESSES).exists()


@pytest.mark.parametrize(
    "content", [b"this is no database, and long enough to be seen as one that is none " * 20, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_a_database_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "routing.sqlite").write_bytes(content)
    message = complaint(lambda: check_databases(tmp_path, ["lifecycle", "routing"]))
    assert f"routing's database {tmp_path / 'routing.sqlite'} cannot be read" in message
    assert "HANDOFF_DATA_DIR" in message


def test_databases_that_are_absent_or_empty_are_fine(tmp_path: Path) -> None:
    (tmp_path / "routing.sqlite").touch()
    check_databases(tmp_path, ["lifecycle", "routing"])
