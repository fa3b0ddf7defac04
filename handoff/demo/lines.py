"""A scene as plain lines, for a pipe or a file: what it comes to now, and what is new since the scene before. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from handoff.demo.figures import Row
from handoff.demo.scene import Scene, moment, money

T = TypeVar("T")

NEW_SHOWN: Final = 3
"""So many of the new assignments and dead letters are told."""
QUARTERS_SHOWN: Final = 4
LEGEND: Final = "weighted: amount * probability; expected: won + weighted; behind: records to do"
"""What the figures are, in less than 80 columns of plain ASCII."""


def lines(scene: Scene, before: Scene | None) -> Iterator[str]:
    """What is told of a scene."""
    yield f"{scene.day} ({scene.part:.0%} of the year): {traffic(scene)}"
    if scene.figures.pipeline is not None:
        yield from figures(scene)
    assigned = scene.seen.assigned - (before.seen.assigned if before else 0)
    for each in _newest(scene.seen.assignments, assigned):
        yield f"  assigned {moment(each.at)}  {each.customer_id} to {each.rep_id}  {each.reason}"
    buried = sum(scene.seen.buried.values()) - (sum(before.seen.buried.values()) if before else 0)
    for letter in _newest(scene.seen.letters, buried):
        yield f"  dead letter of {letter.service}  {letter.reason}"


def traffic(scene: Scene) -> str:
    """How much came in, and how far the services are behind."""
    letters = ", ".join(f"{name} {count:,}" for name, count in scene.buried().items())
    published = f"{scene.played.published:,} facts, {scene.played.rate:,.0f}/s"
    return f"{published}; {scene.seen.assigned:,} assigned; behind: {scene.behind}; dead letters: {letters}"


def summary(scene: Scene) -> Iterator[str]:
    """The most of it, in short lines: for a terminal that has no room for tables."""
    if (pipeline := scene.figures.pipeline) is not None:
        totals = pipeline.totals
        yield f"open {_sum(totals.open.count, money(totals.open.amount))} {pipeline.currency}"
        yield f"won  {_sum(totals.won.count, money(totals.won.amount))}"
        yield f"lost {_sum(totals.lost.count, money(totals.lost.amount))}"
    yield f"{scene.seen.assigned:,} assigned, {sum(scene.buried().values()):,} dead letters"
    for each in scene.seen.assignments[:-4:-1]:
        yield f"{each.customer_id} to {each.rep_id}: {each.reason}"


def _newest(items: Sequence[T], new: int) -> Sequence[T]:
    """The last of those that are new, as many as are told."""
    return items[max(0, len(items) - min(new, NEW_SHOWN)) :]


def figures(scene: Scene) -> Iterator[str]:
    """What is open, won and lost, by status, by the customer's stage, and by quarter."""
    pipeline = scene.figures.pipeline
    if pipeline is None:
        return
    totals = pipeline.totals
    won, lost = _sum(totals.won.count, money(totals.won.amount)), _sum(totals.lost.count, money(totals.lost.amount))
    yield f"  open {_open(totals)}; won {won}; lost {lost}, in {pipeline.currency}"
    if by_status := [f"{row.label} {_open(row)}" for row in scene.open_statuses() if row.open.count]:
        yield f"  {'; '.join(by_status)}"
    if by_stage := [f"with {row.label}s {_open(row)}" for row in scene.stages() if row.open.count]:
        yield f"  {'; '.join(by_stage)}"
    for row in scene.quarters(QUARTERS_SHOWN):
        expected = money(row.won.amount + row.weighted)
        yield f"  {row.label}: won {_sum(row.won.count, money(row.won.amount))}; open {_open(row)}; expected {expected}"


def _open(row: Row) -> str:
    return f"{_sum(row.open.count, money(row.open.amount))} ({money(row.weighted)} weighted)"


def _sum(count: int, amount: str) -> str:
    return f"{count:,} of {amount}"
