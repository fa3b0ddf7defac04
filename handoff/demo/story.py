"""The story of one customer, from the first lead on: facts in the order in which they are told, each with when it happened.

Pure: the dice are the caller's. A story knows nothing of Handoff: no rep, no status but those that a salesperson would pick.
"""

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Final, Literal, NamedTuple

from events.facts import (
    ActivityLogged,
    Contact,
    Data,
    FactRef,
    LeadCreated,
    LeadDisqualified,
    LeadQualified,
    LeadRecycled,
    LeadUpdated,
    LifecycleTick,
)
from events.values import day_start
from handoff.demo.company import CRM, MAILING, NOT_A_LEAD, NOT_NOW, PHONES, TALKS, draw_company, draw_origin, draw_product, euros
from handoff.demo.worktime import DAY, HOUR, MINUTE, day_of, span, working_days_later
from services.lifecycle.outbound import SOURCE as LIFECYCLE

REVENUE_PER_HEAD: Final = (22_000, 220_000)
"""What a company turns over in a year for each of its people, in whole currency units."""


class Happening(NamedTuple):
    """A fact as it happened: when (nanoseconds), told by which system, under which id."""

    at: int
    source: str
    id: str
    data: Data


class Customer:
    """What is known of a customer while the story is told; ``say`` adds a fact to it."""

    def __init__(self, rng: Random, number: int) -> None:
        self.rng: Final = rng
        self.id: Final = f"C-{1001 + number}"
        self.company: Final = draw_company(rng)
        self.origin: Final = draw_origin(rng)
        self.happened: Final[list[Happening]] = []
        self._talks = 0

    def say(self, at: int, source: str, data: Data) -> int:
        """Something happened; answers with its instant."""
        self.happened.append(Happening(at, source, f"{self.id}/{len(self.happened) + 1}", data))
        return at

    def chance(self, probability: float) -> bool:
        """Whether something happens that happens so often."""
        return self.rng.random() < probability

    def talk(self, at: int, direction: Literal["inbound", "outbound"]) -> None:
        """Somebody talks with the customer: the customer comes, or a rep goes."""
        self._talks += 1
        kind = self.rng.choice(TALKS)
        talk = ActivityLogged(customer_id=self.id, activity_id=f"A-{self.id[2:]}-{self._talks}", kind=kind, direction=direction)
        self.say(at, PHONES, talk)

    def later(self, at: int, least: float, most: float) -> int:
        """An instant when somebody works there, so many days later."""
        return working_days_later(self.rng, at, least, most, self.company.country.offset)


def story(rng: Random, number: int, born: int, end: int, sale: Callable[[Customer, int], None]) -> list[Happening]:
    """All that happens to a customer before ``end``; ``sale`` tells what follows once the lead is worth selling to."""
    customer = Customer(rng, number)
    _lead(customer, born, sale)
    return [happening for happening in customer.happened if happening.at < end]


def _lead(customer: Customer, born: int, sale: Callable[[Customer, int], None]) -> None:
    lead_id = f"L-{customer.id[2:]}"
    customer.say(born, customer.origin.system, _created(customer, lead_id, born))
    if customer.chance(0.3):
        mail = ActivityLogged(customer_id=customer.id, activity_id=f"M-{customer.id[2:]}", kind="email", automatic=True)
        customer.say(born + 5 * MINUTE, MAILING, mail)
    if customer.chance(0.25):
        customer.talk(born + span(customer.rng.random() * 30, HOUR), "inbound")
    if customer.chance(0.12):
        known = LeadUpdated(customer_id=customer.id, lead_id=lead_id, score=customer.rng.randint(40, 95))
        customer.say(customer.later(born, 0.1, 3), CRM, known)
    _judged(customer, lead_id, born, sale, again=False)


def _created(customer: Customer, lead_id: str, born: int) -> LeadCreated:
    company, origin, rng = customer.company, customer.origin, customer.rng
    product, day = draw_product(rng), day_of(born)
    revenue = company.employees * rng.randint(*REVENUE_PER_HEAD)
    return LeadCreated(
        customer_id=customer.id,
        lead_id=lead_id,
        company=company.name,
        contact=Contact(name=company.contact, email=company.email, title=company.title),
        country=company.country.code,
        region=company.region,
        industry=company.industry,
        employees=company.employees,
        annual_revenue=euros(revenue) if rng.random() < 0.6 else None,
        source=origin.name,
        source_kind=origin.kind,
        campaign=f"{origin.name} {day.year}-Q{(day.month + 2) // 3}" if origin.has_campaigns else None,
        product_interest=(product.name,),
        score=rng.randint(5, 95),
    )


def _judged(customer: Customer, lead_id: str, at: int, sale: Callable[[Customer, int], None], *, again: bool) -> None:
    """Somebody looks at the lead: it is worth selling to, or dead, or for later; or nobody does."""
    looked = customer.later(at, 0.05, 6)
    fate = customer.rng.random()
    worth = min(0.8, 0.42 * customer.origin.luck)
    if fate < worth:
        customer.say(looked, CRM, LeadQualified(customer_id=customer.id, lead_id=lead_id))
        if customer.chance(0.85):
            sale(customer, customer.later(looked, 0.1, 8))
        elif customer.chance(0.5):
            gone = LeadDisqualified(customer_id=customer.id, lead_id=lead_id, reason="no need")
            customer.say(customer.later(looked, 10, 40), CRM, gone)
    elif fate < worth + 0.38 or again:
        reason = customer.rng.choice(NOT_A_LEAD)
        customer.say(looked, CRM, LeadDisqualified(customer_id=customer.id, lead_id=lead_id, reason=reason))
    elif fate < worth + 0.52:
        _recycled(customer, lead_id, looked, sale)


def _recycled(customer: Customer, lead_id: str, at: int, sale: Callable[[Customer, int], None]) -> None:
    """The lead is laid aside until a day; then it is New, and somebody may look at it again."""
    until = day_of(at) + timedelta(days=customer.rng.randint(21, 120))
    reason = customer.rng.choice(NOT_NOW)
    customer.say(at, CRM, LeadRecycled(customer_id=customer.id, lead_id=lead_id, reason=reason, until=until.isoformat()))
    recycled = customer.happened[-1]
    woken = LifecycleTick(customer_id=customer.id, recycled=FactRef(source=recycled.source, id=recycled.id))
    wakes = day_start(until)
    customer.happened.append(Happening(wakes, LIFECYCLE, f"{customer.id}/wake/{recycled.source}/{recycled.id}", woken))
    if customer.chance(0.6):
        _judged(customer, lead_id, wakes + DAY // 3, sale, again=True)
