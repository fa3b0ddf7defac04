"""Long records: a late fact goes back to a checkpoint and leaps over what it does not concern, and the record is the same.

Facts of all types are drawn as templates and told hundreds of times, of ever other documents, so that a record has thousands of
facts and many checkpoints within seconds; then facts come late at all places of it.
"""

import random
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from events.codec import Fact
from events.facts import Contact, FactRef, LeadRecycled, LifecycleTick
from services.lifecycle.domain.events import FactAccepted
from services.lifecycle.domain.fold import Fold, fold_of
from services.lifecycle.domain.handoffs import PROGRESS
from services.lifecycle.domain.order import key_of
from services.lifecycle.domain.record import Record, accept, accept_all, restore
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import DEFAULT, Tables
from tests.lifecycle.domain import speech
from tests.lifecycle.domain.consumer import Consumer
from tests.lifecycle.domain.histories import History, histories
from tests.lifecycle.domain.speech import CUSTOMER, DAY, on
from tests.lifecycle.domain.test_properties import assert_holds, assert_same

POLICY = Policy(Tables((DEFAULT,)), ZoneInfo("UTC"))
FEW = settings(max_examples=10)
DOCUMENTS = ("opportunity_id", "quote_id", "order_id", "replaces")


@st.composite
def long_histories(draw: Any) -> tuple[History, list[Fact], list[Fact]]:
    """A history of hundreds to thousands of facts: what is known of it at first, and what comes late, wherever."""
    templates = [draw(histories(size_max=10)) for _ in range(6)]
    chance = random.Random(draw(st.integers(0, 2**32)))
    count, late = draw(st.integers(100, 800)), draw(st.integers(1, 12))
    facts = told(chance, [fact for history in templates for fact in history.facts], count, draw(st.sampled_from([5, 50, 1000])))
    if draw(st.booleans()):  # a customer from the beginning on, as long records are: there is much to leap over
        facts.insert(0, speech.order_placed("first", 1, day=1, id="first"))
    coming = [facts.pop(place(chance, len(facts))) for _ in range(late)]
    return templates[0], facts, coming


def told(chance: random.Random, templates: Sequence[Fact], count: int, documents: int) -> list[Fact]:
    """So many facts in fold order, about so many documents of each kind, now and then several of one instant."""
    found: list[Fact] = []
    recycled = FactRef(source="crm", id="recycled")
    for number in range(count):
        fact = chance.choice(templates)
        data, suffix = fact.data, f"-{chance.randrange(documents)}"
        if isinstance(data, LeadRecycled):
            recycled = FactRef(source=fact.source, id=f"{fact.id}-{number}")
        if isinstance(data, LifecycleTick):
            data = replace(data, recycled=recycled)
        data = replace(data, **{field: said + suffix for field in DOCUMENTS if (said := getattr(data, field, None)) is not None})
        at = on(1) + number * DAY // chance.choice([1, 1, 10**9])
        found.append(Fact(CUSTOMER, fact.source, f"{fact.id}-{number}", fact.type, at, at, data))
    return sorted(found, key=lambda fact: fact.occurred_at)


def place(chance: random.Random, count: int) -> int:
    """Where a fact comes late: mostly near the end, sometimes anywhere, sometimes at the very beginning."""
    return chance.choice([count - 1 - chance.randrange(min(count, 40)), chance.randrange(count), chance.randrange(min(count, 5))])


@FEW
@given(long_histories())
def test_late_facts_give_the_record_that_folding_anew_gives(long: tuple[History, list[Fact], list[Fact]]) -> None:
    history, known, coming = long
    record = restored(known, history.policy)
    for fact in coming:
        record = accept(record, fact, ("topic", 0, 0), history.policy).record
    assert_same(record.fold, fold_of([*known, *coming], history.policy))


@FEW
@given(long_histories())
def test_late_facts_together_give_it_too_and_a_consumer_holds_it(long: tuple[History, list[Fact], list[Fact]]) -> None:
    history, known, coming = long
    record = restored(known, history.policy)
    consumer = told_all(record.fold)
    accepted = accept_all(record, [(fact, ("topic", 0, 0)) for fact in coming], history.policy)
    for event in accepted.events:
        consumer.hear(event)
    assert_same(accepted.record.fold, fold_of([*known, *coming], history.policy))
    assert_holds(consumer, accepted.record.fold)


@FEW
@given(long_histories(), st.data())
def test_a_fact_that_takes_the_place_of_another_one_does_too(
    long: tuple[History, list[Fact], list[Fact]], data: st.DataObject
) -> None:
    history, known, coming = long
    others = [
        replace(fact, source=old.source, id=old.id)
        for fact, old in zip(coming, data.draw(st.permutations(known[-60:])), strict=False)
    ]
    record = restored(known, history.policy)
    for fact in others:
        record = accept(record, fact, ("topic", 0, 0), history.policy).record
    assert_same(record.fold, fold_of([each.fact for each in record.known.values()], history.policy))
    assert len(record.known) == len(known)


def test_a_late_fact_folds_again_what_comes_after_it_only() -> None:
    """What was folded long before it is not only equal but the same."""
    templates = [speech.quote_created("q", 100, day=1), speech.lead_updated(day=1, score=7), speech.order_placed("o", 5, day=1)]
    facts = told(random.Random(1), templates, 2000, 500)
    before = restored(facts, POLICY)
    fact = replace(facts[-100], id="late")
    after = accept(before, fact, ("topic", 0, 0), POLICY).record
    old, new = [list(record.fold.checkpoints)[::-1] for record in (before, after)]
    kept = [each for each in old if each.last < key_of(fact)]
    assert len(old) > len(kept) > 40
    assert all(one.state is other.state for one, other in zip(kept, new, strict=False))


def test_a_late_fact_leaps_over_what_it_does_not_concern() -> None:
    """What was folded after it, of other deals, is the same object too, and so is the state in which it no longer matters."""
    templates = [speech.quote_created("q", 100, day=1), speech.quote_sent("q", day=1), speech.order_placed("o", 5, day=1)]
    templates += [speech.activity(day=1)] * 3
    facts = told(random.Random(1), templates, 2000, 500)
    before = restored(facts, POLICY)
    for number in (100, 1000, 1900):
        at = facts[number].occurred_at
        for late, touched in ((speech.activity(day=1), set()), (speech.order_placed("new", 5, day=1), {"order:new"})):
            after = accept(before, replace(late, id="late", occurred_at=at), ("topic", 0, 0), POLICY).record
            images = {deal for deal, history in after.fold.images.items() if history is not before.fold.images.get(deal)}
            assert images - touched <= deals_near(before.fold, at), "of those near it, histories are equal only"
            assert touched <= images
            if not touched:
                assert after.fold.state is before.fold.state


@pytest.mark.parametrize(
    "late",
    [
        speech.opportunity_created("new", 5, day=0, owner="ann"),  # who owns the record ever since
        speech.lead_updated(day=0, industry="steel", contact=Contact(name="Ann")),
        speech.lead_qualified(day=0),
        speech.status_set("Dead", day=0),
        speech.quote_updated("new", day=0, replaces="unknown"),
    ],
    ids=lambda late: late.type,
)
def test_it_leaps_where_the_record_differs_ever_since_in_what_later_facts_do_not_read(late: Fact) -> None:
    templates = [speech.order_placed("o", 5, day=1, owner="eva"), speech.activity(day=1)]
    facts = told(random.Random(1), templates, 800, 200)
    before = restored(facts, POLICY)
    after = accept(before, late, ("topic", 0, 0), POLICY).record
    assert_same(after.fold, fold_of([late, *facts], POLICY))
    images = {deal for deal, history in after.fold.images.items() if history is not before.fold.images.get(deal)}
    assert len(images) < 100


def test_a_quote_that_a_late_fact_begins_before_it_was_replaced_is_replaced() -> None:
    """The fact that replaces it, of another deal, did not touch it when it had no fact yet: that must not be leapt over."""
    facts = told(random.Random(1), [speech.order_placed("o", 5, day=1), *[speech.activity(day=1)] * 3], 1000, 500)
    days = [1 + (fact.occurred_at - on(1)) / DAY for fact in facts]
    facts += [
        speech.quote_created("new", 100, day=days[500], opportunity="o2", replaces="old"),
        speech.quote_updated("old", day=days[900], opportunity="o1", amount=50),
    ]
    late = speech.quote_sent("old", day=days[100])
    after = accept(restored(facts, POLICY), late, ("topic", 0, 0), POLICY).record
    assert_same(after.fold, fold_of([*facts, late], POLICY))
    assert [held.what.state for held in after.fold.images["opportunity:o1"]][:2] == ["open", "lost"]


def deals_near(fold: Fold, instant: int) -> set[str]:
    """The deals that are touched from the checkpoint before an instant to the third one after it."""
    stretches = [each.stretch for each in list(fold.checkpoints)[::-1] if each.last[0] >= instant]
    return {deal for stretch in [*stretches, fold.stretch][:3] for deal in stretch.deals}


def restored(facts: Sequence[Fact], policy: Policy) -> Record:
    """The record of some facts."""
    return restore(
        CUSTOMER,
        [FactAccepted(recorded_at=0, fact=fact, origin=("topic", 0, 0), tables=policy.tables.through) for fact in facts],
        0,
        0,
        policy,
    )


def told_all(fold: Fold) -> Consumer:
    """A consumer who has heard everything that was to be told of a record."""
    state = fold.state
    assert state is not None
    consumer = Consumer()
    consumer.statuses, consumer.current = list(fold.statuses), fold.statuses[-1].what
    consumer.images = {deal: [(held.at, held.what) for held in history] for deal, history in fold.images.items()}
    consumer.owner, consumer.assignment_id, consumer.profile = state.owner.rep_id, state.owner.assignment_id, state.profile
    consumer.progress = {
        (name, step): (handoff.rep_id, at, handoff.reason if step == "rejected" else None)
        for name, handoff in state.handoffs.items()
        for step in PROGRESS
        if (at := getattr(handoff, step)) is not None
    }
    consumer.refused = {ref for ref, verdict in state.verdicts.items() if not verdict.effective}
    return consumer
