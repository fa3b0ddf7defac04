"""FOLD 19 and 20: what lead facts come to, and how a recycled lead comes back."""

from zoneinfo import ZoneInfo

import pytest

from events.codec import Fact
from tests.lifecycle.domain.claims import had_statuses, is_customer, is_lead, is_prospect, knows, wakes
from tests.lifecycle.domain.speech import (
    activity,
    assigned,
    converted,
    lead_created,
    lead_disqualified,
    lead_qualified,
    lead_recycled,
    lead_updated,
    opportunity_created,
    order_placed,
    owner_set,
    reverted,
    status_set,
    tick,
)
from tests.lifecycle.domain.story import Telling

# ------------------------------------------------------------------------------------ 19: lead facts


@pytest.mark.parametrize(
    "fact", [lead_created(day=1), lead_updated(day=1), activity(day=1), owner_set("ann", day=1), assigned("a1", "ann", day=1)]
)
def test_a_record_is_a_new_lead_from_its_first_fact(given: Telling, fact: Fact) -> None:
    given(fact).then(had_statuses((1, "New")), is_lead("New", 0))


def test_lead_facts_set_the_status(given: Telling) -> None:
    given(lead_created(day=1), lead_qualified(day=2), lead_disqualified(day=3), lead_recycled(day=4), lead_qualified(day=5)).then(
        had_statuses((1, "New"), (2, "Qualified"), (3, "Dead"), (4, "Recycled"), (5, "Qualified"))
    )


def test_the_first_fact_may_set_another_status_at_once(given: Telling) -> None:
    given(lead_disqualified(day=1)).then(had_statuses((1, "Dead")))


def test_a_new_lead_takes_back_dead_and_recycled_and_nothing_else(given: Telling) -> None:
    again = lead_created(day=3)
    given(lead_disqualified(day=2), again).then(is_lead("New"))
    given(lead_recycled(day=2), again).then(is_lead("New"))
    given(lead_qualified(day=2), again).then(is_lead("Qualified"))
    given(status_set("Unqualified", day=2), again).then(is_lead("Unqualified"))


def test_a_new_lead_takes_back_what_was_set_by_hand(given: Telling) -> None:
    for status in ("Dead", "Recycled"):
        given(lead_qualified(day=1), status_set(status, day=2), lead_created(day=3)).then(
            had_statuses((1, "Qualified"), (2, status), (3, "New"))
        )


def test_an_update_takes_nothing_back(given: Telling) -> None:
    given(lead_disqualified(day=1), lead_updated(day=2, company="Acme")).then(is_lead("Dead"))


@pytest.mark.parametrize("ending", [lead_disqualified, lead_recycled])
def test_a_lead_ends_only_by_its_own_name(given: Telling, ending: object) -> None:
    dead = "Dead" if ending is lead_disqualified else "Recycled"
    known = [lead_created("l1", day=1), lead_qualified("l2", day=2)]
    given(*known, ending("l1", day=3)).then(is_lead("Qualified"))
    given(*known, ending("l2", day=3)).then(is_lead(dead))
    given(*known, ending(day=3)).then(is_lead(dead))


@pytest.mark.parametrize("naming", [lead_created, lead_updated, lead_qualified])
def test_the_last_name_is_the_one_that_counts(given: Telling, naming: object) -> None:
    given(lead_created("l1", day=1), naming("l2", day=2), lead_disqualified("l1", day=3)).then(
        is_lead("Qualified" if naming is lead_qualified else "New")
    )
    given(lead_created("l1", day=1), naming("l2", day=2), lead_disqualified("l2", day=3)).then(is_lead("Dead"))
    given(lead_created("l1", day=1), naming("l2", day=4), lead_disqualified("l1", day=3)).then(
        is_lead({lead_created: "New", lead_updated: "Dead", lead_qualified: "Qualified"}[naming])
    )


def test_a_disqualification_does_not_name_the_lead(given: Telling) -> None:
    given(lead_disqualified("l1", day=1), lead_qualified(day=2), lead_recycled("l2", day=3)).then(is_lead("Recycled"))


def test_while_no_name_is_known_every_one_counts(given: Telling) -> None:
    given(lead_created(day=1), lead_disqualified("l7", day=2)).then(is_lead("Dead"))


def test_the_profile_keeps_the_last_name_of_created_and_updated(given: Telling) -> None:
    given(lead_created("l1", day=1), lead_qualified("l2", day=2)).then(knows(lead_id="l1"))


def test_at_other_stages_lead_facts_change_nothing(given: Telling) -> None:
    given(opportunity_created("o1", 5, day=1), lead_disqualified(day=2), lead_created(day=3)).then(
        had_statuses((1, "Opportunity Identified"))
    )
    given(order_placed("p1", 5, day=1), lead_recycled(day=2)).then(had_statuses((1, "Closed Won")))


def test_but_are_remembered_and_the_last_one_counts_after_a_revert(given: Telling) -> None:
    given(
        lead_qualified(day=1),
        opportunity_created("o1", 5, day=2),
        lead_qualified(day=3),
        lead_disqualified(day=4),
        reverted("lead", day=5),
    ).then(had_statuses((1, "Qualified"), (2, "Opportunity Identified"), (5, "Dead")))
    given(opportunity_created("o1", 5, day=2), lead_disqualified(day=3), lead_created(day=4), reverted("lead", day=5)).then(
        is_lead("New")
    )


# ------------------------------------------------------------------------------ 20: recycled and back


def test_a_recycled_lead_wakes_at_its_instant(given: Telling) -> None:
    recycled = lead_recycled(day=1, until="2026-01-05T12:00:00Z")
    given(recycled).then(is_lead("Recycled"), wakes(5.5))
    given(recycled, tick(recycled, day=5.5)).then(had_statuses((1, "Recycled"), (5.5, "New")), wakes(None))


def test_a_date_begins_at_midnight_of_the_business(given: Telling) -> None:
    recycled = lead_recycled(day=1, until="2026-01-05")
    given(recycled).then(wakes(5))
    given(recycled, zone=ZoneInfo("Europe/Berlin")).then(wakes(round(5 - 1 / 24, 6)))
    given(recycled, zone=ZoneInfo("America/New_York")).then(wakes(round(5 + 5 / 24, 6)))
    given(lead_recycled(day=1, until="2026-07-01"), zone=ZoneInfo("Europe/Berlin")).then(wakes(round(182 - 2 / 24, 6)))


def test_it_does_not_wake_before_it_was_recycled(given: Telling) -> None:
    recycled = lead_recycled(day=3, until="2026-01-01")
    given(recycled).then(wakes(3))
    given(recycled, tick(recycled, day=3)).then(is_lead("New"))


def test_without_a_date_it_does_not_wake_by_itself(given: Telling) -> None:
    given(lead_recycled(day=1)).then(is_lead("Recycled"), wakes(None))


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (lead_qualified(day=2), "Qualified"),
        (lead_disqualified(day=2), "Dead"),
        (lead_recycled(day=2, id="another", until="2026-01-09"), "Recycled"),
        (status_set("Unqualified", day=2), "Unqualified"),
        (status_set("Dead", day=2), "Dead"),
    ],
)
def test_a_tick_has_effect_only_while_its_recycling_stands(given: Telling, ending: Fact, status: str) -> None:
    recycled = lead_recycled(day=1, until="2026-01-05")
    given(recycled, ending, tick(recycled, day=5)).then(is_lead(status))


def test_a_status_that_is_set_already_ends_no_recycling(given: Telling) -> None:
    recycled = lead_recycled(day=1, until="2026-01-05")
    given(recycled, status_set("Recycled", day=2)).then(wakes(5))
    given(recycled, status_set("Recycled", day=2), tick(recycled, day=5)).then(is_lead("New"))


def test_a_status_set_to_recycled_by_hand_starts_no_recycling(given: Telling) -> None:
    recycled = lead_recycled(day=1, until="2026-01-05")
    by_hand = [recycled, status_set("Qualified", day=2), status_set("Recycled", day=3)]
    given(*by_hand).then(is_lead("Recycled"), wakes(None))
    given(*by_hand, tick(recycled, day=5), activity(direction="inbound", day=6)).then(is_lead("Recycled"))


def test_a_tick_of_another_source_is_not_its(given: Telling) -> None:
    recycled, other = (lead_recycled(day=1, until="2026-01-05", id="r", source=source) for source in ("crm", "erp"))
    given(recycled, tick(other, day=5)).then(is_lead("Recycled"))


def test_a_recycled_lead_that_became_more_wakes_unseen(given: Telling) -> None:
    recycled = lead_recycled(day=1, until="2026-01-05")
    story = [recycled, converted(day=2), tick(recycled, day=5)]
    given(*story).then(is_prospect("Opportunity Identified"))
    given(*story, reverted("lead", day=6)).then(is_lead("New"))
    given(recycled, converted(day=2), reverted("lead", day=3)).then(is_lead("Recycled"), wakes(5))


def test_a_tick_that_came_to_early_light_waits_for_its_recycling(given: Telling) -> None:
    recycled = lead_recycled(day=1, until="2026-01-05")
    given(tick(recycled, day=5)).when(recycled).then(had_statuses((1, "Recycled"), (5, "New")))


def test_a_new_lead_brings_it_back(given: Telling) -> None:
    given(lead_recycled(day=1, until="2026-01-05"), lead_created(day=2)).then(is_lead("New"), wakes(None))


def test_an_inbound_activity_brings_it_back(given: Telling) -> None:
    given(lead_recycled(day=1, until="2026-01-05"), activity(direction="inbound", day=2)).then(
        had_statuses((1, "Recycled"), (2, "New")), wakes(None)
    )
    given(lead_recycled(day=1), activity(direction="inbound", day=1, nanos=1)).then(is_lead("New"))


@pytest.mark.parametrize(
    "nothing",
    [
        activity(direction="outbound", day=2),
        activity(day=2),
        activity(direction="inbound", automatic=True, day=2),
        activity(direction="inbound", day=1),  # of the same instant
        activity(direction="inbound", day=0.5),
    ],
)
def test_other_activities_do_not(given: Telling, nothing: Fact) -> None:
    given(lead_recycled(day=1), nothing).then(is_lead("Recycled"))


def test_an_inbound_activity_brings_back_nothing_else(given: Telling) -> None:
    hello = activity(direction="inbound", day=3)
    given(lead_disqualified(day=1), hello).then(is_lead("Dead"))
    given(lead_qualified(day=1), hello).then(is_lead("Qualified"))
    given(lead_qualified(day=1), status_set("Recycled", day=2), hello).then(is_lead("Recycled"))
    given(order_placed("p1", 5, day=1), hello).then(is_customer())
