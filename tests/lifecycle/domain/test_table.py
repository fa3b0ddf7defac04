"""FOLD 24: the status table, and which version of it holds."""

from msgspec.structs import replace

from services.lifecycle.domain.table import DEFAULT, StatusRow, StatusTable
from tests.lifecycle.domain.claims import deal, deal_had, had_statuses, is_customer, is_lead, is_prospect, refuses
from tests.lifecycle.domain.speech import (
    activity,
    lead_created,
    lead_disqualified,
    lead_qualified,
    lead_updated,
    on,
    opportunity_created,
    opportunity_lost,
    opportunity_updated,
    order_billed,
    order_placed,
    quote_created,
    quote_sent,
    quote_updated,
    reverted,
    status_set,
)
from tests.lifecycle.domain.story import Telling


def version(since: float, probabilities: dict[str, int] | None = None, **names: str) -> StatusTable:
    """The default table from a day on, with other probabilities and with other names for what triggers set."""
    renamed = {DEFAULT.triggers[trigger]: name for trigger, name in names.items()}
    rows = [
        StatusRow(renamed.get(row.name, row.name), row.stage, (probabilities or {}).get(row.name, row.probability))
        for row in DEFAULT.rows
    ]
    triggers = {trigger: renamed.get(name, name) for trigger, name in DEFAULT.triggers.items()}
    return replace(DEFAULT, rows=tuple(rows), triggers=triggers, effective_from=on(since))


def test_the_default_table(given: Telling) -> None:
    given(lead_created(day=1)).then(is_lead("New", 0))
    rows = [(row.name, row.stage, row.probability) for row in DEFAULT.rows]
    assert rows == [
        ("New", "lead", 0),
        ("Qualified", "lead", 0),
        ("Unqualified", "lead", 0),
        ("Dead", "lead", 0),
        ("Recycled", "lead", 0),
        ("Opportunity Identified", "prospect", 10),
        ("In Discussion", "prospect", 20),
        ("Identified Decision Makers", "prospect", 30),
        ("Proposal", "prospect", 50),
        ("In Negotiation", "prospect", 75),
        ("Purchasing", "prospect", 90),
        ("Closed Lost", "prospect", 0),
        ("Closed Won", "customer", 100),
    ]


def test_a_version_holds_from_its_date(given: Telling) -> None:
    tables = [version(1), version(3, {"Proposal": 45})]
    given(quote_sent("q1", day=2), tables=tables).then(is_prospect("Proposal", 50), deal("quote:q1", probability=50))
    given(quote_sent("q1", day=3), tables=tables).then(is_prospect("Proposal", 45), deal("quote:q1", probability=45))


def test_before_its_date_the_first_version_holds(given: Telling) -> None:
    given(quote_sent("q1", day=2), tables=[version(5, {"Proposal": 45}), version(6)]).then(is_prospect("Proposal", 45))


def test_a_new_version_touches_no_record_by_itself(given: Telling) -> None:
    tables = [version(1), version(3, {"Proposal": 45}, new="Fresh", quote="Offer", sale="Customer", qualified="Hot")]
    given(quote_sent("q1", day=2), activity(day=4), lead_updated(day=5, company="Acme"), tables=tables).then(
        had_statuses((2, "Proposal")), is_prospect("Proposal", 50), deal_had("quote:q1", "status", (2, "Proposal"))
    )


def test_a_leads_status_takes_its_name_from_the_version_at_the_fact_that_set_it(given: Telling) -> None:
    tables = [version(1), version(3, new="Fresh", disqualified="Gone")]
    given(lead_created(day=2), lead_updated(day=4, company="Acme"), tables=tables).then(had_statuses((2, "New")))
    given(lead_disqualified(day=4), tables=tables).then(had_statuses((4, "Gone")))
    given(lead_disqualified(day=2), lead_created(day=4), tables=tables).then(had_statuses((2, "Dead"), (4, "Fresh")))
    given(lead_disqualified(day=2), quote_sent("q1", day=2.5), reverted("lead", day=4), tables=tables).then(is_lead("Dead"))


def test_a_name_that_the_version_lacks_has_no_probability(given: Telling) -> None:
    tables = [version(1, {"Qualified": 5}), version(3, qualified="Hot")]
    story = [lead_qualified(day=2), quote_sent("q1", day=2.5)]
    given(*story, reverted("lead", day=2.8), tables=tables).then(is_lead("Qualified", 5))
    given(*story, reverted("lead", day=4), tables=tables).then(is_lead("Qualified", 0))


def test_lead_facts_at_other_stages_do_not_bring_a_new_name(given: Telling) -> None:
    tables = [version(1), version(3, sale="Customer", converted="Identified", lost="Lost")]
    given(order_placed("p1", 5, day=2), lead_qualified(day=4), lead_disqualified(day=5), tables=tables).then(
        had_statuses((2, "Closed Won"))
    )
    given(opportunity_created("o1", 5, day=2), lead_qualified(day=4), tables=tables).then(
        had_statuses((2, "Opportunity Identified"))
    )


def test_a_deals_status_takes_its_name_from_the_version_at_its_last_own_fact(given: Telling) -> None:
    tables = [version(1), version(3, quote="Offer", lost="Lost")]
    given(quote_sent("q1", day=2), quote_updated("q1", day=4, amount=5), tables=tables).then(
        deal_had("quote:q1", "status", (2, "Proposal"), (4, "Offer")), had_statuses((2, "Proposal"), (4, "Offer"))
    )
    given(
        quote_created("q1", 5, day=2, opportunity="o1"),
        quote_created("q2", 5, day=4, opportunity="o2", replaces="q1"),
        tables=tables,
    ).then(deal("opportunity:o1", status="Closed Lost"), deal("opportunity:o2", status="Offer"))


def test_a_probability_is_of_the_version_since_the_status_has_its_name(given: Telling) -> None:
    tables = [version(1), version(3, {"Proposal": 45})]
    given(quote_sent("q1", day=2), quote_updated("q1", day=4, amount=5), tables=tables).then(
        deal("quote:q1", probability=50), is_prospect("Proposal", 50)
    )


def test_a_name_that_is_new_has_the_new_probability(given: Telling) -> None:
    tables = [version(1), version(3, {"Proposal": 45}, quote="Offer")]
    given(quote_sent("q1", day=2), quote_updated("q1", day=4, amount=5), tables=tables).then(
        deal("quote:q1", probability=45), is_prospect("Offer", 45)
    )


def test_a_renamed_stage_counts_under_its_name_of_then(given: Telling) -> None:
    tables = [version(1), version(3, lost="Lost")]
    given(opportunity_created("o1", 5, day=2), opportunity_updated("o1", day=4, stage="Closed Lost"), tables=tables).then(
        deal("opportunity:o1", state="open")
    )
    given(opportunity_created("o1", 5, day=2), opportunity_updated("o1", day=4, stage="Lost"), tables=tables).then(
        deal("opportunity:o1", state="lost", status="Lost"), is_prospect("Lost", 0)
    )


def test_a_customers_status_takes_its_name_from_the_deals_last_fact(given: Telling) -> None:
    tables = [version(1), version(3, sale="Customer")]
    given(order_placed("p1", 5, day=2), order_billed("p1", day=4), tables=tables).then(
        had_statuses((2, "Closed Won"), (4, "Customer")), is_customer("Customer")
    )


def test_a_status_that_the_version_of_then_lacks_cannot_be_set(given: Telling) -> None:
    tables = [version(1), version(3, lost="Lost")]
    early, late = status_set("Lost", day=2), status_set("Closed Lost", day=4)
    given(quote_sent("q1", day=1), early, late, tables=tables).then(
        refuses(early, "status-not-in-table"), refuses(late, "status-not-in-table"), is_prospect("Proposal")
    )


def test_the_furthest_is_what_is_later_in_the_table(given: Telling) -> None:
    turned = replace(DEFAULT, rows=DEFAULT.rows[:5] + DEFAULT.rows[5:11][::-1] + DEFAULT.rows[11:])
    given(
        opportunity_created("o1", 5, day=1), quote_sent("q1", day=2), quote_updated("q1", day=3, opportunity="o1"), tables=[turned]
    ).then(deal("opportunity:o1", status="Opportunity Identified"))


def test_a_lost_deal_of_an_older_version_keeps_its_name(given: Telling) -> None:
    tables = [version(1), version(3, lost="Lost")]
    given(opportunity_lost("o1", day=2), activity(day=4), tables=tables).then(had_statuses((2, "Closed Lost")))


def test_of_two_lost_deals_the_one_that_was_told_of_last_names_the_status(given: Telling) -> None:
    tables = [version(1), version(3, lost="Lost")]
    given(opportunity_lost("o1", day=2), opportunity_lost("o2", day=4), tables=tables).then(
        had_statuses((2, "Closed Lost"), (4, "Lost"))
    )
    given(opportunity_lost("o1", day=4), opportunity_lost("o2", day=2), tables=tables).then(is_prospect("Lost"))


def test_a_customer_may_have_more_than_one_status(given: Telling) -> None:
    partners = replace(DEFAULT, rows=(*DEFAULT.rows, StatusRow("Partner", "customer", 100)))
    given(order_placed("p1", 5, day=1), status_set("Partner", day=2), order_billed("p1", day=3), tables=[partners]).then(
        is_customer("Partner")
    )
