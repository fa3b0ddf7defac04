"""Where everything of the picture of a process map is: boxes of statuses in the order of the table, and arrows between them.

Time runs from left to right. Arrows that go forward run above the boxes, those that go back below; each has a lane that it
shares with none that it would touch, short ones next to the boxes. A status that nobody was in is a narrow stub. Units are those
of the view box, of which text of ``FONT`` is ``FONT`` high. Nobody measures text here, so widths are estimates on the safe side.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from services.lifecycle.domain.path import Place
from services.lifecycle.domain.process_map import ProcessMap, StageFigures, StatusFigures, Step, Transition
from services.lifecycle.domain.table import STAGES
from services.lifecycle.process.words import duration, percent, text_width, wrapped

MARGIN: Final = 28
WIDTH_MIN: Final = 1280
BOX: Final = 118
STUB: Final = 40
GAP: Final = 14
INSET: Final = 7
LANE: Final = 27
LANE_FIRST: Final = 24
LINE: Final = 16
FONT: Final = 12.5
NAME: Final = 13.5
NAME_LINES: Final = 3
STUB_LINES: Final = 2
HEAD: Final = 92
BAND_HEAD: Final = 74
BAR: Final = 8
ARROW_MIN: Final = 1.25
ARROW_MAX: Final = 9.0


class Box(NamedTuple):
    """A status: the lines of its name, its rows of figures (label, value), and the share of cases that reached it or went further.

    A stub has its name only, to be written from the bottom up.
    """

    x: float
    y: float
    width: float
    height: float
    figures: StatusFigures
    name: Sequence[str]
    rows: Sequence[tuple[str, str]]
    reached: float | None


class Band(NamedTuple):
    """A stage: the columns of its statuses, and what is said of it."""

    x: float
    width: float
    figures: StageFigures
    lines: Sequence[str]


class Arrow(NamedTuple):
    """From ``x1`` at the ``edge`` of a box along a lane at height ``y`` to ``x2``. ``label_x``: the label's middle."""

    transition: Transition
    x1: float
    x2: float
    edge: float
    y: float
    width: float
    label: str
    label_x: float


class Layout(NamedTuple):
    """The whole picture. ``bottom``: where bands end, and what is said below them begins."""

    width: float
    bottom: float
    bands: Sequence[Band]
    boxes: Sequence[Box]
    arrows: Sequence[Arrow]
    hidden: Sequence[Transition]


class _Column(NamedTuple):
    """Where a status stands from left to right."""

    x: float
    width: float

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


def layout(found: ProcessMap, arrows: int) -> Layout:
    """The layout of a map with so many of its transitions, the most frequent ones."""
    drawn, hidden = found.transitions[:arrows], found.transitions[arrows:]
    bands, columns = _bands(found)
    up = [move for move in drawn if _ahead(move, columns)]
    down = [move for move in drawn if not _ahead(move, columns)]
    lanes_up, lanes_down = _lanes(up, columns), _lanes(down, columns)
    top = HEAD + BAND_HEAD + _depth(lanes_up)
    boxes = _boxes(found, columns, top)
    foot = top + max((box.height for box in boxes), default=0)
    most = max((move.count for move in drawn), default=1)
    above = _labelled(_arrows(up, lanes_up, columns, top, -1, most))
    below = _labelled(_arrows(down, lanes_down, columns, foot, 1, most))
    width = max([WIDTH_MIN, *(band.x + band.width + MARGIN for band in bands)])
    return Layout(width, foot + _depth(lanes_down), bands, boxes, [*above, *below], hidden)


# --------------------------------------------------------------------------------- statuses and stages


def _bands(found: ProcessMap) -> tuple[list[Band], dict[Place, _Column]]:
    """The stages from left to right, and within each its statuses."""
    bands: list[Band] = []
    columns: dict[Place, _Column] = {}
    x = float(MARGIN)
    for stage in sorted(found.stages, key=lambda figures: STAGES.index(figures.stage)):
        begin = x
        x += GAP
        for each in found.statuses:
            if each.stage == stage.stage:
                column = columns[each.stage, each.status] = _Column(x, BOX if each.visits else STUB)
                x += column.width + GAP
        lines = [f"{stage.reached:,} reached it", f"{percent(stage.share)} of all"]
        if stage.completed.count:
            lines.append(f"median {duration(stage.completed.median_seconds)} in it")
        x = max(x, begin + max(text_width(line, FONT) for line in lines) + 2 * GAP)
        bands.append(Band(begin, x - begin, stage, lines))
        x += GAP / 2
    return bands, columns


def _boxes(found: ProcessMap, columns: Mapping[Place, _Column], y: float) -> list[Box]:
    steps: Mapping[str, Step] = {step.status: step for step in found.path}
    told = []
    for each in found.statuses:
        reached = steps[each.status].share if each.on_path and each.visits else None
        name = wrapped(each.status, BOX - 2 * INSET, NAME, NAME_LINES)
        told.append((each, reached, name, _rows(each, reached)))
    lines = max((len(name) + len(rows) for each, _, name, rows in told if each.visits), default=6)
    height = lines * LINE + BAR + 18.0
    return [
        Box(*_corner(columns, each, y), height, each, name if each.visits else _stub_name(each, height), rows, reached)
        for each, reached, name, rows in told
    ]


def _corner(columns: Mapping[Place, _Column], figures: StatusFigures, y: float) -> tuple[float, float, float]:
    column = columns[figures.stage, figures.status]
    return column.x, y, column.width


def _stub_name(figures: StatusFigures, height: float) -> Sequence[str]:
    return wrapped(figures.status, height - 2 * INSET, FONT, STUB_LINES)


def _rows(figures: StatusFigures, reached: float | None) -> list[tuple[str, str]]:
    rows = [("cases", f"{figures.cases:,}"), ("now", f"{figures.now:,}")]
    if figures.started:
        rows.append(("starts", f"{figures.started:,}"))
    if figures.completed.count:
        rows.append(("median", duration(figures.completed.median_seconds)))
        rows.append(("p90", duration(figures.completed.p90_seconds)))
    if figures.target_seconds is not None:
        rows.append(("target", duration(figures.target_seconds)))
        if figures.over_target_share is not None:
            rows.append(("longer", percent(figures.over_target_share)))
    if reached is not None:
        rows.append(("reached", percent(reached)))
    return rows


# --------------------------------------------------------------------------------------------- arrows


def _ends(move: Transition) -> tuple[Place, Place]:
    return (move.from_stage, move.from_status), (move.to_stage, move.to_status)


def _ahead(move: Transition, columns: Mapping[Place, _Column]) -> bool:
    before, after = _ends(move)
    return columns[before].x < columns[after].x


def _label(move: Transition) -> str:
    return f"{move.count:,} · {duration(move.time.median_seconds)}"


def _span(move: Transition, columns: Mapping[Place, _Column]) -> tuple[float, float]:
    """What a move takes of its lane: from box to box, and its label."""
    left, right = sorted(columns[place].middle for place in _ends(move))
    half = max(right - left, text_width(_label(move), FONT) + 6) / 2
    middle = (left + right) / 2
    return middle - half, middle + half


def _lanes(moves: Sequence[Transition], columns: Mapping[Place, _Column]) -> list[int]:
    """The lane of each move, 0 next to the boxes: the shortest first, each in the first lane where it touches no other."""
    taken: list[list[tuple[float, float]]] = []
    lanes = [0] * len(moves)
    spans = [_span(move, columns) for move in moves]
    for number in sorted(range(len(moves)), key=lambda number: (spans[number][1] - spans[number][0], spans[number])):
        left, right = spans[number]
        lane = next((n for n, others in enumerate(taken) if _free(others, left, right)), len(taken))
        if lane == len(taken):
            taken.append([])
        taken[lane].append((left, right))
        lanes[number] = lane
    return lanes


def _free(taken: Iterable[tuple[float, float]], left: float, right: float) -> bool:
    return all(right <= begin or left >= end for begin, end in taken)


def _depth(lanes: Sequence[int]) -> float:
    """How much room lanes take beside the boxes."""
    return LANE_FIRST + LANE * max(lanes) + 24.0 if lanes else 20.0


def _arrows(
    moves: Sequence[Transition], lanes: Sequence[int], columns: Mapping[Place, _Column], edge: float, side: int, most: int
) -> list[Arrow]:
    """The arrows on one side of the boxes: above (-1), where they run to the right, or below (1), where they run to the left."""
    leaving: dict[Place, list[int]] = {}
    arriving: dict[Place, list[int]] = {}
    for number, move in enumerate(moves):
        before, after = _ends(move)
        leaving.setdefault(before, []).append(number)
        arriving.setdefault(after, []).append(number)
    begins = {number: x for place, own in leaving.items() for number, x in _ports(own, lanes, columns[place], side < 0)}
    ends = {number: x for place, own in arriving.items() for number, x in _ports(own, lanes, columns[place], side > 0)}
    return [
        Arrow(
            transition=move,
            x1=begins[number],
            x2=ends[number],
            edge=edge,
            y=edge + side * (LANE_FIRST + LANE * lanes[number]),
            width=max(ARROW_MIN, ARROW_MAX * move.count / most),
            label=_label(move),
            label_x=sum(_span(move, columns)) / 2,
        )
        for number, move in enumerate(moves)
    ]


def _labelled(arrows: Sequence[Arrow]) -> list[Arrow]:
    """The arrows with their labels where the fewest others cross them, as near to the middle as can be."""
    return [arrow._replace(label_x=_label_x(arrow, arrows)) for arrow in arrows]


def _label_x(arrow: Arrow, arrows: Sequence[Arrow]) -> float:
    half = text_width(arrow.label, FONT) / 2 + 3
    room = abs(arrow.x2 - arrow.x1) / 2 - half
    crossing = [
        x
        for other in arrows
        if other is not arrow and abs(other.y - other.edge) > abs(arrow.y - arrow.edge)
        for x in (other.x1, other.x2)
    ]

    def crossed(x: float) -> int:
        return sum(abs(x - other) < half for other in crossing)

    shifts = [sign * shift for shift in range(0, max(1, int(room)), 6) for sign in (1, -1)]
    return min((arrow.label_x + shift for shift in shifts), key=crossed)


def _ports(own: Sequence[int], lanes: Sequence[int], column: _Column, right_half: bool) -> Iterable[tuple[int, float]]:
    """Where arrows touch a box: they share one half of its edge, those of outer lanes nearest to its middle.

    So no arrow of the box crosses the lane of another.
    """
    ordered = sorted(own, key=lambda number: -lanes[number] if right_half else lanes[number])
    step = (column.width / 2 - 8) / (len(ordered) + 1)
    begin = column.middle + 4 if right_half else column.x + 4
    return [(number, begin + step * (place + 1)) for place, number in enumerate(ordered)]
