"""Draws a scene: in two columns where the terminal is wide, in one where it is not, with as many rows as there is room for.

What does not fit is left out by rows, and cut by an ellipsis at the end of a line; nothing wraps.
"""

from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from handoff.demo.figures import Row
from handoff.demo.scene import Scene, moment, money
from handoff.demo.watcher import Assignment

WIDE: Final = 132
"""From this width on there are two columns."""
LEFT: Final = 66
"""The width of the left one: tables of figures need no more."""
FIXED_ROWS: Final = 18
"""Rows of the narrow screen besides quarters and assignments."""
QUARTERS_LEAST: Final = 3
QUARTERS_MOST: Final = 7
LETTERS_MOST: Final = 4
BAR: Final = 20
HEADING: Final = "bold cyan"
COLUMNS: Final = {"open": 4, "won": 4, "amount": 10, "weighted": 9, "expected": 9}
"""The least width of a column: it does not change with the first figures."""


def screen(scene: Scene, width: int, height: int) -> RenderableType:
    """The whole screen, at most ``height`` rows of ``width`` columns (not less than 24 of 80)."""
    return _wide(scene, height) if width >= WIDE else _narrow(scene, height)


def _narrow(scene: Scene, height: int) -> RenderableType:
    quarters = max(QUARTERS_LEAST, min(QUARTERS_MOST, (height - FIXED_ROWS) // 3))
    assignments = max(1, height - FIXED_ROWS - quarters)
    return Group(
        _headline(scene),
        _pipeline(scene),
        _quarters(scene, quarters),
        _assignments(scene, assignments),
        _behind(scene),
        *_letters(scene, 1),
        _addresses(scene),
    )


def _wide(scene: Scene, height: int) -> RenderableType:
    letters = max(1, min(LETTERS_MOST, height - 26))
    free = height - letters - 5
    left: list[RenderableType] = [_pipeline(scene), _blank(), _quarters(scene, max(QUARTERS_LEAST, min(QUARTERS_MOST, free - 14)))]
    columns = Table.grid(expand=True, padding=(0, 4, 0, 0), pad_edge=False)
    columns.add_column(width=LEFT)
    columns.add_column(ratio=1)
    columns.add_row(Group(*left), _assignments(scene, free - 1))
    return Group(_headline(scene), _blank(), columns, _blank(), _behind(scene), *_letters(scene, letters), _addresses(scene))


def _headline(scene: Scene) -> Text:
    done = round(scene.part * BAR)
    return _line(
        ("Handoff demo  ", "bold"),
        (scene.day, "bold green"),
        ("  ", ""),
        ("━" * done, "green"),
        ("─" * (BAR - done), "dim"),
        (f" {scene.part:.0%}  {scene.played.published:,} facts, {scene.played.rate:,.0f}/s", ""),
    )


def _pipeline(scene: Scene) -> Table:
    table = _table("Pipeline by stage", ("open", "amount", "weighted"))
    for row in scene.open_statuses():
        table.add_row(_cell(row.label), *_open(row))
    if (pipeline := scene.figures.pipeline) is not None:
        table.add_row("all open", *_open(pipeline.totals), style="bold")
        for row in scene.stages():
            table.add_row(f"  with {row.label}s", *_open(row))
        for state, style, part in (("won", "green", pipeline.totals.won), ("lost", "red", pipeline.totals.lost)):
            label = f"{state}, in {pipeline.currency}" if pipeline.currency else state
            table.add_row(label, f"{part.count:,}", money(part.amount), "", style=style)
    return table


def _quarters(scene: Scene, most: int) -> Table:
    table = _table("Forecast by quarter", ("won", "amount", "open", "amount", "expected"))
    present = scene.quarter()
    for row in scene.quarters(most):
        won = f"{row.won.count:,}", money(row.won.amount)
        opened = f"{row.open.count:,}", money(row.open.amount)
        here = row.key == present
        label, style = (f"{row.label}  now", "bold") if here else (row.label, "")
        table.add_row(label, *won, *opened, money(row.won.amount + row.weighted), style=style)
    return table


def _assignments(scene: Scene, most: int) -> Table:
    table = Table.grid(expand=True, padding=(0, 2, 0, 0), pad_edge=False)
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_row(Text("Assigned", HEADING), Text(f"{scene.seen.assigned:,} in all", "dim"), Text("rep", "dim"), Text("why", "dim"))
    newest: Sequence[Assignment] = scene.seen.assignments[-most:]
    for each in reversed(newest):
        table.add_row(moment(each.at), _cell(each.customer_id), Text(each.rep_id, "bold"), _cell(each.reason))
    return table


def _behind(scene: Scene) -> Text:
    letters = ", ".join(f"{name} {count:,}" for name, count in scene.buried().items() if count) or "none"
    return _line(("Behind  ", HEADING), (scene.behind, ""), ("   Dead letters  ", HEADING), (letters, ""))


def _letters(scene: Scene, most: int) -> list[Text]:
    newest = reversed(scene.seen.letters[-most:])
    return [_line((f"{letter.service}  ", ""), (letter.reason, "yellow")) for letter in newest]


def _addresses(scene: Scene) -> Text:
    """Where to look for oneself; or, for a while, what happened to a process."""
    if scene.note:
        return _line((scene.note, "yellow"))
    parts: list[tuple[str, str | Style]] = []
    for name, url in scene.addresses.items():
        parts += [(f"{name} ", "dim"), (url.removeprefix("http://"), Style(link=url, underline=True)), ("  ", "")]
    return _line(*parts[:-1])


# --------------------------------------------------------------------------------------------- cells


def _table(title: str, headers: tuple[str, ...]) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(Text(title, HEADING), no_wrap=True, overflow="ellipsis", ratio=1)
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True, min_width=COLUMNS[header])
    return table


def _open(row: Row) -> tuple[str, str, str]:
    return f"{row.open.count:,}", money(row.open.amount), money(row.weighted)


def _cell(text: str) -> Text:
    """Text as it is: no markup in it."""
    return Text(text, no_wrap=True, overflow="ellipsis")


def _line(*parts: tuple[str, str | Style]) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _blank() -> Text:
    return Text("")
