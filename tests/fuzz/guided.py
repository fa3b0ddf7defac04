"""``python -m tests.fuzz.guided TARGET FOLDER [libFuzzer's options]``: one target, guided by coverage, in a process of its own.

It ends at the first failure, which it writes into the folder; :mod:`tests.fuzz.campaign` then starts it again, and that failure is
passed over.
"""

import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Final

import atheris

INSTRUMENTED: Final = ["events", "services", "handoff", "ruamel", "docs"]
MEMORY_MB_MAX: Final = 1500


def main() -> None:
    """Fuzz until the time is over, or something fails."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
        from tests.fuzz.catalogue import TARGETS
        from tests.fuzz.feeding import feed
    logging.disable(logging.CRITICAL)
    target = TARGETS[name]
    known = set(json.loads((folder / "known.json").read_text())) if (folder / "known.json").exists() else set()
    seeds = folder / "corpus"
    seeds.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(target.corpus()):
        (seeds / f"seed-{number:03}").write_bytes(data)
    words = folder / "words"
    words.write_text("".join(map(_quoted, target.words)))

    options = [
        f"-dict={words}",
        f"-artifact_prefix={folder}/",
        f"-rss_limit_mb={MEMORY_MB_MAX}",
        "-print_final_stats=1",
        "-verbosity=1",
        "-timeout=120",
    ]
    with target.open() as run:

        def one(data: bytes) -> None:
            failure = feed(run, data, target.cpu_seconds_max)
            if failure is not None and failure.mark not in known:
                (folder / "failed").write_bytes(data)
                print(f"FAILED {failure.mark}\n{failure.told}", flush=True)
                os._exit(77)

        atheris.Setup([sys.argv[0], *options, *sys.argv[3:], str(seeds)], one)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        atheris.Fuzz()


def _quoted(word: bytes) -> str:
    """A word as a line of libFuzzer's dictionary."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in word[:64]) + '"\n'


if __name__ == "__main__":
    main()
