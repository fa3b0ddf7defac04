"""Draws a scene: in two columns where the terminal is wide, in one where it is not, with as many rows as there is room for.

What does not fit is left out by rows, and cut by an ellipsis at the end of a line; nothing wraps. Where not even the tables fit, a
few lines tell the most of it.
"""

from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from handoff.demo.figures import Row
from handoff.demo.lines import LEGEND, summary
from handoff.demo.scene import Scene, moment, money
from handoff.demo.watcher import Assignment

WIDE: Final = 132
"""From this width on there are two columns."""
NARROW: Final = 80
LOW: Final = 24
"""A terminal with fewer columns or rows than these has no room for tables."""
LEFT: Final = 72
"""The width of the left one: tables of figures need no more."""
FIXED_ROWS: Final = 18
"""Rows of the narrow screen besides quarters and assignments."""
QUARTERS_LEAST: Final = 3
QUARTERS_MOST: Final = 7
LETTERS_MOST: Final = 4
BAR: Final = 20
HEADING: Final = "bold cyan"
REPEAT: Final = "customer"
"""The stage of those who have bought before: their deals are repeat business."""
PAGES: Final = {"lifecycle": "/v1/status", "routing": "/v1/status", "forecast": "/v1/pipeline?by=team"}
"""What there is to see at a service's address."""
COLUMNS: Final = {"open": 4, "won": 4, "amount": 10, "weighted": 9, "expected": 9}
"""The least width of a column: it does not change with the first figures."""


def screen(scene: Scene, width: int, height: int, *, ascii_only: bool = False) -> RenderableType:
    """The whole screen, at most ``height`` rows of ``width`` columns."""
    bar = _bar(scene.part, "#-" if ascii_only else "━─")
    if width < NARROW or height < LOW:
        return _tiny(scene, height)
    return _wide(scene, height, bar) if width >= WIDE else _narrow(scene, height, bar)


def _tiny(scene: Scene, height: int) -> RenderableType:
    told = [_line((f"Handoff demo {scene.day} {scene.part:.0%}", "bold")), *(_line((line, "")) for line in summary(scene))]
    if scene.note:
        told.insert(1, _note(scene))
    told = told[: max(1, height - 1)]
    hint = [_line((f"{NARROW} columns and {LOW} rows show more", "dim"))] if height > len(told) else []
    return Group(*told, *hint)


def _narrow(scene: Scene, height: int, bar: list[tuple[str, str]]) -> RenderableType:
    quarters = max(QUARTERS_LEAST, min(QUARTERS_MOST, (height - FIXED_ROWS) // 3))
    assignments = max(1, height - FIXED_ROWS - quarters)
    return Group(
        _headline(scene, bar),
        _pipeline(scene),
        _quarters(scene, quarters),
        _legend(),
        _assignments(scene, assignments),
        _behind(scene),
        *_letters(scene, 1),
        _note(scene) if scene.note else _address(scene),
    )


def _wide(scene: Scene, height: int, bar: list[tuple[str, str]]) -> RenderableType:
    letters = max(1, min(LETTERS_MOST, height - 26))
    free = height - letters - 5
    quarters = max(QUARTERS_LEAST, min(QUARTERS_MOST, free - 14))
    left: list[RenderableType] = [_pipeline(scene), _blank(), _quarters(scene, quarters)]
    columns = Table.grid(expand=True, padding=(0, 4, 0, 0), pad_edge=False)
    columns.add_column(width=LEFT)
    columns.add_column(ratio=1)
    columns.add_row(Group(*left), _assignments(scene, free - 1))
    last = _note(scene) if scene.note else _addresses(scene)
    return Group(_headline(scene, bar), _blank(), columns, _legend(), _behind(scene), *_letters(scene, letters), last)


def _headline(scene: Scene, bar: list[tuple[str, str]]) -> Text:
    return _line(
        ("Handoff demo  ", "bold"),
        (scene.day, "bold green"),
        ("  ", ""),
        *bar,
        (f" {scene.part:.0%}  {scene.played.published:,} facts, {scene.played.rate:,.0f}/s", ""),
    )


def _bar(part: float, signs: str) -> list[tuple[str, str]]:
    done = round(part * BAR)
    return [(signs[0] * done, "green"), (signs[1] * (BAR - done), "dim")]


def _pipeline(scene: Scene) -> Table:
    table = _table(_titled("Pipeline by stage", scene), ("open", "amount", "weighted"))
    for row in scene.open_statuses():
        table.add_row(_cell(row.label), *_open(row))
    if (pipeline := scene.figures.pipeline) is not None:
        table.add_row("all open", *_open(pipeline.totals), style="bold")
        for row in scene.stages():
            if row.key == REPEAT:
                table.add_row("  of that, with customers", *_open(row))
        for state, style, part in (("won", "green", pipeline.totals.won), ("lost", "red", pipeline.totals.lost)):
            table.add_row(state, f"{part.count:,}", money(part.amount), "", style=style)
    return table


def _quarters(scene: Scene, most: int) -> Table:
    table = _table(_titled("Forecast by quarter", scene), ("won", "amount", "open", "amount", "expected"))
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
    why = f"why ({scene.seen.assigned:,} in all)"
    table.add_row(Text("Assigned", HEADING), Text("customer", "dim"), Text("rep", "dim"), Text(why, "dim"))
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


def _address(scene: Scene) -> Text:
    """Where to look for oneself, in one narrow line; the links know the whole paths."""
    forecast = scene.addresses["forecast"]
    page = f"{forecast}{PAGES['forecast']}"
    parts: list[tuple[str, str | Style]] = [("Open  ", HEADING), (page.partition("?")[0], _link(page))]
    for name in ("lifecycle", "routing"):
        url = scene.addresses[name]
        parts += [(f"  {name} ", "dim"), (f":{url.rpartition(':')[2]}", _link(f"{url}{PAGES[name]}"))]
    return _line(*parts)


def _addresses(scene: Scene) -> Text:
    """The same with all paths."""
    parts: list[tuple[str, str | Style]] = [("Open  ", HEADING)]
    for name, url in scene.addresses.items():
        page = f"{url}{PAGES[name]}"
        parts += [(f"{name} ", "dim"), (page.removeprefix("http://"), _link(page)), ("  ", "")]
    return _line(*parts[:-1])


def _note(scene: Scene) -> Text:
    """What happened to a process: for a while in place of the addresses."""
    return _line((scene.note, "yellow"))


def _legend() -> Text:
    return _line((LEGEND, "dim"))


# --------------------------------------------------------------------------------------------- cells


def _table(title: str, headers: tuple[str, ...]) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(Text(title, HEADING), no_wrap=True, overflow="ellipsis", ratio=1)
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True, min_width=COLUMNS[header])
    return table


def _open(row: Row) -> tuple[str, str, str]:
    return f"{row.open.count:,}", money(row.open.amount), money(row.weighted)


def _titled(title: str, scene: Scene) -> str:
    currency = scene.figures.pipeline.currency if scene.figures.pipeline else ""
    return f"{title}, {currency}" if currency else title


def _link(url: str) -> Style:
    return Style(link=url, underline=True)


def _cell(text: str) -> Text:
    """Text as it is: no markup in it."""
    return Text(text, no_wrap=True, overflow="ellipsis")


def _line(*parts: tuple[str, str | Style]) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _blank() -> Text:
    return Text("")
