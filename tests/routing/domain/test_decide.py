"""Stories of the desk: given rules and reps, when requests come, then these decisions."""

import pytest
from msgspec.structs import replace

from events.published import Cause
from services.routing.domain.rule_set import ClearOwner, KeepOwner, Member, PoolTarget, RepTarget, RuleSet, Territory
from services.routing.domain.story import (
    Assigned,
    Confirmed,
    NotAssigned,
    OwnerCleared,
    OwnerKept,
    Passed,
    Progressed,
    Reinstated,
    Rejected,
    Superseded,
)
from tests.routing.words import CONTACT, NOON, SECOND, DeskStory, asks, pool_rules, reports, reps, shows

A1 = "acme/0000000001/1"


@pytest.fixture
def desk() -> DeskStory:
    return DeskStory(pool_rules(north=["anna", "ben"]), reps("anna", "ben"))


def test_a_record_gets_a_rep_with_the_whole_reason(desk: DeskStory) -> None:
    (event,) = desk.when(asks("acme", 1, "north", contact=CONTACT))
    assert isinstance(event, Assigned)
    assert (event.assignment_id, event.rep_id, event.team) == (A1, "anna", "Sales")
    assert (event.rule_set_version, event.directory_version, event.previous_rep) == (1, 1, None)
    assert event.contact == CONTACT
    assert event.at == NOON + SECOND
    trace = event.trace
    assert (trace.territory, trace.pool, trace.strategy) == ("north", "north", "weighted_round_robin")
    assert [(each.rep_id, each.pointer, each.excluded) for each in trace.members] == [("anna", "0", None), ("ben", "0", None)]
    assert trace.cursor is not None
    assert (trace.cursor.before, trace.cursor.after) == ({}, {"anna": "1", "ben": "0"})


def test_the_next_record_goes_to_the_next_rep(desk: DeskStory) -> None:
    assert desk.assigned(*(asks(customer, 1, "north") for customer in "abcde")) == ["anna", "ben", "anna", "ben", "anna"]


def test_a_record_that_is_on_its_way_to_a_rep_is_not_given_to_another(desk: DeskStory) -> None:
    assert desk.assigned(asks("acme", 1, "north"), asks("acme", 2, "north"), asks("acme", 5, "north")) == ["anna"]


def test_its_own_assignment_coming_back_is_confirmed_and_nothing_else(desk: DeskStory) -> None:
    desk.when(asks("acme", 1, "north"))
    assert [type(event) for event in desk.when(shows("acme", 3, "anna", A1))] == [Confirmed]
    assert desk.when(shows("acme", 4, "anna", A1)) == []


def test_an_owner_that_somebody_else_named_supersedes_the_assignment(desk: DeskStory) -> None:
    desk.when(asks("acme", 1, "north"), shows("acme", 2, "anna", A1))
    (event,) = desk.when(shows("acme", 3, "carol"))
    assert isinstance(event, Superseded)
    assert (event.assignment_id, event.rep_id, event.owner, event.confirmed) == (A1, "anna", "carol", True)
    assert desk.when(shows("acme", 4, "dan")) == []


def test_an_owner_named_without_knowledge_of_the_assignment_may_give_way_to_it(desk: DeskStory) -> None:
    """An imported owner, dated before the assignment: for lifecycle, the assignment is the last word."""
    _, second = desk.when(asks("acme", 1, "north"), shows("acme", 2, "carol"))
    assert isinstance(second, Superseded)
    assert second.confirmed is False
    assert [type(event) for event in desk.when(shows("acme", 3, "anna", A1))] == [Reinstated]
    assert [type(event) for event in desk.when(asks("acme", 4, "north"))] == [Passed]


def test_an_assignment_that_came_too_late_to_be_shown_is_ended_for_good(desk: DeskStory) -> None:
    """The record has it: it was the assignment that made lifecycle say who owns the record."""
    came = Cause(source="handoff/routing", id=A1, type="crm.lead.assigned.v1")
    desk.when(asks("acme", 1, "north"), shows("acme", 2, "carol"))
    (event,) = desk.when(replace(shows("acme", 3, "carol"), cause=came))
    assert isinstance(event, Superseded)
    assert (event.assignment_id, event.rep_id, event.owner, event.confirmed) == (A1, "anna", "carol", True)
    assert desk.when(replace(shows("acme", 4, "carol"), cause=came)) == []
    assert desk.assigned(asks("acme", 5, "north")) == ["ben"]


def test_what_shows_an_earlier_assignment_does_not_know_the_last_one_yet() -> None:
    desk = DeskStory(pool_rules(north=["anna", "ben"]), reps("anna", "ben"))
    desk.when(asks("acme", 1, "north"), asks("acme", 3, "north", again=True))
    assert desk.when(shows("acme", 4, "anna", A1)) == []
    assert [type(event) for event in desk.when(shows("acme", 5, "ben", "acme/0000000003/1"))] == [Confirmed]


def test_an_owner_of_a_record_that_was_never_routed_is_none_of_its_business(desk: DeskStory) -> None:
    assert desk.when(shows("acme", 1, "carol")) == []


def test_a_rejected_record_goes_to_somebody_else(desk: DeskStory) -> None:
    desk.when(asks("acme", 1, "north"), shows("acme", 2, "anna", A1))
    (event,) = desk.when(reports("acme", 3, "rejected", A1, "anna", reason="my competitor's cousin"))
    assert isinstance(event, Rejected)
    assert event.reason == "my competitor's cousin"
    (again,) = desk.when(asks("acme", 4, "north"))
    assert isinstance(again, Assigned)
    assert again.rep_id == "ben"
    assert [each.excluded for each in again.trace.members] == ["has rejected this record", None]


def test_when_all_have_rejected_it_nobody_gets_it(desk: DeskStory) -> None:
    desk.when(asks("acme", 1, "north"), reports("acme", 2, "rejected", A1, "anna"))
    desk.when(asks("acme", 3, "north"), reports("acme", 4, "rejected", "acme/0000000003/1", "ben"))
    (event,) = desk.when(asks("acme", 5, "north"))
    assert isinstance(event, NotAssigned)
    assert event.reason == "unavailable"
    assert event.trace.explanation == "nobody in the pool 'north' is available"


def test_a_rejection_of_an_assignment_that_has_ended_changes_nothing(desk: DeskStory) -> None:
    desk.when(asks("acme", 1, "north"), reports("acme", 2, "rejected", A1, "anna"), asks("acme", 3, "north"))
    assert desk.when(reports("acme", 4, "rejected", A1, "anna")) == []


def test_progress_is_recorded(desk: DeskStory) -> None:
    desk.when(asks("acme", 1, "north"))
    (event,) = desk.when(reports("acme", 3, "accepted", A1, "anna"))
    assert isinstance(event, Progressed)
    assert event.progress == "accepted"


def test_decisions_about_a_record_are_dated_one_after_the_other(desk: DeskStory) -> None:
    """Lifecycle orders by time, and in one instant an unassignment comes before the assignment that it ends."""
    (assigned,) = desk.when(asks("acme", 1, "north"))
    same_time = asks("acme", 1, "north").recorded_at
    rejection = reports("acme", 2, "rejected", A1, "anna")
    (rejected,) = desk.when(type(rejection)(**{**_fields(rejection), "recorded_at": same_time}))
    assert rejected.at > assigned.at


def test_inactive_and_unknown_reps_are_passed_over_with_the_reason() -> None:
    desk = DeskStory(pool_rules(north=["anna", "ben", "carol"]), reps("carol", anna=False))
    (event,) = desk.when(asks("acme", 1, "north"))
    assert isinstance(event, Assigned)
    assert event.rep_id == "carol"
    assert [each.excluded for each in event.trace.members] == ["inactive", "not in directory v1", None]


def test_nobody_available() -> None:
    desk = DeskStory(pool_rules(north=["anna"]), reps(anna=False))
    (event,) = desk.when(asks("acme", 1, "north"))
    assert isinstance(event, NotAssigned)
    assert event.reason == "unavailable"


def rules_for(target: object) -> RuleSet:
    return RuleSet(
        territories=(Territory(name="here", target=target),),
        pools={"all": (Member("anna"), Member("ben"))},
        default=PoolTarget("all"),
    )


def test_a_fixed_rep() -> None:
    desk = DeskStory(rules_for(RepTarget("ben")), reps("anna", "ben"))
    (event,) = desk.when(asks("acme", 1, "here"))
    assert isinstance(event, Assigned)
    assert (event.rep_id, event.trace.strategy, event.trace.pool) == ("ben", "fixed_rep", None)


def test_a_fixed_rep_who_is_not_there() -> None:
    desk = DeskStory(rules_for(RepTarget("ben")), reps("anna", ben=False))
    (event,) = desk.when(asks("acme", 1, "here"))
    assert isinstance(event, NotAssigned)
    assert event.trace.members[0].excluded == "inactive"


def test_the_default_takes_what_no_territory_takes() -> None:
    desk = DeskStory(rules_for(RepTarget("ben")), reps("anna", "ben"))
    (event,) = desk.when(asks("acme", 1, None))
    assert isinstance(event, Assigned)
    assert (event.rep_id, event.trace.territory, event.trace.pool) == ("anna", "default", "all")


def test_a_record_that_is_routed_again_changes_hands() -> None:
    desk = DeskStory(rules_for(PoolTarget("all")), reps("anna", "ben"))
    desk.when(asks("acme", 1, "here"), shows("acme", 2, "anna", A1))
    (event,) = desk.when(asks("acme", 3, "here", again=True, owner="anna", assignment_id=A1))
    assert isinstance(event, Assigned)
    assert (event.rep_id, event.previous_rep) == ("ben", "anna")


def test_a_request_that_came_to_nothing_stays_so_when_it_comes_again_by_other_rules() -> None:
    """Two workers may match one message, each with the rules that it knows; the first to be read counts."""
    desk = DeskStory(rules_for(PoolTarget("all")), reps("anna", "ben"))
    desk.when(asks("acme", 1, "here"), shows("acme", 2, "anna", A1))
    assert [type(event) for event in desk.when(asks("acme", 3, "here", owner="anna"))] == [Passed]
    assert desk.when(asks("acme", 3, "here", again=True, owner="anna")) == []


def test_keep_owner() -> None:
    desk = DeskStory(rules_for(KeepOwner()), reps("anna", "ben"))
    (kept,) = desk.when(asks("acme", 1, "here", again=True, owner="carol"))
    assert isinstance(kept, OwnerKept)
    assert kept.rep_id == "carol"
    (nobody,) = desk.when(asks("bolt", 1, "here"))
    assert isinstance(nobody, NotAssigned)
    assert nobody.trace.explanation == "territory 'here' leaves records with their owner"


def test_clear_owner_ends_an_assignment_of_the_desk_and_of_nobody_else() -> None:
    desk = DeskStory(rules_for(ClearOwner()), reps("anna", "ben"))
    desk.when(asks("acme", 1, None), shows("acme", 2, "anna", A1))
    (cleared,) = desk.when(asks("acme", 3, "here", again=True, owner="anna", assignment_id=A1))
    assert isinstance(cleared, OwnerCleared)
    assert (cleared.assignment_id, cleared.rep_id) == (A1, "anna")
    (kept,) = desk.when(asks("bolt", 1, "here", again=True, owner="carol"))
    assert isinstance(kept, OwnerKept)


def test_other_rules_than_those_that_matched_are_refused(desk: DeskStory) -> None:
    with pytest.raises(ValueError, match="matched with rules v2, but v1 is applied"):
        desk.when(asks("acme", 1, "north", rule_set_version=2))


def _fields(struct: object) -> dict[str, object]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}
