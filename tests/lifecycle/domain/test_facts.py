"""FOLD 1 to 4: the order of facts, their identity, history, and fields that say nothing."""

from hashlib import sha256

import pytest
from msgspec.structs import replace

from events.codec import Fact, content
from tests.lifecycle.domain.claims import (
    because_of,
    changes_nothing,
    deal,
    deal_had,
    had_statuses,
    handed_off,
    is_customer,
    is_lead,
    is_prospect,
    keeps,
    knows,
    owned_by,
    stores,
)
from tests.lifecycle.domain.speech import (
    activity,
    assigned,
    lead_created,
    lead_disqualified,
    lead_qualified,
    lead_recycled,
    lead_updated,
    opportunity_created,
    opportunity_lost,
    opportunity_updated,
    opportunity_won,
    order_cancelled,
    order_placed,
    owner_set,
    quote_accepted,
    quote_created,
    quote_declined,
    quote_returned,
    quote_sent,
    status_set,
    tick,
    unassigned,
)
from tests.lifecycle.domain.story import Telling

# ------------------------------------------------------------------------------------- 1: the order


def test_facts_are_ordered_by_when_they_happened(given: Telling) -> None:
    given(lead_qualified(day=3), lead_disqualified(day=2), lead_created(day=1)).then(
        had_statuses((1, "New"), (2, "Dead"), (3, "Qualified"))
    )


def test_a_nanosecond_is_a_difference(given: Telling) -> None:
    given(lead_qualified(day=1), lead_disqualified(day=1, nanos=1)).then(is_lead("Dead"))
    given(lead_qualified(day=1, nanos=1), lead_disqualified(day=1)).then(is_lead("Qualified"))


# Of one instant, and the first of each pair comes first by its rank.
@pytest.mark.parametrize(
    ("one", "other", "claim"),
    [
        (lead_created(day=1), lead_disqualified(day=1), is_lead("Dead")),
        (lead_updated("l1", day=1), lead_disqualified("l2", day=1), is_lead("New")),
        (lead_qualified("l1", day=1), lead_disqualified("l2", day=1), is_lead("Qualified")),
        (lead_qualified(day=1), lead_recycled(day=1), is_lead("Recycled")),
        (lead_recycled(day=1), lead_disqualified(day=1), is_lead("Dead")),
        (opportunity_created("o1", 1, day=1), opportunity_updated("o1", amount=2, day=1), deal("opportunity:o1", amount=2)),
        (quote_sent("q1", day=1), quote_returned("q1", day=1), is_prospect("In Negotiation")),
        (quote_returned("q1", day=1), quote_accepted("q1", day=1), is_prospect("Purchasing")),
        (quote_accepted("q1", day=1), quote_declined("q1", day=1), is_prospect("Closed Lost")),
        (order_placed("p1", 1, day=1), order_cancelled("p1", day=1), deal("order:p1", state="lost")),
        (opportunity_lost("o1", day=1), opportunity_won("o1", day=1), deal("opportunity:o1", state="won")),
        (
            opportunity_updated("o1", stage="In Discussion", day=1),
            opportunity_lost("o1", day=1),
            deal("opportunity:o1", state="lost"),
        ),
        (quote_sent("q1", day=1), status_set("Purchasing", day=1), is_prospect("Purchasing")),
        (assigned("a1", "ann", day=1), owner_set("bob", day=1), owned_by("bob")),
        (lead_created(owner="ann", day=1), assigned("a1", "bob", day=1), owned_by("bob", "a1")),
        (activity(rep_id="ann", day=1), assigned("a1", "ann", day=1), handed_off("a1", rep_id="ann")),
    ],
)
def test_at_one_instant_the_kind_of_fact_decides(given: Telling, one: Fact, other: Fact, claim: object) -> None:
    given(other, one).then(claim)


def test_at_one_instant_an_assignment_ends_before_the_next_begins(given: Telling) -> None:
    given(assigned("a2", "bob", day=2), unassigned("a1", day=2), assigned("a1", "ann", day=1)).then(owned_by("bob", "a2"))


def test_at_one_instant_a_tick_comes_before_commands_and_after_all_else(given: Telling) -> None:
    recycled = lead_recycled(day=1)
    given(tick(recycled, day=1), recycled, status_set("Qualified", day=1)).then(is_lead("Qualified"))


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({"source": "crm", "id": "2"}, {"source": "erp", "id": "1"}),
        ({"id": "10"}, {"id": "9"}),
        ({"id": "Z"}, {"id": "a"}),
        ({"id": "z"}, {"id": "é"}),
        ({"id": "\ufffd"}, {"id": "\U00010000"}),  # in UTF-16 it is the other way round
    ],
)
def test_then_the_source_and_then_the_id_as_bytes_decide(given: Telling, earlier: dict[str, str], later: dict[str, str]) -> None:
    given(lead_updated(country="DE", day=1, **earlier), lead_updated(country="AT", day=1, **later)).then(knows(country="AT"))


# ---------------------------------------------------------------------------------- 2: the identity


def test_the_same_again_is_known(given: Telling) -> None:
    fact = lead_created(day=1, company="Acme")
    given(fact).when(fact).then(stores(), is_lead("New"))


def test_the_same_recorded_later_is_known(given: Telling) -> None:
    fact = lead_created(day=1, company="Acme")
    given(fact).when(replace(fact, recorded_at=fact.recorded_at + 1)).then(stores())


def test_the_same_from_another_source_is_another_fact(given: Telling) -> None:
    given(lead_created(day=1, id="1", source="crm")).when(lead_created(day=1, id="1", source="erp")).then(changes_nothing())


@pytest.mark.parametrize(
    "other",
    [
        lead_created(day=1, id="1", company="Acne"),
        lead_created(day=2, id="1", company="Acme"),
        lead_updated(day=1, id="1", company="Acme"),
        order_placed("p1", 100, day=1, id="1"),
    ],
)
def test_of_two_facts_with_one_identity_the_one_with_the_smaller_digest_stands(given: Telling, other: Fact) -> None:
    one = lead_created(day=1, id="1", company="Acme")
    smaller, larger = sorted([one, other], key=lambda fact: sha256(content(fact)).digest())
    given(larger, smaller).then(keeps(smaller, instead_of=larger))
    given(smaller, larger).then(keeps(smaller, instead_of=larger))


def test_a_fact_that_is_not_the_fact_leaves_no_trace(given: Telling) -> None:
    one, other = (lead_created(day=1, id="1", company=name) for name in ("Acme", "Acne"))
    smaller, larger = sorted([one, other], key=lambda fact: sha256(content(fact)).digest())
    first, second = smaller.data.company, larger.data.company
    given(larger, lead_updated(day=2, industry="steel")).when(smaller).then(knows(company=first), stores("fact", "record"))
    given(smaller, lead_updated(day=2, industry="steel")).when(larger).then(knows(company=first), stores())
    assert first != second


# ----------------------------------------------------------------------------------- 3: the history


def test_a_state_that_lasted_no_time_does_not_exist(given: Telling) -> None:
    given(lead_created(day=1), lead_qualified(day=2), lead_disqualified(day=2)).then(had_statuses((1, "New"), (2, "Dead")))


def test_neighbours_that_are_equal_are_one(given: Telling) -> None:
    given(lead_created(day=1), lead_qualified(day=2), lead_qualified(day=3)).then(had_statuses((1, "New"), (2, "Qualified")))


def test_what_comes_back_within_an_instant_never_went_away(given: Telling) -> None:
    given(
        order_placed("p0", 5, day=1),
        opportunity_created("o1", 9, day=1),
        opportunity_lost("o1", day=2),
        opportunity_won("o1", day=2),
    ).then(deal_had("opportunity:o1", "state", (1, "open"), (2, "won")), had_statuses((1, "Closed Won")))
    given(lead_qualified(day=1), lead_disqualified(day=2), status_set("Qualified", day=2)).then(had_statuses((1, "Qualified")))


def test_a_state_is_caused_by_the_fact_since_which_it_is_so(given: Telling) -> None:
    created, qualified = lead_created(day=1), lead_qualified(day=2)
    given(created, lead_updated(day=2, company="Acme"), qualified, lead_qualified(day=2, id="z"), activity(day=2)).then(
        because_of(created, qualified)
    )


def test_the_cause_within_an_instant_is_the_last_that_made_it_so(given: Telling) -> None:
    created, back = lead_created(day=1), status_set("Qualified", day=2)
    given(created, lead_qualified(day=2), lead_disqualified(day=2), back).then(because_of(created, back))


# ------------------------------------------------------------------------------ 4: nothing is cleared


def test_what_is_not_named_stays(given: Telling) -> None:
    given(
        lead_created("l1", day=1, company="Acme", country="DE", owner="ann"),
        lead_updated(day=2, industry="steel"),
        opportunity_created("o1", 1000, day=3, close_date="2026-06-30", product="GTX", owner="bob", category="worst"),
        opportunity_updated("o1", day=4, amount=900),
    ).then(
        knows(lead_id="l1", company="Acme", country="DE", industry="steel"),
        owned_by("ann"),
        deal("opportunity:o1", amount=900, close_date="2026-06-30", product="GTX", owner="bob", category="worst"),
    )


def test_the_first_source_is_kept_and_all_else_is_the_last_writers(given: Telling) -> None:
    given(
        lead_created(day=1, campaign="spring"),
        lead_updated(day=2, lead_source="fair", campaign="summer"),
        lead_updated(day=3, lead_source="web", source_kind="marketing", country="DE"),
        lead_updated(day=4, source_kind="sales", country="AT"),
        quote_created("q1", 10, day=5),
    ).then(
        knows(source="fair", source_kind="marketing", campaign="summer", country="AT"),
        deal("quote:q1", source="fair", country="AT"),
    )


def test_attributes_are_kept_by_name(given: Telling) -> None:
    given(lead_created(day=1, attributes={"a": 1, "b": "x"}), lead_updated(day=2, attributes={"b": "y", "c": True})).then(
        knows(attributes={"a": 1, "b": "y", "c": True})
    )


def test_an_order_makes_a_customer_whatever_else_happened_then(given: Telling) -> None:
    given(order_placed("p1", 5, day=1), lead_disqualified(day=1), lead_created(day=1)).then(is_customer())
