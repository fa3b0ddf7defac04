"""The event log of the BPI Challenge 2012, loan applications at a Dutch bank, as facts. Pure but for reading the file.

The log is van Dongen, B. (2012): BPI Challenge 2012, doi 10.4121/uuid:3926db30-f712-4394-aebc-75976070e91f. In goes the file, out
come the facts of one application after the other, and every application that could not be taken over. Nothing is kept from one to
the next, and the same file gives the same facts, byte for byte: so memory is constant, and importing twice changes nothing.

An application is a customer with one lead and, once the bank has accepted it, one opportunity; all of it is about one amount,
that of the loan. A quote carries no id in the log: an application's quotes follow each other, and an event of a quote is one
of that which is live then. Two facts of one instant are ordered by the fold and not by the log, so a new quote replaces the
one before it unless that died at an earlier instant: at most one is live after every fact.

What people work on (``W_``) becomes an activity when they start; that it was scheduled, or is complete, is no fact. Nor is what the
log tells beside another event, such as A_PARTLYSUBMITTED beside A_SUBMITTED.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from operator import itemgetter
from pathlib import Path
from typing import Final

from events.codec import encode
from events.facts import (
    ActivityLogged,
    Data,
    LeadCreated,
    LeadDisqualified,
    LeadQualified,
    OpportunityCreated,
    OpportunityLost,
    OpportunityWon,
    OrderPlaced,
    QuoteCancelled,
    QuoteCreated,
    QuoteDeclined,
    QuoteReturned,
    QuoteSent,
)
from events.record import Message
from events.topics import ACTIVITY, LEAD, OPPORTUNITY, ORDER, QUOTE
from events.values import Price, parse_instant
from handoff.importing.rejected import Rejected, Unusable, check
from handoff.importing.xes import NAME, Element, Trace, XesLog

SOURCE: Final = "import/bpic12"
"""``ce_source`` of the facts."""
CURRENCY: Final = "EUR"
AMOUNT: Final = "AMOUNT_REQ"
TIME: Final = "time:timestamp"
TRANSITION: Final = "lifecycle:transition"
RESOURCE: Final = "org:resource"
AUTOMATIC: Final = "112"
"""The resource that is no person."""
REASONS: Final = {"A_DECLINED": "rejected", "A_CANCELLED": "withdrawn"}
CALLS: Final = ("W_Nabellen offertes", "W_Nabellen incomplete dossiers")
"""Work in which the bank calls the customer: about a quote that is out, and about papers that are missing."""
NO_FACTS: Final = ("A_PARTLYSUBMITTED", "A_FINALIZED", "A_REGISTERED", "A_APPROVED", "O_SELECTED")
"""Events that always come with another one that is a fact."""

_TOPICS: Final = {type_: topic.name for topic in (LEAD, OPPORTUNITY, QUOTE, ORDER, ACTIVITY) for type_ in topic.types}


class Applications:
    """The applications of a log, to be read once. ``now``: nanoseconds since 1970; a fact that is dated later is rejected.

    ``reject`` is told of every application that is not taken over; all its facts are published or none.
    """

    def __init__(self, file: Path, now: int, reject: Callable[[Rejected], None]) -> None:
        self._log = XesLog(file, (NAME, AMOUNT, TIME, TRANSITION, RESOURCE))
        self._now = now
        self._reject = reject

    @property
    def read(self) -> int:
        """How many were read so far."""
        return self._log.read

    @property
    def share(self) -> float:
        """How much of the file is read, from 0 to 1."""
        return self._log.share

    def messages(self) -> Iterator[Message]:
        """Their facts. Raises ``CommandError`` where the file cannot be read, or is no XES log."""
        for trace in self._log.traces():
            if isinstance(trace, Rejected):
                self._reject(trace)
                continue
            messages = self._application(trace)
            if isinstance(messages, Rejected):
                self._reject(messages)
            else:
                yield from messages

    def _application(self, trace: Trace) -> list[Message] | Rejected:
        """The facts of an application, each one that lifecycle will take in."""
        line = trace.line
        try:
            application = _Application(trace.text(NAME), _amount(trace))
            events = []
            for event in trace.events:
                line = event.line
                events.append((_instant(event), event))
            messages = []
            for instant, event in sorted(events, key=itemgetter(0)):  # of one instant as in the log
                line = event.line
                message = application.message(event, instant)
                if message is not None:
                    check(message, self._now)
                    messages.append(message)
        except Unusable as error:
            return trace.rejected(str(error), line)
        return messages or trace.rejected("none of its events is a fact")


class _Application:
    """An application while its events are read, in the order in which they happened."""

    def __init__(self, name: str, amount: Price) -> None:
        self._name = name
        self._amount = amount
        self._seen: Counter[str] = Counter()
        self._accepted = False
        self._quotes = 0
        self._live = False
        """Whether the last quote is live."""
        self._died_at = 0

    def message(self, event: Element, at: int) -> Message | None:
        """The fact that an event is; None for one that is none. Raises ``Unusable``."""
        name = event.text(NAME)
        transition = (event.maybe(TRANSITION) or "COMPLETE").upper()
        if name in NO_FACTS or transition != ("START" if name.startswith("W_") else "COMPLETE"):
            return None
        self._seen[name] += 1
        fact_id = f"{name}/{self._seen[name]:04}"  # in fixed width, so that bytes sort as numbers
        type_, data = self._work(event, name, fact_id) if name.startswith("W_") else self._step(name, at)
        return encode(_TOPICS[type_], type_, data, source=SOURCE, id=fact_id, occurred_at=at)

    def _step(self, name: str, at: int) -> tuple[str, Data]:
        """What happened to the application or to one of its quotes: a type and its data."""
        customer = application = self._name
        match name:
            case "A_SUBMITTED":
                return "crm.lead.created.v1", LeadCreated(customer_id=customer, lead_id=application, expected_amount=self._amount)
            case "A_PREACCEPTED":
                return "crm.lead.qualified.v1", LeadQualified(customer_id=customer, lead_id=application)
            case "A_ACCEPTED":
                self._accepted = True
                return "crm.opportunity.created.v1", OpportunityCreated(
                    customer_id=customer, opportunity_id=application, amount=self._amount
                )
            case "A_ACTIVATED":
                return "crm.opportunity.won.v1", OpportunityWon(customer_id=customer, opportunity_id=application)
            case "A_DECLINED" | "A_CANCELLED" if self._accepted:
                return "crm.opportunity.lost.v1", OpportunityLost(
                    customer_id=customer, opportunity_id=application, reason=REASONS[name]
                )
            case "A_DECLINED" | "A_CANCELLED":
                return "crm.lead.disqualified.v1", LeadDisqualified(customer_id=customer, lead_id=application, reason=REASONS[name])
            case "O_CREATED":
                return "crm.quote.created.v1", self._new_quote(at)
            case "O_SENT":
                return "crm.quote.sent.v1", QuoteSent(customer_id=customer, quote_id=self._quote(name))
            case "O_SENT_BACK":
                return "crm.quote.returned.v1", QuoteReturned(customer_id=customer, quote_id=self._quote(name))
            case "O_CANCELLED":
                return "crm.quote.cancelled.v1", QuoteCancelled(customer_id=customer, quote_id=self._dying_quote(name, at))
            case "O_DECLINED":
                return "crm.quote.declined.v1", QuoteDeclined(customer_id=customer, quote_id=self._dying_quote(name, at))
            case "O_ACCEPTED":
                return "crm.order.placed.v1", OrderPlaced(
                    customer_id=customer,
                    order_id=application,
                    quote_id=self._quote(name),
                    opportunity_id=application,
                    amount=self._amount,
                )
        raise Unusable(f"{NAME}: {name[:60]!r} is no event of this log")

    def _work(self, event: Element, name: str, fact_id: str) -> tuple[str, Data]:
        """Somebody begins to work on the application."""
        resource = event.maybe(RESOURCE)
        call = name in CALLS
        return "crm.activity.logged.v1", ActivityLogged(
            customer_id=self._name,
            activity_id=fact_id,
            kind="call" if call else "task",
            direction="outbound" if call else None,
            automatic=resource == AUTOMATIC,
            rep_id=resource,
        )

    def _new_quote(self, at: int) -> QuoteCreated:
        before = self._quote_id if self._live or (self._quotes and self._died_at == at) else None
        self._quotes += 1
        self._live = True
        return QuoteCreated(
            customer_id=self._name, quote_id=self._quote_id, opportunity_id=self._name, amount=self._amount, replaces=before
        )

    @property
    def _quote_id(self) -> str:
        """The last quote."""
        return f"{self._name}-{self._quotes}"

    def _quote(self, name: str) -> str:
        """The quote that is live."""
        if not self._live:
            raise Unusable(f"{name} of no quote: none is live then")
        return self._quote_id

    def _dying_quote(self, name: str, at: int) -> str:
        quote = self._quote(name)
        self._live, self._died_at = False, at
        return quote


def _amount(trace: Trace) -> Price:
    text = trace.text(AMOUNT)
    try:
        return Price(amount=Decimal(text), currency=CURRENCY)
    except InvalidOperation:
        raise Unusable(f"{AMOUNT}: {text[:40]!r} is not an amount such as 20000") from None
    except ValueError as error:
        raise Unusable(f"{AMOUNT}: {error}") from None


def _instant(event: Element) -> int:
    text = event.text(TIME)
    try:
        return parse_instant(text)
    except ValueError as error:
        raise Unusable(f"{TIME}: {error}") from None
