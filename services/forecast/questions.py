"""What may be asked over HTTP: the query parameters of every resource, checked and understood. Unknown ones are refused."""

from collections.abc import Callable
from datetime import tzinfo
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from events.business_time import end_of, instant_or_date
from events.web import cursors
from services.forecast.domain import Rule
from services.forecast.periods import parse_period
from services.forecast.store import Moment

By = Literal["stage", "status", "rep", "team", "region", "customer_region", "product", "source", "quarter"]
ForecastBy = Literal["rep", "team", "region"]


LIMIT_MAX: Final = 500


def place_of(cursor: str) -> tuple[str, str]:
    """Customer and id of the deal after which a page begins. Raises ``ValueError``."""
    return cursors.place_of(cursor, tuple[str, str])


def _readable(read: Callable[[str], object]) -> AfterValidator:
    """A text that ``read`` understands. It stays a text: FastAPI would take a pair or a period for a list of values."""

    def check(text: str) -> str:
        read(text)
        return text

    return AfterValidator(check)


Instant = Annotated[str, _readable(instant_or_date), Field(examples=["2017-03-31", "2017-03-31T18:00:00Z"])]
PeriodText = Annotated[str, _readable(parse_period), Field(examples=["2017", "2017-Q2", "2017-05"])]
Cursor = Annotated[str, _readable(place_of)]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$", description="ISO 4217. Without it: the setting, else what most deals have.")]
Format = Annotated[Literal["json", "csv"] | None, Field(description="Instead of an Accept header, for links.")]
Percentage = Annotated[int, Field(ge=0, le=100, description="Open deals below it do not count.")]


class Asked(BaseModel):
    """What every resource can be asked for: business time and recorded time. A bare day means through its last instant."""

    model_config = ConfigDict(extra="forbid")

    as_of: Annotated[Instant | None, Field(description="Business time: what held then. Without it: now.")] = None
    known_at: Annotated[
        Instant | None, Field(description="Recorded time: as it was known then. Without it: all that is known.")
    ] = None

    def moment(self, now: int, zone: tzinfo) -> Moment:
        """The moment that is meant; ``now`` in nanoseconds since 1970."""
        as_of = now if self.as_of is None else end_of(self.as_of, zone)
        return Moment(as_of) if self.known_at is None else Moment(as_of, end_of(self.known_at, zone))


class PipelineQuery(Asked):
    """``/v1/pipeline``."""

    by: By | None = None
    currency: Currency | None = None
    format: Format = None


class ForecastQuery(Asked):
    """``/v1/forecast``."""

    period: Annotated[PeriodText, Field(description="A year, a quarter or a month.")]
    by: ForecastBy | None = None
    min_probability: Percentage | None = None
    currency: Currency | None = None
    format: Format = None


class DealsQuery(Asked):
    """``/v1/deals``: the parameters of a figure list its documents."""

    period: PeriodText | None = None
    min_probability: Percentage | None = None
    rule: Annotated[Rule | None, Field(description="Only deals that count, or that this rule leaves out.")] = None
    by: By | None = None
    key: Annotated[str | None, Field(description="Only the group of `by` with this key; empty: the group without one.")] = None
    state: Literal["open", "won", "lost"] | None = None
    customer_id: str | None = None
    currency: Currency | None = None
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX)] = 100
    after: Annotated[Cursor | None, Field(description="`next` of the page before.")] = None
    format: Format = None


class DealQuery(Asked):
    """``/v1/deals/{deal_id}``."""

    customer_id: Annotated[str, Field(description="Deal ids are unique within a customer.")]
