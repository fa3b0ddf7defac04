"""DESIGN 4: what a fact changes is told, at most one event of each kind, complete enough that nobody looks anything up."""

from collections import Counter
from collections.abc import Sequence

from msgspec import json

from events.codec import Fact
from events.facts import Contact, Split
from services.lifecycle.domain.events import DealsRevised, FactAccepted, HandoffProgressed, RecordRevised, StatusRevised
from services.lifecycle.domain.fold import fold_of
from services.lifecycle.domain.parts import PART_BYTES_MAX
from services.lifecycle.domain.record import Record, accept, accept_all, late, restore
from services.lifecycle.domain.restated import Heard, restated
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import DEFAULT, Tables
from tests.lifecycle.domain.claims import (
    changes_nothing,
    handed_off,
    reports,
    revises_deals,
    revises_record,
    revises_status,
    stores,
    tells_contact,
)
from tests.lifecycle.domain.consumer import Consumer
from tests.lifecycle.domain.speech import (
    CUSTOMER,
    activity,
    assigned,
    handoff_accepted,
    handoff_rejected,
    lead_created,
    lead_disqualified,
    lead_qualified,
    lead_updated,
    opportunity_created,
    opportunity_updated,
    order_placed,
    owner_set,
    quote_created,
    quote_sent,
    unassigned,
)
from tests.lifecycle.domain.story import UTC, Story, Telling

# ------------------------------------------------------------------------------------------- status


def test_a_new_record_is_told_whole(given: Telling) -> None:
    given().when(lead_created(day=1, owner="ann", company="Acme")).then(
        stores("fact", "status"), revises_status(1, (1, "New"), previous=None, current="New")
    )


def test_a_newer_fact_adds_to_the_history(given: Telling) -> None:
    given(lead_created(day=1)).when(quote_sent("q1", day=2)).then(
        stores("fact", "status", "deals"), revises_status(2, (2, "Proposal"), previous="New", current="Proposal")
    )


def test_a_late_fact_corrects_the_history_from_where_it_differs(given: Telling) -> None:
    given(lead_created(day=1), quote_sent("q1", day=4)).when(lead_disqualified(day=2)).then(
        stores("fact", "status"), revises_status(2, (2, "Dead"), (4, "Proposal"), previous="Proposal", current="Proposal")
    )


def test_a_late_fact_may_take_states_away(given: Telling) -> None:
    given(lead_created(day=1), lead_qualified(day=3)).when(lead_qualified(day=2)).then(
        revises_status(2, (2, "Qualified"), previous="Qualified", current="Qualified")
    )
    given(lead_created(day=2)).when(quote_sent("q1", day=1)).then(
        revises_status(1, (1, "Proposal"), previous="New", current="Proposal")
    )


def test_the_cause_of_a_state_is_part_of_the_history(given: Telling) -> None:
    given(lead_qualified(day=1, id="b")).when(lead_qualified(day=1, id="a")).then(
        revises_status(1, (1, "Qualified"), previous="Qualified", current="Qualified")
    )


def test_a_fact_that_changes_nothing_only_enters_the_set(given: Telling) -> None:
    given(lead_created(day=1)).when(activity(day=2)).then(changes_nothing())


# ------------------------------------------------------------------------------------------- record


def test_an_owner_or_a_profile_that_changes_is_told(given: Telling) -> None:
    given(lead_created(day=1)).when(owner_set("ann", day=2)).then(stores("fact", "record"), revises_record("owner", owner="ann"))
    given(assigned("a1", "ann", day=1)).when(assigned("a2", "ann", day=2)).then(revises_record("owner", owner="ann"))
    given(lead_created(day=1)).when(lead_updated(day=2, industry="steel")).then(revises_record("profile", owner=None))
    given(lead_created(day=1)).when(lead_updated(day=2, industry="steel", owner="ann")).then(
        revises_record("owner", "profile", owner="ann")
    )


def test_a_late_fact_that_changes_neither_is_not(given: Telling) -> None:
    given(lead_created(day=2, country="DE", owner="ann")).when(lead_updated(day=1, country="AT", owner="bob")).then(
        stores("fact", "status")
    )


def test_an_assignment_that_was_overtaken_unseen_is_answered_with_the_owner(given: Telling) -> None:
    """The owner is the same as before; but whoever made the assignment must learn that it did not give him."""
    story = given(owner_set("ann", day=1), lead_updated(day=3, owner="ann")).when(assigned("a1", "bob", day=2))
    story.then(stores("fact", "record"), revises_record("owner", owner="ann"))
    (told,) = [event for event in story.events if isinstance(event, RecordRevised)]
    assert told.assignment_id is None
    given(assigned("a2", "ann", day=2)).when(assigned("a1", "bob", day=1)).then(
        stores("fact", "status", "record"), revises_record("owner", owner="ann")
    )


def test_an_overtaken_assignment_is_the_cause_whatever_comes_with_it(given: Telling) -> None:
    """Or whoever made it could not know that the record has it: what comes in one turn is told together."""
    before = owner_set("ann", day=1), lead_updated(day=3, owner="ann")
    late, other = assigned("a1", "bob", day=2), lead_updated(day=4, industry="steel")
    for facts in ([late, other], [other, late]):
        story = given(*before)
        together = [(fact, ("another topic", 0, number)) for number, fact in enumerate(facts)]
        events = accept_all(story.record, together, story.policy).events
        (told,) = [event for event in events if isinstance(event, RecordRevised)]
        assert (told.cause.id, told.owner, told.assignment_id) == (late.id, "ann", None)


def test_so_it_is_where_a_record_is_said_anew(given: Telling) -> None:
    late = assigned("a1", "bob", day=2)
    story = given(owner_set("ann", day=1), late, lead_updated(day=3, owner="ann"))
    (told,) = [event for event in restated(story.record, Heard()).events if isinstance(event, RecordRevised)]
    assert (told.cause.id, told.owner, told.assignment_id) == (late.id, "ann", None)


def test_the_contact_is_kept_by_field_and_travels_along(given: Telling) -> None:
    first, later = Contact(name="Ada", phone="1"), Contact(phone="2", title="CEO")
    story = given(lead_created(day=1, contact=first), lead_updated(day=2, contact=later), lead_updated(day=3, company="Acme"))
    known = Contact(name="Ada", phone="2", title="CEO")
    assert story.state.contact == known
    story.when(owner_set("ann", day=4)).then(tells_contact(known))
    story.when(quote_sent("q1", day=5)).then(tells_contact(known))


def test_a_contact_alone_is_not_told(given: Telling) -> None:
    given(lead_created(day=1)).when(lead_updated(day=2, contact=Contact(name="Ada"))).then(changes_nothing())


# -------------------------------------------------------------------------------------------- deals


def test_a_deal_is_revised_from_where_it_differs(given: Telling) -> None:
    given(opportunity_created("o1", 5, day=1), opportunity_updated("o1", day=4, amount=7)).when(
        opportunity_updated("o1", day=2, amount=6)
    ).then(stores("fact", "deals"), revises_deals(opportunity_o1=(2, [(2, 6), (4, 7)])))


def test_deals_that_stay_the_same_are_not_told(given: Telling) -> None:
    given(order_placed("p1", 5, day=1, owner="ann"), quote_created("q1", 5, day=1)).when(owner_set("bob", day=2)).then(
        revises_deals(quote_q1=(2, [(2, 5)]))
    )


def test_where_the_customer_came_from_is_part_of_every_deal(given: Telling) -> None:
    given(order_placed("p1", 5, day=1), quote_created("q1", 6, day=1)).when(lead_updated(day=2, country="DE")).then(
        revises_deals(order_p1=(2, [(2, 5)]), quote_q1=(2, [(2, 6)]))
    )


def test_a_long_revision_is_told_in_parts_that_count_as_one() -> None:
    """600 states of each of two deals are more than fits; a consumer that takes the parts in order holds the history."""
    policy = Policy(Tables((DEFAULT,)), UTC)
    facts = [
        opportunity_updated(f"o{number % 2}", day=2 + number, amount=number, product="x" * 200, id=f"{number:04}")
        for number in range(1200)
    ]
    stored = [FactAccepted(recorded_at=0, fact=fact, origin=("topic", 0, 0)) for fact in facts]
    before = restore(CUSTOMER, stored, len(stored), 0, policy)
    consumer = Consumer()
    consumer.images = {deal: [(held.at, held.what) for held in history] for deal, history in before.fold.images.items()}
    consumer.current = before.fold.statuses[-1].what

    accepted = accept(before, lead_created(day=1, country="DE"), ("topic", 0, 1), policy)
    parts = [event for event in accepted.events if isinstance(event, DealsRevised)]
    assert [(part.part, part.parts) for part in parts] == [(number, len(parts)) for number in range(1, len(parts) + 1)]
    assert len(parts) > 2
    states = Counter(deal.deal_id for part in parts for deal in part.deals for _ in deal.states)
    assert states == {"opportunity:o0": 600, "opportunity:o1": 600}
    assert all(sum(len(repr(deal.states)) for deal in part.deals) < 4 * PART_BYTES_MAX for part in parts)
    for event in accepted.events:
        consumer.hear(event)
    assert consumer.images == {
        deal: [(held.at, held.what) for held in history]
        for deal, history in fold_of([f for _, f in accepted.record.fold.facts], policy).images.items()
    }


def revision_of(facts: Sequence[Fact]) -> list[DealsRevised]:
    """What is told of the deals when a late fact changes all of their history."""
    policy = Policy(Tables((DEFAULT,)), UTC)
    stored = [FactAccepted(recorded_at=0, fact=fact, origin=("topic", 0, 0)) for fact in facts]
    before = restore(CUSTOMER, stored, len(stored), 0, policy)
    events = accept(before, lead_created(day=1, country="DE"), ("topic", 0, 1), policy).events
    return [event for event in events if isinstance(event, DealsRevised)]


def test_no_more_parts_than_it_takes() -> None:
    """Every part but the last is full: the next state would not have fitted."""
    parts = revision_of(
        [
            opportunity_updated(f"o{number % 3}", day=2 + number, amount=number, product="x" * 200, id=f"{number:04}")
            for number in range(1800)
        ]
    )
    states = [[2 * len(json.encode(state)) for deal in part.deals for state in deal.states] for part in parts]
    largest = max(max(sizes) for sizes in states)
    assert len(parts) > 2
    assert all(PART_BYTES_MAX - largest < sum(sizes) <= PART_BYTES_MAX for sizes in states[:-1])
    assert 0 < sum(states[-1]) <= PART_BYTES_MAX
    assert all(deal.states for part in parts for deal in part.deals)


def test_a_state_that_is_larger_than_a_part_has_one_to_itself() -> None:
    many = tuple(Split(rep_id="r" * 150, percent=number % 50) for number in range(2000))
    amounts = [opportunity_updated("o1", day=3 + number, amount=number, id=f"{number:04}") for number in range(21)]
    parts = revision_of([opportunity_updated("o1", day=2, splits=many), *amounts])
    assert [[len(deal.states) for deal in part.deals] for part in parts] == [[1]] * 22


def test_a_fact_that_is_newer_than_all_others_is_one_step(given: Telling) -> None:
    """What held before is not made anew: it is the same, object by object."""
    story = given(lead_created(day=1), opportunity_created("o1", 5, day=2), quote_created("q1", 5, day=3))
    before = story.record.fold
    after = story.when(opportunity_updated("o1", day=4, amount=7)).record.fold
    assert all(old is new for old, new in zip(before.statuses, after.statuses, strict=False))
    assert after.images["quote:q1"] is before.images["quote:q1"]
    assert after.images["opportunity:o1"][0] is before.images["opportunity:o1"][0]


def test_nothing_is_late_where_nothing_is_known() -> None:
    assert late(Record(CUSTOMER), [lead_created(day=1), lead_updated(day=2)]) == 0


def test_late_facts_that_are_taken_in_together_are_told_together(given: Telling) -> None:
    story = given(lead_created(day=1), quote_sent("q1", day=5))
    facts = [lead_qualified(day=2), quote_created("q1", 5, day=3), order_placed("p1", 5, day=4)]
    assert late(story.record, [*facts, lead_updated(day=6)]) == 3
    accepted = accept_all(story.record, [(fact, ("topic", 0, 9)) for fact in facts], story.policy)
    assert [event.TOPIC for event in accepted.events] == ["fact", "fact", "fact", "status", "deals"]
    (status,) = [event for event in accepted.events if isinstance(event, StatusRevised)]
    assert [held.what.name for held in status.states] == ["Qualified", "Proposal", "Closed Won"]
    assert status.cause.id == facts[-1].id


# ----------------------------------------------------------------------------------------- hand-offs


def test_the_first_acceptance_rejection_and_touch_are_told(given: Telling) -> None:
    story = [assigned("a1", "ann", day=1)]
    given(*story).when(handoff_accepted("a1", "ann", day=2)).then(reports(("a1", "accepted", 2)), stores("fact", "handoff"))
    given(*story).when(handoff_rejected("a1", "ann", day=2)).then(reports(("a1", "rejected", 2)))
    given(*story).when(activity(rep_id="ann", day=2)).then(reports(("a1", "touched", 2)))
    given(*story).when(activity(day=2)).then(reports(("a1", "touched", 2)))


def test_a_second_one_is_not(given: Telling) -> None:
    given(assigned("a1", "ann", day=1), activity(day=2)).when(activity(day=3)).then(changes_nothing())
    given(assigned("a1", "ann", day=1), handoff_accepted("a1", "ann", day=2)).when(handoff_accepted("a1", "ann", day=3)).then(
        changes_nothing()
    )


def test_what_became_of_one_assignment_is_not_told_again_with_another(given: Telling) -> None:
    story = [assigned("a1", "ann", day=1), handoff_accepted("a1", "ann", day=2), activity(day=3), assigned("a2", "bob", day=4)]
    given(*story).when(handoff_accepted("a2", "bob", day=5)).then(reports(("a2", "accepted", 5)))


def test_a_rejection_is_told_with_its_reason_and_nothing_else_is(given: Telling) -> None:
    story = given(assigned("a1", "ann", day=1)).when(handoff_rejected("a1", "ann", day=2, reason="on holiday"))
    told = [event for event in story.events if isinstance(event, HandoffProgressed)]
    assert [(event.progress, event.rep_id, event.reason) for event in told] == [("rejected", "ann", "on holiday")]
    story.when(handoff_accepted("a1", "ann", day=3))
    told = [event for event in story.events if isinstance(event, HandoffProgressed)]
    assert [(event.progress, event.rep_id, event.reason) for event in told] == [("accepted", "ann", None)]


def test_an_earlier_one_that_comes_to_light_is(given: Telling) -> None:
    given(assigned("a1", "ann", day=1), activity(day=4)).when(activity(day=3)).then(reports(("a1", "touched", 3)))


def test_only_the_assigned_reps_counts(given: Telling) -> None:
    story = [lead_created(day=0), assigned("a1", "ann", day=1)]
    for nothing in (
        activity(rep_id="bob", day=2),
        activity(automatic=True, day=2),
        handoff_accepted("a1", "bob", day=2),
        handoff_accepted("a9", "ann", day=2),
        handoff_accepted("a1", "ann", day=1),
    ):
        given(*story).when(nothing).then(changes_nothing(), handed_off("a1", rep_id="ann"))


def test_a_touch_is_of_the_present_assignment(given: Telling) -> None:
    given(assigned("a1", "ann", day=1), assigned("a2", "ann", day=2), activity(rep_id="ann", day=3)).then(
        handed_off("a1", rep_id="ann"), handed_off("a2", rep_id="ann", touched=3)
    )
    given(assigned("a1", "ann", day=1), unassigned("a1", day=2), activity(day=3)).then(handed_off("a1", rep_id="ann"))
    given(assigned("a1", "ann", day=1), owner_set("bob", day=2), activity(day=3)).then(handed_off("a1", rep_id="ann"))


# ------------------------------------------------------------------------------------- the log's clock


def test_recorded_time_never_goes_back(given: Telling) -> None:
    story: Story = given(lead_created(day=5))
    recorded = story.record.recorded_at
    story.when(lead_qualified(day=2))
    (event,) = [event for event in story.events if isinstance(event, StatusRevised)]
    assert event.recorded_at == recorded == story.record.recorded_at


def test_versions_count_events(given: Telling) -> None:
    story = given(lead_created(day=1))
    before = story.record.version
    story.when(quote_sent("q1", day=2))
    assert story.record.version == before + 3
    assert Record(CUSTOMER).version == 0
