"""How facts came in: in time or late, alone or together, and where it is stored what they changed."""

from collections.abc import Sequence
from hashlib import sha256

from hypothesis import given as given_any

from events.codec import Fact, content
from services.lifecycle.domain.arrivals import Arrival, arrivals, ref_of
from services.lifecycle.domain.events import AnyEvent, FactAccepted
from services.lifecycle.domain.order import key_of
from services.lifecycle.domain.record import Record, accept, accept_all
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import DEFAULT, Tables
from services.lifecycle.effects import at_arrival
from tests.lifecycle.domain.histories import History
from tests.lifecycle.domain.speech import (
    CUSTOMER,
    activity,
    lead_created,
    lead_qualified,
    lead_updated,
    opportunity_created,
    order_placed,
    quote_created,
    quote_sent,
)
from tests.lifecycle.domain.story import UTC
from tests.lifecycle.domain.test_properties import arrivals as some_arrivals

POLICY = Policy(Tables((DEFAULT,)), UTC)
Stored = list[tuple[int, AnyEvent]]


def stored(*batches: Sequence[Fact], policy: Policy = POLICY) -> Stored:
    """What is stored after facts came in, batch by batch."""
    record, events = Record(CUSTOMER), list[AnyEvent]()
    for batch in batches:
        accepted = accept_all(record, [(fact, ("topic", 0, 0)) for fact in batch], policy)
        record, events = accepted.record, [*events, *accepted.events]
    return list(enumerate(events, start=1))


def came(events: Stored) -> list[Arrival]:
    return arrivals([(version, event) for version, event in events if isinstance(event, FactAccepted)])


def changes(events: Stored, arrival: Arrival) -> list[AnyEvent]:
    until = len(events) if arrival.changes_until is None else arrival.changes_until
    return [event for version, event in events if arrival.changes_after < version <= until]


def test_a_fact_that_is_newer_than_all_others_is_not_late() -> None:
    events = stored([lead_created(day=1)], [activity(day=1)], [quote_created("q1", 5, day=2)])
    assert [(each.version, each.late) for each in came(events)] == [(1, False), (3, False), (4, False)]
    assert [[event.TOPIC for event in changes(events, each)] for each in came(events)] == [["status"], [], ["status", "deals"]]


def test_a_late_fact_corrects_the_past_from_an_instant_on() -> None:
    events = stored([quote_sent("q1", day=5)], [lead_created(day=1)])
    first, late = came(events)
    assert (first.late, late.late) == (False, True)
    told = at_arrival(changes(events, late))
    assert told["since"] == "2026-01-01T00:00:00Z"
    assert told["status"]["from"] == told["status"]["to"] == {"stage": "prospect", "status": "Proposal", "probability": 50}


def test_late_facts_that_were_taken_in_together_say_so() -> None:
    facts = [lead_qualified(day=2), quote_created("q1", 5, day=3), order_placed("p1", 5, day=4)]
    events = stored([lead_created(day=1)], [quote_sent("q1", day=5)], facts, [lead_updated(day=6, score=5)])
    *_, one, two, three, last = came(events)
    assert [each.late for each in (one, two, three, last)] == [True, True, True, False]
    assert two.together == (ref_of(facts[0]), ref_of(facts[2]))
    assert (last.together, one.together) == ((), (ref_of(facts[1]), ref_of(facts[2])))
    assert [event.TOPIC for event in changes(events, one)] == ["status", "deals"] == [e.TOPIC for e in changes(events, three)]
    assert [event.TOPIC for event in changes(events, last)] == ["record"]


def test_a_fact_whose_place_another_took_is_marked() -> None:
    rivals = (opportunity_created("o1", amount, day=1, id="same") for amount in (1, 2))
    stands, yields = sorted(rivals, key=lambda fact: sha256(content(fact)).digest())
    assert [each.replaced for each in came(stored([lead_created(day=0)], [yields], [stands]))] == [False, True, False]
    assert [each.replaced for each in came(stored([lead_created(day=0)], [stands], [yields]))] == [False, False]


@given_any(some_arrivals())
def test_late_is_what_came_before_something_known(arrival: tuple[History, list[Fact]]) -> None:
    """The same as asking the record at each arrival; and every change is of the arrival under which it is found."""
    history, facts = arrival
    record, events, late = Record(CUSTOMER), list[AnyEvent](), list[bool]()
    for fact in facts:
        accepted = accept(record, fact, ("topic", 0, 0), history.policy)
        if accepted.events:
            last = record.fold.last
            late.append(last is not None and key_of(fact) < last)
        record, events = accepted.record, [*events, *accepted.events]
    numbered = list(enumerate(events, start=1))
    found = came(numbered)
    assert [each.late for each in found] == late
    assert {ref_of(each.fact): each.fact for each in found if not each.replaced} == {
        ref: known.fact for ref, known in record.known.items()
    }
    for each in found:
        causes = {(event.cause.source, event.cause.id) for event in changes(numbered, each) if not isinstance(event, FactAccepted)}
        assert causes <= {(ref.source, ref.id) for ref in (ref_of(each.fact), *each.together)}
