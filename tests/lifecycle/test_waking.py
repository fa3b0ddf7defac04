"""Recycled leads come back by a tick, once: whatever crashes, arrives late or is decided anew meanwhile (FOLD 20)."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.bus.ledger import Fenced
from events.bus.memory import drain
from events.bus.partitioner import murmur2
from events.codec import Fact, content, decode
from events.facts import (
    ActivityLogged,
    Data,
    LeadCreated,
    LeadDisqualified,
    LeadQualified,
    LeadRecycled,
    LeadUpdated,
    OpportunityCreated,
    StatusSet,
)
from events.record import Message
from events.topics import MOVED
from events.values import Price, format_instant, parse_instant
from services.lifecycle.domain.fold import Fold, fold_of
from services.lifecycle.outbound import SOURCE
from tests.lifecycle.harness import SHARDS, Lifecycle

DAY_1, DAY_2, DAY_3, DAY_4, DAY_5, DAY_6 = (f"2026-03-0{day}T09:00:00Z" for day in range(1, 7))


@pytest.fixture
def asleep(lifecycle: Lifecycle) -> Lifecycle:
    """A lead that was recycled on day 1 until day 3; it is day 2."""
    at(lifecycle, DAY_2)
    recycle(lifecycle, "r", DAY_1, until=DAY_3)
    lifecycle.settle()
    return lifecycle


def at(lifecycle: Lifecycle, time: str) -> None:
    """The worker's clock."""
    lifecycle.clock = lambda: parse_instant(time)


def recycle(
    lifecycle: Lifecycle, name: str, time: str, *, until: str | None, customer: str = "acme", lead: str | None = None
) -> None:
    data = LeadRecycled(customer_id=customer, reason="later", until=until, lead_id=lead)
    lifecycle.publish("crm.lead.recycled.v1", data, time, id=name)


def wait(lifecycle: Lifecycle, time: str) -> None:
    """It becomes that time, and all that is due is done."""
    at(lifecycle, time)
    lifecycle.settle()
    lifecycle.loop.turn()
    lifecycle.settle()


def ticks(lifecycle: Lifecycle) -> list[tuple[str, str]]:
    """The ticks that lie in the log, with their dates; a repeat must be the same."""
    records = lifecycle.bus.records(MOVED.name)
    headers = [dict(record.headers) for record in records]
    told = {(h["ce_id"].decode(), h["ce_time"].decode(), r.value) for h, r in zip(headers, records, strict=True)}
    assert len({name for name, _, _ in told}) == len(told), "one tick of a recycling"
    return sorted((name, time) for name, time, _ in told)


def fold(lifecycle: Lifecycle, customer: str = "acme") -> Fold:
    shard = murmur2(customer.encode(), SHARDS)
    return lifecycle.store.load(shard, [customer], lifecycle.policy)[customer].fold


def statuses(lifecycle: Lifecycle, customer: str = "acme") -> list[tuple[str, str]]:
    return [(format_instant(held.at), held.what.name) for held in fold(lifecycle, customer).statuses]


def test_not_before_its_time(asleep: Lifecycle) -> None:
    wait(asleep, "2026-03-03T08:59:59.999999999Z")
    assert (ticks(asleep), statuses(asleep)) == ([], [(DAY_1, "Recycled")])
    wait(asleep, DAY_3)
    assert ticks(asleep) == [("acme/wake/crm/r", DAY_3)]
    assert statuses(asleep) == [(DAY_1, "Recycled"), (DAY_3, "New")]


def test_it_does_not_wait_for_a_quiet_moment(asleep: Lifecycle) -> None:
    """However many facts come, so that there is something to take in at every turn."""
    at(asleep, DAY_3)
    for number in range(10):
        asleep.publish("crm.lead.updated.v1", LeadUpdated(customer_id=f"c{number}"), DAY_2)
        asleep.loop.turn()
    assert statuses(asleep) == [(DAY_1, "Recycled"), (DAY_3, "New")]


@pytest.mark.parametrize(
    ("until", "wakes"),
    [
        ("2026-03-29", "2026-03-28T23:00:00Z"),  # the day on which summer time begins: at midnight it is still winter time
        ("2026-03-30", "2026-03-29T22:00:00Z"),
        ("2026-10-25", "2026-10-24T22:00:00Z"),  # the day on which it ends
        ("2026-10-26", "2026-10-25T23:00:00Z"),
        ("2026-10-25T02:30:00+02:00", "2026-10-25T00:30:00Z"),  # an hour that there is twice: the offset says which
    ],
)
def test_a_date_begins_where_the_business_is(tmp_path: Path, until: str, wakes: str) -> None:
    berlin = Lifecycle(tmp_path / "berlin.sqlite", zone="Europe/Berlin")
    at(berlin, DAY_2)
    recycle(berlin, "r", DAY_1, until=until)
    wait(berlin, format_instant(parse_instant(wakes) - 1))
    assert ticks(berlin) == []
    wait(berlin, wakes)
    assert ticks(berlin) == [("acme/wake/crm/r", wakes)]
    assert statuses(berlin) == [(DAY_1, "Recycled"), (wakes, "New")]
    berlin.store.close()


def test_a_midnight_that_does_not_exist_is_the_first_instant_of_the_day(tmp_path: Path) -> None:
    """In Cairo clocks went from 23:59:59 to 01:00 on 26 April 2024."""
    cairo = Lifecycle(tmp_path / "cairo.sqlite", zone="Africa/Cairo")
    recycle(cairo, "r", "2024-04-01T00:00:00Z", until="2024-04-26")
    wait(cairo, DAY_1)
    assert ticks(cairo) == [("acme/wake/crm/r", "2024-04-25T22:00:00Z")]
    cairo.store.close()


def test_until_in_the_past_it_is_back_at_once(lifecycle: Lifecycle) -> None:
    """At the instant of the recycling: a status that lasted no time does not exist (FOLD 3)."""
    lifecycle.publish("crm.lead.qualified.v1", LeadQualified(customer_id="acme"), DAY_1)
    recycle(lifecycle, "r", DAY_3, until="2025-01-01")
    wait(lifecycle, DAY_4)
    assert ticks(lifecycle) == [("acme/wake/crm/r", DAY_3)]
    assert statuses(lifecycle) == [(DAY_1, "Qualified"), (DAY_3, "New")]


def test_a_recycling_that_takes_the_place_of_one_that_has_woken_the_lead_wakes_it_too(asleep: Lifecycle) -> None:
    """They have one identity, so only one of them is a fact (FOLD 2); and the tick of the other is before it."""
    wait(asleep, DAY_3)
    assert statuses(asleep)[-1] == (DAY_3, "New")
    known = asleep.store.load(asleep.store.home("acme"), ["acme"], asleep.policy)["acme"].known
    (first,) = [each.digest for ref, each in known.items() if ref.id == "r"]
    for number in range(1000):  # of two the one with the smaller digest stands
        data = LeadRecycled(customer_id="acme", reason=f"later {number}", until=DAY_5)
        fact = Fact("acme", "crm", "r", "crm.lead.recycled.v1", parse_instant(DAY_4), 0, data)
        if hashlib.sha256(content(fact)).digest() < first:
            break
    asleep.publish("crm.lead.recycled.v1", data, DAY_4, id="r")
    wait(asleep, DAY_4)
    assert statuses(asleep)[-1] == (DAY_4, "Recycled")
    wait(asleep, DAY_6)
    assert statuses(asleep)[-2:] == [(DAY_4, "Recycled"), (DAY_5, "New")]
    assert ticks(asleep) == [
        ("acme/wake/crm/r", DAY_3),
        (f"acme/wake/crm/r/{parse_instant(DAY_5)}", DAY_5),
    ]


def test_without_until_it_sleeps_for_good(lifecycle: Lifecycle) -> None:
    recycle(lifecycle, "r", DAY_1, until=None)
    wait(lifecycle, "2199-01-01T00:00:00Z")
    assert (ticks(lifecycle), statuses(lifecycle)) == ([], [(DAY_1, "Recycled")])


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("crm.status.set.v1", StatusSet(customer_id="acme", status="Dead", actor="eva")),
        ("crm.lead.qualified.v1", LeadQualified(customer_id="acme")),
        ("crm.lead.disqualified.v1", LeadDisqualified(customer_id="acme", reason="no budget")),
        ("crm.lead.created.v1", LeadCreated(customer_id="acme")),
        ("crm.activity.logged.v1", ActivityLogged(customer_id="acme", activity_id="a", direction="inbound")),
    ],
)
@pytest.mark.parametrize("heard", ["before it was due", "after it came back"])
def test_what_ends_the_waiting_ends_it_whenever_it_is_heard(asleep: Lifecycle, type_: str, data: Data, heard: str) -> None:
    """After it came back, too: then the tick lies in the log, and has no effect."""
    if heard == "after it came back":
        wait(asleep, DAY_4)
        assert statuses(asleep)[-1] == (DAY_3, "New")
    asleep.publish(type_, data, DAY_2)
    wait(asleep, DAY_4)
    ended = {"crm.status.set.v1": "Dead", "crm.lead.qualified.v1": "Qualified", "crm.lead.disqualified.v1": "Dead"}
    assert statuses(asleep) == [(DAY_1, "Recycled"), (DAY_2, ended.get(type_, "New"))]
    assert len(ticks(asleep)) == (heard == "after it came back")


def test_a_later_recycling_takes_the_place_of_an_earlier_one(asleep: Lifecycle) -> None:
    recycle(asleep, "r2", DAY_2, until=DAY_5)
    wait(asleep, DAY_4)
    assert ticks(asleep) == []
    wait(asleep, DAY_6)
    assert ticks(asleep) == [("acme/wake/crm/r2", DAY_5)]
    assert statuses(asleep) == [(DAY_1, "Recycled"), (DAY_5, "New")]


def test_a_later_recycling_that_is_heard_late(asleep: Lifecycle) -> None:
    """The lead was back on day 3; now it turns out that it was recycled again before, until day 5."""
    wait(asleep, DAY_4)
    recycle(asleep, "r2", DAY_2, until=DAY_5)
    wait(asleep, DAY_4)
    assert statuses(asleep) == [(DAY_1, "Recycled")]
    wait(asleep, DAY_5)
    assert ticks(asleep) == [("acme/wake/crm/r", DAY_3), ("acme/wake/crm/r2", DAY_5)]
    assert statuses(asleep) == [(DAY_1, "Recycled"), (DAY_5, "New")]


def test_a_recycling_that_stands_again_wakes_after_all(lifecycle: Lifecycle) -> None:
    """The second recycling was of another lead, as a late fact tells: so the first one stands, whose time has passed."""
    at(lifecycle, DAY_2)
    recycle(lifecycle, "r", DAY_1, until=DAY_3)
    recycle(lifecycle, "r2", DAY_2, until=DAY_6, lead="l2")
    wait(lifecycle, DAY_4)
    assert (ticks(lifecycle), statuses(lifecycle)) == ([], [(DAY_1, "Recycled")])
    lifecycle.publish("crm.lead.updated.v1", LeadUpdated(customer_id="acme", lead_id="l1"), "2026-03-01T10:00:00Z")
    wait(lifecycle, DAY_4)
    assert ticks(lifecycle) == [("acme/wake/crm/r", DAY_3)]
    assert statuses(lifecycle) == [(DAY_1, "Recycled"), (DAY_3, "New")]
    wait(lifecycle, "2026-04-01T00:00:00Z")
    assert len(ticks(lifecycle)) == 1


def test_of_two_recyclings_of_one_identity_the_one_that_stands_names_the_time(lifecycle: Lifecycle) -> None:
    at(lifecycle, DAY_2)
    for until in (DAY_3, DAY_5):
        recycle(lifecycle, "r", DAY_1, until=until)
        lifecycle.settle()
    (stands,) = [fact.data.until for _, fact in fold(lifecycle).facts if isinstance(fact.data, LeadRecycled)]
    wait(lifecycle, DAY_6)
    assert ticks(lifecycle) == [("acme/wake/crm/r", stands)]
    assert statuses(lifecycle) == [(DAY_1, "Recycled"), (stands, "New")]
    assert len(lifecycle.letters()) == 1


def test_a_tick_that_comes_twice_changes_nothing(asleep: Lifecycle) -> None:
    wait(asleep, DAY_3)
    (tick,) = asleep.bus.records(MOVED.name)
    said = len(asleep.published())
    for _ in range(2):
        asleep.bus.append(Message(tick.topic, tick.key, tick.value, tick.headers, tick.partition, tick.timestamp))
        asleep.settle()
    assert len(asleep.published()) == said
    assert not asleep.letters()


def test_a_worker_that_was_away_wakes_what_was_due_meanwhile(asleep: Lifecycle) -> None:
    """The tick is late then: it is put where it belongs, before what came in meanwhile."""
    opened = OpportunityCreated(customer_id="acme", opportunity_id="o1", amount=Price(amount=Decimal(100), currency="EUR"))
    asleep.publish("crm.opportunity.created.v1", opened, DAY_5)
    at(asleep, DAY_6)
    asleep.crash()
    wait(asleep, DAY_6)
    assert statuses(asleep) == [(DAY_1, "Recycled"), (DAY_3, "New"), (DAY_5, "Opportunity Identified")]
    assert [fact.data.current.name for fact in asleep.published() if fact.type == "crm.status.changed.v1"][-1] == (
        "Opportunity Identified"
    ), "the past was corrected, not the present"


def test_more_than_one_step_takes(lifecycle: Lifecycle) -> None:
    at(lifecycle, DAY_2)
    for number in range(1100):
        recycle(lifecycle, "r", DAY_1, until="2026-03-03", customer=f"c{number}")
    lifecycle.settle()
    at(lifecycle, DAY_4)
    while lifecycle.store.due(range(SHARDS), parse_instant(DAY_4)):
        lifecycle.loop.turn()
    lifecycle.settle()
    assert len(ticks(lifecycle)) == 1100
    assert all(statuses(lifecycle, f"c{number}")[-1] == ("2026-03-03T00:00:00Z", "New") for number in range(0, 1100, 100))


def test_a_worker_that_lost_its_shards_wakes_nobody(asleep: Lifecycle) -> None:
    """It could forget the waking that the next worker has noted since: the transaction is refused, and it ends."""
    zombie = asleep.worker
    asleep.crash()
    asleep.settle()
    at(asleep, DAY_4)
    with pytest.raises(Fenced):
        zombie.beside({})
    assert asleep.store.due(range(SHARDS), parse_instant(DAY_4)), "it is still to be done"
    wait(asleep, DAY_4)
    assert ticks(asleep) == [("acme/wake/crm/r", DAY_3)]


def test_two_workers_share_the_waking(tmp_path: Path) -> None:
    lifecycle = Lifecycle(tmp_path / "two.sqlite")
    at(lifecycle, DAY_2)
    _, _, other = lifecycle.start("lifecycle-2")
    loops = [lifecycle.loop, other]
    for number in range(40):
        recycle(lifecycle, "r", DAY_1, until=DAY_3, customer=f"c{number}")
    drain(loops)
    at(lifecycle, DAY_4)
    for _ in range(3):
        for loop in loops:
            loop.turn()
        drain(loops)
    assert len(ticks(lifecycle)) == 40
    assert all(statuses(lifecycle, f"c{number}") == [(DAY_1, "Recycled"), (DAY_3, "New")] for number in range(40))
    for store in lifecycle.stores:
        store.close()


# ------------------------------------------------------------------------------- whatever happens

CUSTOMERS = ("acme", "brix", "cern")
FACTS: dict[str, Callable[[str], Data]] = {
    "crm.lead.created.v1": lambda customer: LeadCreated(customer_id=customer, lead_id="l1"),
    "crm.lead.updated.v1": lambda customer: LeadUpdated(customer_id=customer, lead_id="l2"),
    "crm.lead.qualified.v1": lambda customer: LeadQualified(customer_id=customer),
    "crm.lead.disqualified.v1": lambda customer: LeadDisqualified(customer_id=customer, reason="x"),
    "crm.status.set.v1": lambda customer: StatusSet(customer_id=customer, status="Unqualified", actor="eva"),
    "crm.activity.logged.v1": lambda customer: ActivityLogged(customer_id=customer, activity_id="a", direction="inbound"),
}
HOURS = st.integers(0, 120)
"""Of March 2026."""
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("recycle"), st.sampled_from(CUSTOMERS), HOURS, HOURS, st.sampled_from([None, "l1", "l2"])),
        st.tuples(st.just("fact"), st.sampled_from(CUSTOMERS), HOURS, st.sampled_from(sorted(FACTS))),
        st.tuples(st.just("clock"), st.integers(1, 30)),
        st.tuples(st.just("turn"), st.integers(1, 3)),
        st.tuples(st.just("crash")),
        st.tuples(st.just("zombie")),
        st.tuples(st.just("fault"), st.sampled_from(["refused", "unanswered"])),
    ),
    max_size=40,
)


def hour(number: int) -> str:
    return format_instant(parse_instant("2026-03-01T00:00:00Z") + number * 3600 * 10**9)


@settings(max_examples=150)
@given(script=STEPS, seed=st.integers(0, 1000))
def test_nobody_oversleeps_and_nobody_is_woken_twice(script: list[Any], seed: int) -> None:
    with TemporaryDirectory() as folder:
        lifecycle = Lifecycle(Path(folder) / "lifecycle.sqlite", seed=seed)
        try:
            play(lifecycle, script)
            check(lifecycle)
        finally:
            for store in lifecycle.stores:
                store.close()


def play(lifecycle: Lifecycle, script: list[Any]) -> None:
    now = 0
    for number, step in enumerate(script):
        match step:
            case ("recycle", customer, when, until, lead):
                recycle(lifecycle, f"r{number}", hour(when), until=hour(until), customer=customer, lead=lead)
            case ("fact", customer, when, type_):
                lifecycle.publish(type_, FACTS[type_](customer), hour(when), id=f"f{number}")
            case ("clock", hours):
                now += hours
                at(lifecycle, hour(now))
            case ("turn", count):
                for _ in range(count):
                    lifecycle.loop.turn()
            case ("crash",):
                lifecycle.crash()
            case ("zombie",):
                frozen = lifecycle.worker
                lifecycle.crash()
                lifecycle.loop.turn()
                with suppress(Fenced):
                    frozen.settle()
            case ("fault", fault):
                faults = iter([fault])
                lifecycle.bus.fault = lambda _, faults=faults: next(faults, None)
    for _ in range(3):  # what wakes may let another recycling stand, which is due then
        wait(lifecycle, hour(500))


def check(lifecycle: Lifecycle) -> None:
    """Every lead is as the facts in the logs say, ticks included; none sleeps whose time has come; and one tick for a recycling."""
    assert not lifecycle.letters()
    woken = ticks(lifecycle)
    facts: dict[str, dict[tuple[str, str], Fact]] = {}
    for fact in heard(lifecycle):
        facts.setdefault(fact.customer_id, {})[fact.source, fact.id] = fact
    for customer, known in facts.items():
        found = fold(lifecycle, customer)
        assert found.statuses == fold_of(known.values(), lifecycle.policy).statuses
        assert found.state is not None
        assert found.state.lead.wake_at is None, "it sleeps, though its time has come"
    assert len(woken) == sum(source == SOURCE for known in facts.values() for source, _ in known)


def heard(lifecycle: Lifecycle) -> Iterator[Fact]:
    for topic in ("crm.lead.v1", "crm.activity.v1", "crm.command.v1", MOVED.name):
        for record in lifecycle.bus.records(topic):
            fact = decode(record)
            assert isinstance(fact, Fact)
            yield fact
