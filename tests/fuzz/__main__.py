"""``make fuzz SECONDS=600 SEED=1``: any bytes into the codec, the services, the files and the HTTP interfaces; what fails is kept.

Guided by coverage where atheris is installed (``make fuzz`` does that), else by chance. ``--replay FILE`` feeds one input again,
``--targets a,b`` fuzzes some only, ``--growth`` measures time against size, ``--memory`` memory against the number of inputs.
"""

import argparse
import importlib.util
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz.campaign import campaign, guided, told
from tests.fuzz.catalogue import TARGETS
from tests.fuzz.feeding import feed
from tests.fuzz.measures import MEMORY_BYTES_MAX, MEMORY_INPUTS, growth, memory


def replay(path: Path) -> int:
    """Feed an input that was kept: its name begins with its target's."""
    name = path.name.rpartition("-")[0]
    if name not in TARGETS:
        print(f"{path.name} does not begin with the name of a target: {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    with TARGETS[name].open() as run:
        failure = feed(run, path.read_bytes(), TARGETS[name].cpu_seconds_max)
    print("every promise held" if failure is None else failure.told)
    return failure is not None


def openapi(seconds: float, seed: int) -> int:
    """Requests as OpenAPI describes them (schemathesis), in a process of their own; 1 where an answer is wrong."""
    if importlib.util.find_spec("schemathesis") is None:
        print("OpenAPI: schemathesis is not installed", flush=True)
        return 0
    command = [sys.executable, "-m", "tests.fuzz.conformance", str(seconds), str(seed)]
    return int(subprocess.run(command, check=False).returncode != 0)


def told_growth(names: list[str]) -> int:
    """Say which pieces take more time than is in step; 1 where there are any."""
    found = 0
    for slow in growth(TARGETS[name] for name in names):
        found += 1
        short, long = slow.seconds
        print(f"{slow.target}: {slow.piece!r} at {slow.place}: {short:.2f} s, and four times as long {long:.2f} s", flush=True)
    print(f"growth: {found or 'no'} pieces out of step")
    return min(1, found)


def told_memory(names: list[str], count: int) -> int:
    """Say what each target holds after half of the inputs and after all; 1 where the second half left something behind."""
    grown = 0
    for name in names:
        half, whole = memory(TARGETS[name], count)
        grown += whole - half > MEMORY_BYTES_MAX
        print(
            f"{name:<14} {half / 1024:>10,.0f} KiB after {count // 2:,} inputs, {whole / 1024:>10,.0f} KiB after {count:,}",
            flush=True,
        )
    return min(1, grown)


def _named(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in TARGETS]:
        raise argparse.ArgumentTypeError(f"there is no target {unknown[0]!r}: there are {', '.join(TARGETS)}")
    return names


def main() -> int:
    """0 where every promise held, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="for all targets together")
    parser.add_argument("--seed", type=int, default=None, help="without it one that was hardly ever tried")
    parser.add_argument("--targets", type=_named, default=list(TARGETS), help=f"some of {', '.join(TARGETS)}")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--keep", type=Path, default=Path(".fuzz"), help="a folder for inputs that fail, made short")
    parser.add_argument("--replay", type=Path, default=None, help="feed this input instead")
    parser.add_argument("--growth", action="store_true", help="measure time against size instead")
    parser.add_argument("--memory", action="store_true", help="measure memory against the number of inputs instead")
    parser.add_argument("--inputs", type=int, default=MEMORY_INPUTS, help="so many, for --memory")
    parser.add_argument("--tell", nargs=2, metavar=("TARGET", "FILE"), default=None, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if asked.replay is not None:
        return replay(asked.replay)
    if asked.tell is not None:  # in a process of its own: a time limit needs the main thread
        print(f"\n{told(asked.tell[0], Path(asked.tell[1]).read_bytes(), asked.keep)}\n")
        return 0
    if asked.growth:
        return told_growth(asked.targets)
    if asked.memory:
        return told_memory(asked.targets, asked.inputs)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    seed = int(time.time()) & 0x7FFFFFFF if asked.seed is None else asked.seed
    how = "guided by coverage" if guided() else "by chance: atheris is not installed"
    print(f"fuzz: {len(asked.targets)} targets for {asked.seconds:g} s from seed {seed}, {how}", flush=True)
    found = campaign(asked.targets, asked.seconds, seed, asked.jobs, asked.keep)
    failures = sum(len(each.failures) for each in found)
    if "http" in asked.targets:
        failures += openapi(asked.seconds / (len(asked.targets) + 1), seed)
    executions = sum(each.executions for each in found)
    print(f"fuzz: {executions:,} executions: {f'{failures} failures' if failures else 'every promise held'}")
    return min(1, failures)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
