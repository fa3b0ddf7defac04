"""I4: for any order, repetition and batching of the same facts the record is the same, and so is what a consumer holds."""

from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.codec import Fact
from services.lifecycle.domain.events import AnyEvent, FactAccepted
from services.lifecycle.domain.fold import Fold, fold_of
from services.lifecycle.domain.handoffs import PROGRESS
from services.lifecycle.domain.record import Accepted, Record, accept, accept_all, decide, evolve, restore
from services.lifecycle.domain.state import Policy
from tests.lifecycle.domain.consumer import Consumer
from tests.lifecycle.domain.histories import History, histories
from tests.lifecycle.domain.speech import CUSTOMER
from tests.lifecycle.reference_facts import in_order


@st.composite
def arrivals(draw: Any) -> tuple[History, list[Fact]]:
    """A history and the order in which its facts arrive: as they happened, as was made up, or any; some more than once."""
    history = draw(histories())
    again = draw(st.lists(st.sampled_from(history.facts), max_size=4))
    as_happened = in_order(history.facts)
    orders = [st.just([*as_happened, *again]), st.just([*history.facts, *again]), st.permutations([*history.facts, *again])]
    facts = draw(st.one_of(orders))
    return history, facts + [fact for fact in history.facts if fact not in facts]  # in order, what was refused comes last


def taken_in(facts: Sequence[Fact], policy: Policy) -> tuple[Record, list[AnyEvent]]:
    """The record after facts that arrived one by one, and all its events."""
    record, events = Record(CUSTOMER), list[AnyEvent]()
    for fact in facts:
        accepted = accept(record, fact, ("topic", 0, 0), policy)
        record = accepted.record
        events += accepted.events
    return record, events


@given(arrivals())
def test_the_order_of_arrival_and_repetition_do_not_matter(arrival: tuple[History, list[Fact]]) -> None:
    history, facts = arrival
    record, _ = taken_in(facts, history.policy)
    assert_same(record.fold, fold_of(in_order(history.facts), history.policy))


@given(arrivals(), st.data())
def test_batches_do_not_matter(arrival: tuple[History, list[Fact]], data: st.DataObject) -> None:
    history, facts = arrival
    one_by_one, _ = taken_in(facts, history.policy)
    record, consumer = Record(CUSTOMER), Consumer()
    for batch in cut(facts, data.draw(st.sets(st.integers(1, len(facts))))):
        accepted = accept_all(record, [(fact, ("topic", 0, 0)) for fact in batch], history.policy)
        for event in accepted.events:
            consumer.hear(event)
        record = accepted.record
    assert_same(record.fold, one_by_one.fold)
    assert_holds(consumer, record.fold)


@given(arrivals())
def test_a_consumer_holds_what_the_fold_says(arrival: tuple[History, list[Fact]]) -> None:
    history, facts = arrival
    record, consumer = Record(CUSTOMER), Consumer()
    for fact in facts:
        accepted = accept(record, fact, ("topic", 0, 0), history.policy)
        for event in accepted.events:
            consumer.hear(event)
        record = accepted.record
        assert_holds(consumer, record.fold)


@given(arrivals())
def test_of_two_facts_with_one_identity_the_same_one_stands_and_the_other_is_refused(arrival: tuple[History, list[Fact]]) -> None:
    history, facts = arrival
    record, refused = Record(CUSTOMER), list[Fact]()
    for fact in facts:
        accepted = accept(record, fact, ("topic", 0, 0), history.policy)
        refused += [known.fact for known in accepted.refused]
        record = accepted.record
    stand = [fact for _, fact in record.fold.facts][::-1]
    assert stand == in_order(history.facts)
    assert [known.fact for known in record.known.values()] == [stand[stand.index(each.fact)] for each in record.known.values()]
    assert all(fact in stand or fact in refused for fact in facts)
    assert not any(fact in stand for fact in refused)


@given(arrivals())
def test_events_carry_everything(arrival: tuple[History, list[Fact]]) -> None:
    """Decide and evolve, accept, and restore from what is stored give the same record."""
    history, facts = arrival
    policy = history.policy
    record = evolved = Record(CUSTOMER)
    stored: list[FactAccepted] = []
    for number, told in enumerate(facts):
        fact, origin = replace(told, recorded_at=told.occurred_at + number), ("topic", 0, number)
        events = decide(record, fact, policy, origin)
        accepted: Accepted = accept(record, fact, origin, policy)
        assert accepted.events == events
        for event in events:
            evolved = evolve(evolved, event, policy)
        assert evolved == accepted.record
        assert accepted.record.version == record.version + len(events)
        assert [event.recorded_at for event in events] == [accepted.record.recorded_at] * len(events)
        assert accepted.record.recorded_at >= record.recorded_at
        stored += [event for event in events if isinstance(event, FactAccepted)]
        record = accepted.record
        assert decide(record, fact, policy) == ()
    assert restore(CUSTOMER, stored, record.version, record.recorded_at, policy) == record


@given(histories())
def test_facts_of_one_message_each_at_most(history: History) -> None:
    """At most one status, record and deals event (in all its parts) per fact, and none without the fact that caused it."""
    record = Record(CUSTOMER)
    for fact in history.facts:
        accepted = accept(record, fact, ("topic", 0, 0), history.policy)
        record = accepted.record
        kinds = [event.TOPIC for event in accepted.events]
        assert kinds[:1] in ([], ["fact"])
        assert all(kinds.count(kind) <= 1 for kind in ("fact", "status", "record", "deals"))
        for event in accepted.events[1:]:
            assert not isinstance(event, FactAccepted)
            assert (event.cause.source, event.cause.id, event.cause.type) == (fact.source, fact.id, fact.type)


def assert_same(one: Fold, other: Fold) -> None:
    """Histories with their causes, and all that a further fact would meet."""
    assert one.statuses == other.statuses
    assert one.images == other.images
    assert one.state == other.state
    assert one == other


def assert_holds(consumer: Consumer, fold: Fold) -> None:
    """What a consumer made of the events is what the fold says."""
    state = fold.state
    assert state is not None
    assert consumer.statuses == list(fold.statuses)
    assert consumer.images == {deal: [(held.at, held.what) for held in history] for deal, history in fold.images.items()}
    assert (consumer.owner, consumer.assignment_id, consumer.profile) == (
        state.owner.rep_id,
        state.owner.assignment_id,
        state.profile,
    )
    assert consumer.current == fold.statuses[-1].what
    assert consumer.progress == {
        (assignment, step): (handoff.rep_id, at, handoff.reason if step == "rejected" else None)
        for assignment, handoff in state.handoffs.items()
        for step in PROGRESS
        if (at := getattr(handoff, step)) is not None
    }
    assert consumer.refused & set(state.verdicts) == {ref for ref, verdict in state.verdicts.items() if not verdict.effective}


def cut(facts: Sequence[Fact], places: set[int]) -> list[Sequence[Fact]]:
    """The facts in batches that end at some places."""
    ends = sorted({0, *places, len(facts)})
    batches = [facts[begin:end] for begin, end in pairwise(ends)]
    assert list(chain(*batches)) == list(facts)
    return batches
