"""Documents at a point of the fold (FOLD.md 5-7): opportunities, quotes and orders, field by field the last writer's."""

from datetime import date
from typing import ClassVar, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from events.facts import (
    Category,
    Data,
    OpportunityFields,
    OpportunityWon,
    OrderBilled,
    OrderCancelled,
    OrderPlaced,
    QuoteAccepted,
    QuoteCancelled,
    QuoteDeclined,
    QuoteFields,
    QuoteReturned,
    QuoteSent,
    Split,
)
from events.values import Money
from services.lifecycle.domain.links import Kind
from services.lifecycle.domain.order import Key
from services.lifecycle.domain.table import StatusTable

T = TypeVar("T")


class Named(Struct, Generic[T], frozen=True, gc=False):
    """A value and the fact that named it last."""

    by: Key
    value: T


class Document(Struct, frozen=True, kw_only=True, gc=False):
    """What all documents have: their first and last own fact, an amount, and an owner."""

    id: str
    first: Key
    last: Key
    amount: Money | None = None
    owner: Named[str] | None = None


class Opportunity(Document, frozen=True, kw_only=True):
    """An opportunity. ``stage`` is the last that named an open prospect status; ``named_stage`` the last that named any."""

    kind: ClassVar[Kind] = "opportunity"
    amount_low: Money | None = None
    amount_high: Money | None = None
    close_date: date | None = None
    probability: Named[int] | None = None
    category: Category = "likely"
    product: str | None = None
    splits: tuple[Split, ...] = ()
    stage: Named[str] | None = None
    named_stage: str | None = None
    won_amount: Money | None = None


class Quote(Document, frozen=True, kw_only=True):
    """A quote. ``accepted`` is its last acceptance, ``replaced_by`` the quote that took its place."""

    kind: ClassVar[Kind] = "quote"
    amount_low: Money | None = None
    amount_high: Money | None = None
    close_date: Named[date] | None = None
    probability: Named[int] | None = None
    category: Category = "likely"
    include: bool = True
    state: str = "created"
    accepted: Key | None = None
    replaced_by: str | None = None

    @property
    def live(self) -> bool:
        """Not declined, cancelled, or replaced without ever, so far, having been accepted (7)."""
        return self.state not in ("declined", "cancelled") and (self.replaced_by is None or self.accepted is not None)


class Order(Document, frozen=True, kw_only=True):
    """An order; with a negative amount, a credit."""

    kind: ClassVar[Kind] = "order"
    state: str = "placed"

    @property
    def live(self) -> bool:
        """Not cancelled (7)."""
        return self.state != "cancelled"

    @property
    def credit(self) -> bool:
        """Whether it gives money back."""
        return self.amount is not None and self.amount.amount < 0


AnyDocument = Opportunity | Quote | Order


def opportunity_after(before: Opportunity | None, key: Key, data: Data, table: StatusTable) -> Opportunity:
    """An opportunity after one more fact of its own."""
    now = _begun(Opportunity, before, key, getattr(data, "opportunity_id", ""))
    match data:
        case OpportunityWon(amount=amount):
            return replace(now, won_amount=amount if amount is not None else now.won_amount)
        case OpportunityFields():
            stage = data.stage
            counts = stage is not None and (table.is_open_prospect(stage) or stage in _closing(table))
            renamed = counts and stage != now.named_stage
            return replace(
                now,
                amount=_last(data.amount, now.amount),
                amount_low=_last(data.amount_low, now.amount_low),
                amount_high=_last(data.amount_high, now.amount_high),
                close_date=_last(data.close_date, now.close_date),
                probability=_named(data.probability, key, now.probability),
                category=_last(data.category, now.category),
                product=_last(data.product, now.product),
                owner=_named(data.owner, key, now.owner),
                splits=_last(data.splits, now.splits),
                stage=Named(key, stage) if stage is not None and renamed and table.is_open_prospect(stage) else now.stage,
                named_stage=stage if counts else now.named_stage,
            )
    return now


def stage_changed_to(before: Opportunity | None, data: Data | None, table: StatusTable) -> str | None:
    """The status to which a fact changes an opportunity's stage, if it does (12)."""
    if not isinstance(data, OpportunityFields) or data.stage is None:
        return None
    if not table.is_open_prospect(data.stage) and data.stage not in _closing(table):
        return None
    return None if before is not None and before.named_stage == data.stage else data.stage


def _closing(table: StatusTable) -> tuple[str, str]:
    return table.triggers["sale"], table.triggers["lost"]


def quote_after(before: Quote | None, key: Key, data: Data) -> Quote:
    """A quote after one more fact of its own."""
    now = _begun(Quote, before, key, getattr(data, "quote_id", ""))
    match data:
        case QuoteFields():
            return replace(
                now,
                amount=_last(data.amount, now.amount),
                amount_low=_last(data.amount_low, now.amount_low),
                amount_high=_last(data.amount_high, now.amount_high),
                close_date=_named(data.close_date, key, now.close_date),
                probability=_named(data.probability, key, now.probability),
                category=_last(data.category, now.category),
                owner=_named(data.owner, key, now.owner),
                include=_last(data.include_in_forecast, now.include),
            )
        case QuoteSent():
            return now if now.state == "returned" else replace(now, state="sent")
        case QuoteReturned():
            return replace(now, state="returned")
        case QuoteAccepted():
            return replace(now, state="accepted", accepted=key)
        case QuoteDeclined():
            return replace(now, state="declined")
        case QuoteCancelled():
            return replace(now, state="cancelled")
    return now


def order_after(before: Order | None, key: Key, data: Data) -> Order:
    """An order after one more fact of its own."""
    now = _begun(Order, before, key, getattr(data, "order_id", ""))
    match data:
        case OrderPlaced():
            return replace(
                now,
                amount=_last(data.amount, now.amount),
                owner=_named(data.owner, key, now.owner),
            )
        case OrderBilled():
            return replace(now, state="billed")
        case OrderCancelled():
            return replace(now, state="cancelled")
    return now


D = TypeVar("D", Opportunity, Quote, Order)


def _begun(kind: type[D], before: D | None, key: Key, identifier: str) -> D:
    return kind(id=identifier, first=key, last=key) if before is None else replace(before, last=key)


def _last(said: T | None, before: T) -> T:
    return before if said is None else said


def _named(said: T | None, key: Key, before: Named[T] | None) -> Named[T] | None:
    return before if said is None else Named(key, said)
