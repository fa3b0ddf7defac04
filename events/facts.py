"""The data of every fact that Handoff accepts, one struct per CloudEvents type.

A field that is absent or null says nothing; unknown fields are ignored. Fields without a default are
required. Which type travels on which topic is said by :mod:`events.topics`.
"""

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from events.values import Country, CustomerId, FieldError, Id, Money, Percent, Price, Text, is_code, parse_instant_or_date

SourceKind = Literal["marketing", "sales", "partner", "other"]
Category = Literal["worst", "likely", "upside"]
Stage = Literal["lead", "prospect", "customer"]


class Data(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What all facts carry: the customer they are about."""

    customer_id: CustomerId


# ---------------------------------------------------------------------------------------------- leads


class Contact(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The person behind a lead."""

    name: Text | None = None
    email: Text | None = None
    phone: Text | None = None
    title: Text | None = None


class LeadFields(Data, frozen=True, kw_only=True, omit_defaults=True):
    """What a lead may say about the customer. Money without a sign; score 0 to 100."""

    lead_id: Id | None = None
    company: Text | None = None
    contact: Contact | None = None
    country: Country | None = None
    region: Text | None = None
    postal_code: Text | None = None
    industry: Text | None = None
    employees: Annotated[int, Meta(ge=0)] | None = None
    annual_revenue: Price | None = None
    source: Text | None = None
    source_kind: SourceKind | None = None
    campaign: Text | None = None
    product_interest: tuple[Text, ...] | None = None
    expected_amount: Price | None = None
    score: Percent | None = None
    owner: Id | None = None
    attributes: dict[str, str | int | bool | None] | None = None

    def __post_init__(self) -> None:
        if self.country is not None and not is_code(self.country, 2):
            raise FieldError("country", f"{self.country[:40]!r} is no country: two upper-case letters of ISO 3166 such as DE")
        if self.attributes and None in self.attributes.values():  # null says nothing, here too
            force_setattr(self, "attributes", {name: value for name, value in self.attributes.items() if value is not None})


class LeadCreated(LeadFields, frozen=True, kw_only=True, omit_defaults=True):
    """A lead came in: somebody may want to buy."""


class LeadUpdated(LeadFields, frozen=True, kw_only=True, omit_defaults=True):
    """More is known about a lead, or something else than before."""


class LeadQualified(Data, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody found the lead worth selling to."""

    lead_id: Id | None = None


class LeadDisqualified(Data, frozen=True, kw_only=True, omit_defaults=True):
    """The lead is dead, and why."""

    lead_id: Id | None = None
    reason: Text


class LeadRecycled(Data, frozen=True, kw_only=True, omit_defaults=True):
    """The lead goes back to marketing, until an instant or a date where one is named."""

    lead_id: Id | None = None
    reason: Text
    until: str | None = None

    def __post_init__(self) -> None:
        if self.until is not None:
            try:
                parse_instant_or_date(self.until)
            except ValueError as error:
                raise FieldError("until", str(error)) from None


# ------------------------------------------------------------------------------------- opportunities


class Split(Struct, frozen=True, kw_only=True):
    """A rep's share of a deal."""

    rep_id: Id
    percent: Percent


class OpportunityFields(Data, frozen=True, kw_only=True, omit_defaults=True):
    """What an opportunity may say about its deal. ``stage`` counts where it is the name of a status."""

    opportunity_id: Id
    name: Text | None = None
    amount: Price | None = None
    amount_low: Price | None = None
    amount_high: Price | None = None
    close_date: date | None = None
    stage: Text | None = None
    probability: Percent | None = None
    category: Category | None = None
    product: Text | None = None
    owner: Id | None = None
    splits: tuple[Split, ...] | None = None


class OpportunityCreated(OpportunityFields, frozen=True, kw_only=True, omit_defaults=True):
    """A chance to sell something was opened."""

    amount: Price


class OpportunityUpdated(OpportunityFields, frozen=True, kw_only=True, omit_defaults=True):
    """Something about the opportunity changed."""


class OpportunityWon(Data, frozen=True, kw_only=True, omit_defaults=True):
    """The opportunity was won, at an amount where one is named."""

    opportunity_id: Id
    amount: Price | None = None


class OpportunityLost(Data, frozen=True, kw_only=True, omit_defaults=True):
    """The opportunity was lost, and why."""

    opportunity_id: Id
    reason: Text
    competitor: Text | None = None


# -------------------------------------------------------------------------------------------- quotes


class QuoteFields(Data, frozen=True, kw_only=True, omit_defaults=True):
    """What a quote may say. ``replaces`` names the quote that this one supersedes."""

    quote_id: Id
    opportunity_id: Id | None = None
    amount: Price | None = None
    amount_low: Price | None = None
    amount_high: Price | None = None
    close_date: date | None = None
    probability: Percent | None = None
    category: Category | None = None
    include_in_forecast: bool | None = None
    replaces: Id | None = None
    owner: Id | None = None


class QuoteCreated(QuoteFields, frozen=True, kw_only=True, omit_defaults=True):
    """A quote was written. It is part of the forecast unless it says otherwise."""

    amount: Price


class QuoteUpdated(QuoteFields, frozen=True, kw_only=True, omit_defaults=True):
    """Something about the quote changed."""


class QuoteFact(Data, frozen=True, kw_only=True, omit_defaults=True):
    """Something happened to a quote."""

    quote_id: Id


class QuoteSent(QuoteFact, frozen=True, kw_only=True, omit_defaults=True):
    """The quote went out."""


class QuoteReturned(QuoteFact, frozen=True, kw_only=True, omit_defaults=True):
    """The customer came back with changes: it is being negotiated."""


class QuoteAccepted(QuoteFact, frozen=True, kw_only=True, omit_defaults=True):
    """The customer accepted; the order is to come."""


class QuoteDeclined(QuoteFact, frozen=True, kw_only=True, omit_defaults=True):
    """The customer said no."""

    reason: Text | None = None


class QuoteCancelled(QuoteFact, frozen=True, kw_only=True, omit_defaults=True):
    """The seller took the quote back."""


# -------------------------------------------------------------------------------------------- orders


class OrderPlaced(Data, frozen=True, kw_only=True, omit_defaults=True):
    """The customer ordered. A negative amount is a credit."""

    order_id: Id
    quote_id: Id | None = None
    opportunity_id: Id | None = None
    amount: Money
    owner: Id | None = None


class OrderFact(Data, frozen=True, kw_only=True, omit_defaults=True):
    """Something happened to an order."""

    order_id: Id


class OrderBilled(OrderFact, frozen=True, kw_only=True, omit_defaults=True):
    """The invoice is out."""


class OrderCancelled(OrderFact, frozen=True, kw_only=True, omit_defaults=True):
    """The order will not be fulfilled."""


# ----------------------------------------------------------------------- what people do: activities


class ActivityLogged(Data, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody did something with the customer; ``automatic`` marks a machine's mail."""

    activity_id: Id
    kind: Literal["call", "email", "meeting", "task", "note", "other"] | None = None
    direction: Literal["inbound", "outbound"] | None = None
    automatic: bool = False
    rep_id: Id | None = None
    outcome: Text | None = None


class HandoffAccepted(Data, frozen=True, kw_only=True, omit_defaults=True):
    """The assigned rep took the lead."""

    rep_id: Id
    assignment_id: Id


class HandoffRejected(Data, frozen=True, kw_only=True, omit_defaults=True):
    """The assigned rep gave the lead back, and why."""

    rep_id: Id
    assignment_id: Id
    reason: Text


# ------------------------------------------------------------------------------------------ commands


class StatusSet(Data, frozen=True, kw_only=True, omit_defaults=True):
    """A person sets the record's status by hand."""

    status: Text
    reason: Text | None = None
    actor: Id


class StatusReverted(Data, frozen=True, kw_only=True, omit_defaults=True):
    """A person takes the record back to a lower stage."""

    stage: Literal["lead", "prospect"]
    reason: Text | None = None
    actor: Id


class CustomerConverted(Data, frozen=True, kw_only=True, omit_defaults=True):
    """A person makes a lead a prospect."""

    actor: Id


class OwnerSet(Data, frozen=True, kw_only=True, omit_defaults=True):
    """A person gives the record to a rep."""

    rep_id: Id
    actor: Id
    reason: Text | None = None


# ------------------------------------------------------------------------------- written by Handoff


class FactRef(Struct, frozen=True, kw_only=True):
    """A fact of the same customer, by its identity."""

    source: Id
    id: Id


class LifecycleTick(Data, frozen=True, kw_only=True, omit_defaults=True):
    """Time has come to a point that a recycled lead was waiting for."""

    recycled: FactRef
