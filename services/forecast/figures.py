"""The projection's reading side: segments, deals and histories out of one snapshot of the database.

In: a moment (``as_of``, ``known_at``). Out: numbers for :mod:`.domain`. Live answers and past ones come from the same statements.

SQL adds 64-bit integers and gives up beyond them, so an amount is added in two halves that cannot overflow, and put together in
Python, whose integers have no end.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from events.bus.cursor import Cursor
from events.bus.letters.keeping import waiting
from events.bus.rebuild import SUFFIXES
from services.forecast.domain import Deal, Segment
from services.forecast.periods import Period
from services.forecast.store import GROUPED, IN_FORCE, VIEW, Moment, slices

_HALF: Final = 32
_LOW: Final = (1 << _HALF) - 1
_CHUNK: Final = 250
_STANDING: Final = "SELECT (SELECT coalesce(sum(next), 0) FROM position), live, generation FROM view_set WHERE name = ?"
_AMOUNTS: Final = ("amount", "worst", "likely", "upside")

QUESTIONS_MAX: Final = 64
"""Answers to so many questions are kept, until the next record comes."""
SEGMENTS_MAX: Final = 100_000
"""So many segments are kept in all, about 40 MB."""

STAGE: Final = "stage"
GROUP_COLUMNS: Final = {
    "status": "status",
    "rep": "owner",
    "team": "owner",
    "region": "owner",
    "customer_region": "region",
    "product": "product",
    "source": "source",
}
"""By which column deals are grouped; team and region are found by the owner, a quarter by the day, a stage in its own history."""
_STAGE: Final = (
    f"(SELECT stage FROM status_history{{set}} AS told WHERE told.customer_id = deal_history{{set}}.customer_id AND {IN_FORCE})"
)
"""The stage of a deal's customer at the moment: looked up for each deal, so that nobody holds those of all customers."""


class Listed(NamedTuple):
    """A deal as it stood at a moment. ``group``: what a grouping finds it by."""

    customer_id: str
    deal_id: str
    deal: Deal
    close_date: str | None
    closed_at: int | None
    group: str | None


class Figures:
    """One snapshot: of the set of tables that is live in it. ``generation``: how often the view was made again."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._position, live, self.generation = self._rows(_STANDING, (VIEW,))[0]
        self._set = SUFFIXES[live]

    def _rows(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        self._cursor.execute(query, parameters)
        return self._cursor.fetchall()

    def position(self) -> int:
        """How many records were taken in or passed over: grows with every one."""
        return int(self._position)

    def positions(self) -> dict[str, int]:
        """The next offset of each log, ``crm.lifecycle.v1[0]`` for example."""
        rows = self._rows("SELECT topic, part, next FROM position ORDER BY topic, part")
        return {f"{topic}[{part}]": following for topic, part, following in rows}

    def dead_letters(self) -> dict[str, int]:
        """How many dead letters wait for somebody, by error class."""
        return waiting(self._cursor)

    def last_due(self, as_of: int) -> int:
        """The latest instant up to ``as_of`` at which anything became true. While it is the same, time has changed no figure."""
        query = f"SELECT coalesce(max(instant), 0) FROM boundary{self._set} WHERE instant <= ?"
        return int(self._rows(query, (as_of,))[0][0])

    def segments(self, moment: Moment, by: str | None = None, period: Period | None = None) -> list[Segment]:
        """All deals at a moment, added up as far as the rules allow.

        With a period, categories are added up too, and one day stands for all that lie in it, another for all that do not.
        """
        keys = {"key": self._column(by)}
        keys |= {**{name: name for name in GROUPED}, "day": "day" if by == "quarter" else None}
        if period is not None:
            keys["day"] = "CASE WHEN day BETWEEN :first AND :last THEN :first WHEN day IS NOT NULL THEN '' END"
        grouped = [str(place) for place, column in enumerate(keys.values(), 1) if column is not None]
        amounts = _AMOUNTS[:1] if period is None else _AMOUNTS
        sums = ", ".join(f"CAST(sum({name} >> {_HALF}) AS BIGINT), CAST(sum({name} & {_LOW}) AS BIGINT)" for name in amounts)
        columns = ", ".join(f"{column or 'NULL'} AS {name}" for name, column in keys.items())
        parts = [
            f"SELECT {columns}, count(*), count(*) - count(amount), {sums} {rows} GROUP BY {', '.join(grouped)}"
            for rows in slices(f"deal_history{self._set}", moment)
        ]
        parameters = {**moment._asdict(), **(period._asdict() if period else {})}
        return [Segment(*row[:7], *_joined(row[7:])) for row in self._rows(" UNION ALL ".join(parts), parameters)]

    def deals(self, moment: Moment, by: str | None, after: tuple[str, str]) -> Iterator[Listed]:
        """The deals at a moment, by customer and id, from the one after ``after`` on."""
        query = (
            f"SELECT customer_id, deal_id, {self._column(by) or 'NULL'}, close_date, closed_at, {', '.join(Deal._fields)}"
            f" FROM deal_history{self._set}"
            f" WHERE (customer_id, deal_id) > (:customer_id, :deal_id) AND {IN_FORCE} ORDER BY customer_id, deal_id LIMIT {_CHUNK}"
        )
        while True:  # chunk by chunk, so that whoever stops early leaves no open statement behind
            parameters = {**moment._asdict(), "customer_id": after[0], "deal_id": after[1]}
            rows = self._rows(query, parameters)
            for customer_id, deal_id, group, close_date, closed_at, *columns in rows:
                yield Listed(customer_id, deal_id, Deal(*columns), close_date, closed_at, group)
            if len(rows) < _CHUNK:
                return
            after = rows[-1][:2]

    def _column(self, by: str | None) -> str | None:
        """What deals are grouped by, as a column of a deal's row."""
        return _STAGE.format(set=self._set) if by == STAGE else GROUP_COLUMNS.get(by or "")

    def history(self, customer_id: str, deal_id: str, known_at: int) -> list[tuple[int, int, int, str]]:
        """A deal's states as known at an instant: valid_from, valid_to, recorded_from, image."""
        return self._rows(
            f"SELECT valid_from, valid_to, recorded_from, image FROM deal_history{self._set} WHERE customer_id = ? AND deal_id = ?"
            " AND recorded_from <= ? AND recorded_to > ? ORDER BY valid_from",
            (customer_id, deal_id, known_at, known_at),
        )


def _joined(halves: tuple[Any, ...]) -> Iterator[int]:
    for high, low in zip(halves[::2], halves[1::2], strict=True):
        yield ((high or 0) << _HALF) + (low or 0)


class Segments:
    """Segments that were read before, for as long as they cannot have changed: the newest questions, and so many segments in all.

    What holds at an instant changes by records alone, which move the position, by the passing of a boundary, and where the view is
    made again. So what was read of the same generation at the same position, after the same boundary, is the same; and when either
    has moved on, what was read before is let go of.
    """

    def __init__(self, questions_max: int = QUESTIONS_MAX, segments_max: int = SEGMENTS_MAX) -> None:
        self._questions_max = questions_max
        self._segments_max = segments_max
        self._lock = threading.Lock()
        self._state = (0, 0)
        self._known: dict[tuple[object, ...], list[Segment]] = {}

    def of(self, figures: Figures, moment: Moment, by: str | None, period: Period | None = None) -> list[Segment]:
        """The snapshot's segments at a moment."""
        column = by if by in (STAGE, "quarter") else GROUP_COLUMNS.get(by or "")
        state = (figures.generation, figures.position())
        key = (figures.last_due(moment.as_of), moment.known_at, column, period)
        with self._lock:
            known = self._known.get(key) if state == self._state else None
        if known is None:
            known = figures.segments(moment, by, period)
            with self._lock:
                self._keep(state, key, known)
        return known

    def _keep(self, state: tuple[int, int], key: tuple[object, ...], known: list[Segment]) -> None:
        if state > self._state:
            self._known.clear()
            self._state = state
        if state == self._state:
            self._known[key] = known
        while len(self._known) > self._questions_max or sum(map(len, self._known.values())) > self._segments_max:
            del self._known[next(iter(self._known))]
