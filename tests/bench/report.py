"""The rows as people read them, and as they are kept: a table for a terminal or a pipe, and JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tests.bench.result import Comparison, Measure, Row

FORMAT = 1
"""The version of the JSON's shape."""
SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")
"""What SQLite calls its settings of fsync; with FULL a commit is on the disk when it returns."""


def number(figure: float) -> str:
    """A figure with three digits that say something."""
    if figure >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.1f}" if figure >= 10 else f"{figure:.2f}"


def table(rows: Sequence[Row]) -> RenderableType:
    """What was measured: eighty columns are enough."""
    return Group(_comparisons([row for row in rows if isinstance(row, Comparison)]), _measures(rows), _legend(rows))


def _comparisons(rows: Sequence[Comparison]) -> RenderableType:
    found = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    found.add_column("row", no_wrap=True)
    for name in ("subject", "floor"):
        found.add_column(name, justify="right", no_wrap=True)
    found.add_column("unit", no_wrap=True)
    for name in ("ratio", "min..max", "goal"):
        found.add_column(name, justify="right", no_wrap=True)
    found.add_column("reached", no_wrap=True)
    for row in rows:
        low, high = row.spread
        found.add_row(
            row.name,
            number(row.subject_figure),
            number(row.floor_figure),
            row.unit,
            f"{row.ratio:.2f}",
            f"{low:.2f}..{high:.2f}",
            str(row.goal or "-"),
            _reached(row),
        )
    return found if rows else Text()


def _reached(row: Row) -> Text:
    return {None: Text("-"), True: Text("yes", "green"), False: Text("no", "bold red")}[row.reached]


def _measures(rows: Sequence[Row]) -> RenderableType:
    measures = [row for row in rows if isinstance(row, Measure)]
    found = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    found.add_column("row", no_wrap=True)
    found.add_column("what")
    found.add_column("figure", justify="right", no_wrap=True)
    found.add_column("unit", no_wrap=True)
    found.add_column("goal", justify="right", no_wrap=True)
    found.add_column("reached", no_wrap=True)
    for row in measures:
        found.add_row(row.name, row.subject, number(row.figure), row.unit, str(row.goal or "-"), _reached(row))
    return found if measures else Text()


def _legend(rows: Sequence[Row]) -> RenderableType:
    lines = [f"{row.name}: {row.subject} ÷ {row.floor}{_sqlite(row)}" for row in rows if isinstance(row, Comparison)]
    return Text("\n".join(lines), style="dim")


def _sqlite(row: Comparison) -> str:
    if not row.sqlite:
        return ""
    return f" (both: journal {row.sqlite['journal_mode']}, synchronous {SYNCHRONOUS[row.sqlite['synchronous']]})"


def as_json(rows: Sequence[Row], *, machine: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """All of it."""
    return {
        "format": FORMAT,
        **run,
        "machine": dict(machine),
        "rows": [row.as_json() for row in rows if isinstance(row, Comparison)],
        "measures": [row.as_json() for row in rows if isinstance(row, Measure)],
    }


def show(console: Console, rows: Sequence[Row]) -> None:
    """Print the table."""
    if rows:
        console.print(table(rows))
