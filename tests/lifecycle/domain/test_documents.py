"""FOLD 5 to 7: opportunities, quotes and orders, each from the first fact that names it as its own."""

from tests.lifecycle.domain.claims import deal, deal_had, had_statuses, has_deals, is_customer, is_prospect
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

# ------------------------------------------------------------------------------------ 5: existence


def test_a_document_needs_no_creation(given: Telling) -> None:
    given(opportunity_lost("o1", day=1)).then(deal("opportunity:o1", state="lost", amount=None))
    given(opportunity_won("o1", day=1)).then(deal("opportunity:o1", state="won", amount=None), is_customer())
    given(opportunity_updated("o1", day=1)).then(deal("opportunity:o1", state="open", amount=None))
    given(quote_returned("q1", day=1)).then(deal("quote:q1", state="open", amount=None), is_prospect("In Negotiation"))
    given(order_billed("p1", day=1)).then(deal("order:p1", state="won", amount=None, documents={"p1": "billed"}), is_customer())
    given(order_cancelled("p1", day=1)).then(deal("order:p1", state="lost", amount=None))


def test_a_document_exists_from_its_first_fact_and_not_from_its_creation(given: Telling) -> None:
    given(quote_sent("q1", day=1), quote_created("q1", 500, day=3)).then(
        deal_had("quote:q1", "amount", (1, None), (3, 500)), had_statuses((1, "Proposal"))
    )


def test_a_late_creation_supplies_only_what_was_not_said_since(given: Telling) -> None:
    given(
        opportunity_updated("o1", day=2, amount=900, product="GTX"),
        opportunity_created("o1", 1000, day=1, product="MG", close_date="2026-05-31"),
    ).then(
        deal_had("opportunity:o1", "amount", (1, 1000), (2, 900)),
        deal("opportunity:o1", product="GTX", close_date="2026-05-31"),
    )


def test_a_second_creation_is_one_more_writer(given: Telling) -> None:
    given(
        opportunity_created("o1", 1000, day=1, product="MG"),
        opportunity_updated("o1", day=2, product="GTX"),
        opportunity_created("o1", 1100, day=3),
        order_placed("p1", 50, day=1),
        order_placed("p1", 70, day=2),
    ).then(deal("opportunity:o1", amount=1100, product="GTX"), deal("order:p1", amount=70))


def test_facts_without_fields_write_none(given: Telling) -> None:
    given(quote_created("q1", 10, day=1, owner="ann"), quote_sent("q1", day=2), quote_accepted("q1", day=3)).then(
        deal("quote:q1", amount=10, owner="ann")
    )


def test_kinds_of_documents_do_not_share_names(given: Telling) -> None:
    given(opportunity_created("1", 10, day=1), quote_created("1", 20, day=1), order_placed("1", 30, day=1)).then(
        has_deals("opportunity:1", "quote:1", "order:1")
    )


# -------------------------------------------------------------------------------------- 6: states


def test_a_quotes_state_is_the_last_that_happened_to_it(given: Telling) -> None:
    given(
        quote_created("q1", 10, day=1),
        quote_sent("q1", day=2),
        quote_accepted("q1", day=3),
        quote_declined("q1", day=4),
        quote_cancelled("q1", day=5),
        quote_sent("q1", day=6),
    ).then(
        deal_had(
            "quote:q1",
            "documents",
            (1, {"q1": "created"}),
            (2, {"q1": "sent"}),
            (3, {"q1": "accepted"}),
            (4, {"q1": "declined"}),
            (5, {"q1": "cancelled"}),
            (6, {"q1": "sent"}),
        )
    )


def test_returned_stays_when_the_quote_is_sent_again(given: Telling) -> None:
    given(quote_created("q1", 10, day=1), quote_returned("q1", day=2), quote_sent("q1", day=3)).then(
        deal("quote:q1", status="In Negotiation", documents={"q1": "returned"})
    )


def test_returned_ends_when_the_quote_is_accepted_declined_or_cancelled(given: Telling) -> None:
    returned = [quote_created("q1", 10, day=1), quote_returned("q1", day=2)]
    given(*returned, quote_accepted("q1", day=3)).then(deal("quote:q1", status="Purchasing"))
    given(*returned, quote_declined("q1", day=3)).then(deal("quote:q1", state="lost"))
    given(*returned, quote_cancelled("q1", day=3)).then(deal("quote:q1", state="lost"))
    given(*returned, quote_cancelled("q1", day=3), quote_sent("q1", day=4)).then(deal("quote:q1", documents={"q1": "sent"}))


def test_writing_a_quote_never_changes_its_state(given: Telling) -> None:
    given(
        quote_created("q1", 10, day=1),
        quote_accepted("q1", day=2),
        quote_updated("q1", day=3, amount=9),
        quote_created("q1", 8, day=4),
    ).then(deal("quote:q1", status="Purchasing", documents={"q1": "accepted"}, amount=8))


def test_an_order_that_is_billed_after_all_is_live_again(given: Telling) -> None:
    given(order_placed("p1", 10, day=1), order_cancelled("p1", day=2), order_billed("p1", day=3)).then(
        deal_had("order:p1", "state", (1, "won"), (2, "lost"), (3, "won")), deal("order:p1", documents={"p1": "billed"})
    )


def test_an_order_that_is_placed_again_stays_cancelled(given: Telling) -> None:
    given(order_placed("p1", 10, day=1), order_cancelled("p1", day=2), order_placed("p1", 20, day=3)).then(
        deal("order:p1", state="lost", documents={"p1": "cancelled"})
    )


# ------------------------------------------------------------------------------- 7: replaced, live


def test_a_replaced_quote_no_longer_counts(given: Telling) -> None:
    given(quote_created("q1", 100, day=1, opportunity="o1"), quote_created("q2", 80, day=2, replaces="q1")).then(
        deal_had("opportunity:o1", "amount", (1, 100), (2, 80)),
        deal("opportunity:o1", replaced={"q1": "q2"}, included={"q2"}),
    )


def test_a_quote_is_replaced_from_the_fact_that_names_it_on_even_before_it_exists(given: Telling) -> None:
    given(quote_created("q2", 80, day=1, replaces="q1"), quote_created("q1", 100, day=2)).then(
        deal_had("quote:q1", "amount", (1, 80)), deal("quote:q1", replaced={"q1": "q2"})
    )


def test_a_quote_is_replaced_when_the_link_is_written_and_not_when_the_other_quote_is(given: Telling) -> None:
    given(
        quote_created("q1", 100, day=1, opportunity="o1"),
        quote_created("q2", 80, day=1, opportunity="o1"),
        quote_updated("q2", day=3, replaces="q1"),
    ).then(deal_had("opportunity:o1", "amount", (1, 100), (3, 80)))


def test_a_link_that_is_written_again_counts_from_its_first_fact(given: Telling) -> None:
    given(
        quote_created("q1", 100, day=1, opportunity="o1"),
        quote_created("q2", 80, day=2, opportunity="o1", replaces="q1"),
        quote_updated("q2", day=3, replaces="q3"),
        quote_updated("q2", day=4, replaces="q1"),
    ).then(deal_had("opportunity:o1", "amount", (1, 100), (2, 80)), deal("opportunity:o1", replaced={"q1": "q2"}))


def test_a_link_that_did_not_stand_in_between_counts_from_its_first_fact(given: Telling) -> None:
    given(
        quote_created("q1", 100, day=1, opportunity="o1"),
        quote_created("q2", 80, day=2, opportunity="o1", replaces="q1"),
        quote_updated("q2", day=3, replaces="q2"),
    ).when(quote_updated("q2", day=4, replaces="q1")).then(deal_had("opportunity:o1", "amount", (1, 100), (2, 80)))


def test_a_link_that_was_corrected_never_replaced(given: Telling) -> None:
    given(
        quote_created("q1", 100, day=1, opportunity="o1"),
        quote_created("q2", 80, day=2, opportunity="o1", replaces="q1"),
        quote_updated("q2", day=3, replaces="q3"),
    ).then(deal_had("opportunity:o1", "amount", (1, 100)), deal("opportunity:o1", replaced={}))


def test_a_quote_stays_replaced_when_its_replacement_dies(given: Telling) -> None:
    given(quote_created("q1", 100, day=1), quote_created("q2", 80, day=2, replaces="q1"), quote_declined("q2", day=3)).then(
        deal_had("quote:q1", "state", (1, "open"), (3, "lost")), deal("quote:q1", replaced={"q1": "q2"})
    )


def test_a_replaced_quote_that_was_accepted_is_live(given: Telling) -> None:
    given(quote_created("q1", 100, day=1), quote_accepted("q1", day=2), quote_created("q2", 80, day=3, replaces="q1")).then(
        deal("quote:q1", amount=100, included={"q1", "q2"}, status="Purchasing")
    )


def test_a_replaced_quote_is_live_again_from_its_acceptance_on(given: Telling) -> None:
    given(quote_created("q1", 100, day=1), quote_created("q2", 80, day=2, replaces="q1"), quote_accepted("q1", day=3)).then(
        deal_had("quote:q1", "amount", (1, 100), (2, 80), (3, 100))
    )


def test_a_replaced_quote_that_was_accepted_and_declined_is_dead(given: Telling) -> None:
    given(
        quote_created("q1", 100, day=1),
        quote_accepted("q1", day=2),
        quote_created("q2", 80, day=3, replaces="q1"),
        quote_declined("q1", day=4),
    ).then(deal("quote:q1", amount=80, included={"q2"}))


def test_of_two_that_replace_the_same_quote_both_are_live(given: Telling) -> None:
    given(
        quote_created("q1", 100, day=1),
        quote_created("q2", 80, day=2, replaces="q1"),
        quote_created("q3", 90, day=3, replaces="q1"),
    ).then(deal("quote:q1", amount=90, included={"q2", "q3"}, replaced={"q1": "q2"}), has_deals("quote:q1"))
