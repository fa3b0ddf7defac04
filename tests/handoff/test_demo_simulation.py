"""The simulated year: the same for ever, as a year of a small company might be, and with everything that goes wrong in one."""

import hashlib
import re
from collections import Counter, defaultdict
from datetime import date, timedelta
from functools import cache
from itertools import islice, pairwise

import pytest

from events.assignments import LeadAssigned
from events.bus.partitioner import murmur2
from events.codec import Fact, Undecodable, content, decode
from events.facts import HandoffAccepted, LeadCreated, LeadRecycled, LifecycleTick, OrderPlaced
from events.record import Message, Record
from events.topics import LIFECYCLE_INPUTS, PARTITIONS
from handoff.demo.arrival import Arrival
from handoff.demo.reps import answers
from handoff.demo.simulation import LEADS, SEED, simulate
from handoff.demo.spoiling import KINDS, TIMES_A_YEAR
from handoff.demo.worktime import BEFORE_DAYS, DAY, HOUR, MILLISECOND, YEAR_DAYS, Year, day_of, quarter_end

YEAR = Year(date(2026, 7, 1))
PINNED = 2000
DIGEST = "9f622e85792eeeeb166100615b7379faf3850f82dd9807a32c591336900b03fb"

BAD_INPUT = {
    "undecodable": (r"\$", "truncated"),
    "without a required field": (r"\$\.(order|quote|opportunity)_id", "is missing"),
    "unknown type": ("header ce_type", "is not known: did you mean"),
    "naive time": ("header ce_time", "has no offset"),
    "far-future time": ("header ce_time", "after the record was written"),
    "negative amount": (r"\$\.amount\.amount", "is negative"),
    "NaN": (r"\$", "JSON is malformed"),
    "above the size limit": ("value", "at most 262144 are taken in"),
    "key is not the customer id": ("key", "the key of a record is its customer_id"),
    "empty customer id": (r"\$\.customer_id", "length >= 1"),
}
"""Where and why each kind is refused; "same identity, other data" is refused by lifecycle only."""


@cache
def year() -> tuple[Arrival, ...]:
    return tuple(simulate(SEED, YEAR))


@cache
def decoded() -> tuple[Fact | Undecodable, ...]:
    return tuple(decode(record(arrival.message)) for arrival in year())


def facts() -> list[Fact]:
    return [each for each in decoded() if isinstance(each, Fact)]


def first_told() -> dict[tuple[str, str, str], Fact]:
    """Each fact once, as it arrived first."""
    found: dict[tuple[str, str, str], Fact] = {}
    for fact in facts():
        found.setdefault((fact.customer_id, fact.source, fact.id), fact)
    return found


def record(message: Message) -> Record:
    partition = message.partition if message.partition is not None else murmur2(message.key or b"", PARTITIONS)
    return Record(message.topic, partition, 0, message.timestamp or 0, message.key, message.value, message.headers)


def count(type_: str) -> int:
    return sum(fact.type == type_ for fact in first_told().values())


# ------------------------------------------------------------------------------------------ the same


def test_a_seed_gives_the_same_year_for_ever() -> None:
    digest = hashlib.sha256()
    for arrival in islice(simulate(SEED, YEAR), PINNED):
        message = arrival.message
        digest.update(repr((arrival.at, message.topic, message.key, message.value, message.headers, message.partition)).encode())
    assert digest.hexdigest() == DIGEST


def test_another_seed_gives_another_year() -> None:
    first, second = (list(islice(simulate(seed, YEAR), 50)) for seed in (1, 2))
    assert first != second


def test_another_day_moves_the_year() -> None:
    moved = Year(YEAR.first)
    assert moved.end == YEAR.begin
    assert all(moved.begin <= arrival.at < moved.end for arrival in simulate(SEED, moved, leads=50))


def test_messages_come_in_the_order_of_their_arrival_and_are_stamped_with_it() -> None:
    assert all(before.at <= after.at for before, after in pairwise(year()))
    assert all(YEAR.begin <= arrival.at < YEAR.end for arrival in year())
    assert all(arrival.message.timestamp == arrival.at // MILLISECOND for arrival in year())


def test_nothing_is_told_before_it_has_happened() -> None:
    assert all(fact.occurred_at <= fact.recorded_at for fact in facts())
    assert min(fact.occurred_at for fact in facts()) >= YEAR.begin - BEFORE_DAYS * DAY


# ----------------------------------------------------------------------------------- as a year may be


def test_there_are_about_as_many_leads_as_were_asked_for() -> None:
    assert abs(count("crm.lead.created.v1") - LEADS) < 0.05 * LEADS
    few = sum(isinstance(decode(record(arrival.message)), Fact) for arrival in simulate(SEED, YEAR, leads=100))
    assert 300 < few < 1500


def test_every_type_that_a_producer_may_send_is_sent() -> None:
    sent = {fact.type for fact in facts()}
    commands = {type_ for topic in LIFECYCLE_INPUTS if topic.name == "crm.command.v1" for type_ in topic.types}
    of_routing = {type_ for topic in LIFECYCLE_INPUTS if topic.name == "crm.assignment.v1" for type_ in topic.types}
    known = {type_ for topic in LIFECYCLE_INPUTS for type_ in topic.types}
    assert known - commands - of_routing - sent == {"crm.handoff.accepted.v1", "crm.handoff.rejected.v1"}  # reps answer, see below


@pytest.mark.parametrize(
    ("what", "of", "least", "most"),
    [
        ("crm.lead.qualified.v1", "crm.lead.created.v1", 0.35, 0.55),
        ("crm.opportunity.created.v1", "crm.lead.qualified.v1", 0.75, 1.1),
        ("crm.quote.accepted.v1", "crm.opportunity.created.v1", 0.2, 0.4),
        ("crm.order.placed.v1", "crm.quote.accepted.v1", 0.9, 1.3),
        ("crm.opportunity.lost.v1", "crm.opportunity.created.v1", 0.35, 0.6),
        ("crm.quote.returned.v1", "crm.quote.sent.v1", 0.2, 0.45),
        ("crm.order.cancelled.v1", "crm.order.placed.v1", 0.005, 0.08),
    ],
)
def test_rates_are_those_of_a_company(what: str, of: str, least: float, most: float) -> None:
    assert least < count(what) / count(of) < most


def test_quotes_replace_each_other_orders_are_credited_and_sales_take_weeks() -> None:
    told = first_told().values()
    replaced = sum(getattr(fact.data, "replaces", None) is not None for fact in told)
    credits_ = [fact for fact in told if isinstance(fact.data, OrderPlaced) and fact.data.amount.amount < 0]
    assert replaced > 50
    assert 3 <= len(credits_) <= 60
    opened = {fact.customer_id: fact.occurred_at for fact in told if fact.type == "crm.opportunity.created.v1"}
    sold = {fact.customer_id: fact.occurred_at for fact in told if fact.type == "crm.order.placed.v1"}
    days = sorted((sold[customer] - opened[customer]) / DAY for customer in sold if sold[customer] > opened.get(customer, 2**62))
    assert 15 < days[len(days) // 2] < 70


def test_leads_follow_the_season_and_the_week() -> None:
    days = Counter(day_of(fact.occurred_at) for fact in first_told().values() if isinstance(fact.data, LeadCreated))
    months = Counter({month: sum(n for day, n in days.items() if day.month == month) for month in (8, 9, 10, 12)})
    assert months[9] > 1.4 * months[8]
    assert months[10] > 1.4 * months[12]
    weekend = sum(n for day, n in days.items() if day.weekday() >= 5)
    assert 0.02 < weekend / days.total() < 0.15
    assert len(days) > 0.7 * (YEAR_DAYS + BEFORE_DAYS)


def test_recycled_leads_are_woken_by_ticks_of_their_own() -> None:
    told = first_told()
    recycled = {(f.customer_id, f.source, f.id): f for f in told.values() if isinstance(f.data, LeadRecycled)}
    ticks = [fact for fact in told.values() if isinstance(fact.data, LifecycleTick)]
    assert len(ticks) > 50
    for tick in ticks:
        assert isinstance(tick.data, LifecycleTick)
        named = recycled[tick.customer_id, tick.data.recycled.source, tick.data.recycled.id]
        assert isinstance(named.data, LeadRecycled)
        assert named.data.until == day_of(tick.occurred_at).isoformat()


# --------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("kind", BAD_INPUT)
def test_every_kind_of_bad_input_comes_a_few_times(kind: str) -> None:
    path, reason = BAD_INPUT[kind]
    refused = [each for each in decoded() if isinstance(each, Undecodable)]
    found = [each for each in refused if re.fullmatch(path, each.path)]
    assert sum(reason in each.reason for each in found) == TIMES_A_YEAR


def test_everything_else_is_well_formed() -> None:
    assert set(BAD_INPUT) | {"same identity, other data"} == set(KINDS)
    assert sum(isinstance(each, Undecodable) for each in decoded()) == TIMES_A_YEAR * len(BAD_INPUT)


def test_some_identities_are_used_for_two_facts() -> None:
    contents: defaultdict[tuple[str, str, str], set[bytes]] = defaultdict(set)
    for fact in facts():
        contents[fact.customer_id, fact.source, fact.id].add(content(fact))
    assert Counter(len(each) for each in contents.values())[2] == TIMES_A_YEAR


def test_some_facts_are_late_some_come_twice_and_some_overtake_others() -> None:
    told = first_told().values()
    started = [fact for fact in told if fact.occurred_at >= YEAR.begin]
    late = sum(fact.recorded_at - fact.occurred_at > DAY for fact in started)
    assert 0.015 < late / len(started) < 0.05
    twice = len(facts()) - len(told) - TIMES_A_YEAR
    assert 0.01 < twice / len(told) < 0.05
    newest: dict[str, int] = {}
    overtaken = 0
    for fact in told:
        overtaken += fact.occurred_at < newest.get(fact.customer_id, 0)
        newest[fact.customer_id] = max(newest.get(fact.customer_id, 0), fact.occurred_at)
    assert 0.03 < overtaken / len(told) < 0.3


def test_one_system_uses_another_partitioner() -> None:
    astray = [
        decode(record(arrival.message))
        for arrival in year()
        if arrival.message.partition not in (None, murmur2(arrival.message.key or b"", PARTITIONS))
    ]
    assert len(astray) > 50
    assert {each.source for each in astray if isinstance(each, Fact)} == {"/partner-portal"}


def test_one_system_sends_structured_mode() -> None:
    structured = [each for each in year() if dict(each.message.headers)["content-type"] == b"application/cloudevents+json"]
    sources = {fact.source for each in structured if isinstance(fact := decode(record(each.message)), Fact)}
    assert len(structured) > 100
    assert sources == {"/webinars"}


# --------------------------------------------------------------------------------------- the reps


def assigned(number: int) -> LeadAssigned:
    return LeadAssigned(customer_id=f"C-{number}", assignment_id=f"C-{number}/0000000002/1", rep_id="anna")


def test_reps_accept_most_of_what_they_are_given_and_give_a_little_back() -> None:
    answered = Counter(str(told[0].id.rpartition("/")[2]) if (told := answers(7, assigned(n), DAY)) else "" for n in range(2000))
    assert 0.84 < answered["accepted"] / 2000 < 0.92
    assert 0.02 < answered["rejected"] / 2000 < 0.06
    assert 0.05 < answered[""] / 2000 < 0.12


def test_a_rep_answers_an_assignment_always_the_same_after_it_and_by_its_id() -> None:
    for number in range(50):
        told = answers(7, assigned(number), YEAR.begin)
        assert told == answers(7, assigned(number), YEAR.begin)
        assert all(YEAR.begin < each.at < YEAR.begin + 60 * HOUR for each in told)
        for each in told:
            if isinstance(each.data, HandoffAccepted):
                assert (each.data.rep_id, each.data.assignment_id) == ("anna", assigned(number).assignment_id)


@pytest.mark.parametrize(
    ("day", "end"),
    [(date(2026, 1, 1), date(2026, 3, 31)), (date(2025, 12, 31), date(2025, 12, 31)), (date(2026, 10, 5), date(2026, 12, 31))],
)
def test_quarters_end_where_they_do(day: date, end: date) -> None:
    assert quarter_end(day) == end
    assert Year(day).first == day - timedelta(days=365)
