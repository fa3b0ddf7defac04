"""What the commands show: progress, notes and tables, for people at a terminal and for whatever reads a pipe.

On a terminal it is drawn by rich within its width (``NO_COLOR`` is honoured). In a pipe every line is plain, whole and written at
once: nothing is cut, folded or coloured.
"""

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table
from rich.text import Text

GAP: Final = "  "
FOLDED: Final = 8
"""How narrow a column of text may become."""
PIPE_SECONDS: Final = 5.0
ROWS_SHOWN: Final = 20
"""How many rows of a table are shown unless all are asked for."""


def out() -> Console:
    """Standard output."""
    return Console(highlight=False)


def err() -> Console:
    """Standard error."""
    return Console(stderr=True, highlight=False)


def say(text: str = "", *, style: str = "") -> None:
    """One line of the answer; ``style`` is rich's, for terminals."""
    console = out()
    if console.is_terminal:
        console.print(Text(text, style), soft_wrap=False)
    else:
        print(text, flush=True)


def complain(text: str) -> None:
    """What is wrong, on standard error: every line says who speaks."""
    for line in text.splitlines() or [""]:
        print(line if line.startswith("  ") else f"handoff: {line}", file=sys.stderr, flush=True)


def say_json(value: Any) -> None:
    """The answer as JSON, indented where a person may read it."""
    print(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None), flush=True)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = (), title: str = "") -> None:
    """A table; the columns named in ``right`` hold numbers, which are never folded: half a number is a wrong number."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    console = out()
    if not console.is_terminal or _narrowest(headers, cells, right) > console.width:
        _plain(headers, cells, right, title)
        return
    drawn = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in headers:
        number = header in right
        drawn.add_column(header, justify="right" if number else "left", header_style="dim", overflow="fold", no_wrap=number)
    for row in cells:
        drawn.add_row(*map(escape, row))
    console.print(drawn)


def _narrowest(headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> int:
    """The width that a table needs with its text folded."""
    widths = zip(headers, _widths(headers, rows), strict=True)
    return sum((width if header in right else min(width, FOLDED)) + len(GAP) for header, width in widths)


def _widths(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(line[place]) for line in (headers, *rows)) for place in range(len(headers))]


def _plain(headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str], title: str) -> None:
    widths = _widths(headers, rows)
    if title:
        print(title)
    for line in (headers, *rows):
        cells = (
            cell.rjust(width) if header in right else cell.ljust(width)
            for cell, width, header in zip(line, widths, headers, strict=True)
        )
        print(GAP.join(cells).rstrip())
    sys.stdout.flush()


def money(amount: Mapping[str, Any] | None) -> str:
    """An amount with its currency, for a cell."""
    return "" if amount is None else f"{figure(amount['amount'])} {amount['currency']}"


def figure(amount: str | None) -> str:
    """A decimal string with its thousands set apart, and without decimals that say nothing."""
    return "" if amount is None else f"{Decimal(amount):,}".removesuffix(".00")


def duration(seconds: float) -> str:
    """How long something took, for people: in the largest unit of which it is at least one."""
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= unit:
            return f"{seconds / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{seconds:.0f} s"


def cut(what: str, found: Sequence[object], limit: int | None) -> str:
    """The title of a table that shows the last ones only."""
    shorter = limit is not None and len(found) > limit
    return f"{what}: the last {limit} of {len(found)} (--all shows the others)" if shorter else what


def day_or_time(instant: str | None) -> str:
    """An instant for people: the day alone where it is the first of a day, else to the second (UTC)."""
    if instant is None:
        return ""
    return instant.removesuffix("T00:00:00Z").replace("T", " ").partition(".")[0].removesuffix("Z")


class Narrator:
    """Tells about progress: a spinner with the present step on a terminal, in a pipe a line for each step.

    A context manager: at its end the spinner is gone. It is a :class:`handoff.stack.Reporter`.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._told_at = float("-inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.rest()

    def step(self, text: str) -> None:
        """What is being done now; it gives way to the next step."""
        if not self._console.is_terminal:
            print(text, file=self._console.file, flush=True)
        elif self._status:
            self._status.update(escape(text))
        else:
            self._status = self._console.status(escape(text))
            self._status.start()

    def progress(self, text: str) -> None:
        """How far the step is: as often as it is told on a terminal, every 5 s in a pipe."""
        now = time.monotonic()
        if self._console.is_terminal or now - self._told_at >= PIPE_SECONDS:
            self._told_at = now
            self.step(text)

    def note(self, text: str) -> None:
        """What happened, to be kept."""
        if self._console.is_terminal:
            self._console.print(Text(text))
        else:
            print(text, file=self._console.file, flush=True)

    def rest(self) -> None:
        """Nothing is being done now."""
        status, self._status = self._status, None
        if status:
            status.stop()
