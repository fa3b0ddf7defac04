"""The figures of a soak as a picture: panels one below the other, time to the right, drawn for light and dark pages (SVG)."""

from collections.abc import Iterator, Mapping, Sequence
from math import log10
from statistics import median
from typing import Any, Final, NamedTuple
from xml.sax.saxutils import escape

from tests.soak.flat import SPEED, Point, Series, number, series

WIDTH: Final = 860
HEIGHT: Final = 130
"""Of a panel, without its title and its scale."""
LEFT: Final = 64
RIGHT: Final = 200
GAP: Final = 46
COLOURS: Final = ("#2a78c2", "#c2571a", "#2e8b57", "#8a5cc2", "#b8860b", "#c23b6d")
STYLE: Final = (
    "text{fill:#333}.grid{stroke:#ddd}.axis{stroke:#999}path{fill:none;stroke-width:1.6}"
    "@media (prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#333}.axis{stroke:#777}}"
)
TICKS: Final = 4


class Panel(NamedTuple):
    """Lines on one scale. ``logarithmic``: for what differs by orders of magnitude."""

    title: str
    prefixes: Sequence[str]
    logarithmic: bool = False


PANELS: Final = (
    Panel("memory that each process has asked for, MiB", ["memory, "]),
    Panel("open file handles", ["handles, "], logarithmic=True),
    Panel("lag, records (the median of each minute)", ["lag, "]),
    Panel("latency from when a fact was due, ms", ["status change out, ", "rep out, ", "deal in the forecast, "], logarithmic=True),
    Panel("CPU time per 1,000 facts, ms", ["cpu, "]),
    Panel("processor time of always the same loop, ms (how fast the machine is)", [SPEED]),
    Panel("on the disk, MiB (it grows with what is stored)", ["on the disk, "]),
)


def picture(found: Mapping[str, Any]) -> str:
    """The SVG."""
    told = series(found)
    height = len(PANELS) * (HEIGHT + GAP) + 20
    title = f"{found['minutes']:g} minutes at {found['rate']:g} facts a second"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f' <title id="title">{escape(title)}</title>',
        f" <style>{STYLE}</style>",
    ]
    for place, panel in enumerate(PANELS):
        lines = [(each, by_minute(each.points)) for each in told if each.name.startswith(tuple(panel.prefixes)) and each.points]
        if lines:
            parts += [
                f' <g transform="translate(0 {place * (HEIGHT + GAP) + 24})">',
                *_panel(panel, lines, found["minutes"]),
                " </g>",
            ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def by_minute(points: Sequence[Point]) -> list[Point]:
    """The median of each minute."""
    minutes: dict[int, list[float]] = {}
    for at, value in points:
        minutes.setdefault(int(at), []).append(value)
    return [(minute + 0.5, median(values)) for minute, values in sorted(minutes.items())]


def _panel(panel: Panel, lines: Sequence[tuple[Series, list[Point]]], minutes: float) -> Iterator[str]:
    values = [value for _, points in lines for _, value in points]
    low, high = _range(values, panel.logarithmic)

    def y(value: float) -> float:
        share = (_scaled(value, panel.logarithmic) - low) / (high - low)
        return round(HEIGHT * (1 - min(1.0, max(0.0, share))), 1)

    def x(minute: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, minute / minutes), 1)

    yield f'  <text x="0" y="-8" font-weight="600">{escape(panel.title)}</text>'
    for at in _ticks(low, high, panel.logarithmic):
        yield f'  <line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(at)}" y2="{y(at)}"/>'
        yield f'  <text x="{LEFT - 6}" y="{y(at) + 4}" text-anchor="end">{number(at).removesuffix(".0")}</text>'
    yield f'  <line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT}" y2="{HEIGHT}"/>'
    for tick in range(TICKS + 1):
        minute = minutes * tick / TICKS
        yield f'  <text x="{x(minute)}" y="{HEIGHT + 14}" text-anchor="middle">{minute:g} min</text>'
    for place, (each, points) in enumerate(lines):
        colour = COLOURS[place % len(COLOURS)]
        steps = " L".join(f"{x(minute)} {y(value)}" for minute, value in points)
        yield f'  <path stroke="{colour}" d="M{steps}"/>'
        name = each.name if len(panel.prefixes) > 1 else each.name.removeprefix(panel.prefixes[0])
        label = f"{name}: {number(points[-1][1])}"
        yield f'  <text x="{WIDTH - RIGHT + 10}" y="{12 + 17 * place}" style="fill:{colour}">{escape(label)}</text>'


def _scaled(value: float, logarithmic: bool) -> float:
    return log10(max(value, 0.1)) if logarithmic else value


def _range(values: Sequence[float], logarithmic: bool) -> tuple[float, float]:
    low, high = (_scaled(min(values), True), _scaled(max(values), True)) if logarithmic else (0.0, max(values) * 1.1)
    return (float(int(low - (low < 0))), high + 0.1) if logarithmic else (low, high or 1.0)


def _ticks(low: float, high: float, logarithmic: bool) -> list[float]:
    if logarithmic:
        return [10.0**power for power in range(int(low), int(high) + 1)]
    step = 10.0 ** int(log10(high)) if high >= 1 else 0.1
    for part in (0.1, 0.2, 0.25, 0.5, 1, 2):
        if high / (step * part) <= TICKS:
            return [step * part * number for number in range(int(high / (step * part)) + 1)]
    return [0.0, high]
