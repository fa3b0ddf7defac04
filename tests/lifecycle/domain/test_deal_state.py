"""FOLD 12: whether a deal is open, won or lost."""

import pytest

from events.codec import Fact
from tests.lifecycle.domain.claims import deal, deal_had, had_statuses, is_customer, is_prospect
from tests.lifecycle.domain.speech import (
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
)
from tests.lifecycle.domain.story import Telling

O1 = opportunity_created("o1", 1000, day=1)
PLACED = order_placed("p1", 900, day=3, opportunity="o1")

# --------------------------------------------------------------------------------- won while it is sold


def test_a_live_order_wins_whatever_else_is_said(given: Telling) -> None:
    given(O1, PLACED, opportunity_lost("o1", day=4), opportunity_updated("o1", stage="In Discussion", day=5)).then(
        deal("opportunity:o1", state="won", closed=3, reason=None)
    )


def test_when_the_order_is_cancelled_the_deal_is_reopened(given: Telling) -> None:
    given(O1, PLACED, order_cancelled("p1", day=5)).then(
        deal_had("opportunity:o1", "state", (1, "open"), (3, "won"), (5, "open")), deal("opportunity:o1", closed=None)
    )


def test_the_cancelling_of_the_last_order_is_later_than_what_was_said_before(given: Telling) -> None:
    given(O1, PLACED, opportunity_won("o1", day=3.5), order_cancelled("p1", day=4)).then(deal("opportunity:o1", state="open"))
    given(O1, PLACED, opportunity_lost("o1", day=3.5), order_cancelled("p1", day=4)).then(deal("opportunity:o1", state="open"))
    given(O1, PLACED, order_cancelled("p1", day=4), opportunity_won("o1", day=5)).then(
        deal("opportunity:o1", state="won", closed=5)
    )


def test_the_cancelling_of_one_of_two_orders_reopens_nothing(given: Telling) -> None:
    story = [O1, PLACED, order_placed("p2", 5, day=3, opportunity="o1"), opportunity_won("o1", day=4), order_cancelled("p1", day=5)]
    given(*story).then(deal_had("opportunity:o1", "state", (1, "open"), (3, "won")))
    given(*story, order_placed("p2", -5, day=6)).then(deal_had("opportunity:o1", "state", (1, "open"), (3, "won")))


def test_a_reason_is_given_only_while_the_deal_is_lost(given: Telling) -> None:
    given(O1, opportunity_lost("o1", "price", day=2, competitor="Umbrella"), PLACED).then(
        deal_had("opportunity:o1", "reason", (1, None), (2, "price"), (3, None)),
        deal_had("opportunity:o1", "competitor", (1, None), (2, "Umbrella"), (3, None)),
    )


def test_the_cancelling_of_a_credit_reopens_nothing(given: Telling) -> None:
    given(O1, opportunity_won("o1", day=2), order_placed("p2", -5, day=3, opportunity="o1"), order_cancelled("p2", day=5)).then(
        deal_had("opportunity:o1", "state", (1, "open"), (2, "won"))
    )


def test_the_cancelling_of_an_order_that_was_not_live_reopens_nothing(given: Telling) -> None:
    given(
        O1,
        opportunity_lost("o1", day=2),
        order_cancelled("p1", day=3),
        order_placed("p1", 5, day=4, opportunity="o1"),
        order_cancelled("p1", day=5),
    ).then(deal_had("opportunity:o1", "state", (1, "open"), (2, "lost")))


def test_an_order_that_came_and_went_within_an_instant_reopens(given: Telling) -> None:
    given(O1, opportunity_lost("o1", day=2), order_placed("p1", 5, day=3, opportunity="o1"), order_cancelled("p1", day=3)).then(
        deal_had("opportunity:o1", "state", (1, "open"), (2, "lost"), (3, "open"))
    )


def test_when_an_order_becomes_a_credit_what_was_said_before_holds_again(given: Telling) -> None:
    given(O1, opportunity_lost("o1", day=2), PLACED, order_placed("p1", -900, day=4)).then(
        deal_had("opportunity:o1", "state", (1, "open"), (2, "lost"), (3, "won"), (4, "lost"))
    )


# ------------------------------------------------------------------------------------- the last of …


def test_the_last_of_won_and_lost_holds(given: Telling) -> None:
    given(O1, opportunity_won("o1", day=2), opportunity_lost("o1", "price", day=3, competitor="Umbrella")).then(
        deal("opportunity:o1", state="lost", closed=3, reason="price", competitor="Umbrella")
    )
    given(O1, opportunity_lost("o1", day=2), opportunity_won("o1", day=3)).then(
        deal("opportunity:o1", state="won", closed=3, reason=None, competitor=None)
    )


def test_a_deal_is_lost_since_it_was_lost_first(given: Telling) -> None:
    given(O1, opportunity_lost("o1", "price", day=2), opportunity_lost("o1", "timing", day=3)).then(
        deal("opportunity:o1", closed=2, reason="timing")
    )


@pytest.mark.parametrize(("stage", "state"), [("Closed Won", "won"), ("Closed Lost", "lost")])
def test_a_stage_that_changes_to_won_or_lost_says_so(given: Telling, stage: str, state: str) -> None:
    given(O1, opportunity_updated("o1", stage=stage, day=2)).then(deal("opportunity:o1", state=state, closed=2))
    given(opportunity_created("o1", 5, stage=stage, day=2)).then(deal("opportunity:o1", state=state, closed=2))


def test_a_stage_that_is_only_repeated_says_nothing(given: Telling) -> None:
    given(
        opportunity_created("o1", 5, stage="Closed Lost", day=1),
        opportunity_won("o1", day=2),
        opportunity_updated("o1", stage="Closed Lost", day=3),
    ).then(deal("opportunity:o1", state="won", closed=2))
    given(
        opportunity_created("o1", 5, stage="In Discussion", day=1),
        opportunity_lost("o1", day=2),
        opportunity_updated("o1", stage="In Discussion", day=3),
    ).then(deal("opportunity:o1", state="lost", closed=2))


def test_an_update_that_changes_the_stage_to_an_open_one_reopens(given: Telling) -> None:
    for closing in (
        opportunity_lost("o1", day=2),
        opportunity_won("o1", day=2),
        opportunity_updated("o1", stage="Closed Won", day=2),
    ):
        given(O1, closing, opportunity_updated("o1", stage="Proposal", day=3)).then(
            deal("opportunity:o1", state="open", closed=None, status="Proposal", reason=None)
        )


def test_a_creation_that_changes_the_stage_does_not_reopen(given: Telling) -> None:
    given(opportunity_lost("o1", day=1), opportunity_created("o1", 5, stage="In Discussion", day=2)).then(
        deal("opportunity:o1", state="lost", closed=1)
    )


def test_an_update_without_a_stage_does_not_reopen(given: Telling) -> None:
    given(O1, opportunity_lost("o1", day=2), opportunity_updated("o1", amount=5, day=3)).then(deal("opportunity:o1", state="lost"))


@pytest.mark.parametrize("text", ["Budget approved", "Qualified", "Dead", "closed won"])
def test_a_stage_that_names_no_status_of_a_deal_does_not_count(given: Telling, text: str) -> None:
    given(O1, opportunity_lost("o1", day=2), opportunity_updated("o1", stage=text, day=3)).then(
        deal("opportunity:o1", state="lost")
    )
    given(
        opportunity_created("o1", 1, stage="Proposal", day=1),
        opportunity_updated("o1", stage=text, day=2),
        opportunity_lost("o1", day=3),
        opportunity_updated("o1", stage="Proposal", day=4),
    ).then(deal("opportunity:o1", state="lost", closed=3))


@pytest.mark.parametrize(
    "reopening", [quote_created("q1", 10, day=3, opportunity="o1"), quote_sent("q1", day=3), quote_accepted("q1", day=3)]
)
def test_a_quote_created_sent_or_accepted_reopens_a_lost_deal(given: Telling, reopening: Fact) -> None:
    link = quote_updated("q1", day=1, opportunity="o1")
    given(O1, link, opportunity_lost("o1", day=2), reopening).then(deal("opportunity:o1", state="open", closed=None, reason=None))


@pytest.mark.parametrize("fact", [quote_updated("q1", day=3, amount=5), quote_returned("q1", day=3), quote_declined("q1", day=3)])
def test_other_facts_of_a_quote_do_not(given: Telling, fact: Fact) -> None:
    link = quote_updated("q1", day=1, opportunity="o1")
    given(O1, link, opportunity_lost("o1", day=2), fact).then(deal("opportunity:o1", state="lost", closed=2))


def test_a_quote_does_not_reopen_a_won_deal(given: Telling) -> None:
    given(O1, opportunity_won("o1", day=2), quote_created("q1", 10, day=3, opportunity="o1")).then(
        deal("opportunity:o1", state="won", closed=2)
    )


def test_a_quote_before_the_loss_reopens_nothing(given: Telling) -> None:
    given(O1, quote_created("q1", 10, day=2, opportunity="o1"), opportunity_lost("o1", day=2)).then(
        deal("opportunity:o1", state="lost")
    )


def test_a_reopened_deal_is_lost_again_by_the_next_loss_and_not_by_the_old_one(given: Telling) -> None:
    story = [
        O1,
        opportunity_lost("o1", "price", day=2),
        quote_created("q1", 10, day=3, opportunity="o1"),
        quote_declined("q1", day=4),
    ]
    given(*story).then(deal("opportunity:o1", state="open", amount=1000))
    given(*story, opportunity_lost("o1", "timing", day=5)).then(deal("opportunity:o1", state="lost", closed=5, reason="timing"))


# ----------------------------------------------------------------------------- without an opportunity


def test_a_deal_without_opportunity_and_without_a_live_document_is_lost(given: Telling) -> None:
    given(quote_created("q1", 10, day=1), quote_declined("q1", day=2)).then(
        deal("quote:q1", state="lost", closed=2, reason=None), is_prospect("Closed Lost", 0)
    )
    given(order_placed("p1", 10, day=1), order_cancelled("p1", day=2)).then(deal("order:p1", state="lost", closed=2))


def test_an_opportunity_that_has_no_fact_of_its_own_yet_keeps_nothing_open(given: Telling) -> None:
    quotes = [quote_created("q1", 10, day=1, opportunity="o1"), quote_cancelled("q1", day=2)]
    given(*quotes).then(deal("opportunity:o1", state="lost", closed=2))
    given(*quotes, opportunity_created("o1", 5, day=3)).then(
        deal_had("opportunity:o1", "state", (1, "open"), (2, "lost"), (3, "open"))
    )


def test_a_reopened_deal_without_opportunity_needs_something_live_too(given: Telling) -> None:
    given(quote_created("q1", 10, day=1), quote_declined("q1", day=2), quote_sent("q1", day=3), quote_cancelled("q1", day=4)).then(
        deal_had("quote:q1", "state", (1, "open"), (2, "lost"), (3, "open"), (4, "lost"))
    )
    given(order_placed("p1", 10, day=1, quote="q1"), order_cancelled("p1", day=2)).then(deal("quote:q1", state="lost", closed=2))


def test_an_opportunity_needs_nothing_live(given: Telling) -> None:
    given(O1, quote_created("q1", 10, day=2, opportunity="o1"), quote_declined("q1", day=3)).then(
        deal("opportunity:o1", state="open")
    )


# ------------------------------------------------------------------------------------------- credits


def test_a_deal_of_live_credits_only_is_won_and_promotes_nobody(given: Telling) -> None:
    given(order_placed("c1", -50, day=1)).then(deal("order:c1", state="won", closed=1, amount=-50), had_statuses((1, "New")))
    given(order_placed("c1", -50, day=1), order_billed("c1", day=2)).then(had_statuses((1, "New")))


def test_a_credit_does_not_win_what_is_open_or_lost(given: Telling) -> None:
    credit = order_placed("c1", -50, day=3, opportunity="o1")
    given(O1, credit).then(deal("opportunity:o1", state="open"), is_prospect("Opportunity Identified"))
    given(O1, opportunity_lost("o1", day=2), credit).then(deal("opportunity:o1", state="lost"))
    given(quote_created("q1", 10, day=1), order_placed("c1", -50, day=3, quote="q1")).then(deal("quote:q1", state="open"))


def test_a_credit_is_all_that_lives_when_the_quote_is_declined(given: Telling) -> None:
    given(quote_created("q1", 10, day=1), order_placed("c1", -50, day=2, quote="q1"), quote_declined("q1", day=3)).then(
        deal_had("quote:q1", "state", (1, "open"), (3, "won")), is_prospect("Opportunity Identified")
    )


def test_an_order_of_nothing_is_a_sale(given: Telling) -> None:
    given(order_placed("p1", 0, day=1)).then(is_customer(), deal("order:p1", state="won", amount=0))
