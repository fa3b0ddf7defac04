"""The rule of hand-offs, a to e, as ``services/lifecycle/domain/handoffs.py`` begins with it."""

from tests.lifecycle.domain.claims import bounced, ended, handed_off, owned_by, reports, stands, stores, withdraws
from tests.lifecycle.domain.speech import (
    activity,
    assigned,
    breached,
    completed,
    handoff_accepted,
    handoff_rejected,
    lead_created,
    lead_disqualified,
    lead_recycled,
    lead_updated,
    on,
    opportunity_created,
    owner_set,
    unassigned,
)
from tests.lifecycle.domain.story import Story, Telling

TO_ANN = assigned("a1", "ann", day=1, team="north", previous_rep="zoe")


def test_a_begins_with_the_first_assignment_of_its_id(given: Telling) -> None:
    story: Story = given(TO_ANN, assigned("a1", "bob", day=2, team="south"))
    handoff = story.state.handoffs["a1"]
    assert (handoff.rep_id, handoff.assigned, handoff.team, handoff.previous_rep) == ("ann", on(1), "north", "zoe")


def test_b_an_answer_after_the_end_is_still_an_answer(given: Telling) -> None:
    given(TO_ANN, breached("a1", "ann", day=2), handoff_accepted("a1", "ann", day=3), handoff_rejected("a1", "ann", day=4)).then(
        handed_off("a1", rep_id="ann", accepted=3, rejected=4), ended("a1", "breached", day=2)
    )


def test_b_an_answer_of_the_same_instant_comes_before_the_assignment(given: Telling) -> None:
    """An answer's rank is before an assignment's: only what somebody can have known is an answer."""
    given(TO_ANN, handoff_accepted("a1", "ann", day=1), activity(day=1)).then(handed_off("a1", rep_id="ann"))


def test_b_a_machine_and_another_rep_touch_nothing(given: Telling) -> None:
    given(TO_ANN, activity(automatic=True, day=2), activity(rep_id="bob", day=3), activity(direction="inbound", day=4)).then(
        handed_off("a1", rep_id="ann", touched=4)
    )


def test_c_recycled_while_the_assignment_gives_the_owner(given: Telling) -> None:
    given(TO_ANN, lead_recycled(day=2)).then(
        handed_off("a1", rep_id="ann", recycled=2), ended("a1", "recycled", day=2), owned_by("ann", "a1"), bounced(1)
    )
    given(TO_ANN, owner_set("bob", day=2), lead_recycled(day=3)).then(
        handed_off("a1", rep_id="ann"), ended("a1", "superseded", day=2, successor="bob")
    )


def test_c_a_recycling_that_recycles_nothing_is_none(given: Telling) -> None:
    of_another_lead = lead_recycled("l2", day=3)
    given(lead_created("l1", day=0), TO_ANN, of_another_lead).then(handed_off("a1", rep_id="ann"), stands("a1"))
    given(TO_ANN, opportunity_created("o1", 5, day=2), lead_recycled(day=3)).then(handed_off("a1", rep_id="ann"), stands("a1"))
    given(TO_ANN, lead_disqualified(day=3)).then(handed_off("a1", rep_id="ann"), stands("a1"))


def test_d_the_first_end_is_the_end(given: Telling) -> None:
    rejected = handoff_rejected("a1", "ann", day=2, reason="on holiday")
    given(TO_ANN, rejected, unassigned("a1", day=3, reason="rejected"), completed("a1", "ann", day=4)).then(
        ended("a1", "rejected", day=2, reason="on holiday"), bounced(1)
    )
    given(TO_ANN, completed("a1", "ann", day=2), unassigned("a1", day=3)).then(ended("a1", "completed", day=2), bounced(0))


def test_d_whatever_takes_the_record_ends_it(given: Telling) -> None:
    given(TO_ANN, unassigned("a1", day=2)).then(ended("a1", "unassigned", day=2, reason="late"))
    given(TO_ANN, unassigned("a1", day=2, reason="superseded")).then(ended("a1", "superseded", day=2, reason="superseded"))
    given(TO_ANN, assigned("a2", "bob", day=2)).then(ended("a1", "superseded", day=2, successor="bob"), stands("a2"))
    given(TO_ANN, lead_updated(owner="cy", day=2)).then(ended("a1", "superseded", day=2, successor="cy"), stands())


def test_d_what_does_not_take_the_record_does_not(given: Telling) -> None:
    for nothing in (unassigned(day=2), unassigned("a9", day=2), owner_set("ann", day=2), handoff_rejected("a1", "bob", day=2)):
        given(TO_ANN, nothing).then(stands("a1"), bounced(0))


def test_e_a_record_that_went_from_hand_to_hand(given: Telling) -> None:
    given(
        TO_ANN,
        handoff_rejected("a1", "ann", day=2),
        unassigned("a1", day=2.5, reason="rejected"),
        assigned("a2", "bob", day=3),
        breached("a2", "bob", day=4),
        assigned("a3", "cy", day=4.5),
        handoff_accepted("a3", "cy", day=5),
        lead_recycled(day=6),
        assigned("a4", "ann", day=7),
        unassigned("a4", day=8, reason="cleared"),
        assigned("a5", "bob", day=9),
        owner_set("cy", day=10),
        assigned("a6", "dan", day=11),
    ).then(
        bounced(4),
        stands("a6"),
        ended("a3", "recycled", day=6),
        ended("a4", "unassigned", day=8, reason="cleared"),
        ended("a5", "superseded", day=10, successor="cy"),
    )


def test_e_nobody_has_bounced_what_was_never_assigned(given: Telling) -> None:
    given(lead_created(day=1), lead_recycled(day=2), handoff_rejected("a1", "ann", day=3)).then(bounced(0), stands())


# -------------------------------------------------------------------------------- told, and taken back


def test_what_late_facts_take_away_is_taken_back(given: Telling) -> None:
    """Another owner before the touch: the assignment had ended when the rep was active."""
    story = given(lead_created(day=0), TO_ANN, activity(day=3))
    story.when(owner_set("bob", day=2)).then(withdraws(("a1", "touched", 3)), reports(), handed_off("a1", rep_id="ann"))


def test_what_late_facts_move_is_told_anew(given: Telling) -> None:
    """The first touch was of the assignment before: the second one becomes the first of this one."""
    story = given(lead_created(day=0), TO_ANN, activity(day=3, id="one"), activity(day=5, id="two"))
    story.when(assigned("a2", "bob", day=4)).then(reports(("a2", "touched", 5)), withdraws())
    story.when(assigned("a3", "cy", day=2)).then(withdraws(("a1", "touched", 3)), reports(("a3", "touched", 3)))


def test_an_end_is_stored_with_the_record_and_not_told(given: Telling) -> None:
    """Whoever routes sees owner and status change; the enum of ``crm.handoff.progressed.v1`` is released as it is."""
    given(TO_ANN).when(breached("a1", "ann", day=2)).then(stores("fact"))
