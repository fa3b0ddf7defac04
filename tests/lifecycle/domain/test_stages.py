"""FOLD 21 and 22: what makes a lead a prospect and a customer, and the status there."""

import pytest
from msgspec.structs import replace

from events.codec import Fact
from services.lifecycle.domain.table import DEFAULT
from tests.lifecycle.domain.claims import deal, had_statuses, is_customer, is_lead, is_prospect
from tests.lifecycle.domain.speech import (
    activity,
    converted,
    lead_created,
    lead_disqualified,
    opportunity_created,
    opportunity_lost,
    opportunity_updated,
    opportunity_won,
    order_billed,
    order_cancelled,
    order_placed,
    quote_accepted,
    quote_cancelled,
    quote_created,
    quote_declined,
    quote_returned,
    quote_sent,
    quote_updated,
    reverted,
)
from tests.lifecycle.domain.story import Telling

LEAD = lead_created(day=1)
QUOTES_ONLY = (replace(DEFAULT, opportunities_enabled=False),)

OF_OPPORTUNITIES = [
    opportunity_created("o1", 5, day=2),
    opportunity_updated("o1", day=2),
    opportunity_lost("o1", day=2),
]
OF_QUOTES = [
    quote_created("q1", 5, day=2),
    quote_updated("q1", day=2),
    quote_sent("q1", day=2),
    quote_returned("q1", day=2),
    quote_accepted("q1", day=2),
    quote_declined("q1", day=2),
    quote_cancelled("q1", day=2),
]

# -------------------------------------------------------------------------------------- 21: promotion


@pytest.mark.parametrize("fact", OF_OPPORTUNITIES)
def test_any_fact_of_an_opportunity_makes_a_prospect(given: Telling, fact: Fact) -> None:
    lost = fact.type == "crm.opportunity.lost.v1"
    given(LEAD, fact).then(is_prospect("Closed Lost" if lost else "Opportunity Identified"))
    given(LEAD, fact, tables=QUOTES_ONLY).then(is_lead("New"))


@pytest.mark.parametrize("fact", OF_QUOTES)
@pytest.mark.parametrize("tables", [(DEFAULT,), QUOTES_ONLY])
def test_any_fact_of_a_quote_makes_a_prospect(given: Telling, fact: Fact, tables: object) -> None:
    story = given(LEAD, fact, tables=tables)
    assert story.record.fold.statuses[-1].what.stage == "prospect"
    story.then(deal("quote:q1", status=story.record.fold.statuses[-1].what.name))


@pytest.mark.parametrize(
    "fact", [order_placed("p1", 5, day=2), order_billed("p1", day=2), order_placed("p1", 5, day=2, quote="q1")]
)
@pytest.mark.parametrize("tables", [(DEFAULT,), QUOTES_ONLY])
def test_a_live_order_makes_a_customer(given: Telling, fact: Fact, tables: object) -> None:
    given(LEAD, fact, tables=tables).then(had_statuses((1, "New"), (2, "Closed Won")), is_customer(probability=100))


@pytest.mark.parametrize("fact", [order_cancelled("p1", day=2), order_placed("p1", -5, day=2)])
def test_an_order_that_is_no_live_sale_makes_nothing(given: Telling, fact: Fact) -> None:
    given(LEAD, fact).then(is_lead("New"))


def test_a_sale_that_lasted_no_time_has_made_a_customer(given: Telling) -> None:
    given(LEAD, order_placed("p1", 5, day=2), order_cancelled("p1", day=2)).then(is_customer())


def test_a_won_deal_makes_a_customer(given: Telling) -> None:
    given(LEAD, opportunity_won("o1", day=2)).then(is_customer())
    given(LEAD, opportunity_updated("o1", stage="Closed Won", day=2)).then(is_customer())


def test_where_opportunities_count_for_nothing_the_fact_alone_makes_no_customer(given: Telling) -> None:
    given(LEAD, opportunity_won("o1", day=2), tables=QUOTES_ONLY).then(is_lead("New"), deal("opportunity:o1", state="won"))
    given(LEAD, opportunity_updated("o1", stage="Closed Won", day=2), tables=QUOTES_ONLY).then(is_customer())
    given(LEAD, opportunity_won("o1", day=2), order_placed("p1", 5, day=3), tables=QUOTES_ONLY).then(is_customer())


def test_an_accepted_quote_is_no_sale(given: Telling) -> None:
    given(LEAD, quote_accepted("q1", day=2)).then(is_prospect("Purchasing", 90))


def test_nothing_is_lowered_by_itself(given: Telling) -> None:
    given(order_placed("p1", 5, day=1), order_cancelled("p1", day=2), quote_created("q1", 5, day=3)).then(
        had_statuses((1, "Closed Won"))
    )
    given(quote_created("q1", 5, day=1), quote_declined("q1", day=2), lead_disqualified(day=3)).then(
        had_statuses((1, "Proposal"), (2, "Closed Lost"))
    )


def test_a_dead_lead_with_a_quote_is_a_prospect(given: Telling) -> None:
    given(lead_disqualified(day=1), quote_created("q1", 5, day=2)).then(had_statuses((1, "Dead"), (2, "Proposal")))


# ----------------------------------------------------------------------- 22: the status of a prospect


def test_a_prospect_has_the_status_of_its_most_probable_open_deal(given: Telling) -> None:
    given(
        opportunity_created("o1", 5, day=1, stage="In Discussion"),
        quote_created("q2", 5, day=2),
        opportunity_updated("o1", day=3, probability=60),
        quote_returned("q2", day=4),
    ).then(had_statuses((1, "In Discussion"), (2, "Proposal"), (3, "In Discussion"), (4, "In Negotiation")))


def test_the_record_shows_the_tables_probability(given: Telling) -> None:
    given(opportunity_created("o1", 5, day=1, stage="In Discussion", probability=66)).then(
        deal("opportunity:o1", probability=66), is_prospect("In Discussion", 20)
    )


def test_of_equally_probable_ones_the_furthest_counts(given: Telling) -> None:
    for first, second in (("Purchasing", "In Discussion"), ("In Discussion", "Purchasing")):
        given(
            opportunity_created("o1", 5, day=1, stage=first, probability=40),
            opportunity_created("o2", 5, day=1, stage=second, probability=40),
        ).then(is_prospect("Purchasing", 90))


def test_closed_deals_do_not_count_while_one_is_open(given: Telling) -> None:
    given(opportunity_created("o1", 5, day=1), opportunity_created("o2", 5, day=1), opportunity_lost("o2", day=2)).then(
        had_statuses((1, "Opportunity Identified"))
    )


def test_where_none_is_open_and_one_is_lost_the_prospect_is_lost(given: Telling) -> None:
    given(opportunity_created("o1", 5, day=1), opportunity_lost("o1", day=2)).then(is_prospect("Closed Lost", 0))
    given(order_placed("c1", -5, day=1), quote_created("q1", 5, day=1), quote_declined("q1", day=2)).then(
        is_prospect("Closed Lost")
    )


def test_and_comes_back_when_the_deal_does(given: Telling) -> None:
    given(
        opportunity_created("o1", 5, day=1), opportunity_lost("o1", day=2), opportunity_updated("o1", stage="Proposal", day=3)
    ).then(had_statuses((1, "Opportunity Identified"), (2, "Closed Lost"), (3, "Proposal")))


def test_where_no_deal_is_open_or_lost_it_is_as_converted(given: Telling) -> None:
    given(LEAD, converted(day=2)).then(is_prospect("Opportunity Identified", 10))
    given(LEAD, converted(day=2), order_placed("c1", -5, day=3)).then(is_prospect("Opportunity Identified"))
    given(order_placed("p1", 5, day=1), reverted("prospect", day=2)).then(is_prospect("Opportunity Identified"))


def test_what_is_no_deal_does_not_change_the_status(given: Telling) -> None:
    given(quote_created("q1", 5, day=1), activity(direction="inbound", day=2), lead_created(day=3)).then(
        had_statuses((1, "Proposal"))
    )
