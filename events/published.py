"""What lifecycle publishes on ``crm.lifecycle.v1``: state that changed, complete enough that nobody looks anything up.

Instants are RFC 3339 in UTC (:func:`events.values.format_instant`). Every message carries ``version``: it grows by
customer, and a consumer ignores one that it has seen. A history is replaced from ``since`` on by ``states``.

A default that is not None, a number or an empty tuple comes from a factory: msgspec leaves a default out only where it is the
very same object, and equal messages must be equal bytes.
"""

from datetime import date
from typing import Literal

from msgspec import Struct, field

from events.facts import Attributes, Category, Contact, Count, Data, SourceKind, Split, Stage
from events.values import Country, Currency, DerivedId, Id, Instant, Money, Number, Percent, Price, Text, check_instant


class Cause(Struct, frozen=True, kw_only=True, gc=False):
    """The fact that brought something about, by its identity and type; or a version of the status table that came late.

    Attributes:
        source: Its ``ce_source``. Example: "/crm"
        id: Its ``ce_id``. Example: "7f1c"
        type: Its ``ce_type``. Example: "crm.opportunity.updated.v1"
    """

    source: str
    id: str
    type: str


class Status(Struct, frozen=True, kw_only=True):
    """A status of the status table.

    Attributes:
        stage: The stage that it belongs to. Example: "prospect"
        name: Its name. Example: "In Negotiation"
        probability: How likely a sale is by the status table, in percent. Example: 75
    """

    stage: Stage
    name: str
    probability: Percent


class StatusState(Status, frozen=True, kw_only=True):
    """A status from an instant on.

    Attributes:
        effective_at: Since when it holds. Example: "2026-03-02T10:15:00Z"
        cause: The fact that set it.
    """

    effective_at: Instant
    cause: Cause


class Profile(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What leads have said of the customer, last writer by field, without the contact.

    Attributes:
        lead_id: The last lead. Example: "L-7"
        company: The company's name. Example: "Acme GmbH"
        country: Where the company is. Example: "DE"
        region: Part of the country. Example: "Bavaria"
        postal_code: Postal code of the company. Example: "80331"
        industry: What the company does. Example: "software"
        employees: People who work for the company. Example: 250
        annual_revenue: What the company turns over in a year. Example: {"amount": "31000000.00", "currency": "EUR"}
        source: Where the first lead came from. Example: "webinar"
        source_kind: Who brought the first lead. Example: "marketing"
        campaign: The campaign that brought the lead. Example: "spring-2026"
        product_interest: Products that were asked for. Example: ["GTX Pro"]
        expected_amount: What the customer may buy for. Example: {"amount": "12500.00", "currency": "EUR"}
        score: How good the lead is, 0 to 100. Example: 70
        attributes: What senders know besides, last writer by name. Example: {"fleet": 40, "vip": true}
    """

    lead_id: Id | None = None
    company: Text | None = None
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
    attributes: Attributes | None = None


class Published(Data, frozen=True, kw_only=True, omit_defaults=True):
    """What every message of lifecycle carries.

    Attributes:
        version: Number of the message among those of the customer; a consumer ignores one that it has seen. Example: 3
        recorded_at: When the cause came into the log, never before the message before. Example: "2026-03-02T10:15:01Z"
        cause: The fact that brought it about.
    """

    version: Number
    recorded_at: Instant
    cause: Cause

    def __post_init__(self) -> None:
        check_instant("recorded_at", self.recorded_at, 0)


class StatusChanged(Published, frozen=True, kw_only=True, omit_defaults=True):
    """The record's status changed, now or in the past. A long message is split into parts, which count as one.

    Attributes:
        since: From here on the record's status history is ``states``; what held before goes on until the first of these.
            Example: "2026-03-02T10:15:00Z"
        states: The history from ``since`` on: one state, or the corrected tail after a late fact.
        previous: The status now, before the cause; absent where there was no record.
        current: The status now; equal to ``previous`` where only the past was corrected.
        owner: The rep who has the record. Example: "ann"
        assignment_id: The assignment that gave the owner, where routing did. Example: "C-1042/0000000003/1"
        profile: What leads have said of the customer.
        contact: The person behind the last lead.
        part: Number of this part, from 1. Example: 1
        parts: How many parts there are; what the message says besides ``states`` is the same in all of them. Example: 1
    """

    since: Instant
    states: tuple[StatusState, ...]
    previous: Status | None = None
    current: Status
    owner: Id | None = None
    assignment_id: DerivedId | None = None
    profile: Profile = field(default_factory=Profile)
    contact: Contact | None = None
    part: Number = 1
    parts: Number = 1


class RecordChanged(Published, frozen=True, kw_only=True, omit_defaults=True):
    """The record's owner, or a field of its profile, changed.

    Attributes:
        owner: The rep who has the record now. Example: "ann"
        assignment_id: The assignment that gave the owner, where routing did. Example: "C-1042/0000000003/1"
        profile: What leads have said of the customer.
        contact: The person behind the last lead.
        status: The record's status now.
        changed: What changed. Example: ["owner"]
    """

    owner: Id | None = None
    assignment_id: DerivedId | None = None
    profile: Profile = field(default_factory=Profile)
    contact: Contact | None = None
    status: Status
    changed: tuple[Literal["owner", "profile"], ...]


class Document(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A document of a deal.

    Attributes:
        kind: What it is. Example: "quote"
        id: Its id among its kind. Example: "Q-31"
        amount: Its amount, where it has one. Example: {"amount": "11800.00", "currency": "EUR"}
        included: Whether the deal's amount is made of it now. Example: true
        replaced_by: The quote that took its place. Example: "Q-32"
        state: What became of it. Example: "sent"
    """

    kind: Literal["opportunity", "quote", "order"]
    id: Id
    amount: Money | None = None
    included: bool = False
    replaced_by: Id | None = None
    state: str


class Amounts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A deal's figures; one that is absent has nothing to count.

    Attributes:
        amount: What the deal is worth. Example: {"amount": "11800.00", "currency": "EUR"}
        worst: What counts in the forecast category worst. Example: {"amount": "9000.00", "currency": "EUR"}
        likely: What counts in the category likely. Example: {"amount": "11800.00", "currency": "EUR"}
        upside: What counts in the category upside. Example: {"amount": "15000.00", "currency": "EUR"}
        low: The least that it may be worth. Example: {"amount": "9000.00", "currency": "EUR"}
        high: The most that it may be worth. Example: {"amount": "15000.00", "currency": "EUR"}
    """

    amount: Money | None = None
    worst: Money | None = None
    likely: Money | None = None
    upside: Money | None = None
    low: Money | None = None
    high: Money | None = None


class DealImage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A deal as it stood from an instant on: all that the forecast needs.

    Attributes:
        status: The deal's status, by its name in the table. Example: "Proposal"
        probability: How likely it is won, in percent. Example: 50
        state: Whether it is decided. Example: "open"
        closed_at: When it was won or lost. Example: "2026-04-01T00:00:00Z"
        reason: Why it was lost. Example: "price"
        competitor: Who won it instead. Example: "Globex"
        close_date: The day on which it is expected to be decided. Example: "2026-06-30"
        amounts: Its figures.
        category: The forecast category in which it begins to count. Example: "likely"
        currency: The currency of its figures. Example: "EUR"
        currency_conflicts: Currencies of documents that were left out for being in another one. Example: ["USD"]
        owner: The rep who has the deal. Example: "ann"
        splits: Who gets which share of it. Example: [{"rep_id": "ann", "percent": 60}, {"rep_id": "bob", "percent": 40}]
        product: What is to be sold. Example: "GTX Pro"
        source: Where the customer came from. Example: "webinar"
        source_kind: Who brought the customer. Example: "marketing"
        campaign: The campaign that brought the customer. Example: "spring-2026"
        country: Where the customer is. Example: "DE"
        region: Part of the country. Example: "Bavaria"
        documents: Everything that the deal is made of, whether it counts or not.
    """

    status: str
    probability: Percent
    state: Literal["open", "won", "lost"]
    closed_at: Instant | None = None
    reason: Text | None = None
    competitor: Text | None = None
    close_date: date | None = None
    amounts: Amounts = field(default_factory=Amounts)
    category: Category
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
    """A deal's image from an instant on.

    Attributes:
        effective_at: Since when it holds. Example: "2026-03-02T10:15:00Z"
        image: The deal as it stood from then on.
    """

    effective_at: Instant
    image: DealImage


class DealChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A deal's history changed.

    Attributes:
        deal_id: The deal: its opportunity, else its first quote, else its order. Example: "opportunity:O-17"
        since: From here on its history is ``states``, and what held before goes on until the first of these; absent where another
            deal absorbed it. Example: "2026-03-02T10:15:00Z"
        states: The history from ``since`` on.
    """

    deal_id: str
    since: Instant | None = None
    states: tuple[DealState, ...] = ()


class DealsChanged(Published, frozen=True, kw_only=True, omit_defaults=True):
    """One or more deals changed. A long message is split into parts, which count as one.

    Attributes:
        deals: The deals that changed.
        part: Number of this part, from 1. Example: 1
        parts: How many parts there are. Example: 1
    """

    deals: tuple[DealChange, ...]
    part: Number = 1
    parts: Number = 1


class HandoffProgressed(Published, frozen=True, kw_only=True, omit_defaults=True):
    """The first acceptance, rejection or touch after an assignment; again if a late fact makes another one the first, or none.

    Attributes:
        assignment_id: The assignment. Example: "C-1042/0000000003/1"
        rep_id: The rep who has it. Example: "ann"
        progress: What the rep did. Example: "accepted"
        reason: Why the rep rejected it. Example: "on holiday"
        at: When. Example: "2026-03-02T10:40:00Z"
        withdrawn: Whether what was told before no longer holds: by a late fact it came before the assignment, or after another
            owner. Example: false
    """

    assignment_id: DerivedId
    rep_id: Id
    progress: Literal["accepted", "rejected", "touched"]
    reason: Text | None = None
    at: Instant
    withdrawn: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_instant("at", self.at)


class CommandRefused(Published, frozen=True, kw_only=True, omit_defaults=True):
    """A command has no effect now; published again if a late fact changes that.

    Attributes:
        command: The command.
        effective: Whether it has effect now. Example: false
        rule: The rule that says so, by its name. Example: "revert-not-below"
        explanation: The rule in words. Example: "the record is a lead already"
    """

    command: Cause
    effective: bool
    rule: str | None = None
    explanation: str | None = None
