"""A fuzzer for each target in turn, as many at a time as there are cores; what fails is made short, kept, and told."""

import importlib.util
import json
import logging
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from random import Random
from time import monotonic
from typing import Final, NamedTuple

from tests.fuzz.catalogue import TARGETS
from tests.fuzz.feeding import feed, shortened
from tests.fuzz.mutation import mutated
from tests.fuzz.target import Target

FAILURES_MAX: Final = 10
"""Of one target: after so many kinds of failure it is enough."""
END_SECONDS: Final = 120.0
"""How long a fuzzer may take beyond its time."""
IDLE: Final = "no input was executed"
BLIND: Final = "inputs were executed, and no branch was seen"
_FIGURES: Final = re.compile(r"#(\d+)\s+\w+\s+(?:cov: (\d+) ft: \d+ )?corp: (\d+)/")
_MARK: Final = re.compile(r"^FAILED (.*)$", re.MULTILINE)


class Found(NamedTuple):
    """What came of a target. ``coverage``: branches reached, 0 where nobody counted; ``corpus``: inputs that reach others."""

    target: str
    executions: int
    coverage: int
    corpus: int
    failures: tuple[str, ...]


def guided() -> bool:
    """Whether a fuzzer that is guided by coverage is installed."""
    return importlib.util.find_spec("atheris") is not None


def campaign(names: Sequence[str], seconds: float, seed: int, jobs: int, keep: Path) -> list[Found]:
    """Fuzz targets for so many seconds together; what fails is written into a folder."""
    run, jobs = (_guided, jobs) if guided() else (_unguided, 1)
    each = max(1.0, seconds * jobs / len(names))
    with ThreadPoolExecutor(jobs) as pool:
        found = []
        feeding = pool.map if guided() else map  # without processes of their own in this thread: a time limit needs the main one
        for result in map(_judged, feeding(lambda name: run(name, each, seed, keep), names)):
            found.append(result)
            figures = f"{result.executions:>10,} executions, {result.coverage:>5,} branches, {result.corpus:>5,} inputs kept"
            verdict = f"{len(result.failures)} FAILURES" if result.failures else "every promise held"
            print(f"{result.target:<14} {figures}: {verdict}", flush=True)
        return found


def _judged(found: Found) -> Found:
    """What was found; and where nothing was executed, or by chance what should be guided, that: then no promise was kept."""
    why = IDLE if not found.executions else BLIND if guided() and not found.coverage else None
    if why is None or found.failures:
        return found
    see = f"python -m tests.fuzz.guided {found.target} {tempfile.gettempdir()}/fuzz-{found.target} -max_total_time=10"
    look = f"see what its fuzzer says: {see}" if guided() else "see its corpus, and how it is opened, in tests/fuzz/targets"
    print(f"\n{found.target}: {why}, so it may not pass; {look}\n", flush=True)
    return found._replace(failures=(why,))


def _guided(name: str, seconds: float, seed: int, keep: Path) -> Found:
    left = seconds
    executions = coverage = corpus = 0
    marks: list[str] = []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        folder = Path(place)
        while left > 0 and len(marks) < FAILURES_MAX:
            began = monotonic()
            (folder / "known.json").write_text(json.dumps(marks))
            options = [f"-max_total_time={max(1, round(left))}", f"-seed={seed}"]
            command = [sys.executable, "-m", "tests.fuzz.guided", name, place, *options]
            try:
                said = subprocess.run(
                    command, capture_output=True, text=True, errors="replace", timeout=left + END_SECONDS, check=False
                )
                output = re.sub(r"^INFO: .*\n", "", said.stdout + said.stderr, flags=re.MULTILINE)
            except subprocess.TimeoutExpired as error:
                output = f"FAILED it did not end\n{(error.stdout or b'')[-2000:]!r}"
            left -= max(1.0, monotonic() - began)
            figures = _FIGURES.findall(output)
            executions += int(figures[-1][0]) if figures else 0
            coverage, corpus = (max(coverage, int(figures[-1][1] or 0)), int(figures[-1][2])) if figures else (coverage, corpus)
            mark = _MARK.search(output)
            if mark is None:
                if "DONE" not in output:
                    marks.append("the fuzzer died")
                    print(f"\n{name}: the fuzzer died\n{output[-3000:]}", flush=True)
                break
            marks.append(mark[1])
            failed = folder / "failed"
            if failed.exists():
                tell = [sys.executable, "-m", "tests.fuzz", "--tell", name, str(failed), "--keep", str(keep)]
                print(subprocess.run(tell, capture_output=True, text=True, check=False).stdout, flush=True)
    return Found(name, executions, coverage, corpus, tuple(marks))


def _unguided(name: str, seconds: float, seed: int, keep: Path) -> Found:
    target = TARGETS[name]
    executions, marks = 0, set[str]()
    with target.open() as run:
        deadline = monotonic() + seconds
        for data in inputs(target, seed):
            if monotonic() > deadline or len(marks) >= FAILURES_MAX:
                break
            executions += 1
            failure = feed(run, data, target.cpu_seconds_max)
            if failure is not None and failure.mark not in marks:
                marks.add(failure.mark)
                print(f"\n{told(name, data, keep)}\n", flush=True)
    return Found(name, executions, 0, 0, tuple(sorted(marks)))


def inputs(target: Target, seed: int) -> Iterator[bytes]:
    """The corpus of a target, and then without end what a seed makes of it."""
    corpus = list(target.corpus())
    yield from corpus
    random = Random(seed)
    while True:
        yield mutated(corpus, target.words, random)


def told(name: str, data: bytes, keep: Path | None) -> str:
    """The story of an input that fails: the shortest that fails alike, why, and how to see it again."""
    logging.disable(logging.CRITICAL)
    target = TARGETS[name]
    with target.open() as run:
        failure = feed(run, data, target.cpu_seconds_max)
        if failure is None:
            note = "it does not fail by itself: what came before has to do with it"
        else:
            data = shortened(run, data, failure.mark, target.cpu_seconds_max)
            failure = feed(run, data, target.cpu_seconds_max) or failure
            note = failure.told
    again = ""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        path = keep / f"{name}-{sha256(data).hexdigest()[:12]}"
        path.write_bytes(data)
        again = f"\nagain: python -m tests.fuzz --replay {path}"
    return f"{name} fails on {len(data)} bytes: {data[:400]!r}\n{note}{again}"
