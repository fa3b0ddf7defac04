"""The record at a moment: as of an instant what the present one says of it, as known at one what had been recorded by then."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.codec import Fact
from events.values import format_instant, parse_instant
from services.lifecycle.domain.events import AnyEvent, FactAccepted
from services.lifecycle.domain.record import Record, accept_all
from services.lifecycle.domain.state import Policy
from services.lifecycle.reading import NOW, Moment, NotThere, customer_view, head, reading_of
from tests.lifecycle.domain.histories import History
from tests.lifecycle.domain.speech import CUSTOMER, DAY, on
from tests.lifecycle.domain.test_properties import arrivals, cut
from tests.lifecycle.reference_facts import in_order
from tests.lifecycle.reference_fold import Reference
from tests.lifecycle.reference_handoffs import bounces_of, handoffs_of

Stored = list[tuple[int, AnyEvent]]


def stored(batches: Sequence[Sequence[Fact]], policy: Policy) -> Stored:
    """What is stored after facts came in, batch by batch."""
    record, events = Record(CUSTOMER), list[AnyEvent]()
    for batch in batches:
        accepted = accept_all(record, [(fact, ("topic", 0, 0)) for fact in batch], policy)
        record, events = accepted.record, [*events, *accepted.events]
    return list(enumerate(events, start=1))


@st.composite
def stories(draw: Any) -> tuple[History, Stored]:
    """A history, and what is stored of it: in some order, in batches, by a clock of the log that goes back now and then."""
    history, facts = draw(arrivals())
    ticks = draw(st.lists(st.integers(-1, 2), min_size=len(facts), max_size=len(facts)))
    now, told = on(20), []
    for fact, tick in zip(facts, ticks, strict=True):
        now += tick * DAY
        told.append(replace(fact, recorded_at=now))
    batches = cut(told, draw(st.sets(st.integers(1, len(told)))))
    return history, stored(batches, history.policy)


def view(history: History, events: Stored, moment: Moment = NOW) -> dict[str, Any]:
    """The body of the record at a moment, without the moment."""
    reading = reading_of(CUSTOMER, len(events), events, moment, history.policy)
    body = customer_view(reading)
    return {name: value for name, value in body.items() if name not in head(reading)}


def facts_of(events: Stored) -> list[Fact]:
    return in_order([event.fact for _, event in events if isinstance(event, FactAccepted)])


@given(stories(), st.data())
def test_as_of_an_instant_is_what_the_present_record_says_of_it(story: tuple[History, Stored], data: st.DataObject) -> None:
    history, events = story
    facts = facts_of(events)
    instant = data.draw(st.sampled_from(facts)).occurred_at + data.draw(st.sampled_from([0, 1]))
    present, then = view(history, events), view(history, events, Moment(as_of=instant))
    n = sum(fact.occurred_at <= instant for fact in facts)

    assert then["history"] == [state for state in present["history"] if parse_instant(state["effective_at"]) <= instant]
    assert then["facts"] == n
    assert (then["stage"], then["status"]) == (then["history"][-1]["stage"], then["history"][-1]["status"])
    reference = Reference(facts, history.versions, history.zone)
    assert (then["owner"], then["assignment_id"]) == reference.record_owner(n)
    images = reference.images()
    begun = {deal: [held for held in images[deal] if held[0] <= instant] for deal in images}
    assert {deal["deal_id"]: (deal["since"], deal["state"], deal["status"], deal["probability"]) for deal in then["deals"]} == {
        deal: (format_instant(held[0][0]), held[-1][1]["state"], held[-1][1]["status"], held[-1][1]["probability"])
        for deal, held in begun.items()
        if held
    }
    documents = {deal["deal_id"]: [(d["kind"], d["id"], d["state"]) for d in deal["documents"]] for deal in then["deals"]}
    assert documents == {deal: [d[:3] for d in held[-1][1]["documents"]] for deal, held in begun.items() if held}
    verdicts = {(command["source"], command["id"]): command["effective"] for command in then["commands"]}
    kept = {(fact.source, fact.id) for fact in facts[:n]}
    assert verdicts == {name: effective for name, effective in reference.verdicts.items() if name in kept}


@given(stories(), st.data())
def test_hand_offs_as_of_an_instant_are_those_of_the_facts_up_to_there(story: tuple[History, Stored], data: st.DataObject) -> None:
    """Assignments have no links to later facts: the reference may simply leave these out, where no document names an owner."""
    history, events = story
    facts = facts_of(events)
    instant = data.draw(st.sampled_from(facts)).occurred_at
    then = view(history, events, Moment(as_of=instant))
    before = Reference([fact for fact in facts if fact.occurred_at <= instant], history.versions, history.zone)
    handoffs = handoffs_of(before)
    assert {each["assignment_id"]: (each["rep_id"], each["rejected_at"], each["touched_at"]) for each in then["handoffs"]} == {
        name: (each.rep_id, _at(each.rejected), _at(each.touched)) for name, each in handoffs.items()
    }
    assert then["bounces"] == bounces_of(before)
    begun = sorted(each.assigned for each in handoffs.values())  # as instants: of texts, one with a fraction comes first
    assert [each["assigned_at"] for each in then["handoffs"]] == [format_instant(at) for at in begun]


@given(stories(), st.data())
def test_known_at_an_instant_is_the_record_of_what_was_recorded_by_then(story: tuple[History, Stored], data: st.DataObject) -> None:
    """Whatever came later leaves no trace: replaced facts stand as they stood, and the version is that of then."""
    history, events = story
    instant = data.draw(st.sampled_from([event.recorded_at for _, event in events])) + data.draw(st.sampled_from([0, 1]))
    by_then = [(version, event) for version, event in events if event.recorded_at <= instant]
    assert view(history, events, Moment(known_at=instant)) == view(history, by_then)
    whole = data.draw(st.sampled_from(facts_of(events))).occurred_at
    both = Moment(as_of=whole, known_at=instant)
    try:
        expected = view(history, by_then, Moment(as_of=whole))
    except NotThere:
        with pytest.raises(NotThere):
            view(history, events, both)
    else:
        assert view(history, events, both) == expected


@given(stories())
def test_the_live_answer_is_that_of_the_last_moment(story: tuple[History, Stored]) -> None:
    history, events = story
    last = max(fact.occurred_at for fact in facts_of(events))
    known = events[-1][1].recorded_at
    live = view(history, events)
    assert live == view(history, events, Moment(as_of=last)) == view(history, events, Moment(known_at=known))
    assert live == view(history, events, Moment(last, known))
    assert live["version"] == len(events)


@given(stories(), st.integers(0, 10**6))
def test_the_order_of_arrival_shows_only_in_what_was_recorded_when(story: tuple[History, Stored], seed: int) -> None:
    history, events = story
    facts = [event.fact for _, event in events if isinstance(event, FactAccepted)]
    shuffled = random.Random(seed).sample(facts, len(facts))
    other = stored([[fact] for fact in shuffled], history.policy)
    assert _timeless(view(history, events)) == _timeless(view(history, other))


@given(stories())
def test_before_the_first_fact_there_was_nothing(story: tuple[History, Stored]) -> None:
    history, events = story
    first = min(fact.occurred_at for fact in facts_of(events))
    with pytest.raises(NotThere, match=f"was not there yet at .*: the first fact is dated {format_instant(first)}"):
        view(history, events, Moment(as_of=first - 1))
    recorded = events[0][1].recorded_at
    with pytest.raises(NotThere, match=f"nothing was known .*: the first fact came in at {format_instant(recorded)}"):
        view(history, events, Moment(known_at=recorded - 1))
    with pytest.raises(NotThere, match="no fact of a customer 'acme' has been taken in"):
        view(history, [])


def _at(instant: int | None) -> str | None:
    return None if instant is None else format_instant(instant)


def _timeless(body: dict[str, Any]) -> dict[str, Any]:
    history = [{name: value for name, value in state.items() if name != "recorded_at"} for state in body["history"]]
    return {**body, "history": history, "version": None, "recorded_at": None}
