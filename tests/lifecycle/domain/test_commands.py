"""FOLD 23: what people decide. Commands always enter the set; whether one has effect is seen at its place."""

import pytest
from msgspec.structs import replace

from events.codec import Fact
from services.lifecycle.domain.table import DEFAULT
from tests.lifecycle.domain.claims import (
    deal,
    had_statuses,
    is_customer,
    is_lead,
    is_prospect,
    judges,
    obeys,
    owned_by,
    refuses,
    stores,
)
from tests.lifecycle.domain.speech import (
    activity,
    assigned,
    converted,
    lead_created,
    lead_disqualified,
    lead_qualified,
    lead_updated,
    opportunity_created,
    opportunity_lost,
    opportunity_updated,
    opportunity_won,
    order_billed,
    order_cancelled,
    order_placed,
    owner_set,
    quote_accepted,
    quote_created,
    quote_declined,
    quote_returned,
    quote_sent,
    quote_updated,
    reverted,
    status_set,
)
from tests.lifecycle.domain.story import Telling

LEAD = lead_created(day=1)
QUOTES_ONLY = (replace(DEFAULT, opportunities_enabled=False),)

# ------------------------------------------------------------------------------------ set by hand


def test_a_status_is_set_with_its_stage_and_the_tables_probability(given: Telling) -> None:
    given(LEAD, status_set("Unqualified", day=2)).then(is_lead("Unqualified", 0))
    given(LEAD, status_set("In Discussion", day=2)).then(is_prospect("In Discussion", 20))
    given(LEAD, status_set("Closed Won", day=2)).then(is_customer("Closed Won", 100))


@pytest.mark.parametrize("ending", [lead_qualified(day=3), lead_disqualified(day=3)])
def test_at_lead_it_holds_until_a_lead_fact_sets_a_status(given: Telling, ending: Fact) -> None:
    status = "Qualified" if ending.type == "crm.lead.qualified.v1" else "Dead"
    given(LEAD, status_set("Unqualified", day=2), ending).then(had_statuses((1, "New"), (2, "Unqualified"), (3, status)))


@pytest.mark.parametrize(
    "nothing",
    [
        lead_created(day=3),
        lead_updated(day=3, company="Acme"),
        lead_disqualified("l9", day=3),
        activity(direction="inbound", day=3),
        order_placed("c1", -5, day=3),
    ],
)
def test_and_not_until_one_that_sets_none(given: Telling, nothing: Fact) -> None:
    given(lead_created("l1", day=1), status_set("Unqualified", day=2), nothing).then(is_lead("Unqualified"))


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (quote_created("q1", 5, day=3, opportunity="o1"), "Proposal"),
        (opportunity_lost("o1", day=3), "Closed Lost"),
        (opportunity_updated("o1", day=3, stage="Purchasing"), "Purchasing"),
        (opportunity_created("o2", 5, day=3), "Opportunity Identified"),
        (quote_created("q1", 5, day=3), "Proposal"),
        (order_placed("c1", -5, day=3), "Opportunity Identified"),
    ],
)
def test_at_prospect_it_holds_until_a_deals_status_changes_or_a_deal_is_new(given: Telling, ending: Fact, status: str) -> None:
    given(opportunity_created("o1", 5, day=1), status_set("Identified Decision Makers", day=2), ending).then(is_prospect(status))


@pytest.mark.parametrize(
    "nothing",
    [
        lead_qualified(day=3),
        opportunity_updated("o1", day=3, probability=99, amount=7),
        opportunity_updated("o1", day=3, stage="Opportunity Identified"),
        order_placed("c1", -5, day=3, opportunity="o1"),
        activity(direction="inbound", day=3),
        owner_set("ann", day=3),
    ],
)
def test_and_not_until_anything_else(given: Telling, nothing: Fact) -> None:
    given(opportunity_created("o1", 5, day=1), status_set("Identified Decision Makers", day=2), nothing).then(
        is_prospect("Identified Decision Makers", 30)
    )


def test_it_ends_with_its_stage(given: Telling) -> None:
    given(LEAD, status_set("Unqualified", day=2), order_placed("p1", 5, day=3)).then(is_customer())
    given(LEAD, status_set("Unqualified", day=2), converted(day=3), reverted("lead", day=4)).then(is_lead("New"))
    given(LEAD, status_set("In Discussion", day=2), reverted("lead", day=3), converted(day=4)).then(
        is_prospect("Opportunity Identified")
    )


def test_a_customer_set_by_hand_stays_one(given: Telling) -> None:
    given(quote_created("q1", 5, day=1), status_set("Closed Won", day=2), quote_declined("q1", day=3)).then(
        is_customer(), deal("quote:q1", state="lost")
    )


def test_the_deals_are_untouched(given: Telling) -> None:
    given(opportunity_created("o1", 5, day=1), status_set("Purchasing", day=2), status_set("Closed Lost", day=3)).then(
        deal("opportunity:o1", state="open", status="Opportunity Identified", probability=10), is_prospect("Closed Lost", 0)
    )


# ---------------------------------------------------------------------------------------- reverted


def test_a_revert_gives_the_status_of_the_stages_own_rule(given: Telling) -> None:
    sold = [lead_qualified(day=1), quote_created("q1", 5, day=2), order_placed("p1", 5, day=3)]
    given(*sold, reverted("prospect", day=4)).then(is_prospect("Proposal", 50), deal("order:p1", state="won"))
    given(*sold, reverted("lead", day=4)).then(is_lead("Qualified"), deal("quote:q1", state="open"))


def test_a_status_of_a_lower_stage_is_a_revert_too(given: Telling) -> None:
    sold = [LEAD, order_placed("p1", 5, day=2), status_set("In Discussion", day=3)]
    given(*sold).then(is_prospect("In Discussion"))
    given(*sold, order_billed("p1", day=4)).then(is_prospect("In Discussion"))
    given(*sold, order_placed("p2", 5, day=4)).then(is_customer())


def test_a_status_of_the_same_or_a_higher_stage_is_no_revert(given: Telling) -> None:
    given(quote_created("q1", 5, day=1), status_set("In Discussion", day=2), order_billed("p1", day=3)).then(is_customer())


PROMOTING_AGAIN = [
    (opportunity_created("o2", 5, day=5), "prospect"),
    (quote_created("q2", 5, day=5), "prospect"),
    (quote_sent("q1", day=5), "prospect"),
    (quote_accepted("q1", day=5), "prospect"),
    (order_placed("p2", 5, day=5), "customer"),
    (order_placed("p2", 0, day=5), "customer"),
    (opportunity_won("o1", day=5), "customer"),
    (opportunity_updated("o1", day=5, stage="Closed Won"), "customer"),
]
NOT_AGAIN = [
    opportunity_updated("o1", day=5, stage="Purchasing"),
    opportunity_lost("o1", day=5),
    quote_updated("q1", day=5, amount=6),
    quote_returned("q1", day=5),
    quote_declined("q1", day=5),
    order_billed("p1", day=5),
    order_placed("c1", -5, day=5),
    activity(direction="inbound", day=5),
]
SOLD = [opportunity_created("o1", 5, day=1), quote_created("q1", 5, day=1), order_placed("p1", 5, day=2)]


@pytest.mark.parametrize(("fact", "stage"), PROMOTING_AGAIN)
def test_afterwards_these_promote_again(given: Telling, fact: Fact, stage: str) -> None:
    story = given(*SOLD, reverted("lead", day=4), fact)
    assert story.record.fold.statuses[-1].what.stage == stage


@pytest.mark.parametrize("fact", NOT_AGAIN)
def test_and_these_do_not(given: Telling, fact: Fact) -> None:
    given(*SOLD, reverted("lead", day=4), fact).then(is_lead("New"))


@pytest.mark.parametrize(("fact", "stage"), PROMOTING_AGAIN)
def test_what_comes_to_light_of_before_does_not_either(given: Telling, fact: Fact, stage: str) -> None:
    given(*SOLD, reverted("lead", day=6)).when(fact).then(is_lead("New"))
    given(*SOLD, reverted("lead", day=5)).when(fact).then(is_lead("New"))


def test_a_deal_that_was_won_before_does_not_promote_again_when_it_is_told_more(given: Telling) -> None:
    won = [opportunity_won("o1", day=1), reverted("lead", day=2)]
    given(*won, opportunity_updated("o1", day=3, amount=7)).then(is_lead("New"), deal("opportunity:o1", state="won", amount=7))
    given(*won, opportunity_created("o1", 7, day=3)).then(is_prospect("Opportunity Identified"))
    given(*won, quote_sent("q1", day=3), opportunity_updated("o1", day=4, amount=7)).then(is_prospect("Proposal"))


def test_a_promotion_does_not_end_the_revert(given: Telling) -> None:
    given(*SOLD, reverted("lead", day=4), quote_sent("q1", day=5), order_billed("p1", day=6)).then(is_prospect("Proposal"))


def test_a_sale_must_be_live(given: Telling) -> None:
    given(*SOLD, reverted("lead", day=4), order_cancelled("p2", day=5), order_placed("p2", 5, day=6)).then(is_lead("New"))


def test_where_opportunities_count_for_nothing_they_do_not_promote_again(given: Telling) -> None:
    back = [order_placed("p1", 5, day=2), reverted("lead", day=4)]
    given(*back, opportunity_created("o2", 5, day=5), opportunity_won("o2", day=6), tables=QUOTES_ONLY).then(is_lead("New"))
    given(*back, quote_sent("q2", day=5), tables=QUOTES_ONLY).then(is_prospect("Proposal"))


# --------------------------------------------------------------------------------------- converted


def test_a_lead_is_converted(given: Telling) -> None:
    command = converted(day=2)
    given(LEAD, command).then(obeys(command), is_prospect("Opportunity Identified"))


def test_a_converted_lead_has_the_status_of_its_deals(given: Telling) -> None:
    given(opportunity_created("o1", 5, day=1, stage="In Discussion"), reverted("lead", day=2), converted(day=3)).then(
        had_statuses((1, "In Discussion"), (2, "New"), (3, "In Discussion"))
    )


# ---------------------------------------------------------------------------------- without effect


@pytest.mark.parametrize(
    ("before", "command", "rule"),
    [
        (LEAD, reverted("lead", day=2), "not-below"),
        (LEAD, reverted("prospect", day=2), "not-below"),
        (quote_sent("q1", day=1), reverted("prospect", day=2), "not-below"),
        (quote_sent("q1", day=1), converted(day=2), "not-a-lead"),
        (order_placed("p1", 5, day=1), converted(day=2), "not-a-lead"),
        (LEAD, status_set("New", day=2), "status-is-set"),
        (quote_sent("q1", day=1), status_set("Proposal", day=2), "status-is-set"),
        (LEAD, status_set("Blue", day=2), "status-not-in-table"),
        (assigned("a1", "ann", day=1), owner_set("ann", day=2), "owner-is-set"),
    ],
)
def test_a_command_without_effect_is_refused_with_the_rule(given: Telling, before: Fact, command: Fact, rule: str) -> None:
    given(before).when(command).then(refuses(command, rule), judges(command, effective=False), stores("fact", "verdict"))


def test_a_command_with_effect_is_not_spoken_of(given: Telling) -> None:
    given(LEAD).when(status_set("Dead", day=2)).then(stores("fact", "status"))


def test_a_refused_command_changes_nothing(given: Telling) -> None:
    again = status_set("Proposal", day=2)
    given(quote_sent("q1", day=1), again, quote_updated("q1", day=3, amount=5)).then(refuses(again, "status-is-set"))
    revert = reverted("prospect", day=2)
    given(LEAD, revert, order_billed("p1", day=3)).then(refuses(revert, "not-below"), is_customer())


def test_a_late_fact_gives_a_command_effect(given: Telling) -> None:
    command = reverted("lead", day=3)
    given(lead_qualified(day=1), command).when(quote_sent("q1", day=2)).then(
        judges(command, effective=True), obeys(command), had_statuses((1, "Qualified"), (2, "Proposal"), (3, "Qualified"))
    )


def test_a_late_fact_takes_the_effect_away(given: Telling) -> None:
    command = converted(day=3)
    given(LEAD, command).when(quote_sent("q1", day=2)).then(judges(command, effective=False), refuses(command, "not-a-lead"))
    set_owner = owner_set("ann", day=3)
    given(set_owner).when(lead_created(owner="ann", day=2)).then(judges(set_owner, effective=False), owned_by("ann"))


def test_a_command_takes_the_effect_of_another(given: Telling) -> None:
    one, other = status_set("Dead", day=2), status_set("Dead", day=3)
    given(LEAD, other).when(one).then(judges(other, effective=False), obeys(one))
