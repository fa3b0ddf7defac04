"""The picture of a process map: one SVG that needs nothing else, is readable in light and dark, and says in text what it shows.

Colours are attributes, for programs that know no style sheet (slides); the style sheet only holds what is different in the dark.
The same map is the same bytes.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from services.lifecycle.domain.process_map import Transition
from services.lifecycle.process.layout import BAR, BOX, FONT, HEAD, INSET, LINE, MARGIN, NAME, Arrow, Band, Box, Layout, layout
from services.lifecycle.process.maps import ProcessAnswer
from services.lifecycle.process.words import cut, duration, percent, text_width

_FONTS: Final = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Noto Sans', 'Liberation Sans', sans-serif"
_LIGHT: Final[Mapping[str, str]] = {
    "paper": "#ffffff",
    "band": "#f1f4f8",
    "box": "#ffffff",
    "edge": "#9aa7b6",
    "ink": "#17202b",
    "quiet": "#56616f",
    "forward": "#2f6fb3",
    "skip": "#1c8a78",
    "back": "#c4501b",
}
_DARK: Final[Mapping[str, str]] = {
    "paper": "#14181d",
    "band": "#1e242c",
    "box": "#29313b",
    "edge": "#5c6876",
    "ink": "#eef2f6",
    "quiet": "#aeb9c5",
    "forward": "#6fabe8",
    "skip": "#45bfa9",
    "back": "#f08a55",
}
BELOW: Final = 20
"""The height of a line below the bands."""
_NO_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML document may hold."""


def picture(found: ProcessAnswer, arrows: int) -> str:
    """The SVG of a map, with its most frequent transitions as arrows."""
    plan = layout(found, arrows)
    below = [*_not_drawn(found, plan.hidden), *_ways(found)]
    height = plan.bottom + BELOW * (len(below) + 1) + MARGIN
    svg = Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {_number(plan.width)} {_number(height)}",
            "role": "img",
            "aria-labelledby": "title description",
            "font-family": _FONTS,
            "font-size": _number(FONT),
        },
    )
    SubElement(svg, "title", id="title").text = _clean(_title(found))
    SubElement(svg, "desc", id="description").text = _clean(_description(found))
    SubElement(svg, "style").text = _style()
    _rect(svg, "paper", 0, 0, plan.width, height)
    _head(svg, found, plan.width - 2 * MARGIN)
    for band in plan.bands:
        _band(svg, band, plan)
    for arrow in sorted(plan.arrows, key=lambda arrow: arrow.width):
        _arrow(svg, arrow)
    for box in plan.boxes:
        _box(svg, box)
    for arrow in plan.arrows:
        above = arrow.y - arrow.width / 2 - 4
        _text(svg, arrow.label, arrow.label_x, above, kind(arrow.transition), anchor="middle", halo=True)
    _legend(svg, plan.bottom + BELOW)
    for number, line in enumerate(below):
        _text(svg, cut(line, plan.width - 2 * MARGIN, FONT), MARGIN, plan.bottom + BELOW * (number + 2), "ink")
    indent(svg, " ")
    return tostring(svg, encoding="unicode") + "\n"


def kind(move: Transition) -> str:
    """What an arrow shows of a transition, which is its colour: rework, a skip, or neither."""
    return "back" if move.rework == move.count else "skip" if move.skipped else "forward"


# ------------------------------------------------------------------------------------------- what it says


def _title(found: ProcessAnswer) -> str:
    return f"How {found.cases:,} {found.subject} really moved"


def _subtitle(found: ProcessAnswer) -> str:
    chosen = "".join(f", {name} {value or 'none'}" for name, value in found.only.items())
    day, _, time = found.as_of.removesuffix("Z").partition("T")
    return f"as of {day}{'' if time.startswith('23:59:59.9') else f' {time[:5]} UTC'}{chosen}"


def _findings(found: ProcessAnswer) -> str:
    rework, skips = found.rework, found.skips
    won = f"{found.path[-1].status} after {duration(found.path[-1].time.median_seconds)} (median) · " if found.path else ""
    return (
        f"{won}{found.moves:,} moves"
        f" · {percent(rework.share)} of {found.subject} went back or round again ({rework.transitions:,} moves)"
        f" · {percent(skips.share)} skipped a status ({skips.transitions:,} moves)"
    )


def _description(found: ProcessAnswer) -> str:
    """The picture in words, for who cannot see it."""
    path = "; ".join(f"{step.status} {step.reached:,} ({percent(step.share)})" for step in found.path)
    moves = "; ".join(
        f"{move.from_status} to {move.to_status} {move.count:,}, median {duration(move.time.median_seconds)}"
        for move in found.transitions[:10]
    )
    said = [_subtitle(found), _findings(found), f"Reached at least: {path}" if path else ""]
    return ". ".join([*filter(None, said), f"Most frequent moves: {moves}" if moves else "Nothing has moved"]) + "."


def _not_drawn(found: ProcessAnswer, hidden: Sequence[Transition]) -> list[str]:
    """What the arrows leave out, and what the table lacks."""
    lines = []
    if hidden:
        count = sum(move.count for move in hidden)
        lines.append(f"{len(hidden):,} other transitions are not drawn: {count:,} moves, {percent(count / found.moves)} of all")
    if found.not_in_table:
        lines.append(f"Not in the status table: {', '.join(found.not_in_table)}")
    return lines


def _ways(found: ProcessAnswer) -> list[str]:
    """The most frequent ways."""
    variants = found.variants
    if not variants.listed:
        return []
    distinct = f"{variants.distinct:,}{'' if variants.complete else ' or more'}"
    went = f"{found.cases - variants.others:,} {found.subject} went"
    told = f"The {len(variants.listed)} most frequent of {distinct} ways, which {went}:"
    return [told, *(f"{percent(way.share)}  {_way(way.statuses, way.length)}  ({way.count:,})" for way in variants.listed)]


def _way(statuses: Sequence[str], length: int) -> str:
    way = " → ".join(statuses[:8])
    return way if length <= 8 else f"{way} → … ({length} statuses)"


# ----------------------------------------------------------------------------------------- how it is drawn


def _head(svg: Element, found: ProcessAnswer, width: float) -> None:
    _text(svg, _title(found), MARGIN, 38, "ink", size=22, bold=True)
    _text(svg, cut(_subtitle(found), width, FONT), MARGIN, 58, "quiet")
    _text(svg, cut(_findings(found), width, FONT), MARGIN, 78, "ink")


def _band(svg: Element, band: Band, plan: Layout) -> None:
    _rect(svg, "band", band.x, HEAD, band.width, plan.bottom - HEAD, rx=8)
    x = band.x + 12
    _text(svg, band.figures.stage.capitalize(), x, HEAD + 22, "ink", size=15, bold=True)
    for number, line in enumerate(band.lines):
        _text(svg, line, x, HEAD + 40 + 15 * number, "quiet")


def _box(svg: Element, box: Box) -> None:
    figures = box.figures
    group = SubElement(svg, "g")
    told = ", ".join(" ".join(row) for row in box.rows) if figures.visits else "never seen"
    SubElement(group, "title").text = _clean(f"{figures.status}: {told}")
    frame = _rect(group, "box", box.x, box.y, box.width, box.height, rx=5)
    frame.set("stroke", _LIGHT["edge"])
    if not figures.visits:
        frame.set("stroke-dasharray", "4 3")
        x, y = box.x + box.width / 2 + FONT / 3 - (len(box.name) - 1) * LINE / 2, box.y + box.height - INSET
        for number, line in enumerate(box.name):
            place = f"rotate(-90 {_number(x + number * LINE)} {_number(y)})"
            _text(group, line, x + number * LINE, y, "quiet").set("transform", place)
        return
    y = box.y + 18
    for line in box.name:
        _text(group, line, box.x + INSET, y, "ink", size=NAME, bold=True)
        y += LINE
    for label, value in box.rows:
        _text(group, label, box.x + INSET, y, "quiet")
        _text(group, value, box.x + BOX - INSET, y, "back" if label == "longer" and figures.over_target else "ink", anchor="end")
        y += LINE
    if box.reached is not None:
        width, bar = BOX - 2 * INSET, box.y + box.height - INSET - BAR
        _rect(group, "band", box.x + INSET, bar, width, BAR)
        _rect(group, "forward", box.x + INSET, bar, width * box.reached, BAR)


def _arrow(svg: Element, arrow: Arrow) -> None:
    colour, width = kind(arrow.transition), arrow.width
    up = arrow.y < arrow.edge
    ahead = 1 if arrow.x2 > arrow.x1 else -1
    radius = min(8.0, abs(arrow.x2 - arrow.x1) / 2)
    back = -1 if up else 1  # from the edge of the box towards the lane
    head = 4 + width
    x1, x2, y, edge = arrow.x1, arrow.x2, arrow.y, arrow.edge
    line = (
        f"M{_number(x1)} {_number(edge)}V{_number(y - back * radius)}"
        f"Q{_number(x1)} {_number(y)} {_number(x1 + ahead * radius)} {_number(y)}"
        f"H{_number(x2 - ahead * radius)}Q{_number(x2)} {_number(y)} {_number(x2)} {_number(y - back * radius)}"
        f"V{_number(edge + back * (head - 1))}"
    )
    group = SubElement(svg, "g")
    move = arrow.transition
    SubElement(group, "title").text = _clean(f"{move.from_status} → {move.to_status}: {arrow.label} ({move.cases:,} cases)")
    path = {"class": f"{colour} arrow", "d": line, "fill": "none", "stroke": _LIGHT[colour], "stroke-width": _number(width)}
    SubElement(group, "path", path)
    half = 2 + width * 0.7
    base = _number(edge + back * head)
    points = f"{_number(x2)},{_number(edge)} {_number(x2 - half)},{base} {_number(x2 + half)},{base}"
    SubElement(group, "polygon", {"class": f"{colour} head", "points": points, "fill": _LIGHT[colour]})


def _legend(svg: Element, y: float) -> None:
    x = float(MARGIN)
    for colour, meaning in (("forward", "forward"), ("skip", "forward over a status"), ("back", "back, or round again")):
        _rect(svg, colour, x, y - 6, 18, 4)
        _text(svg, meaning, x + 24, y, "ink")
        x += 24 + text_width(meaning, FONT) + 12
    _text(svg, "arrow: how often · median time before · p90: nine of ten took no longer · dashed: never seen", x, y, "quiet")


def _rect(parent: Element, colour: str, x: float, y: float, width: float, height: float, rx: float = 0) -> Element:
    place = {"x": x, "y": y, "width": width, "height": height, "rx": rx}
    return SubElement(
        parent, "rect", {"class": colour, "fill": _LIGHT[colour], **{name: _number(each) for name, each in place.items()}}
    )


def _text(
    parent: Element,
    said: str,
    x: float,
    y: float,
    colour: str,
    *,
    size: float = FONT,
    bold: bool = False,
    anchor: str = "start",
    halo: bool = False,
) -> Element:
    attributes = {"class": f"{colour} said{' halo' if halo else ''}", "x": _number(x), "y": _number(y), "fill": _LIGHT[colour]}
    if size != FONT:
        attributes["font-size"] = _number(size)
    if bold:
        attributes["font-weight"] = "600"
    if anchor != "start":
        attributes["text-anchor"] = anchor
    if halo:
        attributes |= {"stroke": _LIGHT["band"], "stroke-width": "4", "stroke-linejoin": "round", "paint-order": "stroke"}
    text = SubElement(parent, "text", attributes)
    text.text = _clean(said)
    return text


def _style() -> str:
    """What is different in the dark."""
    rules = [f"rect.{name},text.{name},polygon.{name}{{fill:{_DARK[name]}}}" for name in _DARK]
    rules += [f"path.{name}{{stroke:{_DARK[name]}}}" for name in ("forward", "skip", "back")]
    rules += [f"rect.box{{stroke:{_DARK['edge']}}}", f"text.halo{{stroke:{_DARK['band']}}}"]
    return f"@media (prefers-color-scheme:dark){{{''.join(rules)}}}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _clean(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
