"""``make simulate SEEDS=2000 SEED=n``: seeds by the thousand, on all cores; the story of each that fails.

Also by hand: ``python -m tests.simulation --plan FILE`` runs a plan that was kept with ``--keep FOLDER``, and tells what happens.
"""

import argparse
import logging
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.simulation.plan import plan as plan_of
from tests.simulation.simulation import simulate
from tests.simulation.steps import from_json, to_json
from tests.simulation.story import told

FAILURES_MAX = 3
"""After so many stories it is enough."""


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
    found = simulate(plan)
    seconds = time.process_time() - began
    inputs = sum(len(getattr(step, "inputs", ())) for step in plan.steps)
    if not found:
        return Result(seed, len(plan.steps), inputs, seconds)
    short, story = told(plan, found)
    return Result(seed, len(plan.steps), inputs, seconds, story, to_json(short))


def campaign(first: int, count: int, jobs: int, keep: Path | None) -> int:
    """Seeds one after the other; how many failed."""
    failed = done = steps = inputs = 0
    seconds = 0.0
    print(f"simulation: {count:,} seeds from {first} on {jobs} processes", flush=True)
    with ProcessPoolExecutor(jobs) as pool:
        for result in pool.map(run, range(first, first + count), chunksize=4):
            done, steps, inputs, seconds = done + 1, steps + result.steps, inputs + result.inputs, seconds + result.seconds
            if result.story is not None:
                failed += 1
                print(f"\n{result.story}\n", flush=True)
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{result.seed}.json").write_bytes(result.kept)
            if failed >= FAILURES_MAX:
                pool.shutdown(cancel_futures=True)
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
    found = simulate(from_json(path.read_bytes()), tell=print)
    print("\n".join(found) or "every promise held")
    return len(found)


def main() -> int:
    """0 where all is well, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2_000, help="how many")
    parser.add_argument("--seed", type=int, default=None, help="the first one; without it one that was hardly ever tried")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--keep", type=Path, default=None, help="a folder for the plans that fail, made short")
    parser.add_argument("--plan", type=Path, default=None, help="run this plan instead, and tell what happens")
    asked = parser.parse_args()
    if asked.plan is not None:
        logging.disable(logging.CRITICAL)
        return min(1, replay(asked.plan))
    first = int(time.time()) if asked.seed is None else asked.seed
    return min(1, campaign(first, asked.seeds, asked.jobs, asked.keep))


if __name__ == "__main__":
    sys.exit(main())
