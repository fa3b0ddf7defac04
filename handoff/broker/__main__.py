"""`python -m handoff.broker prepare` readies this machine (part of `make setup`); `... pin` renews `jars.sha256`."""

import sys
import tempfile
from pathlib import Path

from handoff.broker import KafkaUnavailable, pins, prepare

USAGE = """usage: python -m handoff.broker prepare   fetch Kafka, find Java, prepare quick starts
       python -m handoff.broker pin       for maintainers: resolve the jars anew and pin them"""


def main(arguments: list[str]) -> int:
    """Exit codes: 0 done, 2 not possible on this machine or not understood."""
    match arguments:
        case ["prepare"]:
            try:
                print(prepare(on_progress=_tell))
            except KafkaUnavailable as error:
                print(error, file=sys.stderr)
                return 2
            return 0
        case ["pin"]:
            with tempfile.TemporaryDirectory() as scratch:
                print(f"{pins.pin(Path(scratch))} jars pinned in {pins.FILE}")
            return 0
        case _:
            print(USAGE, file=sys.stderr)
            return 2


def _tell(text: str) -> None:
    print(f"  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
