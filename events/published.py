"""What lifecycle publishes on ``crm.lifecycle.v1``: state that changed, complete enough that nobody looks anything up.

Instants are RFC 3339 in UTC (:func:`events.values.format_instant`). Every message carries ``version``: it grows by
customer, and a consumer ignores one that it has seen. A history is replaced from ``since`` on by ``states``.
"""

from datetime import date
from typing import Literal

from msgspec import Struct

from events.facts import Category, Contact, Data, SourceKind, Split, Stage
from events.values import Country, Currency, Id, Money, Percent, Price, Text


class Cause(Struct, frozen=True, kw_only=True):
    """The fact that brought something about, by its identity and type."""

    source: str
    id: str
    type: str


class Status(Struct, frozen=True, kw_only=True):
    """A status: stage, name, and the probability (percent) that the status table gives it."""

    stage: Stage
    name: str
    probability: Percent


class StatusState(Status, frozen=True, kw_only=True):
    """A status from an instant on, and the fact that set it."""

    effective_at: str
    cause: Cause


class Profile(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What leads have said of the customer, last writer by field; ``source`` and ``source_kind`` are the first ones."""

    lead_id: Id | None = None
    company: Text | None = None
    country: Country | None = None
    region: Text | None = None
    postal_code: Text | None = None
    industry: Text | None = None
    employees: int | None = None
    annual_revenue: Price | None = None
    source: Text | None = None
    source_kind: SourceKind | None = None
    campaign: Text | None = None
    product_interest: tuple[Text, ...] | None = None
    expected_amount: Price | None = None
    score: Percent | None = None
    attributes: dict[str, str | int | bool | None] | None = None


class Published(Data, frozen=True, kw_only=True, omit_defaults=True):
    """What every message of lifecycle carries."""

    version: int
    recorded_at: str
    cause: Cause


class StatusChanged(Published, frozen=True, kw_only=True, omit_defaults=True):
    """The record's status history changed from ``since`` on; ``previous`` and ``current`` are the status now, before and after."""

    since: str
    states: tuple[StatusState, ...]
    previous: Status | None = None
    current: Status
    owner: Id | None = None
    assignment_id: Id | None = None
    profile: Profile = Profile()
    contact: Contact | None = None


class RecordChanged(Published, frozen=True, kw_only=True, omit_defaults=True):
    """The record's owner or profile changed. ``assignment_id`` says that routing gave the owner."""

    owner: Id | None = None
    assignment_id: Id | None = None
    profile: Profile = Profile()
    contact: Contact | None = None
    status: Status
    changed: tuple[Literal["owner", "profile"], ...]


class Document(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A document of a deal; ``included``: it counts for the amount now. ``replaced_by`` names the quote that took its place."""

    kind: Literal["opportunity", "quote", "order"]
    id: Id
    amount: Money | None = None
    included: bool = False
    replaced_by: Id | None = None
    state: str


class Amounts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A deal's figures: by forecast category (worst, likely, upside) and its range. None: nothing to count there."""

    amount: Money | None = None
    worst: Money | None = None
    likely: Money | None = None
    upside: Money | None = None
    low: Money | None = None
    high: Money | None = None


class DealImage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A deal as it stood from an instant on: all that the forecast needs."""

    status: str
    probability: Percent
    state: Literal["open", "won", "lost"]
    closed_at: str | None = None
    reason: Text | None = None
    competitor: Text | None = None
    close_date: date | None = None
    amounts: Amounts = Amounts()
    category: Category = "likely"
    currency: Currency | None = None
    currency_conflicts: tuple[str, ...] = ()
    owner: Id | None = None
    splits: tuple[Split, ...] = ()
    product: Text | None = None
    source: Text | None = None
    source_kind: SourceKind | None = None
    campaign: Text | None = None
    country: Country | None = None
    region: Text | None = None
    documents: tuple[Document, ...] = ()


class DealState(Struct, frozen=True, kw_only=True):
    """A deal's image from an instant on."""

    effective_at: str
    image: DealImage


class DealChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """From ``since`` on the deal's history is ``states``; without ``since`` the deal no longer exists (another absorbed it)."""

    deal_id: str
    since: str | None = None
    states: tuple[DealState, ...] = ()


class DealsChanged(Published, frozen=True, kw_only=True, omit_defaults=True):
    """One or more deals changed. ``part`` of ``parts``: a long message is split; the parts count as one."""

    deals: tuple[DealChange, ...]
    part: int = 1
    parts: int = 1




class HandoffProgressed(Published, frozen=True, kw_only=True, omit_defaults=True):
    """The first acceptance, rejection or touch after an assignment (again if an earlier one comes to light)."""

    assignment_id: Id
    rep_id: Id
    progress: Literal["accepted", "rejected", "touched"]
    reason: Text | None = None
    at: str


class CommandRefused(Published, frozen=True, kw_only=True, omit_defaults=True):
    """A command has no effect now, by this rule; published again with ``effective`` true if that changes."""

    command: Cause
    effective: bool
    rule: str | None = None
    explanation: str | None = None
