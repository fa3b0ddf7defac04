"""The load: what a company's systems say in a year about customers, the few that are busy far more often than the many.

In go a number of facts and a seed, out come messages in the order in which they were recorded. Customers are drawn by Zipf's law
(exponent 0.99, as the YCSB has it); each goes on where its story is: a lead, then deals side by side, each an opportunity, a
quote that is sent, returned, accepted or declined, an order, or the reason why not. One fact in fifty comes a day late.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Final

from events import facts
from events.bus.partitioner import murmur2
from events.codec import encode
from events.facts import Data
from events.record import Message, Record, TopicPartition
from events.topics import LIFECYCLE_INPUTS, MOVED, PARTITIONS
from events.values import NANOSECONDS, Money, Price, day_start

SEED: Final = 20_260_301
EXPONENT: Final = 0.99
FIRST_DAY: Final = date(2025, 1, 6)
DAYS: Final = 300
LATE_ONE_IN: Final = 50
SOURCE: Final = "crm"

_HOME: Final = {
    data: (topic.name, type_) for topic in LIFECYCLE_INPUTS if topic is not MOVED for type_, data in topic.types.items()
}
HOUR: Final = 3600 * NANOSECONDS
_DAY: Final = 24 * HOUR
_COUNTRIES: Final = ("DE", "FR", "GB", "US", "CA", "JP", "AU", "BR")
_PRODUCTS: Final = ("GTX Basic", "GTX Pro", "MG Special", "MG Advanced")
_REPS: Final = ("anna", "ben", "chiara", "dev", "elena", "frank", "grace")


def messages(count: int, *, seed: int = SEED) -> list[Message]:
    """So many facts as messages, in the order in which they came. The same for the same count and seed."""
    chance = random.Random(seed)
    customers = [_Customer(f"C-{number:06d}", chance) for number in range(max(1, count // 5))]
    weights = list(accumulate(1 / rank**EXPONENT for rank in range(1, len(customers) + 1)))
    chosen = chance.choices(customers, cum_weights=weights, k=count)
    begin = day_start(FIRST_DAY)
    found = []
    for number, customer in enumerate(chosen):
        recorded_at = begin + DAYS * _DAY * number // count
        occurred_at = recorded_at - (_DAY if chance.randrange(LATE_ONE_IN) == 0 else 0)
        found.append(message(customer.next_fact(occurred_at), f"{number:07d}", occurred_at, recorded_at))
    return found


def one_customer(count: int, *, seed: int = SEED) -> list[Message]:
    """So many facts of a single customer, one every hour."""
    customer, begin = _Customer("C-1", random.Random(seed)), day_start(FIRST_DAY)
    instants = [begin + number * HOUR for number in range(count)]
    return [message(customer.next_fact(at), f"{number:07d}", at, at) for number, at in enumerate(instants)]


def message(data: Data, id: str, occurred_at: int, recorded_at: int | None = None) -> Message:
    """A fact in the topic where it belongs."""
    topic, type_ = _HOME[type(data)]
    return encode(topic, type_, data, source=SOURCE, id=id, occurred_at=occurred_at, recorded_at=recorded_at)


def as_records(sent: Sequence[Message], shards: int = PARTITIONS) -> list[Record]:
    """The records that messages become in logs of their own, in the order in which they were sent."""
    ends: dict[TopicPartition, int] = {}
    records = []
    for each in sent:
        assert each.key is not None
        place = TopicPartition(each.topic, murmur2(each.key, shards))
        offset = ends.get(place, 0)
        ends[place] = offset + 1
        records.append(Record(*place, offset, each.timestamp or 0, each.key, each.value, each.headers))
    return records


def places(records: Sequence[Record]) -> list[TopicPartition]:
    """The logs in which records lie."""
    return sorted({record.place for record in records})


def in_batches(records: Sequence[Record], size: int) -> list[Sequence[Record]]:
    """Records as polls bring them."""
    return [records[start : start + size] for start in range(0, len(records), size)]


class _Customer:
    """A customer's story, told a fact at a time."""

    def __init__(self, name: str, chance: random.Random) -> None:
        self._name = name
        self._chance = chance
        self._lead = self._tell_lead()
        self._deals: list[Iterator[Data]] = []
        self._number = 0
        self._at = 0

    def next_fact(self, at: int) -> Data:
        """What happens next."""
        self._at = at
        told = next(self._lead, None)
        if told is not None:
            return told
        if not self._deals or self._chance.random() < 0.15:
            self._number += 1
            self._deals.append(self._tell_deal(f"{self._name}-{self._number}"))
        deal = self._chance.choice(self._deals)
        told = next(deal, None)
        if told is not None:
            return told
        self._deals.remove(deal)
        return facts.ActivityLogged(
            customer_id=self._name,
            activity_id=f"{self._name}-a{self._number}",
            kind=self._chance.choice(("call", "email", "meeting")),
            rep_id=self._chance.choice(_REPS),
        )

    def _tell_lead(self) -> Iterator[Data]:
        chance, name = self._chance, self._name
        yield facts.LeadCreated(
            customer_id=name,
            lead_id=f"{name}-l",
            company=f"Company {name} Ltd",
            contact=facts.Contact(name=f"Buyer of {name}", email=f"buyer@{name.lower()}.example", phone="+49 89 1234567"),
            country=chance.choice(_COUNTRIES),
            region="South",
            postal_code="80331",
            industry=chance.choice(("software", "retail", "medical")),
            employees=chance.randrange(5, 5000),
            source=chance.choice(("webinar", "fair", "website")),
            source_kind="marketing",
            campaign="spring",
            product_interest=(chance.choice(_PRODUCTS),),
            score=chance.randrange(101),
        )
        yield facts.LeadQualified(customer_id=name, lead_id=f"{name}-l")

    def _tell_deal(self, deal: str) -> Iterator[Data]:
        chance, name, rep = self._chance, self._name, self._chance.choice(_REPS)
        amount, quote = Decimal(chance.randrange(500, 50_000)), f"{deal}-q"
        close_date = self._in_days(chance.randrange(10, 120))
        yield facts.OpportunityCreated(
            customer_id=name,
            opportunity_id=deal,
            name=f"{name}: {deal}",
            amount=Price(amount=amount, currency="EUR"),
            close_date=close_date,
            product=chance.choice(_PRODUCTS),
            owner=rep,
        )
        if chance.random() < 0.3:
            yield facts.OpportunityUpdated(customer_id=name, opportunity_id=deal, stage="In Discussion")
        if chance.random() < 0.3:
            yield facts.OpportunityLost(customer_id=name, opportunity_id=deal, reason="price")
            return
        offered = Price(amount=amount - 100, currency="EUR")
        yield facts.QuoteCreated(customer_id=name, quote_id=quote, opportunity_id=deal, amount=offered, close_date=close_date)
        yield facts.QuoteSent(customer_id=name, quote_id=quote)
        if chance.random() < 0.3:
            yield facts.QuoteReturned(customer_id=name, quote_id=quote)
        if chance.random() < 0.4:
            yield facts.QuoteDeclined(customer_id=name, quote_id=quote, reason="price")
            return
        yield facts.QuoteAccepted(customer_id=name, quote_id=quote)
        sold = Money(amount=amount - 100, currency="EUR")
        yield facts.OrderPlaced(customer_id=name, order_id=f"{deal}-o", quote_id=quote, amount=sold)

    def _in_days(self, days: int) -> date:
        return date(1970, 1, 1) + timedelta(days=self._at // _DAY + days)
