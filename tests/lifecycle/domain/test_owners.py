"""FOLD 17 and 18: who owns a deal, and who owns the record."""

from tests.lifecycle.domain.claims import deal, deal_had, owned_by, refuses, revises_deals
from tests.lifecycle.domain.speech import (
    assigned,
    lead_created,
    lead_updated,
    opportunity_created,
    opportunity_lost,
    opportunity_updated,
    opportunity_won,
    order_cancelled,
    order_placed,
    owner_set,
    quote_created,
    quote_updated,
    unassigned,
)
from tests.lifecycle.domain.story import Telling

O1 = opportunity_created("o1", 1000, day=1)

# ------------------------------------------------------------------------------------ 17: of a deal


def test_a_deals_owner_is_the_last_that_its_documents_named(given: Telling) -> None:
    given(
        owner_set("eva", day=1),
        opportunity_created("o1", 5, day=2, owner="ann"),
        quote_created("q1", 5, day=3, opportunity="o1", owner="bob"),
        order_placed("p1", 5, day=4, quote="q1", owner="cy"),
        opportunity_updated("o1", day=5, amount=7),
    ).then(deal_had("opportunity:o1", "owner", (2, "ann"), (3, "bob"), (4, "cy")), owned_by("eva"))


def test_dead_documents_name_owners_too(given: Telling) -> None:
    given(order_placed("p1", 5, day=1, owner="ann"), order_cancelled("p1", day=2)).then(deal("order:p1", state="lost", owner="ann"))


def test_else_while_open_the_records(given: Telling) -> None:
    given(O1, owner_set("ann", day=2), assigned("a1", "bob", day=3), unassigned("a1", day=4)).then(
        deal_had("opportunity:o1", "owner", (1, None), (2, "ann"), (3, "bob"), (4, None))
    )


def test_a_closed_deal_keeps_the_owner_that_the_record_had_then(given: Telling) -> None:
    for closing in (opportunity_won("o1", day=3), opportunity_lost("o1", day=3)):
        given(O1, owner_set("ann", day=2), closing, owner_set("bob", day=4)).then(
            deal("opportunity:o1", owner="ann"), owned_by("bob")
        )


def test_what_comes_after_the_closing_fact_within_its_instant_is_too_late(given: Telling) -> None:
    given(O1, owner_set("ann", day=2), opportunity_won("o1", day=3), owner_set("bob", day=3)).then(
        deal("opportunity:o1", owner="ann")
    )
    given(O1, owner_set("ann", day=2), lead_created(owner="bob", day=3), opportunity_won("o1", day=3)).then(
        deal("opportunity:o1", owner="bob")
    )


def test_if_there_was_none_it_takes_the_next_once(given: Telling) -> None:
    given(
        O1, opportunity_won("o1", day=2), assigned("a1", "ann", day=3), assigned("a2", "bob", day=4), unassigned("a2", day=5)
    ).then(deal_had("opportunity:o1", "owner", (1, None), (3, "ann")))


def test_the_owner_is_none_at_closing_where_the_record_has_lost_his(given: Telling) -> None:
    given(O1, assigned("a1", "ann", day=2), unassigned("a1", day=3), opportunity_lost("o1", day=4), owner_set("bob", day=5)).then(
        deal_had("opportunity:o1", "owner", (1, None), (2, "ann"), (3, None), (5, "bob"))
    )


def test_a_deal_that_is_reopened_follows_the_record_again(given: Telling) -> None:
    given(
        O1,
        owner_set("ann", day=1),
        order_placed("p1", 5, day=2, opportunity="o1"),
        owner_set("bob", day=3),
        order_cancelled("p1", day=4),
        owner_set("cy", day=5),
        opportunity_lost("o1", day=6),
        owner_set("eva", day=7),
    ).then(deal_had("opportunity:o1", "owner", (1, "ann"), (4, "bob"), (5, "cy")))


def test_a_deal_that_is_lost_after_it_was_won_keeps_the_owner_of_then(given: Telling) -> None:
    given(O1, owner_set("ann", day=1), opportunity_won("o1", day=2), owner_set("bob", day=3), opportunity_lost("o1", day=4)).then(
        deal_had("opportunity:o1", "owner", (1, "ann"), (4, "bob"))
    )


def test_a_closed_deal_that_is_told_more_keeps_its_owner(given: Telling) -> None:
    given(
        O1, owner_set("ann", day=1), opportunity_won("o1", day=2), owner_set("bob", day=3), opportunity_won("o1", 900, day=4)
    ).then(deal("opportunity:o1", owner="ann", amount=900))


def test_a_deal_that_lost_its_quote_to_another_keeps_the_owner_of_then(given: Telling) -> None:
    given(
        owner_set("ann", day=1),
        quote_created("q1", 5, day=2, opportunity="o1"),
        quote_created("q2", 5, day=3, opportunity="o2", replaces="q1"),
        owner_set("bob", day=4),
    ).then(deal("opportunity:o1", state="lost", owner="ann"), deal("opportunity:o2", state="open", owner="bob"))


def test_an_owner_that_comes_to_light_is_told_of_every_deal_that_follows(given: Telling) -> None:
    given(O1, quote_created("q1", 5, day=2), order_placed("p1", 7, day=2), quote_created("q2", 6, day=2, owner="bob")).when(
        lead_created(owner="ann", day=3)
    ).then(revises_deals(opportunity_o1=(3, [(3, 1000)]), quote_q1=(3, [(3, 5)])))


# ---------------------------------------------------------------------------------- 18: of the record


def test_a_lead_may_name_the_owner(given: Telling) -> None:
    given(lead_created(owner="ann", day=1), lead_updated(owner="bob", day=2)).then(owned_by("bob"))


def test_a_lead_that_names_the_same_owner_again_takes_nothing_back(given: Telling) -> None:
    story = [lead_created(owner="ann", day=1), assigned("a1", "bob", day=2), lead_updated(owner="ann", day=3)]
    given(*story).then(owned_by("bob", "a1"))
    given(*story, lead_updated(owner="cy", day=4), lead_updated(owner="ann", day=5)).then(owned_by("ann"))


def test_the_last_of_lead_assignment_and_command_owns_the_record(given: Telling) -> None:
    given(assigned("a1", "ann", day=1), owner_set("bob", day=2)).then(owned_by("bob"))
    given(owner_set("bob", day=1), assigned("a1", "ann", day=2)).then(owned_by("ann", "a1"))
    given(assigned("a1", "ann", day=1), lead_updated(owner="bob", day=2)).then(owned_by("bob"))
    given(assigned("a1", "ann", day=1), assigned("a2", "ann", day=2)).then(owned_by("ann", "a2"))


def test_an_unassignment_ends_the_present_assignment(given: Telling) -> None:
    given(lead_created(owner="eva", day=1), assigned("a1", "ann", day=2), unassigned("a1", day=3)).then(owned_by(None))


def test_an_unassignment_that_ends_nothing_has_not_happened(given: Telling) -> None:
    given(assigned("a1", "ann", day=1), assigned("a2", "bob", day=2), unassigned("a1", day=3)).then(owned_by("bob", "a2"))
    given(assigned("a1", "ann", day=1), owner_set("bob", day=2), unassigned("a1", day=3)).then(owned_by("bob"))
    given(assigned("a1", "ann", day=1), unassigned(day=2)).then(owned_by("ann", "a1"))
    given(owner_set("ann", day=1), unassigned(day=2)).then(owned_by("ann"))
    given(opportunity_created("o1", 5, day=1, owner="ann"), unassigned(day=2)).then(owned_by("ann"))
    given(opportunity_created("o1", 5, day=1, owner="ann"), unassigned("a1", day=2)).then(owned_by("ann"))


def test_an_assignment_that_comes_to_light_after_its_end_was_ended(given: Telling) -> None:
    given(unassigned("a1", day=2)).when(assigned("a1", "ann", day=1)).then(owned_by(None))


def test_until_then_documents_name_the_owner(given: Telling) -> None:
    given(O1, quote_created("q1", 5, day=3, owner="bob"), opportunity_updated("o1", day=2, owner="ann")).then(owned_by("ann"))


def test_it_is_the_last_owner_of_the_deal_that_named_one_first(given: Telling) -> None:
    given(
        opportunity_created("o1", 5, day=1, owner="ann"),
        quote_created("q2", 5, day=2, owner="bob"),
        quote_updated("q2", day=3, owner="eva"),
        quote_created("q1", 5, day=4, opportunity="o1", owner="cy"),
    ).then(owned_by("cy"), deal("quote:q2", owner="eva"))


def test_whoever_is_assigned_and_gone_leaves_nobody(given: Telling) -> None:
    given(opportunity_created("o1", 5, day=1, owner="ann"), assigned("a1", "bob", day=2), unassigned("a1", day=3)).then(
        owned_by(None), deal("opportunity:o1", owner="ann")
    )


def test_once_somebody_else_decided_documents_decide_no_more(given: Telling) -> None:
    named = quote_created("q1", 5, day=5, owner="bob")
    given(lead_created(owner="ann", day=1), named).then(owned_by("ann"), deal("quote:q1", owner="bob"))
    given(assigned("a1", "ann", day=1), named).then(owned_by("ann", "a1"), deal("quote:q1", owner="bob"))
    given(assigned("a1", "ann", day=1), unassigned("a1", day=2), named).then(owned_by(None), deal("quote:q1", owner="bob"))
    given(owner_set("ann", day=1), named).then(owned_by("ann"), deal("quote:q1", owner="bob"))


def test_the_documents_owner_passes_to_open_deals_without_one(given: Telling) -> None:
    given(opportunity_created("o1", 5, day=1, owner="ann"), quote_created("q1", 5, day=2)).then(deal("quote:q1", owner="ann"))


def test_a_link_that_comes_to_light_may_change_who_was_first(given: Telling) -> None:
    given(
        quote_created("q1", 5, day=1, owner="ann"),
        quote_created("q2", 5, day=2, owner="bob", opportunity="o2"),
    ).when(quote_updated("q1", day=3, opportunity="o2")).then(owned_by("bob"))


def test_to_set_the_present_owner_has_no_effect(given: Telling) -> None:
    again = owner_set("ann", day=2)
    given(assigned("a1", "ann", day=1), again).then(refuses(again, "owner-is-set"), owned_by("ann", "a1"))
    given(opportunity_created("o1", 5, day=1, owner="ann"), again, opportunity_updated("o1", day=3, owner="bob")).then(
        refuses(again, "owner-is-set"), owned_by("bob")
    )
