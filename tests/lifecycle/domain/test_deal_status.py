"""FOLD 15 and 16: a deal's status and probability."""

import pytest

from events.codec import Fact
from tests.lifecycle.domain.claims import deal, deal_had
from tests.lifecycle.domain.speech import (
    opportunity_created,
    opportunity_lost,
    opportunity_updated,
    opportunity_won,
    order_cancelled,
    order_placed,
    quote_accepted,
    quote_cancelled,
    quote_created,
    quote_declined,
    quote_returned,
    quote_sent,
    quote_updated,
)
from tests.lifecycle.domain.story import Telling

O1 = opportunity_created("o1", 1000, day=1)
Q1 = quote_created("q1", 900, day=2, opportunity="o1")

# --------------------------------------------------------------------------------------- 15: status


def test_an_open_deal_goes_as_far_as_its_quotes(given: Telling) -> None:
    given(O1, Q1, quote_sent("q1", day=3), quote_returned("q1", day=4), quote_accepted("q1", day=5)).then(
        deal_had(
            "opportunity:o1", "status", (1, "Opportunity Identified"), (2, "Proposal"), (4, "In Negotiation"), (5, "Purchasing")
        )
    )


def test_a_dead_quote_takes_its_status_along(given: Telling) -> None:
    given(O1, Q1, quote_returned("q1", day=3), quote_declined("q1", day=4)).then(
        deal_had(
            "opportunity:o1",
            "status",
            (1, "Opportunity Identified"),
            (2, "Proposal"),
            (3, "In Negotiation"),
            (4, "Opportunity Identified"),
        )
    )


def test_the_furthest_quote_decides(given: Telling) -> None:
    given(O1, Q1, quote_created("q2", 5, day=2, opportunity="o1"), quote_accepted("q1", day=3), quote_returned("q2", day=4)).then(
        deal("opportunity:o1", status="Purchasing")
    )


def test_a_quote_that_is_not_included_goes_far_too(given: Telling) -> None:
    given(O1, Q1, quote_updated("q1", day=3, include_in_forecast=False), quote_accepted("q1", day=4)).then(
        deal("opportunity:o1", status="Purchasing")
    )


@pytest.mark.parametrize("stage", ["In Discussion", "Identified Decision Makers", "Proposal", "In Negotiation", "Purchasing"])
def test_an_explicit_stage_holds(given: Telling, stage: str) -> None:
    given(O1, opportunity_updated("o1", stage=stage, day=2)).then(deal("opportunity:o1", status=stage))
    given(opportunity_created("o1", 5, stage=stage, day=2)).then(deal("opportunity:o1", status=stage))


def test_an_explicit_stage_may_be_lower_than_before(given: Telling) -> None:
    given(O1, Q1, quote_accepted("q1", day=3), opportunity_updated("o1", stage="In Discussion", day=4)).then(
        deal("opportunity:o1", status="In Discussion")
    )
    given(
        O1, opportunity_updated("o1", stage="Purchasing", day=2), opportunity_updated("o1", stage="Opportunity Identified", day=3)
    ).then(deal("opportunity:o1", status="Opportunity Identified"))


def test_it_holds_until_a_quote_goes_further(given: Telling) -> None:
    lowered = [O1, Q1, quote_returned("q1", day=3), opportunity_updated("o1", stage="In Discussion", day=4)]
    given(*lowered, quote_updated("q1", day=5, amount=800)).then(deal("opportunity:o1", status="In Negotiation"))
    given(*lowered, quote_created("q2", 5, day=5, opportunity="o1")).then(deal("opportunity:o1", status="Proposal"))
    given(*lowered, quote_cancelled("q1", day=5)).then(deal("opportunity:o1", status="In Discussion"))


def test_a_higher_stage_outlasts_a_quote(given: Telling) -> None:
    given(O1, opportunity_updated("o1", stage="Purchasing", day=2), quote_created("q1", 5, day=3, opportunity="o1")).then(
        deal("opportunity:o1", status="Purchasing")
    )


def test_a_stage_that_is_repeated_counts_since_it_has_that_name(given: Telling) -> None:
    given(O1, opportunity_updated("o1", stage="In Discussion", day=2), quote_created("q1", 5, day=3, opportunity="o1")).when(
        opportunity_updated("o1", stage="In Discussion", day=4)
    ).then(deal("opportunity:o1", status="Proposal"))


def test_a_stage_that_comes_back_counts_from_then(given: Telling) -> None:
    for between in ("Purchasing", "Closed Lost", "Closed Won"):
        given(
            O1,
            opportunity_updated("o1", stage="In Discussion", day=2),
            quote_created("q1", 5, day=3, opportunity="o1"),
            opportunity_updated("o1", stage=between, day=4),
            opportunity_updated("o1", stage="In Discussion", day=5),
        ).then(deal("opportunity:o1", status="In Discussion"))


def test_at_one_instant_a_quote_is_later_than_a_stage(given: Telling) -> None:
    given(O1, opportunity_updated("o1", stage="In Discussion", day=2), Q1).then(deal("opportunity:o1", status="Proposal"))


@pytest.mark.parametrize("text", ["Budget approved", "Qualified"])
def test_a_stage_that_names_no_open_status_leaves_the_one_before(given: Telling, text: str) -> None:
    given(O1, opportunity_updated("o1", stage="In Discussion", day=2), opportunity_updated("o1", stage=text, day=3)).then(
        deal("opportunity:o1", status="In Discussion")
    )


def test_a_reopened_deal_has_its_explicit_stage_again(given: Telling) -> None:
    given(
        O1,
        opportunity_updated("o1", stage="In Discussion", day=2),
        opportunity_lost("o1", day=3),
        quote_created("q1", 5, day=4, opportunity="o1"),
        quote_cancelled("q1", day=5),
    ).then(
        deal_had(
            "opportunity:o1",
            "status",
            (1, "Opportunity Identified"),
            (2, "In Discussion"),
            (3, "Closed Lost"),
            (4, "Proposal"),
            (5, "In Discussion"),
        )
    )


def test_a_closed_deal_is_closed(given: Telling) -> None:
    given(O1, Q1, opportunity_won("o1", day=3)).then(deal("opportunity:o1", status="Closed Won", probability=100))
    given(O1, Q1, opportunity_lost("o1", day=3)).then(deal("opportunity:o1", status="Closed Lost", probability=0))


def test_a_link_that_is_written_late_moves_the_past(given: Telling) -> None:
    given(O1, quote_created("q1", 5, day=2), quote_accepted("q1", day=3)).when(quote_updated("q1", day=4, opportunity="o1")).then(
        deal_had("opportunity:o1", "status", (1, "Opportunity Identified"), (2, "Proposal"), (3, "Purchasing"))
    )


# ---------------------------------------------------------------------------------- 16: probability


def test_the_table_gives_the_probability_of_a_status(given: Telling) -> None:
    given(O1, Q1, quote_returned("q1", day=3), quote_accepted("q1", day=4)).then(
        deal_had("opportunity:o1", "probability", (1, 10), (2, 50), (3, 75), (4, 90))
    )


def test_an_explicit_one_holds_until_the_status_changes(given: Telling) -> None:
    given(O1, opportunity_updated("o1", probability=35, day=2), Q1_LATER, quote_cancelled("q1", day=4)).then(
        deal_had("opportunity:o1", "probability", (1, 10), (2, 35), (3, 50), (4, 10))
    )


Q1_LATER = quote_created("q1", 900, day=3, opportunity="o1")


def test_a_change_at_the_same_instant_does_not_end_it(given: Telling) -> None:
    given(O1, opportunity_updated("o1", probability=35, day=3), Q1_LATER).then(
        deal("opportunity:o1", status="Proposal", probability=35)
    )
    given(O1, opportunity_updated("o1", probability=35, day=3, nanos=-1), Q1_LATER).then(
        deal("opportunity:o1", status="Proposal", probability=50)
    )


def test_an_explicit_one_that_is_said_again_holds_again(given: Telling) -> None:
    given(O1, opportunity_updated("o1", probability=35, day=2), Q1_LATER, opportunity_updated("o1", probability=35, day=4)).then(
        deal("opportunity:o1", probability=35)
    )


def test_zero_is_a_probability(given: Telling) -> None:
    given(O1, opportunity_updated("o1", probability=0, day=2)).then(deal("opportunity:o1", probability=0))


def test_a_live_included_quotes_comes_before_the_opportunitys(given: Telling) -> None:
    said = [
        O1,
        quote_created("q1", 5, day=2, opportunity="o1", probability=40),
        quote_created("q2", 5, day=3, opportunity="o1", probability=45),
        opportunity_updated("o1", probability=99, day=4),
    ]
    given(*said).then(deal("opportunity:o1", probability=45))
    given(*said, quote_updated("q1", day=5, probability=41)).then(deal("opportunity:o1", probability=41))
    given(*said, quote_updated("q2", day=5, include_in_forecast=False)).then(deal("opportunity:o1", probability=40))
    given(*said, quote_declined("q2", day=5), quote_declined("q1", day=6), opportunity_updated("o1", probability=98, day=7)).then(
        deal_had("opportunity:o1", "probability", (1, 10), (2, 40), (3, 45), (5, 40), (6, 10), (7, 98))
    )


def test_a_quotes_that_no_longer_holds_leaves_the_opportunitys(given: Telling) -> None:
    given(
        O1,
        quote_created("q1", 5, day=2, opportunity="o1", probability=40),
        quote_returned("q1", day=3),
        opportunity_updated("o1", probability=60, day=3),
    ).then(deal("opportunity:o1", status="In Negotiation", probability=60))


def test_closed_deals_are_certain(given: Telling) -> None:
    given(O1, opportunity_updated("o1", probability=35, day=2), opportunity_won("o1", day=2)).then(
        deal("opportunity:o1", probability=100)
    )
    given(O1, opportunity_updated("o1", probability=35, day=2), opportunity_lost("o1", day=2)).then(
        deal("opportunity:o1", probability=0)
    )


def test_a_deal_that_was_closed_in_between_has_the_tables_again(given: Telling) -> None:
    given(
        O1,
        opportunity_updated("o1", probability=35, day=2),
        order_placed("p1", 5, day=3, opportunity="o1"),
        order_cancelled("p1", day=4),
    ).then(deal_had("opportunity:o1", "probability", (1, 10), (2, 35), (3, 100), (4, 10)))


@pytest.mark.parametrize(
    "fact", [quote_updated("q1", day=4, amount=5), opportunity_updated("o1", day=4, product="GTX"), quote_sent("q1", day=4)]
)
def test_a_fact_that_leaves_the_status_leaves_the_probability(given: Telling, fact: Fact) -> None:
    given(O1, Q1, opportunity_updated("o1", probability=35, day=3), fact).then(
        deal("opportunity:o1", status="Proposal", probability=35)
    )
