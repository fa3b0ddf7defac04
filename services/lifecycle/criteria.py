"""Which customers somebody means: the parameters of lists and the filter of mass changes, checked and understood.

In go texts as people write them, out comes a :class:`~services.lifecycle.customers.Selection`.
"""

from collections.abc import Callable, Iterable
from datetime import tzinfo
from typing import Annotated, Final

from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from events.business_time import begin_of, end_of, instant_or_date
from events.facts import Stage
from services.lifecycle.admission import unknown_status
from services.lifecycle.customers import Reached, Selection
from services.lifecycle.domain.table import StatusRow, Tables

VALUES_MAX: Final = 500
"""Values of one criterion."""


def _when(text: str) -> str:
    instant_or_date(text)
    return text


def _plain(text: str) -> str:
    if "\0" in text:
        raise ValueError("has a NUL character, which no text here has")
    return text


When = Annotated[str, AfterValidator(_when), Field(examples=["2026-03-01", "2026-03-01T09:00:00Z"])]
Word = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_plain)]
Words = Annotated[list[Word], Field(min_length=1, max_length=VALUES_MAX)]


class Criteria(BaseModel):
    """Which customers are meant. All that is said must hold; of several values of one criterion any."""

    model_config = ConfigDict(extra="forbid")

    customer_id: Annotated[Words | None, Field(description="These customers.")] = None
    stage: Annotated[list[Stage] | None, Field(min_length=1, max_length=3)] = None
    status: Annotated[Words | None, Field(description="Names of statuses; one that no version of the table has is refused.")] = None
    owner: Annotated[Words | None, Field(description="Ids of reps.")] = None
    unowned: Annotated[bool | None, Field(description="Nobody owns it. With `owner`: one of these reps, or nobody.")] = None
    country: Words | None = None
    source: Words | None = None
    created_from: Annotated[When | None, Field(description="Its first fact is not earlier. A day: from its first instant.")] = None
    created_to: Annotated[When | None, Field(description="Its first fact is not later. A day: through its last instant.")] = None
    score_min: Annotated[int | None, Field(ge=0, le=100)] = None
    score_max: Annotated[int | None, Field(ge=0, le=100)] = None
    idle_since: Annotated[
        When | None,
        Field(description="Nothing has happened to it at that time or later; what people decide does not count."),
    ] = None
    overdue: Annotated[bool | None, Field(description="It is in its status for longer than the status' target duration.")] = None
    follow_up_due: Annotated[
        bool | None, Field(description="The follow-up delay of its status has passed since it began, and since the last touch.")
    ] = None
    text: Annotated[Word | None, Field(description="A part of the company's name, or the beginning of the customer's id.")] = None

    def selection(self, now: int, zone: tzinfo, tables: Tables) -> Selection:
        """The same as a selection. ``now``: nanoseconds since 1970; ``zone``: where the business is.

        Raises ``RequestValidationError`` for what makes no sense together, or with these tables.
        """
        self._check(zone, tables)
        rows = tables.at(now).rows
        return Selection(
            customer_id=self.customer_id,
            stage=self.stage,
            status=self.status,
            owner=self._owners(),
            country=self.country,
            source=self.source,
            began_from=begin_of(self.created_from, zone) if self.created_from else None,
            began_to=end_of(self.created_to, zone) if self.created_to else None,
            score_min=self.score_min,
            score_max=self.score_max,
            idle_since=begin_of(self.idle_since, zone) if self.idle_since else None,
            overdue=_reached(self.overdue, rows, lambda row: row.target_duration, now),
            follow_up=_reached(self.follow_up_due, rows, lambda row: row.follow_up, now),
            text=self.text,
        )

    def _owners(self) -> list[str | None] | None:
        if self.unowned is False and self.owner is None:
            raise refused("unowned", "false says nothing: leave it out, or name owners")
        owners: list[str | None] = [*(self.owner or ())]
        return [*owners, None] if self.unowned else owners or None

    def _check(self, zone: tzinfo, tables: Tables) -> None:
        for name in self.status or ():
            if not tables.knows(name):
                raise refused("status", unknown_status(name, tables))
        if self.score_min is not None and self.score_max is not None and self.score_min > self.score_max:
            raise refused("score_max", f"{self.score_max} is below score_min, {self.score_min}")
        if self.created_from and self.created_to and begin_of(self.created_from, zone) > end_of(self.created_to, zone):
            raise refused("created_to", f"{self.created_to} is before created_from, {self.created_from}")


def refused(parameter: str, detail: str) -> RequestValidationError:
    """A parameter that makes no sense."""
    return RequestValidationError([{"loc": ("query", parameter), "msg": detail}])


def _reached(
    wanted: bool | None, rows: Iterable[StatusRow], duration: Callable[[StatusRow], int | None], now: int
) -> Reached | None:
    if wanted is None:
        return None
    return Reached(tuple((row.name, now - lasts) for row in rows if (lasts := duration(row)) is not None), wanted)
