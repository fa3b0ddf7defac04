"""What is stored of a record: the facts, and what each changed. Private; :mod:`services.lifecycle.outbound` translates.

Every event carries ``recorded_at`` (nanoseconds): the log's clock, never going back within a record.
"""

from typing import ClassVar, Literal

from msgspec import Struct

from events.codec import Fact
from events.facts import Contact
from events.published import Cause, Profile
from services.lifecycle.domain.deals import Image
from services.lifecycle.domain.handoffs import Progress
from services.lifecycle.domain.history import Held, StatusShown


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What all events of a record carry. ``TOPIC`` is the durable name under which it is stored, never changed."""

    TOPIC: ClassVar[str] = ""

    recorded_at: int


class FactAccepted(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A fact entered the set; ``origin`` is the record it came in (topic, partition, offset).

    Where the set held a fact of the same identity, this one takes its place (FOLD.md 2). ``tables``: up to where on their topic the
    versions of the status table were known that the record is folded with since.
    """

    TOPIC: ClassVar[str] = "fact"

    fact: Fact
    origin: tuple[str, int, int]
    tables: int = 0


class TablesApplied(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A version of the status table came late for the record, which is folded with it since; what that changed comes after.

    ``tables`` as at :class:`FactAccepted`, ``version`` is the one that was published last.
    """

    TOPIC: ClassVar[str] = "tables"

    tables: int
    version: int


class RecordRestated(Event, frozen=True, kw_only=True, omit_defaults=True):
    """What comes after says the record as a whole: its numbers up to ``heard`` were given before a database was restored."""

    TOPIC: ClassVar[str] = "restated"

    heard: int


class Change(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Something that a fact changed, or a version of the status table that came late."""

    cause: Cause


class StatusRevised(Change, frozen=True, kw_only=True, omit_defaults=True):
    """The status history is ``states`` from ``since`` on; ``previous`` and ``current`` are the status now, before and after.

    Part ``part`` of ``parts`` that count as one.
    """

    TOPIC: ClassVar[str] = "status"

    since: int
    states: tuple[Held[StatusShown], ...]
    previous: StatusShown | None
    current: StatusShown
    owner: str | None
    assignment_id: str | None
    profile: Profile
    contact: Contact | None
    part: int = 1
    parts: int = 1


class RecordRevised(Change, frozen=True, kw_only=True, omit_defaults=True):
    """The record's owner or profile changed."""

    TOPIC: ClassVar[str] = "record"

    owner: str | None
    assignment_id: str | None
    profile: Profile
    contact: Contact | None
    status: StatusShown
    changed: tuple[Literal["owner", "profile"], ...]


class ImageHeld(Struct, frozen=True, gc=False):
    """A deal's image from an instant on."""

    at: int
    image: Image


class DealRevised(Struct, frozen=True, gc=False):
    """A deal's history is ``states`` from ``since`` on; without ``since`` the deal is gone."""

    deal_id: str
    since: int | None
    states: tuple[ImageHeld, ...]


class DealsRevised(Change, frozen=True, kw_only=True, omit_defaults=True):
    """Deals changed; part ``part`` of ``parts`` that count as one."""

    TOPIC: ClassVar[str] = "deals"

    deals: tuple[DealRevised, ...]
    part: int = 1
    parts: int = 1


class HandoffProgressed(Change, frozen=True, kw_only=True, omit_defaults=True):
    """The first acceptance, rejection or touch after an assignment became known; or (``withdrawn``) it turned out to be none."""

    TOPIC: ClassVar[str] = "handoff"

    assignment_id: str
    rep_id: str
    progress: Progress
    reason: str | None = None
    at: int
    withdrawn: bool = False


class CommandJudged(Change, frozen=True, kw_only=True, omit_defaults=True):
    """A command came to have no effect, or to have one after all."""

    TOPIC: ClassVar[str] = "verdict"

    command: Cause
    effective: bool
    rule: str
    explanation: str


AnyEvent = (
    FactAccepted | TablesApplied | RecordRestated | StatusRevised | RecordRevised | DealsRevised | HandoffProgressed | CommandJudged
)
EVENTS: tuple[type[AnyEvent], ...] = (
    FactAccepted,
    TablesApplied,
    RecordRestated,
    StatusRevised,
    RecordRevised,
    DealsRevised,
    HandoffProgressed,
    CommandJudged,
)
"""Every event that is stored."""
UNTOLD: tuple[type[AnyEvent], ...] = (FactAccepted, TablesApplied, RecordRestated)
"""Those that publish nothing."""
