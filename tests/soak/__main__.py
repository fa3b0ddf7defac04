"""``python -m tests.soak``: an hour at 500 facts a second on the demo's stack; writes ``soak.json``, and says what is not flat.

The exit code is 0 where everything is flat and as the inputs say, 1 where it is not, 130 after Ctrl-C.
"""

import argparse
import gc
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from tests.soak.flat import verdicts
from tests.soak.soak import Soak

INTERRUPTED: Final = 130
NEVER: Final = 1_000_000_000
"""Full garbage collections, of all that the load and the listeners remember, would stall those who measure."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it."""
    asked = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    say = lambda text: print(text, flush=True)  # noqa: E731
    with tempfile.TemporaryDirectory(prefix="handoff-soak-", ignore_cleanup_errors=True) as folder:
        say(f"{asked.minutes:g} minutes, {asked.rate:g} facts/s, seed {asked.seed}")
        soak = Soak(
            Path(folder), minutes=asked.minutes, rate=asked.rate, seed=asked.seed, note=asked.note, json=asked.json, say=say
        )
        try:
            found = soak.run()
        except KeyboardInterrupt:
            say(f"interrupted: what was seen until then is in {asked.json}")
            return INTERRUPTED
    judged = verdicts(found)
    for each in judged:
        say(str(each))
    say(f"written to {asked.json}; `make soak-page` makes the page of it")
    return 0 if all(each.kept for each in judged) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (60)")
    parser.add_argument("--rate", type=float, default=500.0, help="facts a second (500)")
    parser.add_argument("--seed", type=int, default=1, help="which load (1)")
    parser.add_argument("--note", default="", help="what else is to be known of the run: a sentence for the page")
    parser.add_argument("--json", type=Path, default=Path("soak.json"), help="where the figures are written (soak.json)")
    return parser


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, NEVER)
    sys.exit(main())
