"""What there is to see at a moment, and how figures are written. Pure."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct

from events.values import format_instant
from handoff.demo.figures import Figures, Row
from handoff.demo.player import Played
from handoff.demo.watcher import Seen
from handoff.demo.worktime import Year, day_of
from handoff.settings import SERVICES
from services.lifecycle.domain.table import DEFAULT


class Scene(Struct, frozen=True):
    """A moment of the demo. ``note``: what happened last to a process."""

    year: Year
    played: Played
    seen: Seen
    figures: Figures
    addresses: Mapping[str, str]
    note: str = ""

    @property
    def part(self) -> float:
        """How much of the year is over, from 0 to 1."""
        return (self.played.now - self.year.begin) / (self.year.end - self.year.begin)

    @property
    def day(self) -> str:
        """The simulated day."""
        return day_of(min(self.played.now, self.year.end - 1)).isoformat()

    @property
    def behind(self) -> str:
        """How many records each service is behind."""
        return ", ".join(f"{name} {'?' if lag is None else f'{lag:,}'}" for name, lag in self.lags().items())

    def lags(self) -> dict[str, int | None]:
        """The same as numbers."""
        return {name: self.figures.lag(name) for name in SERVICES}

    def buried(self) -> dict[str, int]:
        """How many dead letters each service has: what it says, or what was seen of them, whichever is more."""
        return {name: max(self.figures.dead_letters(name), self.seen.buried.get(name, 0)) for name in SERVICES}

    def open_statuses(self) -> list[Row]:
        """The statuses in which a deal may be open, in the order of the sales process."""
        pipeline = self.figures.pipeline
        found = {row.key: row for row in pipeline.statuses} if pipeline else {}
        names = [row.name for row in DEFAULT.rows if row.stage == "prospect" and row.name != DEFAULT.triggers["lost"]]
        others = [name for name, row in found.items() if name and name not in names and row.open.count]
        return [found.get(name) or _nothing(name) for name in (*names, *others)]

    def stages(self) -> list[Row]:
        """The stages of the customers that have deals."""
        return list(self.figures.pipeline.stages) if self.figures.pipeline else []

    def quarters(self, most: int) -> list[Row]:
        """The quarters with deals, with the present one amidst, where there are more of them."""
        rows = [row for row in self.figures.pipeline.quarters if row.key] if self.figures.pipeline else []
        present = self.quarter()
        first = next((place for place, row in enumerate(rows) if (row.key or "") >= present), len(rows))
        begin = max(0, min(first - (most - 1) // 2, len(rows) - most))
        return rows[begin : begin + most]

    def quarter(self) -> str:
        """The present quarter, by its name."""
        day = day_of(min(self.played.now, self.year.end - 1))
        return f"{day.year}-Q{(day.month + 2) // 3}"


def money(amount: Decimal) -> str:
    """An amount to the whole currency unit, with its thousands set apart."""
    return f"{amount:,.0f}"


def moment(instant: int) -> str:
    """Month, day and minute of an instant."""
    return format_instant(instant)[5:16].replace("T", " ")


def _nothing(name: str) -> Row:
    return Row.of({"key": name, "label": name, **dict.fromkeys(("open", "won", "lost"), _NOTHING)})


_NOTHING: Final = {"count": 0, "amount": "0", "weighted": "0"}
