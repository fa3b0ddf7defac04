"""The data of every fact that Handoff accepts, one struct per CloudEvents type.

A field that is absent or null says nothing; unknown fields are ignored. Fields without a default are required. Which type
travels on which topic is said by :mod:`events.topics`; :mod:`events.schema` makes the JSON Schemas from these docstrings.
Identifiers are the sending systems' own, except ``customer_id``, which all senders share.
"""

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from events.values import (
    Country,
    CustomerId,
    DerivedId,
    FieldError,
    Id,
    Money,
    Percent,
    Phrase,
    Price,
    Text,
    is_code,
    normal_instant_or_date,
)

SourceKind = Literal["marketing", "sales", "partner", "other"]
Category = Literal["worst", "likely", "upside"]
Stage = Literal["lead", "prospect", "customer"]

Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Whole = Annotated[int, Meta(ge=1 - 2**53, le=2**53 - 1)]
AttributeName = Annotated[str, Meta(min_length=1, max_length=200)]
Attributes = dict[AttributeName, Text | Whole | bool | None]


class Data(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What all facts carry.

    Attributes:
        customer_id: The company record that the fact is about; also the key of the Kafka record. Example: "C-1042"
    """

    customer_id: CustomerId


# ---------------------------------------------------------------------------------------------- leads


class Contact(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The person behind a lead.

    Attributes:
        name: Full name, as one writes it. Example: "Ada Young"
        email: Mail address. Example: "ada.young@acme.example"
        phone: Telephone number, with country code. Example: "+49 89 1234567"
        title: What the person is in the company. Example: "Head of Purchasing"
    """

    name: Text | None = None
    email: Text | None = None
    phone: Text | None = None
    title: Text | None = None


class LeadFields(Data, frozen=True, kw_only=True, omit_defaults=True):
    """What a lead may say about the customer.

    Attributes:
        lead_id: The lead. Example: "L-7"
        company: The company's name. Example: "Acme GmbH"
        contact: The person behind the lead.
        country: Where the company is. Example: "DE"
        region: Part of the country, in the words that territories use. Example: "Bavaria"
        postal_code: Postal code of the company. Example: "80331"
        industry: What the company does, in the words that territories use. Example: "software"
        employees: People who work for the company. Example: 250
        annual_revenue: What the company turns over in a year. Example: {"amount": "31000000.00", "currency": "EUR"}
        source: Where the lead came from; the first one of a customer is kept. Example: "webinar"
        source_kind: Who brought the lead; the first one of a customer is kept. Example: "marketing"
        campaign: The campaign that brought the lead. Example: "spring-2026"
        product_interest: Products that were asked for. Example: ["GTX Pro"]
        expected_amount: What the customer may buy for. Example: {"amount": "12500.00", "currency": "EUR"}
        score: How good the lead is, 0 to 100, by the sender's own measure. Example: 70
        owner: The rep who has the lead. Example: "ann"
        attributes: What the sender knows besides, for routing rules: texts, whole numbers, true or false. A number with a
            fraction is sent as a text. Example: {"fleet": 40, "vip": true}
    """

    lead_id: Id | None = None
    company: Text | None = None
    contact: Contact | None = None
    country: Country | None = None
    region: Text | None = None
    postal_code: Text | None = None
    industry: Text | None = None
    employees: Count | None = None
    annual_revenue: Price | None = None
    source: Text | None = None
    source_kind: SourceKind | None = None
    campaign: Text | None = None
    product_interest: tuple[Text, ...] | None = None
    expected_amount: Price | None = None
    score: Percent | None = None
    owner: Id | None = None
    attributes: Attributes | None = None

    def __post_init__(self) -> None:
        if self.country is not None and not is_code(self.country, 2):
            raise FieldError("country", f"{self.country[:40]!r} is no country: two upper-case letters of ISO 3166 such as DE")
        if self.attributes and None in self.attributes.values():  # null says nothing, here too
            force_setattr(self, "attributes", {name: value for name, value in self.attributes.items() if value is not None})


class LeadCreated(LeadFields, frozen=True, kw_only=True, omit_defaults=True):
    """A lead came in: somebody may want to buy."""


class LeadUpdated(LeadFields, frozen=True, kw_only=True, omit_defaults=True):
    """More is known about a lead, or something else than before."""


class LeadFact(Data, frozen=True, kw_only=True, omit_defaults=True):
    """Something happened to a lead.

    Attributes:
        lead_id: The lead; without it the customer's last one. Example: "L-7"
    """

    lead_id: Id | None = None


class LeadQualified(LeadFact, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody found the lead worth selling to."""


class LeadDisqualified(LeadFact, frozen=True, kw_only=True, omit_defaults=True):
    """The lead is dead.

    Attributes:
        reason: Why, in the words that reports group by. Example: "no budget"
    """

    reason: Phrase


class LeadRecycled(LeadFact, frozen=True, kw_only=True, omit_defaults=True):
    """The lead goes back to marketing, for a while or for good.

    Attributes:
        reason: Why, in the words that reports group by. Example: "not now"
        until: When it is New again: an RFC 3339 time with offset, or a date (00:00 business time). Example: "2026-09-01"
    """

    reason: Phrase
    until: str | None = None

    def __post_init__(self) -> None:
        if self.until is not None:
            try:
                force_setattr(self, "until", normal_instant_or_date(self.until))
            except ValueError as error:
                raise FieldError("until", str(error)) from None


# ------------------------------------------------------------------------------------- opportunities


class Split(Struct, frozen=True, kw_only=True, gc=False):
    """A rep's share of a deal.

    Attributes:
        rep_id: The rep. Example: "ann"
        percent: The share, in percent. Example: 60
    """

    rep_id: Id
    percent: Percent


class OpportunityFact(Data, frozen=True, kw_only=True, omit_defaults=True):
    """Something happened to an opportunity.

    Attributes:
        opportunity_id: The opportunity. Example: "O-17"
    """

    opportunity_id: Id


class OpportunityFields(OpportunityFact, frozen=True, kw_only=True, omit_defaults=True):
    """What an opportunity may say about its deal.

    Attributes:
        name: What people call it. Example: "Acme: 40 seats"
        amount: What the deal is worth. Example: {"amount": "12000.00", "currency": "EUR"}
        amount_low: The least that it may be worth. Example: {"amount": "9000.00", "currency": "EUR"}
        amount_high: The most that it may be worth. Example: {"amount": "15000.00", "currency": "EUR"}
        close_date: The day on which it is expected to be decided. Example: "2026-06-30"
        stage: How far it is; it counts where it is the name of a status of the table. Example: "In Discussion"
        probability: How likely it is won, in percent; beats the status table's. Example: 40
        category: The forecast category in which it begins to count. Example: "likely"
        product: What is to be sold. Example: "GTX Pro"
        owner: The rep who has the deal. Example: "ann"
        splits: Who gets which share of it. Example: [{"rep_id": "ann", "percent": 60}, {"rep_id": "bob", "percent": 40}]
    """

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


class OpportunityWon(OpportunityFact, frozen=True, kw_only=True, omit_defaults=True):
    """The opportunity was won.

    Attributes:
        amount: What it was won for; counts where there is no order. Example: {"amount": "11500.00", "currency": "EUR"}
    """

    amount: Price | None = None


class OpportunityLost(OpportunityFact, frozen=True, kw_only=True, omit_defaults=True):
    """The opportunity was lost.

    Attributes:
        reason: Why, in the words that reports group by. Example: "price"
        competitor: Who won it instead. Example: "Globex"
    """

    reason: Phrase
    competitor: Text | None = None


# -------------------------------------------------------------------------------------------- quotes


class QuoteFact(Data, frozen=True, kw_only=True, omit_defaults=True):
    """Something happened to a quote.

    Attributes:
        quote_id: The quote. Example: "Q-31"
    """

    quote_id: Id


class QuoteFields(QuoteFact, frozen=True, kw_only=True, omit_defaults=True):
    """What a quote may say.

    Attributes:
        opportunity_id: The opportunity that it belongs to. Example: "O-17"
        amount: What is offered. Example: {"amount": "11800.00", "currency": "EUR"}
        amount_low: The least that may come of it. Example: {"amount": "9000.00", "currency": "EUR"}
        amount_high: The most that may come of it. Example: {"amount": "15000.00", "currency": "EUR"}
        close_date: The day on which it is expected to be decided. Example: "2026-06-30"
        probability: How likely it is accepted, in percent; beats the opportunity's. Example: 60
        category: The forecast category in which it begins to count. Example: "likely"
        include_in_forecast: Whether it counts in the forecast; it does unless it says otherwise. Example: true
        replaces: The quote that this one supersedes. Example: "Q-30"
        owner: The rep who wrote it. Example: "ann"
    """

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
    """A quote was written."""

    amount: Price


class QuoteUpdated(QuoteFields, frozen=True, kw_only=True, omit_defaults=True):
    """Something about the quote changed."""


class QuoteSent(QuoteFact, frozen=True, kw_only=True, omit_defaults=True):
    """The quote went out."""


class QuoteReturned(QuoteFact, frozen=True, kw_only=True, omit_defaults=True):
    """The customer came back with changes: it is being negotiated."""


class QuoteAccepted(QuoteFact, frozen=True, kw_only=True, omit_defaults=True):
    """The customer accepted; the order is to come."""


class QuoteDeclined(QuoteFact, frozen=True, kw_only=True, omit_defaults=True):
    """The customer said no.

    Attributes:
        reason: Why, in the words that reports group by. Example: "price"
    """

    reason: Text | None = None


class QuoteCancelled(QuoteFact, frozen=True, kw_only=True, omit_defaults=True):
    """The seller took the quote back."""


# -------------------------------------------------------------------------------------------- orders


class OrderFact(Data, frozen=True, kw_only=True, omit_defaults=True):
    """Something happened to an order.

    Attributes:
        order_id: The order. Example: "S-9"
    """

    order_id: Id


class OrderPlaced(OrderFact, frozen=True, kw_only=True, omit_defaults=True):
    """The customer ordered, or was credited.

    Attributes:
        quote_id: The quote that was ordered. Example: "Q-31"
        opportunity_id: The opportunity that it ends. Example: "O-17"
        amount: What was ordered; negative for a credit. Example: {"amount": "11800.00", "currency": "EUR"}
        owner: The rep who sold it. Example: "ann"
    """

    quote_id: Id | None = None
    opportunity_id: Id | None = None
    amount: Money
    owner: Id | None = None


class OrderBilled(OrderFact, frozen=True, kw_only=True, omit_defaults=True):
    """The invoice is out."""


class OrderCancelled(OrderFact, frozen=True, kw_only=True, omit_defaults=True):
    """The order will not be fulfilled."""


# ----------------------------------------------------------------------- what people do: activities


class ActivityLogged(Data, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody did something with the customer.

    Attributes:
        activity_id: The activity. Example: "A-501"
        kind: What was done. Example: "call"
        direction: Who came to whom: inbound is the customer's doing. Example: "outbound"
        automatic: Whether a machine did it (a mail of a sequence, an out-of-office reply). Example: false
        rep_id: The rep who did it, where it is known. Example: "ann"
        outcome: What came of it. Example: "meeting agreed"
    """

    activity_id: Id
    kind: Literal["call", "email", "meeting", "task", "note", "other"] | None = None
    direction: Literal["inbound", "outbound"] | None = None
    automatic: bool | None = False
    rep_id: Id | None = None
    outcome: Text | None = None

    def __post_init__(self) -> None:
        if self.automatic is None:
            force_setattr(self, "automatic", False)


class HandoffAnswer(Data, frozen=True, kw_only=True, omit_defaults=True):
    """What a rep answers to an assignment.

    Attributes:
        rep_id: The rep who answers. Example: "ann"
        assignment_id: The assignment, as ``crm.lead.assigned.v1`` names it. Example: "C-1042/0000000003/1"
    """

    rep_id: Id
    assignment_id: DerivedId


class HandoffAccepted(HandoffAnswer, frozen=True, kw_only=True, omit_defaults=True):
    """The assigned rep took the lead."""


class HandoffRejected(HandoffAnswer, frozen=True, kw_only=True, omit_defaults=True):
    """The assigned rep gave the lead back.

    Attributes:
        reason: Why. Example: "on holiday"
    """

    reason: Phrase


# ------------------------------------------------------------------------------------------ commands


class Command(Data, frozen=True, kw_only=True, omit_defaults=True):
    """What a person decides about a record.

    Attributes:
        actor: Who decided. Example: "dana"
    """

    actor: Id


class StatusSet(Command, frozen=True, kw_only=True, omit_defaults=True):
    """A person sets the record's status by hand.

    Attributes:
        status: The status, by its name in the status table. Example: "In Negotiation"
        reason: Why. Example: "agreed on the phone"
    """

    status: Phrase
    reason: Text | None = None


class StatusReverted(Command, frozen=True, kw_only=True, omit_defaults=True):
    """A person takes the record back to a lower stage.

    Attributes:
        stage: The stage to go back to. Example: "lead"
        reason: Why. Example: "quoted by mistake"
    """

    stage: Literal["lead", "prospect"]
    reason: Text | None = None


class CustomerConverted(Command, frozen=True, kw_only=True, omit_defaults=True):
    """A person makes a lead a prospect."""


class OwnerSet(Command, frozen=True, kw_only=True, omit_defaults=True):
    """A person gives the record to a rep.

    Attributes:
        rep_id: Who has it from now on. Example: "bob"
        reason: Why. Example: "knows the buyer"
    """

    rep_id: Id
    reason: Text | None = None


# ------------------------------------------------------------------------------- written by Handoff


class FactRef(Struct, frozen=True, kw_only=True, gc=False):
    """A fact of the same customer, by its identity.

    Attributes:
        source: Its ``ce_source``. Example: "/marketing"
        id: Its ``ce_id``. Example: "7f1c"
    """

    source: Id
    id: Id


class LifecycleTick(Data, frozen=True, kw_only=True, omit_defaults=True):
    """Time has come to a point that a recycled lead was waiting for.

    Attributes:
        recycled: The ``crm.lead.recycled.v1`` that named the time.
    """

    recycled: FactRef
