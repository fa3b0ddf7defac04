"""What may be asked of the process map over HTTP, and which cases are meant."""

from datetime import tzinfo
from typing import Annotated, Final

from msgspec import Struct
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from events.business_time import begin_of, end_of, instant_or_date
from events.facts import Stage
from events.values import INSTANT_MAX, INSTANT_MIN
from services.lifecycle.process.histories import Case, Subject


def _readable(text: str) -> str:
    instant_or_date(text)
    return text


Instant = Annotated[str, AfterValidator(_readable), Field(examples=["2017-03-31", "2017-03-31T18:00:00Z"])]
Chosen = Annotated[str, Field(max_length=200)]


class MapQuery(BaseModel):
    """``/v1/process-map``."""

    model_config = ConfigDict(extra="forbid")

    subject: Annotated[Subject, Field(description="Whose statuses: each record's, or each deal's.")] = "records"
    began_from: Annotated[
        Instant | None, Field(alias="from", description="Only cases whose first status is not before this; a day from its start.")
    ] = None
    began_to: Annotated[
        Instant | None, Field(alias="to", description="Only cases whose first status is not after this; a day through its end.")
    ] = None
    as_of: Annotated[Instant | None, Field(description="What had happened by then; a day through its end. Without it: by now.")] = (
        None
    )
    stage: Annotated[Stage | None, Field(description="Only cases that are at this stage (as of `as_of`).")] = None
    status: Annotated[Chosen | None, Field(description="Only cases that are in this status (as of `as_of`).")] = None
    source: Annotated[Chosen | None, Field(description="Only cases of this source; empty: without one.")] = None
    country: Annotated[Chosen | None, Field(description="Only cases of this country; empty: without one.")] = None
    owner: Annotated[Chosen | None, Field(description="Only cases of this owner; empty: without one.")] = None
    variants: Annotated[int, Field(ge=0, le=100, description="How many variants to list.")] = 10


class PictureQuery(MapQuery):
    """``/v1/process-map.svg``."""

    variants: Annotated[int, Field(ge=0, le=20, description="How many variants to list.")] = 5
    arrows: Annotated[int, Field(ge=0, le=100, description="How many transitions to draw: the most frequent ones.")] = 30


_CHOOSING: Final = {"began_from", "began_to", "stage", "status", "source", "country", "owner"}


class Question(Struct, frozen=True, kw_only=True):
    """A question understood; instants in nanoseconds. ``as_of`` is None for now."""

    subject: Subject
    began_from: int
    began_to: int
    as_of: int | None
    variants: int
    stage: str | None
    status: str | None
    source: str | None
    country: str | None
    owner: str | None
    told: tuple[tuple[str, str], ...]
    """The parameters that choose cases, as they were given."""

    @classmethod
    def of(cls, query: MapQuery, zone: tzinfo) -> "Question":
        """The question that a query asks; a day is one of the business time zone."""
        return cls(
            subject=query.subject,
            began_from=INSTANT_MIN if query.began_from is None else begin_of(query.began_from, zone),
            began_to=INSTANT_MAX if query.began_to is None else end_of(query.began_to, zone),
            as_of=None if query.as_of is None else end_of(query.as_of, zone),
            variants=query.variants,
            stage=query.stage,
            status=query.status,
            source=query.source,
            country=query.country,
            owner=query.owner,
            told=tuple(query.model_dump(include=_CHOOSING, exclude_none=True, by_alias=True).items()),
        )

    @property
    def by_profile(self) -> bool:
        """Whether it takes more than a case's statuses to know whether it is meant."""
        return (self.source, self.country, self.owner) != (None, None, None)

    def means(self, case: Case) -> bool:
        """Whether a case is one of those that are asked for."""
        _, stage, status = case.trace[-1]
        return (
            self.began_from <= case.trace[0][0] <= self.began_to
            and self.stage in (None, stage)
            and self.status in (None, status)
            and self.source in (None, case.source or "")
            and self.country in (None, case.country or "")
            and self.owner in (None, case.owner or "")
        )
