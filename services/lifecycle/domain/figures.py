"""What a deal amounts to (FOLD.md 13): one kind of document counts, in one currency, for each forecast category."""

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

from events.facts import Category
from events.values import Money
from services.lifecycle.domain.documents import AnyDocument, Opportunity, Order, Quote

DealStateName = Literal["open", "won", "lost"]
CATEGORIES: Final[tuple[Category, ...]] = ("worst", "likely", "upside")
"""Forecast categories, the surest first; each contains those before it."""


class Documents:
    """The documents of one deal, in fold order of their first facts, and by kind."""

    def __init__(self, documents: Sequence[AnyDocument]) -> None:
        self.all: Final = sorted(documents, key=lambda document: document.first)
        self.opportunity: Final = next((d for d in self.all if isinstance(d, Opportunity)), None)
        self.live_quotes: Final = [d for d in self.all if isinstance(d, Quote) and d.live]
        self.live_orders: Final = [d for d in self.all if isinstance(d, Order) and d.live]

    @property
    def sold(self) -> bool:
        """Whether there is a live order that is not a credit."""
        return any(not order.credit for order in self.live_orders)

    @property
    def only_live_credits(self) -> bool:
        """Whether credits are all that is live, and something is."""
        return self.opportunity is None and not self.live_quotes and bool(self.live_orders) and not self.sold

    @property
    def only_credits(self) -> bool:
        """Whether all documents, dead ones included, are credits."""
        return all(isinstance(document, Order) and document.credit for document in self.all)


class Figures(Struct, frozen=True, omit_defaults=True, gc=False):
    """A deal's amounts in minor units of its currency, and its range. None: nothing to count there."""

    amount: int | None = None
    worst: int | None = None
    likely: int | None = None
    upside: int | None = None
    low: int | None = None
    high: int | None = None


class Count(Struct, frozen=True, gc=False):
    """The figures, their currency, the currencies left out, and the documents that were counted."""

    figures: Figures = Figures()
    currency: str | None = None
    conflicts: tuple[str, ...] = ()
    category: Category = "likely"
    counted: tuple[tuple[str, str], ...] = ()


def count(documents: Documents, state: DealStateName) -> Count:
    """Rule 13 for a deal whose state is known."""
    priced = [(price, document) for document in documents.all if (price := price_of(document)) is not None]
    if not priced:
        return Count(category=_category(documents.opportunity))
    currency = priced[0][0].currency
    conflicts = tuple(sorted({money.currency for _, document in priced for money in _monies(document)} - {currency}))
    chosen, total = _basis(documents, state, currency)
    main = _highest(chosen, currency) if total is None else chosen[0]
    if total is not None:
        figures = Figures(total, total, total, total, total, total)
    elif main is not None:
        figures = _ranged(chosen, main, currency)
    else:
        figures = Figures()
    category = _category(documents.opportunity if main is None or isinstance(main, Order) else main)
    return Count(figures, currency, conflicts, category, tuple((document.kind, document.id) for document in chosen))


def price_of(document: AnyDocument) -> Money | None:
    """The amount that a document has now; an opportunity's own before the one it was won at."""
    if document.amount is None and isinstance(document, Opportunity):
        return document.won_amount
    return document.amount


def _monies(document: AnyDocument) -> list[Money]:
    """Every amount that a document names."""
    match document:
        case Opportunity():
            named = [document.amount, document.amount_low, document.amount_high, document.won_amount]
        case Quote():
            named = [document.amount, document.amount_low, document.amount_high]
        case Order():
            named = [document.amount]
    return [money for money in named if money is not None]


def _basis(documents: Documents, state: DealStateName, currency: str) -> tuple[list[AnyDocument], int | None]:
    """The documents that count, and the one figure of every category where there is one."""
    orders = [(order, minor) for order in documents.live_orders if (minor := _minor(order.amount, currency)) is not None]
    if orders and (documents.sold or documents.only_credits):
        return [order for order, _ in orders], sum(minor for _, minor in orders)
    opportunity = documents.opportunity
    quotes = [quote for quote in documents.live_quotes if _minor(quote.amount, currency) is not None]
    if state == "won":
        if opportunity is not None and (won := _minor(opportunity.won_amount, currency)) is not None:
            return [opportunity], won
        accepted = [(quote.accepted, quote) for quote in quotes if quote.accepted is not None]
        if accepted:
            _, quote = max(accepted, key=lambda pair: pair[0])
            return [quote], _minor(quote.amount, currency)
    included = [quote for quote in quotes if quote.include]
    if included:
        return [*included], None
    if opportunity is not None and _minor(opportunity.amount, currency) is not None:
        return [opportunity], None
    return [], None


def _highest(chosen: Sequence[AnyDocument], currency: str) -> AnyDocument | None:
    """The document whose amount is the deal's: the highest of category likely or surer; where there is none, of any."""
    sure = [document for document in chosen if _category(document) != "upside"]
    return max(sure or chosen, key=lambda document: _minor(document.amount, currency) or 0, default=None)


def _ranged(chosen: Sequence[AnyDocument], main: AnyDocument, currency: str) -> Figures:
    """Each category takes its own figure (low, amount, high) of the highest document at or below it."""
    by_category: dict[Category, int | None] = {}
    for place, category in enumerate(CATEGORIES):
        figures = [_range(document, currency)[place] for document in chosen if CATEGORIES.index(_category(document)) <= place]
        by_category[category] = max(figures, default=None)
    low, amount, high = _range(main, currency)
    return Figures(amount, by_category["worst"], by_category["likely"], by_category["upside"], low, high)


def _range(document: AnyDocument, currency: str) -> tuple[int, int, int]:
    amount = _minor(document.amount, currency) or 0
    if isinstance(document, Order):
        return amount, amount, amount
    low, high = _minor(document.amount_low, currency), _minor(document.amount_high, currency)
    return amount if low is None else low, amount, amount if high is None else high


def _category(document: AnyDocument | None) -> Category:
    return "likely" if document is None or isinstance(document, Order) else document.category


def _minor(money: Money | None, currency: str) -> int | None:
    return money.minor if money is not None and money.currency == currency else None
