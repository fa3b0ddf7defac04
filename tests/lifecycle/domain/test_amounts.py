"""FOLD 13 and 14, DESIGN 7: what a deal amounts to, in which currency, and when it closes."""

from tests.lifecycle.domain.claims import deal, deal_had
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
    quote_sent,
    quote_updated,
    usd,
)
from tests.lifecycle.domain.story import Telling

O1 = opportunity_created("o1", 1000, day=1)

# ------------------------------------------------------------------- 13: one kind of document counts


def test_live_orders_are_summed_credits_included(given: Telling) -> None:
    given(
        O1,
        quote_created("q1", 900, day=2, opportunity="o1"),
        order_placed("p1", 500, day=3, quote="q1"),
        order_placed("p2", 300.5, day=4, quote="q1"),
        order_placed("c1", -100, day=5, quote="q1"),
        order_placed("p3", 70, day=6, quote="q1"),
        order_cancelled("p3", day=7),
    ).then(
        deal_had("opportunity:o1", "amount", (1, 1000), (2, 900), (3, 500), (4, 800.5), (5, 700.5), (6, 770.5), (7, 700.5)),
        deal(
            "opportunity:o1",
            included={"p1", "p2", "c1"},
            categories=[700.5, 700.5, 700.5],
            low=700.5,
            high=700.5,
            category="likely",
        ),
    )


def test_credits_count_only_beside_a_sale(given: Telling) -> None:
    given(O1, order_placed("c1", -100, day=2, opportunity="o1")).then(deal("opportunity:o1", amount=1000, included={"o1"}))
    given(O1, opportunity_won("o1", 800, day=2), order_placed("c1", -100, day=3, opportunity="o1")).then(
        deal("opportunity:o1", amount=800)
    )


def test_credits_count_where_all_documents_are_credits(given: Telling) -> None:
    given(order_placed("c1", -50, day=1, quote="q1"), order_placed("c2", -30, day=1, quote="q1")).then(
        deal("quote:q1", amount=-80, categories=[-80, -80, -80])
    )
    given(order_placed("c1", -50, day=1, quote="q1"), order_placed("p1", 30, day=1, quote="q1"), order_cancelled("p1", day=2)).then(
        deal_had("quote:q1", "amount", (1, -20), (2, None))
    )


def test_a_won_deal_without_orders_has_the_amount_it_was_won_at(given: Telling) -> None:
    given(
        O1, quote_created("q1", 900, day=2, opportunity="o1"), quote_accepted("q1", day=3), opportunity_won("o1", 850, day=4)
    ).then(
        deal_had("opportunity:o1", "amount", (1, 1000), (2, 900), (4, 850)),
        deal("opportunity:o1", categories=[850, 850, 850], included={"o1"}),
    )


def test_an_amount_that_it_was_won_at_counts_only_while_it_is_won(given: Telling) -> None:
    given(O1, opportunity_won("o1", 850, day=2), opportunity_lost("o1", day=3)).then(
        deal_had("opportunity:o1", "amount", (1, 1000), (2, 850), (3, 1000))
    )
    given(opportunity_won("o1", 850, day=2), opportunity_won("o1", day=3)).then(deal("opportunity:o1", amount=850))


def test_else_a_won_deal_has_the_amount_of_the_quote_accepted_last(given: Telling) -> None:
    given(
        O1,
        quote_created("q1", 900, day=2, opportunity="o1", amount_low=800, amount_high=990, category="worst"),
        quote_created("q2", 700, day=2, opportunity="o1", category="upside", include_in_forecast=False),
        quote_created("q3", 950, day=2, opportunity="o1"),
        quote_accepted("q2", day=4),
        quote_accepted("q1", day=3),
        opportunity_won("o1", day=5),
    ).then(deal("opportunity:o1", amount=700, categories=[700, 700, 700], low=700, high=700, included={"q2"}, category="upside"))


def test_a_quote_that_was_accepted_and_declined_is_not_what_was_won(given: Telling) -> None:
    given(
        O1,
        quote_created("q1", 900, day=2, opportunity="o1"),
        quote_accepted("q1", day=3),
        quote_cancelled("q1", day=4),
        opportunity_won("o1", day=5),
    ).then(deal("opportunity:o1", amount=1000))


def test_else_it_has_the_amount_it_would_have_open(given: Telling) -> None:
    given(O1, opportunity_won("o1", day=2)).then(deal("opportunity:o1", amount=1000))
    given(O1, quote_created("q1", 900, day=2, opportunity="o1"), opportunity_won("o1", day=3)).then(
        deal("opportunity:o1", amount=900)
    )


def test_an_included_quote_counts_before_the_opportunity(given: Telling) -> None:
    given(O1, quote_created("q1", 900, day=2, opportunity="o1")).then(deal("opportunity:o1", amount=900, included={"q1"}))
    given(O1, quote_created("q1", 900, day=2, opportunity="o1", include_in_forecast=False)).then(
        deal("opportunity:o1", amount=1000, included={"o1"})
    )
    given(O1, quote_created("q1", 900, day=2, opportunity="o1"), quote_updated("q1", day=3, include_in_forecast=False)).then(
        deal_had("opportunity:o1", "amount", (1, 1000), (2, 900), (3, 1000))
    )
    given(O1, quote_created("q1", 900, day=2, opportunity="o1"), quote_declined("q1", day=3)).then(
        deal_had("opportunity:o1", "amount", (1, 1000), (2, 900), (3, 1000))
    )


def test_what_has_no_amount_is_skipped(given: Telling) -> None:
    given(O1, quote_sent("q1", day=2), quote_updated("q1", day=2, opportunity="o1")).then(
        deal("opportunity:o1", amount=1000, included={"o1"}, status="Proposal")
    )
    given(O1, order_billed("p1", day=2), quote_created("q1", 900, day=1, opportunity="o1")).then(deal("opportunity:o1", amount=900))
    given(opportunity_created("o1", 5, day=1), order_placed("c1", -3, day=2, opportunity="o1"), opportunity_won("o1", day=3)).then(
        deal("opportunity:o1", amount=5)
    )


def test_a_deal_without_any_amount_has_none(given: Telling) -> None:
    given(opportunity_updated("o1", day=1, amount_low=5)).then(
        deal("opportunity:o1", amount=None, categories=[None, None, None], low=None, high=None, currency=None, included=set())
    )


# --------------------------------------------------------------------- 13: categories, worked examples


def test_a_range_fills_the_categories_from_its_own_on(given: Telling) -> None:
    spread = {"amount_low": 1000, "amount_high": 3000}
    for category, figures in {"worst": [1000, 2000, 3000], "likely": [None, 2000, 3000], "upside": [None, None, 3000]}.items():
        given(opportunity_created("o1", 2000, day=1, category=category, **spread)).then(
            deal("opportunity:o1", categories=figures, amount=2000, low=1000, high=3000, category=category)
        )


def test_the_default_category_is_likely(given: Telling) -> None:
    given(opportunity_created("o1", 2000, day=1)).then(deal("opportunity:o1", categories=[None, 2000, 2000], category="likely"))
    given(quote_created("q1", 2000, day=1)).then(deal("quote:q1", categories=[None, 2000, 2000], category="likely"))


def test_each_category_takes_the_highest_quote_at_or_below_it(given: Telling) -> None:
    given(
        quote_created("q1", 100, day=1, category="worst", opportunity="o1"),
        quote_created("q2", 300, day=1, category="upside", opportunity="o1"),
    ).then(deal("opportunity:o1", categories=[100, 100, 300], amount=100, category="worst", low=100, high=100))


def test_each_category_compares_its_own_figure(given: Telling) -> None:
    given(
        quote_created("q1", 200, day=1, category="worst", amount_low=100, amount_high=900, opportunity="o1"),
        quote_created("q2", 300, day=1, category="worst", amount_low=50, amount_high=400, opportunity="o1"),
        quote_created("q3", 250, day=1, category="likely", amount_low=240, amount_high=1000, opportunity="o1"),
    ).then(deal("opportunity:o1", categories=[100, 300, 1000], amount=300, low=50, high=400, category="worst"))


def test_the_amount_is_that_of_the_highest_likely_or_surer_quote(given: Telling) -> None:
    given(
        quote_created("q1", 100, day=1, opportunity="o1"),
        quote_created("q2", 150, day=1, opportunity="o1", category="worst"),
        quote_created("q3", 900, day=1, opportunity="o1", category="upside"),
    ).then(deal("opportunity:o1", amount=150, categories=[150, 150, 900]))


def test_where_all_are_upside_it_is_the_highest_of_them(given: Telling) -> None:
    given(
        quote_created("q1", 100, day=1, opportunity="o1", category="upside"),
        quote_created("q2", 150, day=1, opportunity="o1", category="upside", amount_low=40),
    ).then(deal("opportunity:o1", amount=150, low=40, high=150, categories=[None, None, 150], category="upside"))


def test_a_missing_end_of_a_range_is_the_amount(given: Telling) -> None:
    given(opportunity_created("o1", 200, day=1, category="worst", amount_high=300)).then(
        deal("opportunity:o1", categories=[200, 200, 300], low=200, high=300)
    )


# ------------------------------------------------------------------------------------ 13: currencies


def test_the_currency_is_that_of_the_first_document_that_has_an_amount(given: Telling) -> None:
    given(
        quote_sent("q1", day=1),
        quote_created("q1", usd(100), day=3, opportunity="o1"),
        quote_created("q2", 500, day=2, opportunity="o1"),
    ).then(
        deal_had("opportunity:o1", "currency", (1, None), (2, "EUR"), (3, "USD")),
        deal("opportunity:o1", amount=100, conflicts=["EUR"], included={"q1"}),
    )


def test_figures_in_another_currency_are_left_out_and_named(given: Telling) -> None:
    given(O1, quote_created("q1", usd(900), day=2, opportunity="o1")).then(
        deal("opportunity:o1", amount=1000, currency="EUR", conflicts=["USD"], included={"o1"})
    )
    given(O1, order_placed("p1", usd(900), day=2, opportunity="o1"), order_placed("p2", 300, day=3, opportunity="o1")).then(
        deal_had("opportunity:o1", "amount", (1, 1000), (3, 300)),
        deal("opportunity:o1", state="won", conflicts=["USD"], included={"p2"}),
    )


def test_the_ends_of_a_range_and_what_was_won_have_currencies_too(given: Telling) -> None:
    given(opportunity_created("o1", 100, day=1, amount_low=usd(50), amount_high=300, category="worst")).then(
        deal("opportunity:o1", categories=[100, 100, 300], low=100, conflicts=["USD"])
    )
    given(O1, opportunity_won("o1", usd(900), day=2)).then(deal("opportunity:o1", amount=1000, currency="EUR", conflicts=["USD"]))


def test_an_opportunity_that_only_was_won_has_the_amount_of_that(given: Telling) -> None:
    given(opportunity_won("o1", usd(900), day=2)).then(deal("opportunity:o1", amount=900, currency="USD", conflicts=[]))


def test_a_currency_may_change(given: Telling) -> None:
    given(O1, opportunity_updated("o1", amount=usd(1100), day=2)).then(
        deal("opportunity:o1", amount=1100, currency="USD", conflicts=[])
    )


# ------------------------------------------------------------------------------------ 14: close date


def test_the_close_date_is_the_last_that_a_live_included_quote_named(given: Telling) -> None:
    given(
        opportunity_created("o1", 1, day=9, close_date="2026-12-31"),
        quote_created("q1", 1, day=2, opportunity="o1", close_date="2026-03-31"),
        quote_created("q2", 1, day=1, opportunity="o1", close_date="2026-04-30"),
        quote_updated("q2", day=3, amount=5),
    ).then(deal("opportunity:o1", close_date="2026-03-31"))


def test_else_the_opportunitys(given: Telling) -> None:
    opportunity = opportunity_created("o1", 1, day=1, close_date="2026-12-31")
    quote = quote_created("q1", 1, day=2, opportunity="o1", close_date="2026-03-31")
    given(opportunity, quote, quote_declined("q1", day=3)).then(
        deal_had("opportunity:o1", "close_date", (1, "2026-12-31"), (2, "2026-03-31"), (3, "2026-12-31"))
    )
    given(opportunity, quote, quote_updated("q1", day=3, include_in_forecast=False)).then(
        deal("opportunity:o1", close_date="2026-12-31")
    )
    given(opportunity, quote_created("q1", 1, day=2, opportunity="o1")).then(deal("opportunity:o1", close_date="2026-12-31"))
    given(quote_created("q1", 1, day=2)).then(deal("quote:q1", close_date=None))
