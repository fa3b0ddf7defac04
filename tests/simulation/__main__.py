"""``make simulate SEEDS=2000 SEED=n``: seeds by the thousand, on all cores; the story of each that fails.

Also by hand: ``python -m tests.simulation --plan FILE`` runs a plan that was kept with ``--keep FOLDER``, and tells what happens.
"""

import argparse
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pool
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from tests.simulation.plan import plan as plan_of
from tests.simulation.simulation import simulate
from tests.simulation.steps import Plan, from_json, to_json
from tests.simulation.story import told

FAILURES_MAX: Final = 3
"""After so many stories it is enough."""
CPU_SECONDS_MAX: Final = 300
"""A seed that takes so long, with its story, hangs: a run takes a tenth of a second."""


class Result(NamedTuple):
    """What came of a seed; ``story`` and ``kept`` (the short plan) where it failed."""

    seed: int
    steps: int
    inputs: int
    seconds: float
    story: str | None = None
    kept: bytes = b""


def run(seed: int) -> Result:
    """Run the plan of a seed."""
    logging.disable(logging.CRITICAL)
    began = time.process_time()
    plan = plan_of(seed)
    try:
        with no_longer_than(CPU_SECONDS_MAX):
            return _run(seed, plan, began)
    except Hangs:
        story = f"seed {seed}: hangs (after {CPU_SECONDS_MAX} s of CPU it was ended)\n{traceback.format_exc(limit=-8)}"
        return Result(seed, len(plan.steps), 0, CPU_SECONDS_MAX, story, to_json(plan))


def _run(seed: int, plan: Plan, began: float) -> Result:
    found = simulate(plan)
    seconds = time.process_time() - began
    inputs = sum(len(getattr(step, "inputs", ())) for step in plan.steps)
    if not found:
        return Result(seed, len(plan.steps), inputs, seconds)
    short, story = told(plan, found)
    return Result(seed, len(plan.steps), inputs, seconds, story, to_json(short))


class Hangs(BaseException):
    """A run does not end."""


@contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    """Raise ``Hangs`` when this takes more CPU time."""

    def hangs(*_: object) -> None:
        raise Hangs

    signal.signal(signal.SIGPROF, hangs)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def campaign(first: int, count: int, jobs: int, keep: Path | None) -> int:
    """Seeds one after the other; how many failed."""
    failed = done = steps = inputs = 0
    seconds = 0.0
    print(f"simulation: {count:,} seeds from {first} on {jobs} processes", flush=True)
    with Pool(jobs, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)) as pool:  # ends them, however it is left
        for result in pool.imap(run, range(first, first + count), chunksize=4):
            done, steps, inputs, seconds = done + 1, steps + result.steps, inputs + result.inputs, seconds + result.seconds
            if result.story is not None:
                failed += 1
                print(f"\n{result.story}\n", flush=True)
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{result.seed}.json").write_bytes(result.kept)
            if failed >= FAILURES_MAX:
                break
            if done % 200 == 0:
                print(f"  {done:,} seeds", flush=True)
    verdict = f"{failed} failed" if failed else "every promise held"
    print(
        f"simulation: {done:,} seeds, {inputs:,} inputs, {steps:,} steps, {seconds / max(1, done):.2f} s of CPU a seed: {verdict}"
    )
    return failed


def replay(path: Path) -> int:
    """Run a plan that was kept, and tell all that happens; how much is wrong."""
    try:
        plan = from_json(path.read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeError) as error:
        print(f"{path} is no plan that was kept: {error}", file=sys.stderr)
        return 1
    found = simulate(plan, tell=print)
    print("\n".join(found) or "every promise held")
    return len(found)


def at_least_1(text: str) -> int:
    """A number of things. Raises ``ValueError``."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{number} is too few")
    return number


def main() -> int:
    """0 where all is well, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=at_least_1, default=2_000, help="how many")
    parser.add_argument("--seed", type=int, default=None, help="the first one; without it one that was hardly ever tried")
    parser.add_argument("--jobs", type=at_least_1, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--keep", type=Path, default=None, help="a folder for the plans that fail, made short")
    parser.add_argument("--plan", type=Path, default=None, help="run this plan instead, and tell what happens")
    asked = parser.parse_args()
    if asked.plan is not None:
        logging.disable(logging.CRITICAL)
        return min(1, replay(asked.plan))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    first = int(time.time()) if asked.seed is None else asked.seed
    return min(1, campaign(first, asked.seeds, asked.jobs, asked.keep))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
