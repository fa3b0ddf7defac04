"""What may be asked of dead letters: which are meant, and what is to be done about them."""

from datetime import UTC
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from events.bus.letters.keeping import ACTS_AT_ONCE_MAX, State
from events.bus.letters.selection import By, Selection
from events.business_time import begin_of, end_of, instant_or_date

VALUES_MAX: Final = 500
"""Values of one criterion."""
NUMBER_MAX: Final = 2**63 - 1
PAGE_MAX: Final = 1000
PLACE: Final = r"^\d{1,18}-\d{1,18}$"
"""Where to go on: the last letter that was looked at, and the newest one that was there at first, beyond which nothing is meant."""
_MILLISECOND: Final = 1_000_000


def _when(text: str) -> str:
    instant_or_date(text)
    return text


When = Annotated[str, AfterValidator(_when), Field(examples=["2026-03-01", "2026-03-01T09:00:00Z"])]
Word = Annotated[str, Field(min_length=1, max_length=2000)]
Words = Annotated[list[Word] | None, Field(min_length=1, max_length=VALUES_MAX)]
Whole = Annotated[int, Field(ge=0, le=NUMBER_MAX)]
Actor = Annotated[str, Field(min_length=1, max_length=200, description="Who decides.", examples=["dana"])]
Why = Annotated[str, Field(min_length=1, max_length=2000)]


class LetterFilter(BaseModel):
    """Which dead letters are meant. All that is said must hold; of several values of one criterion any."""

    model_config = ConfigDict(extra="forbid")

    state: Annotated[State | Literal["any"], Field(description="Whether they wait, or what was done about them last.")] = "waiting"
    number: Annotated[list[Whole] | None, Field(min_length=1, max_length=ACTS_AT_ONCE_MAX, description="These letters.")] = None
    error: Annotated[Words, Field(description="Their class, as in the reference.", examples=["Bug"])] = None
    topic: Annotated[Words, Field(description="The topic that the record lay on.")] = None
    partition: Annotated[Whole | None, Field(description="Its partition.")] = None
    offset: Annotated[Whole | None, Field(description="Its offset.")] = None
    source: Annotated[Words, Field(description="The source of the event, as far as it says one.")] = None
    type: Annotated[Words, Field(description="Its type.")] = None
    id: Annotated[Words, Field(description="Its id.")] = None
    customer_id: Annotated[Words, Field(description="The key of the record.")] = None
    recorded_from: Annotated[When | None, Field(description="In the log not earlier. A day: from its first instant (UTC).")] = None
    recorded_to: Annotated[When | None, Field(description="In the log not later. A day: through its last instant (UTC).")] = None
    text: Annotated[Word | None, Field(description="Part of the reason or of the path.")] = None
    again: Annotated[bool | None, Field(description="It is a replay that failed; or it is none.")] = None
    newer_than: Annotated[Whole | None, Field(description="Only letters with a greater number.")] = None

    def selection(self) -> Selection:
        """The letters that are meant."""
        since = None if self.recorded_from is None else begin_of(self.recorded_from, UTC)
        until = None if self.recorded_to is None else end_of(self.recorded_to, UTC)
        return Selection(
            state=() if self.state == "any" else (self.state,),
            number=self.number or (),
            error=self.error or (),
            topic=self.topic or (),
            source=self.source or (),
            type=self.type or (),
            id=self.id or (),
            customer_id=self.customer_id or (),
            partition=self.partition,
            offset=self.offset,
            since=None if since is None else -(-since // _MILLISECOND),
            until=None if until is None else until // _MILLISECOND + 1,
            text=self.text,
            again=self.again,
            newer_than=self.newer_than,
        )

    @property
    def empty(self) -> bool:
        """Whether nothing but the state is said."""
        return not self.model_dump(exclude_none=True, exclude={"state"})


class LettersQuery(LetterFilter):
    """``/v1/dead-letters``."""

    order: Annotated[Literal["asc", "desc"], Field(description="By number: rising, or falling.")] = "desc"
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX, description="Letters on a page. A CSV file has no pages.")] = 100
    after: Annotated[Whole | None, Field(description="`next` of the page before.")] = None
    count: Annotated[bool, Field(description="Say how many are meant in all, too.")] = False
    format: Annotated[Literal["json", "csv"] | None, Field(description="Instead of an Accept header, for links.")] = None


class GroupsQuery(LetterFilter):
    """``/v1/dead-letters/groups``."""

    by: Annotated[By, Field(description="What the letters of a group have in common.")] = "reason"
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX, description="The most frequent groups, so many of them.")] = 100


class OneQuery(BaseModel):
    """``/v1/dead-letters/{number}``."""

    model_config = ConfigDict(extra="forbid")

    check: Annotated[bool, Field(description="Say what would become of it if it were replayed now.")] = True


class LetterReplay(BaseModel):
    """Which letters to replay, and who wants it."""

    model_config = ConfigDict(extra="forbid")

    filter: LetterFilter = LetterFilter()
    all: Annotated[bool, Field(description="Yes, all that wait: needed where the filter is empty.")] = False
    actor: Actor
    reason: Annotated[Why | None, Field(description="Why, for whoever asks later.")] = None
    force: Annotated[
        bool, Field(description="Replay also what would be refused again, as another letter, and what is replayed already.")
    ] = False
    dry_run: Annotated[bool, Field(description="Only say what would become of each.")] = False
    after: Annotated[str | None, Field(pattern=PLACE, description="`next` of the answer before.")] = None
    limit: Annotated[int, Field(ge=1, le=ACTS_AT_ONCE_MAX)] = ACTS_AT_ONCE_MAX


class LetterDrop(BaseModel):
    """Which letters to drop, who wants it, and why."""

    model_config = ConfigDict(extra="forbid")

    filter: LetterFilter = LetterFilter()
    all: Annotated[bool, Field(description="Yes, all that wait: needed where the filter is empty.")] = False
    actor: Actor
    reason: Annotated[Why, Field(description="Why nothing is to be done, or what was done instead.", examples=["sent anew"])]
    dry_run: Annotated[bool, Field(description="Only say which are meant.")] = False
    after: Annotated[str | None, Field(pattern=PLACE, description="`next` of the answer before.")] = None
    limit: Annotated[int, Field(ge=1, le=ACTS_AT_ONCE_MAX)] = ACTS_AT_ONCE_MAX
