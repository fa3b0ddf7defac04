"""A log is imported in constant memory, however long it is."""

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.applications import APPLICATIONS, FACTS, LOG, MISSING

from .test_import_bpic12 import application, event

ROOT = Path(__file__).parents[2]
GROWTH_KIB_MAX = 4 * 1024
"""By how much a log ten times as long may need more: what the allocator happens to do."""
PEAK_KIB_MAX = 64 * 1024
REJECTING = "from handoff.cli import main; from tests.handoff.import_memory import peak_kib; main(); print(peak_kib())"
"""The command itself: where nothing can be taken over, it needs no Kafka."""
_NAME = re.compile(r'(<trace>.*?key="concept:name" value=")', re.DOTALL)


def imported(file: Path) -> Any:
    """What importing a file came to, in a process of its own."""
    command = [sys.executable, "-m", "tests.handoff.import_memory", str(file)]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=500).stdout)


def test_ten_times_the_log_takes_the_same_memory(tmp_path: Path) -> None:
    answers = [imported(generated(tmp_path / f"{count}.xes.gz", count)) for count in (1_000, 10_000)]
    assert [(answer["read"], answer["published"]) for answer in answers] == [(1_000, 22_000), (10_000, 220_000)]
    peaks = [answer["peak_kib"] for answer in answers]
    assert peaks[1] - peaks[0] < GROWTH_KIB_MAX, peaks


def test_ten_times_as_much_that_is_rejected_takes_the_same_memory(tmp_path: Path) -> None:
    peaks = []
    for count in (1_000, 10_000):
        log, rejects = generated(tmp_path / f"{count}.xes.gz", count, amount="?"), tmp_path / "rejects"
        command = [sys.executable, "-c", REJECTING, "import", "bpic12", str(log), "--rejects", str(rejects), "--json"]
        answer, peak = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.splitlines()
        assert json.loads(answer)["rejected"] == len(rejects.read_text().splitlines()) == count
        peaks.append(int(peak))
    assert peaks[1] - peaks[0] < GROWTH_KIB_MAX, peaks


def generated(file: Path, count: int, amount: str = "20000") -> Path:
    """A log of applications alike."""
    work = (event("W_Nabellen offertes", f"12:00:{n:02}.000", "START", "10913") for n in range(20))
    one = application(
        event("A_SUBMITTED", "10:00:00.000"), event("A_PREACCEPTED", "11:00:00.000"), *work, name="NAME", amount=amount
    )
    with gzip.open(file, "wt", compresslevel=1) as log:
        log.write("<log>\n")
        log.writelines(one.replace("NAME", str(n)) for n in range(count))
        log.write("</log>\n")
    return file


@pytest.mark.data
@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_real_log_and_ten_of_it_take_the_same_memory(tmp_path: Path) -> None:
    if not LOG.exists():
        pytest.skip(MISSING)
    one, ten = imported(LOG), imported(repeated(tmp_path / "ten.xes.gz", 10))
    print(one, ten)
    assert (one["read"], one["published"], one["rejected"]) == (APPLICATIONS, FACTS, 0)
    assert (ten["read"], ten["published"], ten["rejected"]) == (10 * APPLICATIONS, 10 * FACTS, 0)
    assert one["peak_kib"] < PEAK_KIB_MAX
    assert ten["peak_kib"] - one["peak_kib"] < GROWTH_KIB_MAX, (one, ten)


def repeated(file: Path, times: int) -> Path:
    """The real log so many times in one, each time with other applications."""
    with gzip.open(file, "wt", compresslevel=1, encoding="utf-8") as log:
        log.write("<log>\n")
        for time in range(times):
            log.writelines(_NAME.sub(rf"\g<1>{time}-", trace) for trace in traces())
        log.write("</log>\n")
    return file


def traces() -> Iterator[str]:
    """The traces of the real log as they are written there."""
    lines: list[str] = []
    with gzip.open(LOG, "rt", encoding="utf-8") as log:
        for line in log:
            if "<trace>" in line:
                lines = []
            lines.append(line)
            if "</trace>" in line:
                yield "".join(lines)
