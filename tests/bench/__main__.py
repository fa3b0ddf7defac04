"""``python -m tests.bench``: measures Handoff against floors taken in the same run, prints a table and writes JSON.

The exit code says whether the run was sound, never whether a goal was reached: 0, 2 for a broken run, 130 after Ctrl-C. Kafka and
services have directories and ports of their own and end with this process, however it ends.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Final

from rich.console import Console

from handoff.broker import EmbeddedKafka
from tests.bench import long, machine, memory, report
from tests.bench.broker import durable_rows, relay_rows
from tests.bench.grown import grown_rows
from tests.bench.http import http_rows
from tests.bench.installation import Installation
from tests.bench.latency import latency_rows
from tests.bench.lifecycle import frame_rows, store_rows
from tests.bench.long import long_rows
from tests.bench.memory import memory_rows
from tests.bench.postgres import postgres_rows
from tests.bench.projection import fold_rows
from tests.bench.result import Comparison, Row
from tests.bench.workers import workers_rows

BROKEN: Final = 2
INTERRUPTED: Final = 130


class Bench:
    """One run: its sizes, and what its sections share, made when it is first needed."""

    def __init__(self, folder: Path, held: ExitStack, *, rounds: int, quick: bool) -> None:
        self.rounds = rounds
        self.quick = quick
        self.facts = 2_000 if quick else 12_000
        self.seconds = 2.0 if quick else 6.0
        self._folder = folder
        self._held = held
        self._bootstrap = ""
        self._installation: Installation | None = None

    def folder(self, name: str) -> Path:
        """A directory of a section's own."""
        made = self._folder / name
        made.mkdir()
        return made

    def bootstrap(self) -> str:
        """A Kafka for lifecycle in this process."""
        if not self._bootstrap:
            self._bootstrap = self._held.enter_context(EmbeddedKafka(self._folder / "kafka")).bootstrap
        return self._bootstrap

    def installation(self) -> Installation:
        """The whole stack."""
        if self._installation is None:
            self._installation = Installation(self.folder("installation"))
            self._held.callback(self._installation.stop)
        self._installation.start()
        return self._installation


def _store(bench: Bench) -> Iterator[Row]:
    return store_rows(bench.folder("store"), bench.facts, bench.rounds)


def _postgres(bench: Bench) -> Iterator[Row]:
    return postgres_rows(bench.folder("postgres"), bench.facts, bench.rounds)


def _frame(bench: Bench) -> Iterator[Row]:
    return frame_rows(bench.folder("frame"), bench.facts, bench.rounds)


def _fold(bench: Bench) -> Iterator[Row]:
    return fold_rows(bench.folder("fold"), bench.facts, bench.rounds)


def _durable(bench: Bench) -> Iterator[Row]:
    return durable_rows(bench.bootstrap(), bench.folder("durable"), bench.facts, bench.rounds)


def _relay(bench: Bench) -> Iterator[Row]:
    return relay_rows(bench.bootstrap(), bench.folder("relay"), bench.facts, bench.rounds)


def _long(bench: Bench) -> Iterator[Row]:
    return long_rows(bench.rounds, facts=1_000 if bench.quick else long.FACTS)


def _grown(bench: Bench) -> Iterator[Row]:
    folder = bench.folder("grown")
    return grown_rows(folder, bench.rounds, copies=5) if bench.quick else grown_rows(folder, bench.rounds)


def _memory(bench: Bench) -> Iterator[Row]:
    return memory_rows(bench.folder("memory"), memory.WARM + 20_000 if bench.quick else memory.CUSTOMERS)


def _workers(bench: Bench) -> Iterator[Row]:
    return workers_rows(bench.folder("workers"), bench.rounds, bench.facts)


def _latency(bench: Bench) -> Iterator[Row]:
    return latency_rows(bench.installation().settings.bootstrap, bench.seconds, bench.rounds)


def _http(bench: Bench) -> Iterator[Row]:
    installation = bench.installation()
    installation.load(bench.facts)
    settings = installation.settings
    return http_rows(settings.url("forecast"), settings.data_dir / "forecast.sqlite", bench.rounds)


def _footprint(bench: Bench) -> Iterator[Row]:
    return bench.installation().footprint_rows(bench.facts)


SECTIONS: Final[Mapping[str, Callable[[Bench], Iterator[Row]]]] = {
    "long": _long,
    "store": _store,
    "postgres": _postgres,
    "grown": _grown,
    "exactly-once": _frame,
    "fold": _fold,
    "durable": _durable,
    "relay": _relay,
    "latency": _latency,
    "http": _http,
    "footprint": _footprint,
}
"""What is measured, in this order: with the whole stack idle beside it, nothing in this process would be measured alone."""
LONG: Final[Mapping[str, Callable[[Bench], Iterator[Row]]]] = {"memory": _memory, "workers": _workers}
"""What takes too long to be measured unless it is asked for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it."""
    asked = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    progress, output = Console(stderr=True, highlight=False), Console(highlight=False)
    rows: list[Row] = []
    began, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    rounds = asked.rounds or (2 if asked.quick else 5)
    code = 0
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="handoff-bench-", ignore_cleanup_errors=True)))
        here = machine.facts(folder)
        progress.print(_greeting(here, rounds, quick=asked.quick))
        bench = Bench(folder, held, rounds=rounds, quick=asked.quick)
        try:
            for row in _measure(bench, asked.only or SECTIONS):
                rows.append(row)
                progress.print(f"[{time.monotonic() - began:4.0f} s] {_line(row)}")
        except KeyboardInterrupt:
            progress.print("interrupted: what was started is being ended")
            code = INTERRUPTED
        except Exception as error:  # whatever it is, what was measured so far is shown, and the run counts as broken
            progress.print_exception(max_frames=8)
            progress.print(f"the run is broken: {type(error).__name__}: {error}", style="bold red")
            code = BROKEN
    report.show(output, rows)
    run = {
        "started": started,
        "seconds": round(time.monotonic() - began, 1),
        "rounds": rounds,
        "quick": asked.quick,
        "broken": bool(code),
    }
    asked.json.write_text(json.dumps(report.as_json(rows, machine=here, run=run), indent=2, ensure_ascii=False) + "\n")
    output.print(f"written to {asked.json}")
    return code


def _measure(bench: Bench, sections: Collection[str]) -> Iterator[Row]:
    for name, section in {**SECTIONS, **LONG}.items():
        if name in sections:
            yield from section(bench)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=_positive, help="how often each row is measured (5; 2 with --quick)")
    parser.add_argument(
        "--only", nargs="+", choices=[*SECTIONS, *LONG], metavar="NAME", help=f"some of {', '.join([*SECTIONS, *LONG])}"
    )
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where the figures are written (bench.json)")
    parser.add_argument("--quick", action="store_true", help="small loads: shows that it runs, its figures are not to be quoted")
    return parser


def _positive(text: str) -> int:
    found = int(text)
    if found < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return found


def _greeting(here: Mapping[str, object], rounds: int, *, quick: bool) -> str:
    size = "small loads" if quick else "whole loads"
    return f"{rounds} rounds, {size}; {', '.join(f'{name} {value}' for name, value in here.items())}"


def _line(row: Row) -> str:
    if isinstance(row, Comparison):
        return f"{row.name}: {report.number(row.subject_figure)} {row.unit}, ratio {row.ratio:.2f}{_goal(row)}"
    return f"{row.name}: {row.subject}: {report.number(row.figure)} {row.unit}{_goal(row)}"


def _goal(row: Row) -> str:
    return "" if row.goal is None else f", goal {row.goal}: {'reached' if row.reached else 'not reached'}"


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
