"""No record is too large for a message or a step: what would go beyond is refused, and long changes are told in parts."""

from functools import partial

import pytest

from events.bus.sizes import check_size, record_bytes
from events.codec import Fact
from events.facts import Contact, Split
from events.published import Cause
from events.record import Message
from services.lifecycle.domain.events import DealRevised, DealsRevised, FactAccepted, StatusRevised
from services.lifecycle.domain.limits import ATTRIBUTES_BYTES_MAX, DOCUMENTS_MAX, FACTS_MAX
from services.lifecycle.domain.parts import PART_BYTES_MAX, deals_in_parts, whole
from services.lifecycle.domain.record import Accepted, Record, accept, accept_all
from services.lifecycle.outbound import messages_of
from tests.lifecycle.domain.speech import (
    CUSTOMER,
    activity,
    lead_created,
    lead_updated,
    on,
    opportunity_created,
    opportunity_updated,
    order_placed,
    quote_created,
    status_set,
)
from tests.lifecycle.domain.test_long_records import POLICY, restored, told_all

WIDE = "\N{GRINNING FACE}"
"""A character that takes four bytes, in JSON too."""
ORIGIN = ("topic", 0, 0)


def orders(count: int, opportunity: str, prefix: str = "p") -> list[Fact]:
    """Orders of one opportunity."""
    return [order_placed(f"{prefix}{number}", 5, day=2, nanos=number, opportunity=opportunity) for number in range(count)]


def one_more(record: Record, fact: Fact) -> Accepted:
    """The record with another fact."""
    return accept(record, fact, ORIGIN, POLICY)


def messages(accepted: Accepted) -> list[Message]:
    """What is published of it."""
    first = accepted.record.version - len(accepted.events) + 1
    return [message for number, event in enumerate(accepted.events) for message in messages_of(CUSTOMER, first + number, event)]


def reason_of(accepted: Accepted) -> str:
    """Why a fact was refused; nothing else may have happened."""
    assert not accepted.events
    assert not accepted.refused
    ((_, excess),) = accepted.beyond
    return f"{excess.path}: {excess.reason}"


# -------------------------------------------------------------------------------------------- limits


def test_a_deal_has_so_many_documents_and_no_more() -> None:
    full = restored([opportunity_created("o1", 100, day=1), *orders(DOCUMENTS_MAX - 1, "o1")], POLICY)
    refused = one_more(full, order_placed("one more", 5, day=3, opportunity="o1"))
    assert reason_of(refused).startswith("$: the deal 'opportunity:o1' of 'acme' would have more than 500 documents")
    assert refused.record is full
    assert not one_more(full, order_placed("p7", 6, day=3, opportunity="o1")).beyond, "of a document that it has, it learns on"
    assert not one_more(full, order_placed("another", 5, day=3, opportunity="o2")).beyond


@pytest.mark.parametrize("day", [1.5, 9], ids=["late", "newest"])
def test_a_link_that_would_join_two_deals_to_one_of_too_many_documents_is_refused(day: float) -> None:
    some = [quote_created("q1", 1, day=1), *(order_placed(f"x{n}", 5, day=2, nanos=n, quote="q1") for n in range(300))]
    record = restored([opportunity_created("o1", 100, day=1), *orders(300, "o1"), *some], POLICY)
    refused = one_more(record, quote_created("q1", 1, day=day, opportunity="o1"))
    assert "more than 500 documents" in reason_of(refused)
    assert set(record.fold.images) == {"opportunity:o1", "quote:q1"}


def test_of_late_facts_that_come_together_those_are_taken_in_that_fit() -> None:
    record = restored([opportunity_created("o1", 100, day=1), *orders(DOCUMENTS_MAX - 3, "o1")], POLICY)
    late = orders(5, "o1", prefix="late")
    accepted = accept_all(record, [(fact, ("topic", 0, number)) for number, fact in enumerate(late)], POLICY)
    assert [known.fact for known, _ in accepted.beyond] == late[2:]
    assert [event.fact for event in accepted.events if isinstance(event, FactAccepted)] == late[:2]
    assert accepted.record.version == record.version + len(accepted.events)


def test_a_record_has_so_many_facts_and_no_more() -> None:
    facts = [activity(day=1, nanos=number, id=f"a{number}") for number in range(FACTS_MAX)]
    full = restored(facts, POLICY)
    assert reason_of(one_more(full, activity(day=2, id="one more"))).startswith("$.customer_id: 'acme' has 20000 facts")
    again = one_more(full, facts[7])
    assert (again.events, again.refused, again.beyond) == ((), [], ()), "what it has is a repeat"


def test_attributes_that_pile_up_are_refused_where_they_are_too_many() -> None:
    record = restored([lead_created(day=1)], POLICY)
    for number in range(3):
        record = one_more(record, lead_updated(day=2, nanos=number, attributes=padding(number, 80_000))).record
    assert reason_of(one_more(record, lead_updated(day=3, attributes=padding(4, 80_000)))).startswith("$.attributes: ")
    assert one_more(record, lead_updated(day=3, attributes=padding(1, 80_000))).events, "a name that is used again adds nothing"


def padding(number: int, size: int) -> dict[str, str]:
    """Attributes of about that size."""
    return {f"n{number}-{place}": "x" * 1990 for place in range(size // 2000)}


# --------------------------------------------------------------------------------------------- parts


def alternating(count: int) -> list[Fact]:
    """Commands that change the status every time."""
    return [
        status_set(("Qualified", "Unqualified")[number % 2], day=2, nanos=number, id=f"{number:06}-{'c' * 100}")
        for number in range(count)
    ]


def test_a_long_history_of_the_status_is_told_in_parts_that_count_as_one() -> None:
    before = restored(alternating(6000), POLICY)
    consumer = told_all(before.fold)
    accepted = one_more(before, status_set("Dead", day=1, id="late"))
    parts = [event for event in accepted.events if isinstance(event, StatusRevised)]
    assert [(part.part, part.parts) for part in parts] == [(number, len(parts)) for number in range(1, len(parts) + 1)]
    assert len(parts) > 3
    assert [part.since for part in parts] == [on(1), *(part.states[0].at for part in parts[1:])]
    for message in messages(accepted):
        check_size(message)
        assert record_bytes(message) < 2 * PART_BYTES_MAX
    for event in accepted.events:
        consumer.hear(event)
    assert consumer.statuses == list(accepted.record.fold.statuses)


def test_the_parts_are_read_as_one() -> None:
    before = restored(alternating(3000), POLICY)
    events = list(enumerate(one_more(before, status_set("Dead", day=1, id="late")).events, start=before.version + 1))
    (version, event), *others = [(v, e) for v, e in whole(events) if isinstance(e, StatusRevised)]
    assert not others
    assert (version, event.part, event.parts) == (max(v for v, e in events if isinstance(e, StatusRevised)), 1, 1)
    assert (event.since, event.states[0].at, len(event.states)) == (on(1), on(1), 3001)


def test_a_short_history_is_one_message() -> None:
    accepted = one_more(restored(alternating(50), POLICY), status_set("Dead", day=1, id="late"))
    assert [(event.part, event.parts) for event in accepted.events if isinstance(event, StatusRevised)] == [(1, 1)]


# ------------------------------------------------------------------------------- the largest messages


def largest_lead() -> Fact:
    """A lead that says as much as one can."""
    text = WIDE * 2000
    said = dict.fromkeys(("company", "region", "postal_code", "industry", "lead_source", "campaign"), text)
    contact = Contact(name=text, email=text, phone=text, title=text)
    return lead_created(WIDE * 200, day=1, owner=WIDE * 200, contact=contact, product_interest=(text,) * 30, **said)


def largest_deal() -> list[Fact]:
    """A deal with as many documents as can be, each of them as large as can be."""
    name = partial("{:03}".format)
    opportunity = WIDE * 200
    splits = tuple(Split(rep_id=f"{number:03}{WIDE * 197}", percent=1) for number in range(300))
    quotes = [
        quote_created(
            name(number) + WIDE * 197, 9_999_999_999_999, day=2, nanos=number, opportunity=opportunity,
            replaces=name(number - 1) + WIDE * 197 if number else None, owner=WIDE * 200,
        )
        for number in range(DOCUMENTS_MAX - 1)
    ]  # fmt: skip
    return [opportunity_created(opportunity, 9_999_999_999_999, day=1, product=WIDE * 2000, splits=splits), *quotes]


def test_the_largest_record_fits_its_messages() -> None:
    attributes = {f"{number:03}{WIDE * 197}": WIDE * 2000 for number in range(ATTRIBUTES_BYTES_MAX // 9000)}
    record = restored([largest_lead(), lead_updated(day=1.5, attributes=attributes), *largest_deal()], POLICY)
    for fact in (
        opportunity_updated(WIDE * 200, day=3, amount=1),
        lead_updated(day=3, country="DE", score=7),
        status_set("Closed Won", day=3),
        *(opportunity_updated(WIDE * 200, day=1.7, nanos=number, amount=number) for number in range(3)),
    ):
        accepted = one_more(record, fact)
        sizes = [record_bytes(message) for message in messages(accepted)]
        assert max(sizes) > PART_BYTES_MAX, "it is a large one"
        for message in messages(accepted):
            check_size(message)


def test_many_deals_that_are_gone_at_once_fit_too() -> None:
    """Each is told by its id alone, and ids are long."""
    gone = [DealRevised(f"quote:{number:04}{WIDE * 196}", None, ()) for number in range(4000)]
    parts = deals_in_parts(gone)
    assert [deal for part in parts for deal in part] == gone
    cause = Cause(source="crm", id="1", type="crm.lead.created.v1")
    for number, deals in enumerate(parts, start=1):
        event = DealsRevised(recorded_at=0, cause=cause, deals=deals, part=number, parts=len(parts))
        for message in messages_of(CUSTOMER, number, event):
            check_size(message)
