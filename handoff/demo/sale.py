"""The story of a sale: an opportunity, its quotes, and how it ends. Pure; the dice are the customer's."""

from datetime import date, timedelta
from typing import Final

from events.facts import (
    OpportunityCreated,
    OpportunityLost,
    OpportunityUpdated,
    OpportunityWon,
    OrderBilled,
    OrderCancelled,
    OrderPlaced,
    QuoteAccepted,
    QuoteCancelled,
    QuoteCreated,
    QuoteDeclined,
    QuoteReturned,
    QuoteSent,
    QuoteUpdated,
)
from events.values import Money, Price
from handoff.demo.company import ACCOUNTING, CRM, draw_loss, draw_price, draw_product, share_of
from handoff.demo.story import Customer
from handoff.demo.worktime import DAY, day_of, quarter_end

IN_DISCUSSION: Final = "In Discussion"
DECISION_MAKERS: Final = "Identified Decision Makers"
ROUNDS_MAX: Final = 3
PULL_DAYS: Final = 20
"""So long before the end of a quarter a decision may be pulled into its last days."""


def sell(customer: Customer, at: int) -> None:
    """Try to sell, and again to whoever has bought."""
    number = 1
    begins: int | None = at
    while begins is not None and number < 9:
        begins = Sale(customer, number).run(begins)
        number += 1


class Sale:
    """One opportunity of a customer: the ``number``-th."""

    def __init__(self, customer: Customer, number: int) -> None:
        self._customer = customer
        self._id = customer.id
        self._again = number > 1
        self._name = f"{customer.id[2:]}-{number}"
        self._opportunity = f"O-{self._name}"
        self._patience = customer.company.size.patience
        self._product = draw_product(customer.rng)
        self._price = draw_price(customer.rng, self._product, customer.company.size)
        self._quotes = 0

    def run(self, at: int) -> int | None:
        """From the first talk to the end. Answers when the customer comes again, if it does."""
        at = self._opened(at)
        if self._fails(0.12):
            return self._lost(self._later(at, 3, 25))
        at = self._talked(at)
        if self._fails(0.13):
            return self._lost(self._later(at, 4, 30))
        if self._customer.chance(0.08):
            return self._won(self._later(at, 5, 30), quote_id=None)
        return self._offered(at)

    def _opened(self, at: int) -> int:
        ranged = self._customer.chance(0.15)
        opened = OpportunityCreated(
            customer_id=self._id,
            opportunity_id=self._opportunity,
            name=f"{self._customer.company.name}: {self._product.name}",
            amount=self._price,
            amount_low=share_of(self._price, 0.7) if ranged else None,
            amount_high=share_of(self._price, 1.4) if ranged else None,
            close_date=self._expected(at, 35, 90),
            category=self._customer.rng.choices((None, "worst", "likely", "upside"), (0.7, 0.05, 0.15, 0.1))[0],
            probability=self._customer.rng.choice((15, 25, 35)) if self._customer.chance(0.06) else None,
            product=self._product.name,
        )
        return self._customer.say(at, CRM, opened)

    def _talked(self, at: int) -> int:
        """The talks before the first quote."""
        self._talk(at + DAY // 12)
        for stage, often in ((IN_DISCUSSION, 0.93), (DECISION_MAKERS, 0.6)):
            if self._customer.chance(often):
                at = self._later(at, 2, 14)
                self._customer.say(at, CRM, self._updated(stage=stage))
                self._talk(at - DAY // 24)
        return at

    def _offered(self, at: int) -> int | None:
        """Quotes, until the customer decides or nobody speaks of it any more."""
        offer, quote_id = share_of(self._price, 0.9 + self._customer.rng.random() * 0.15), ""
        at = self._later(at, 2, 16)
        for round_ in range(1, ROUNDS_MAX + 1):
            if not quote_id or self._customer.chance(0.75):
                quote_id = self._quoted(at, offer, replaces=quote_id or None)
            else:
                self._customer.say(at, CRM, QuoteUpdated(customer_id=self._id, quote_id=quote_id, amount=offer))
            at = self._customer.say(self._later(at, 0.01, 1.5), CRM, QuoteSent(customer_id=self._id, quote_id=quote_id))
            self._talk(at + DAY)
            if round_ == ROUNDS_MAX or not self._customer.chance(0.36):
                break
            returned = self._later(at, 2, 14)
            self._customer.say(returned, CRM, QuoteReturned(customer_id=self._id, quote_id=quote_id))
            offer, at = share_of(offer, 0.88 + self._customer.rng.random() * 0.1), self._later(returned, 0.2, 5)
        return self._decided(at, quote_id)

    def _quoted(self, at: int, offer: Price, replaces: str | None) -> str:
        self._quotes += 1
        quote_id = f"Q-{self._name}-{self._quotes}"
        quote = QuoteCreated(
            customer_id=self._id,
            quote_id=quote_id,
            opportunity_id=self._opportunity,
            amount=offer,
            close_date=self._expected(at, 15, 50),
            replaces=replaces,
        )
        self._customer.say(at, CRM, quote)
        return quote_id

    def _decided(self, at: int, quote_id: str) -> int | None:
        fate = self._customer.rng.random()
        yes = min(0.85, (0.66 if self._again else 0.42) * self._customer.origin.luck)
        if fate < yes:
            decided = self._pulled(self._later(at, 3, 40))
            self._customer.say(decided, CRM, QuoteAccepted(customer_id=self._id, quote_id=quote_id))
            return self._won(self._later(decided, 0.02, 6), quote_id)
        if fate < yes + 0.3:
            decided = self._later(at, 4, 40)
            self._customer.say(decided, CRM, QuoteDeclined(customer_id=self._id, quote_id=quote_id))
            return self._lost(self._later(decided, 0.01, 2))
        return self._silent(at, quote_id)

    def _silent(self, at: int, quote_id: str) -> int | None:
        """Nobody answers: the close date slips, and in the end somebody may give it up."""
        for _ in range(self._customer.rng.randint(1, 2)):
            at = self._later(at, 20, 45)
            later = self._expected(at, 25, 60)
            self._customer.say(at, CRM, QuoteUpdated(customer_id=self._id, quote_id=quote_id, close_date=later))
        if self._customer.chance(0.6):
            given_up = self._later(at, 10, 50)
            self._customer.say(given_up, CRM, QuoteCancelled(customer_id=self._id, quote_id=quote_id))
            lost = OpportunityLost(customer_id=self._id, opportunity_id=self._opportunity, reason="no decision")
            self._customer.say(self._later(given_up, 0.01, 1), CRM, lost)
        return None

    # ----------------------------------------------------------------------------------------- ends

    def _won(self, at: int, quote_id: str | None) -> int | None:
        """The customer buys; nearly always there is an order."""
        order_id = f"S-{self._name}"
        price = self._last_price(quote_id)
        if quote_id is None or self._customer.chance(0.4):
            won = OpportunityWon(customer_id=self._id, opportunity_id=self._opportunity, amount=price)
            self._customer.say(at, CRM, won)
        if quote_id is None and self._customer.chance(0.5):
            return self._comes_again(at)
        linked = None if quote_id and self._customer.chance(0.3) else self._opportunity
        order = OrderPlaced(customer_id=self._id, order_id=order_id, quote_id=quote_id, opportunity_id=linked, amount=price)
        self._customer.say(self._later(at, 0.001, 0.3), CRM, order)
        if self._customer.chance(0.03):
            self._withdrawn(self._later(at, 2, 20), order_id)
            return None
        if self._customer.chance(0.92):
            self._customer.say(self._later(at, 2, 15), ACCOUNTING, OrderBilled(customer_id=self._id, order_id=order_id))
        if self._customer.chance(0.06):
            self._credited(self._later(at, 10, 60), price)
        return self._comes_again(at)

    def _credited(self, at: int, price: Price) -> None:
        part = share_of(price, 0.05 + self._customer.rng.random() * 0.2)
        credit = OrderPlaced(
            customer_id=self._id,
            order_id=f"S-{self._name}-credit",
            opportunity_id=self._opportunity,
            amount=Money.of_minor(-part.minor, part.currency),
        )
        self._customer.say(at, ACCOUNTING, credit)

    def _withdrawn(self, at: int, order_id: str) -> None:
        self._customer.say(at, CRM, OrderCancelled(customer_id=self._id, order_id=order_id))
        lost = OpportunityLost(customer_id=self._id, opportunity_id=self._opportunity, reason="withdrawn")
        self._customer.say(self._later(at, 0.01, 2), CRM, lost)

    def _lost(self, at: int) -> int | None:
        reason, competitor = draw_loss(self._customer.rng)
        lost = OpportunityLost(customer_id=self._id, opportunity_id=self._opportunity, reason=reason, competitor=competitor)
        self._customer.say(at, CRM, lost)
        if not self._customer.chance(0.05):
            return None
        again = self._later(at, 15, 60)
        self._customer.say(again, CRM, self._updated(stage=IN_DISCUSSION, close_date=self._expected(again, 30, 60)))
        return self._offered(again)

    def _comes_again(self, at: int) -> int | None:
        return self._later(at, 40, 160) if self._customer.chance(0.45) else None

    # --------------------------------------------------------------------------------------- details

    def _last_price(self, quote_id: str | None) -> Price:
        """What was last offered in that quote; without one, what the customer wanted to spend, less a discount."""
        offers = [
            happening.data.amount
            for happening in self._customer.happened
            if isinstance(happening.data, QuoteCreated | QuoteUpdated) and happening.data.quote_id == quote_id
        ]
        named = [offer for offer in offers if offer is not None]
        return named[-1] if named else share_of(self._price, 0.97)

    def _updated(self, *, stage: str | None = None, close_date: date | None = None) -> OpportunityUpdated:
        return OpportunityUpdated(customer_id=self._id, opportunity_id=self._opportunity, stage=stage, close_date=close_date)

    def _talk(self, at: int) -> None:
        """Somebody may talk with the customer."""
        if self._customer.chance(0.45):
            self._customer.talk(at, self._customer.rng.choice(("inbound", "outbound")))

    def _later(self, at: int, least: float, most: float) -> int:
        return self._customer.later(at, least * self._patience, most * self._patience)

    def _fails(self, often: float) -> bool:
        return self._customer.chance(often / self._customer.origin.luck * (0.5 if self._again else 1))

    def _expected(self, at: int, least: int, most: int) -> date:
        return day_of(at) + timedelta(days=round(self._customer.rng.randint(least, most) * self._patience))

    def _pulled(self, at: int) -> int:
        """A decision at the end of the quarter, where that is near: salespeople see to it."""
        left = (quarter_end(day_of(at)) - day_of(at)).days
        if 0 < left <= PULL_DAYS and self._customer.chance(0.4):
            return self._customer.later(at + max(0, left - 3) * DAY, 0, 0.9)
        return at
