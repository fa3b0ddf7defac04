"""The fold at a point: as of an instant, and fact by fact."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from services.lifecycle.domain.fold import EMPTY, Fold, as_of, fold_of, steps
from services.lifecycle.domain.order import key_of
from tests.lifecycle.domain.histories import History, histories
from tests.lifecycle.reference_facts import in_order
from tests.lifecycle.reference_fold import Reference


def whole(history: History) -> Fold:
    return fold_of(in_order(history.facts), history.policy)


@given(histories(), st.data())
def test_as_of_an_instant_is_what_the_histories_say_of_it(history: History, data: st.DataObject) -> None:
    fold, facts = whole(history), in_order(history.facts)
    instant = data.draw(st.sampled_from([fact.occurred_at for fact in facts])) + data.draw(st.sampled_from([-1, 0, 1]))
    then = as_of(fold, instant, history.policy)
    assert then.statuses == tuple(held for held in fold.statuses if held.at <= instant)
    cut = {deal: tuple(held for held in images if held.at <= instant) for deal, images in fold.images.items()}
    assert dict(then.images) == {deal: images for deal, images in cut.items() if images}
    assert [fact for _, fact in then.facts][::-1] == [fact for fact in facts if fact.occurred_at <= instant]
    if then.state is None:
        return
    shown = then.statuses[-1].what
    assert (then.state.stage, then.state.status, then.state.probability) == (shown.stage, shown.name, shown.probability)


@given(histories(), st.data())
def test_as_of_an_instant_agrees_with_the_reference(history: History, data: st.DataObject) -> None:
    """Owner, lead and commands too, which have no history: the links are those of the whole set, as if always known."""
    facts = in_order(history.facts)
    count = data.draw(st.integers(1, len(facts)))
    instant = facts[count - 1].occurred_at
    count = sum(fact.occurred_at <= instant for fact in facts)
    then = as_of(whole(history), instant, history.policy)
    reference = Reference(history.facts, history.versions, history.zone)
    state, record = then.state, reference.records[count - 1]
    assert state is not None
    assert (state.owner.rep_id, state.owner.assignment_id) == reference.record_owner(count)
    assert (state.stage, state.status, state.probability) == record[:3]
    assert (state.lead.name, state.lead.lead_id, state.lead.wake_at) == (record.lead.name, record.lead.lead_id, record.lead.wake_at)
    kept = {(fact.source, fact.id) for fact in facts[:count]}
    verdicts = {(ref.source, ref.id): verdict.effective for ref, verdict in state.verdicts.items()}
    assert verdicts == {name: effective for name, effective in reference.verdicts.items() if name in kept}


@given(histories())
def test_as_of_the_last_fact_is_the_record(history: History) -> None:
    fold = whole(history)
    assert fold.last is not None
    assert as_of(fold, fold.last[0], history.policy) is fold
    assert as_of(fold, fold.last[0] + 1, history.policy) is fold
    assert as_of(EMPTY, 0, history.policy) is EMPTY


@given(histories(), st.data())
def test_steps_go_from_a_place_to_the_end(history: History, data: st.DataObject) -> None:
    fold, facts = whole(history), in_order(history.facts)
    first = data.draw(st.integers(0, len(facts) - 1))
    taken = list(steps(fold, key_of(facts[first]), history.policy))
    assert [step.fact for step in taken] == facts[first:]
    assert taken[-1].after == fold
    for step, following in pairwise(taken):
        assert step.after is following.before
    for step in taken:
        untouched = {deal: images for deal, images in step.before.images.items() if deal not in step.deals}
        assert untouched == {deal: images for deal, images in step.after.images.items() if deal not in step.deals}
    before = taken[0].before
    if first and facts[first - 1].occurred_at < facts[first].occurred_at:
        then = as_of(fold, facts[first - 1].occurred_at, history.policy)
        assert (astuple(before)) == astuple(then)
    elif not first:
        assert before.state is None
