"""The disks of the campaign are what they are said to be: full ones take nothing, slow ones take their time."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.disks import DISK_BYTES, Ground, NotHere, ground

WRITE = """
import os, sys, time
file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o644)
began = time.monotonic()
os.write(file, bytes(10))
getattr(os, sys.argv[2])(file)
print(time.monotonic() - began)
"""
MOUNTED = f"""
import json, os, sys
sys.path.insert(0, {str(Path.cwd())!r})
from tests.faults.disks import NotHere, ground
with ground() as place:
    try:
        disk = place.disk("small")
    except NotHere as reason:
        print(json.dumps(str(reason)))
        sys.exit()
    held = os.statvfs(disk.folder)
    before = (disk.folder / "before").write_bytes(bytes(100))
    with disk.full():
        try:
            (disk.folder / "more").write_bytes(bytes(10_000))
            refused = 0
        except OSError as error:
            refused = error.errno
    (disk.folder / "more").write_bytes(bytes(10_000))
    print(json.dumps([held.f_blocks * held.f_frsize, refused, before, sorted(os.listdir(disk.folder))]))
print(json.dumps(place.folder.exists()))
"""


@pytest.fixture
def place() -> Iterator[Ground]:
    with ground() as made:
        yield made


def test_a_full_disk_takes_nothing_until_there_is_space_again() -> None:
    """In a process of its own: who has mounts of one's own keeps them for good."""
    done = subprocess.run([sys.executable, "-c", MOUNTED], capture_output=True, text=True, check=True, timeout=60)
    told, *more = map(json.loads, done.stdout.splitlines())
    if isinstance(told, str):
        pytest.skip(told)
    assert told == [DISK_BYTES, 28, 100, ["before", "more"]]
    assert more == [False]
    assert "handoff-disks" not in Path("/proc/self/mounts").read_text(), "nobody else has seen it"


@pytest.mark.parametrize("call", ["fsync", "fdatasync"])
def test_a_slow_disk_takes_its_time_until_it_is_fast_again(place: Ground, tmp_path: Path, call: str) -> None:
    try:
        disks = place.slow()
    except NotHere as reason:
        pytest.skip(str(reason))
    command = [sys.executable, "-c", WRITE, str(tmp_path / "file"), call]

    def seconds() -> float:
        done = subprocess.run(
            command, env={**os.environ, **disks.environment}, capture_output=True, text=True, check=True, timeout=60
        )
        return float(done.stdout)

    with disks.slow(400, 500):
        assert seconds() >= 0.4
    assert disks.waits == 1
    assert min(seconds() for _ in range(3)) < 0.4
    assert disks.waits == 1
