"""FOLD 8 to 11: links, and which documents make one deal."""

from itertools import permutations

import pytest

from events.codec import Fact
from tests.lifecycle.domain.claims import deal, deal_had, has_deals, is_customer, revises_deals
from tests.lifecycle.domain.speech import (
    opportunity_created,
    opportunity_lost,
    order_billed,
    order_placed,
    quote_accepted,
    quote_created,
    quote_sent,
    quote_updated,
)
from tests.lifecycle.domain.story import Telling

# ---------------------------------------------------------------------------------------- 8: links


def test_a_link_is_the_last_writers(given: Telling) -> None:
    given(
        opportunity_created("o1", 1, day=1),
        opportunity_created("o2", 2, day=1),
        quote_created("q1", 100, day=2, opportunity="o1"),
        quote_updated("q1", day=3, opportunity="o2"),
    ).then(deal("opportunity:o1", amount=1), deal_had("opportunity:o2", "amount", (1, 2), (2, 100)))


def test_an_orders_links_are_the_last_writers(given: Telling) -> None:
    given(
        order_placed("p1", 10, day=1, opportunity="o1"), order_placed("p1", 10, day=2, opportunity="o2"), order_billed("p1", day=3)
    ).then(has_deals("opportunity:o2"))
    given(order_placed("p1", 10, day=1, quote="q1"), order_placed("p1", 10, day=2, quote="q2")).then(has_deals("quote:q2"))


CIRCLE = [
    quote_created("q1", 10, day=1, replaces="q3"),
    quote_created("q2", 20, day=2, replaces="q1"),
    quote_created("q3", 30, day=3, replaces="q2"),
]


@pytest.mark.parametrize("facts", list(permutations(CIRCLE)))
def test_a_circle_of_replacements_is_broken_at_its_latest_link(given: Telling, facts: tuple[Fact, ...]) -> None:
    """q3 replaces q2 is ignored, so q1 replaces q3, and q2 replaces q1."""
    given(*facts).then(has_deals("quote:q3"), deal("quote:q3", replaced={"q3": "q1", "q1": "q2"}, amount=20))


def test_the_latest_link_is_the_one_whose_last_writer_is(given: Telling) -> None:
    """q1 replaces q3 is said again last, so that is ignored, and its first fact too."""
    given(*CIRCLE, quote_updated("q1", day=4, replaces="q3")).then(
        has_deals("quote:q1"), deal("quote:q1", replaced={"q1": "q2", "q2": "q3"}, amount=30)
    )


def test_a_circle_of_two(given: Telling) -> None:
    given(quote_created("q1", 10, day=1, replaces="q2"), quote_created("q2", 20, day=2, replaces="q1")).then(
        has_deals("quote:q2"), deal("quote:q2", replaced={"q2": "q1"}, amount=10)
    )


def test_a_quote_does_not_replace_itself(given: Telling) -> None:
    given(quote_created("q1", 10, day=1, replaces="q1")).then(deal("quote:q1", amount=10, replaced={}))


def test_a_chain_that_leads_into_a_circle_belongs_to_it(given: Telling) -> None:
    given(*CIRCLE, quote_created("q4", 40, day=4, replaces="q2")).then(has_deals("quote:q3"), deal("quote:q3", included={"q4"}))


def test_two_circles_are_broken_each(given: Telling) -> None:
    given(
        quote_created("q1", 10, day=1, replaces="q2"),
        quote_created("q2", 10, day=2, replaces="q1"),
        quote_created("q3", 10, day=3, replaces="q4"),
        quote_created("q4", 10, day=4, replaces="q3"),
    ).then(has_deals("quote:q2", "quote:q4"))


# -------------------------------------------------------------------------------- 9: whose opportunity


def test_a_quote_belongs_to_the_opportunity_that_it_names_even_before_it_names_it(given: Telling) -> None:
    given(quote_created("q1", 10, day=1), quote_updated("q1", day=3, opportunity="o1")).then(
        has_deals("opportunity:o1"), deal_had("opportunity:o1", "amount", (1, 10))
    )


def test_else_to_the_one_that_its_chain_named_last(given: Telling) -> None:
    given(
        quote_created("q1", 10, day=1),
        quote_created("q2", 20, day=4, replaces="q1", opportunity="o1"),
        quote_created("q3", 30, day=3, replaces="q2", opportunity="o2"),
    ).then(has_deals("opportunity:o1", "opportunity:o2"), deal("opportunity:o1", documents={"q1": "created", "q2": "created"}))


def test_branches_are_of_the_chain(given: Telling) -> None:
    given(
        quote_created("q1", 10, day=1),
        quote_created("q2", 20, day=2, replaces="q1"),
        quote_created("q3", 30, day=3, replaces="q1", opportunity="o1"),
    ).then(has_deals("opportunity:o1"), deal("opportunity:o1", included={"q2", "q3"}))


def test_a_quote_that_only_links_name_stands_in_the_chain_and_is_its_root(given: Telling) -> None:
    given(quote_created("q2", 20, day=1, replaces="q1"), quote_created("q3", 30, day=2, replaces="q1")).then(
        has_deals("quote:q1"), deal("quote:q1", documents={"q2": "created", "q3": "created"})
    )
    given(quote_created("q2", 20, day=1, replaces="q1"), quote_created("q3", 30, day=2, replaces="q1", opportunity="o1")).then(
        has_deals("opportunity:o1")
    )


def test_else_to_the_one_that_an_order_of_a_quote_of_its_chain_named_last(given: Telling) -> None:
    given(
        quote_created("q1", 10, day=1),
        quote_created("q2", 20, day=2, replaces="q1"),
        order_placed("p1", 20, day=3, quote="q2", opportunity="o1"),
        order_placed("p2", 10, day=4, quote="q1", opportunity="o2"),
    ).then(
        has_deals("opportunity:o1", "opportunity:o2"),
        deal("opportunity:o1", documents={"p1": "placed"}),
        deal("opportunity:o2", documents={"q1": "created", "q2": "created", "p2": "placed"}),
    )


def test_what_a_quote_of_the_chain_says_comes_before_what_orders_say(given: Telling) -> None:
    given(
        quote_created("q1", 10, day=1, opportunity="o1"),
        quote_created("q2", 20, day=2, replaces="q1"),
        order_placed("p1", 20, day=3, quote="q2", opportunity="o2"),
    ).then(deal("opportunity:o1", documents={"q1": "created", "q2": "created"}), deal("opportunity:o2", documents={"p1": "placed"}))


def test_an_order_goes_with_its_quote_unless_it_names_an_opportunity(given: Telling) -> None:
    quote = quote_created("q1", 10, day=1, opportunity="o1")
    given(quote, order_placed("p1", 10, day=2, quote="q1")).then(has_deals("opportunity:o1"))
    given(quote, order_placed("p1", 10, day=2, quote="q1", opportunity="o2")).then(has_deals("opportunity:o1", "opportunity:o2"))


def test_an_order_goes_with_the_chain_of_a_quote_that_only_links_name(given: Telling) -> None:
    given(order_placed("p1", 10, day=1, quote="q1"), quote_created("q2", 20, day=2, replaces="q1", opportunity="o1")).then(
        has_deals("opportunity:o1"), deal("opportunity:o1", state="won", amount=10)
    )
    given(order_placed("p1", 10, day=1, quote="q1"), order_placed("p2", 5, day=2, quote="q1")).then(
        has_deals("quote:q1"), deal("quote:q1", amount=15)
    )
    given(order_placed("p1", 10, day=1, quote="q1"), order_placed("p2", 5, day=2, quote="q1", opportunity="o1")).then(
        has_deals("opportunity:o1"), deal("opportunity:o1", amount=15)
    )


# -------------------------------------------------------------------------------------- 10, 11: deals


def test_a_deal_is_an_opportunity_with_its_quotes_and_orders(given: Telling) -> None:
    given(
        opportunity_created("o1", 1000, day=1),
        quote_created("q1", 900, day=2, opportunity="o1"),
        order_placed("p1", 800, day=3, quote="q1"),
        order_placed("p2", 50, day=4, opportunity="o1"),
    ).then(
        has_deals("opportunity:o1"),
        deal("opportunity:o1", amount=850, documents={"o1": "open", "q1": "created", "p1": "placed", "p2": "placed"}),
    )


def test_a_deal_is_a_chain_of_quotes_with_its_orders_named_by_the_root(given: Telling) -> None:
    given(
        quote_created("q1", 100, day=1),
        quote_created("q2", 90, day=2, replaces="q1"),
        quote_created("q3", 80, day=3, replaces="q2"),
        order_placed("p1", 80, day=4, quote="q3"),
        order_placed("p2", 7, day=4),
    ).then(has_deals("quote:q1", "order:p2"), deal("quote:q1", amount=80, state="won"))


def test_an_opportunity_that_no_link_names_any_more_is_no_deal(given: Telling) -> None:
    given(quote_created("q1", 10, day=1, opportunity="o1")).when(quote_updated("q1", day=2, opportunity="o2")).then(
        has_deals("opportunity:o2"), revises_deals(opportunity_o1=None, opportunity_o2=(1, [(1, 10)]))
    )


def test_an_opportunity_with_a_fact_of_its_own_stays_a_deal(given: Telling) -> None:
    given(
        opportunity_created("o1", 5, day=1),
        quote_created("q1", 10, day=1, opportunity="o1"),
        quote_updated("q1", day=2, opportunity="o2"),
    ).then(has_deals("opportunity:o1", "opportunity:o2"))


def test_a_link_that_comes_to_light_absorbs_a_deal_from_its_beginning(given: Telling) -> None:
    given(opportunity_created("o1", 1000, day=1), quote_created("q1", 900, day=2)).when(
        quote_updated("q1", day=4, opportunity="o1")
    ).then(revises_deals(quote_q1=None, opportunity_o1=(2, [(2, 900)])), has_deals("opportunity:o1"))


def test_a_replacement_that_comes_to_light_absorbs_its_own_deal(given: Telling) -> None:
    given(quote_created("q1", 100, day=1), quote_created("q2", 90, day=2)).when(quote_updated("q2", day=3, replaces="q1")).then(
        revises_deals(quote_q2=None, quote_q1=(2, [(2, 100), (3, 90)])), deal_had("quote:q1", "amount", (1, 100), (3, 90))
    )


def test_a_deal_begins_with_the_first_fact_of_any_of_its_documents(given: Telling) -> None:
    given(
        quote_sent("q1", day=1), opportunity_created("o1", 1000, day=3), quote_updated("q1", day=5, opportunity="o1", amount=700)
    ).then(deal_had("opportunity:o1", "amount", (1, None), (3, 1000), (5, 700)))


def test_the_quote_that_is_replaced_may_be_of_another_deal(given: Telling) -> None:
    given(
        quote_created("q1", 100, day=1, opportunity="o1"),
        quote_created("q2", 90, day=2, opportunity="o2", replaces="q1"),
    ).then(
        deal_had("opportunity:o1", "state", (1, "open"), (2, "lost")),
        deal("opportunity:o1", closed=2, replaced={"q1": "q2"}),
        deal("opportunity:o2", state="open", amount=90),
    )


def test_a_deal_that_another_lost_its_documents_to_is_gone(given: Telling) -> None:
    given(
        order_placed("p1", 10, day=1),
        opportunity_lost("o1", day=2),
        quote_accepted("q1", day=2),
        order_placed("p1", 10, day=3, quote="q1"),
    ).then(has_deals("quote:q1", "opportunity:o1"), is_customer())
