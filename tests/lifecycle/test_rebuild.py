"""Lists and traces made again beside the live ones: byte for byte the same, whatever comes meanwhile and whoever is killed."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from events.bus.database import TRANSIENT
from events.bus.memory import drain
from events.bus.rebuild import sets
from events.bus.rebuild.builder import Builder, Wanted
from events.bus.rebuild.jobs import STALE_SECONDS, Rebuild
from events.facts import Data, LeadCreated, LeadQualified, LeadRecycled, LeadUpdated, OpportunityCreated, OpportunityLost, OwnerSet
from events.values import NANOSECONDS, Price, parse_instant
from services.lifecycle import customers, trace, wakes
from services.lifecycle.customers import Selection
from services.lifecycle.trace import Spot
from tests.lifecycle.harness import Lifecycle
from tests.uncommitted import uncommitted, work

DAYS = tuple(f"2026-03-{day:02}T09:00:00Z" for day in range(1, 10))
VIEWS = ("customers", "traces", "wakes")
TABLES = {"customers": (customers.TABLE,), "traces": (trace.TRACE, trace.REFUSED), "wakes": (wakes.TABLE,)}


@pytest.fixture
def company(lifecycle: Lifecycle, eur: Callable[[str], Price]) -> Lifecycle:
    """Nine customers, late facts, one in a wrong partition, one that is refused; two leads wait, one has come back."""
    for number in range(9):
        name = f"c{number}"
        lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id=name, company=f"{name} GmbH", owner="ann"), DAYS[1])
        if number % 3 == 0:
            opened = OpportunityCreated(customer_id=name, opportunity_id=f"o{number}", amount=eur("10"), owner="bob")
            lifecycle.publish("crm.opportunity.created.v1", opened, DAYS[4])
    lifecycle.settle()
    lifecycle.publish("crm.lead.updated.v1", LeadUpdated(customer_id="c1", score=9), DAYS[0])
    away = lifecycle.message("crm.lead.qualified.v1", LeadQualified(customer_id="c2"), DAYS[2], id="away")
    lifecycle.bus.append(replace(away, partition=(lifecycle.store.home("c2") + 1) % lifecycle.store.shards))
    lifecycle.bus.append(replace(lifecycle.message("crm.lead.qualified.v1", LeadQualified(customer_id="c3"), DAYS[2]), value=b"{}"))
    for name, until in (("c4", "2026-03-06"), ("c5", "2026-09-01"), ("c7", "2026-10-01")):
        lifecycle.publish("crm.lead.recycled.v1", LeadRecycled(customer_id=name, reason="later", until=until), DAYS[3])
    lifecycle.clock = lambda: parse_instant(DAYS[8])
    lifecycle.settle()
    assert [name for name, *_ in rows(lifecycle, "wakes")["wake"]] == ["c5", "c7"]
    return lifecycle


def rows(lifecycle: Lifecycle, view: str, number: int | None = None) -> dict[str, list[tuple[Any, ...]]]:
    """The live set of a view's tables, or another one."""
    with lifecycle.store.database.read() as cursor:
        chosen = sets.to_read(cursor, view).live if number is None else number
        found = {}
        for table in TABLES[view]:
            cursor.execute(f"SELECT * FROM {table.of(chosen)}")
            found[table.name] = sorted(map(tuple, cursor.fetchall()), key=repr)
        return found


def finish(builder: Builder, view: str, between: Callable[[], object] = lambda: None) -> Rebuild:
    """Work to the end, and the tidying up after it."""
    while builder.step() is not None:
        between()
    job, _ = builder.job(view)
    assert job.rebuild is not None
    assert not job.running
    return job.rebuild


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("check", [True, False])
def test_what_is_made_again_is_what_was(company: Lifecycle, view: str, check: bool) -> None:
    before = rows(company, view)
    company.builder.begin(Wanted(view, "dana", check=check))
    rebuild = finish(company.builder, view)
    assert (rebuild.outcome, rebuild.difference) == ("equal" if check else "switched", None)
    assert rebuild.done
    assert rows(company, view) == before
    assert rows(company, view, 0 if not check else 1) == {table.name: [] for table in TABLES[view]}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("check", [True, False])
def test_facts_that_come_meanwhile_are_in_it_once(company: Lifecycle, view: str, check: bool) -> None:
    """Between any two steps: a new customer, a late fact, a change of what the line says; one is put aside, one comes back."""
    numbers = iter(range(10_000))

    def comes() -> None:
        number = next(numbers)
        if number < 20:
            kind: tuple[str, Data] = (
                ("crm.lead.created.v1", LeadCreated(customer_id=f"n{number}", company="N")),
                ("crm.lead.updated.v1", LeadUpdated(customer_id=f"c{number % 9}", score=number)),
                ("crm.owner.set.v1", OwnerSet(customer_id=f"c{number % 9}", rep_id=f"r{number}", actor="dana")),
                ("crm.lead.recycled.v1", LeadRecycled(customer_id=f"n{number - 3}", reason="x", until="2026-11-01")),
                ("crm.lead.recycled.v1", LeadRecycled(customer_id=f"c{number % 9}", reason="x", until="2026-03-08")),
                ("crm.lead.qualified.v1", LeadQualified(customer_id="c7")),
            )[number % 6]
            company.publish(*kind, DAYS[number % 9])
            company.settle()
        assert company.store.customers() == len(company.store.listed(Selection(), limit=1000))

    company.builder.begin(Wanted(view, "dana", check=check))
    assert finish(company.builder, view, comes).outcome == ("equal" if check else "switched")
    company.builder.begin(Wanted(view, "dana", check=True))
    assert finish(company.builder, view).outcome == "equal"


def test_lists_that_are_wrong_are_found_and_made_right(company: Lifecycle) -> None:
    before = rows(company, "customers")
    with company.store.ledger.transaction() as cursor:
        cursor.execute("UPDATE customer SET status = 'Nonsense' WHERE customer_id = 'c4'")
        cursor.execute("DELETE FROM customer WHERE customer_id = 'c7'")
    company.builder.begin(Wanted("customers", "dana", check=True))
    difference = finish(company.builder, "customers").difference
    assert difference is not None
    assert (difference.table, difference.key, difference.column) == ("customer", {"customer_id": "c4"}, "status")
    assert (difference.live, difference.made) == ("Nonsense", "New")
    company.builder.begin(Wanted("customers", "dana"))
    assert finish(company.builder, "customers").outcome == "switched"
    assert rows(company, "customers") == before
    company.publish("crm.lead.qualified.v1", LeadQualified(customer_id="c4"), DAYS[8])
    company.settle()
    assert [line.summary.status for line in company.store.listed(Selection(customer_id=["c4"]), limit=1)] == ["Qualified"]


def test_traces_lead_where_they_led(company: Lifecycle) -> None:
    found = [company.store.traces.events(("crm", name)) for name in ("away", "fact-1", "fact-2")]
    company.builder.begin(Wanted("traces", "dana"))
    finish(company.builder, "traces")
    assert [company.store.traces.events(("crm", name)) for name in ("away", "fact-1", "fact-2")] == found
    assert len(company.store.traces.letters(("crm", "fact-14"))) == 1
    with company.store.ledger.transaction() as cursor:
        trace.write(cursor, 1, [(("crm", "nobody"), Spot(0, 1))])
    company.builder.begin(Wanted("traces", "dana", check=True))
    assert finish(company.builder, "traces").outcome == "different"


def test_a_lead_whose_wake_was_lost_comes_back_after_all(company: Lifecycle) -> None:
    before = rows(company, "wakes")
    with company.store.ledger.transaction() as cursor:
        cursor.execute("DELETE FROM wake WHERE customer_id = 'c5'")
        cursor.execute("UPDATE wake SET at = at - 1 WHERE customer_id = 'c7'")
    company.builder.begin(Wanted("wakes", "dana", check=True))
    assert finish(company.builder, "wakes").outcome == "different"
    company.builder.begin(Wanted("wakes", "dana"))
    assert finish(company.builder, "wakes").outcome == "switched"
    assert rows(company, "wakes") == before
    company.clock = lambda: parse_instant("2026-09-02T00:00:00Z")
    company.settle()
    listed = company.store.listed(Selection(customer_id=["c5", "c7"]), limit=2)
    assert [line.summary.status for line in listed] == ["New", "Recycled"]
    assert [name for name, *_ in rows(company, "wakes")["wake"]] == ["c7"]


@pytest.mark.parametrize("view", VIEWS)
def test_whichever_transaction_is_not_committed_nothing_is_missing(company: Lifecycle, view: str) -> None:
    before, number, count = rows(company, view), 0, [1]
    while number < count[0]:
        number += 1
        company.builder.begin(Wanted(view, "dana"))
        with uncommitted(company.store.ledger, number) as count:
            work(company.builder)
        assert finish(company.builder, view).outcome == "switched"
        assert rows(company, view) == before, f"transaction {number}"
    assert number > 5


def test_a_killed_service_leaves_the_live_view(company: Lifecycle) -> None:
    for view in VIEWS:
        before = rows(company, view)
        for killed_after in range(1, 15, 2):
            company.builder.begin(Wanted(view, "dana"))
            for _ in range(killed_after):
                company.builder.step()
            company.crash()
            assert rows(company, view) == before
            company.settle()
            with company.store.ledger.transaction() as cursor:  # another worker counts as dead after a while
                cursor.execute("UPDATE rebuild SET beat = beat - ?", ((STALE_SECONDS + 1) * 10**9,))
            assert finish(company.builder, view).outcome in ("abandoned", "switched")
            with company.store.database.read() as cursor:
                standing = sets.to_read(cursor, view)
            assert not standing.doubled
            assert not any(rows(company, view, standing.other).values())
            assert rows(company, view) == before


@pytest.mark.parametrize("view", VIEWS)
def test_a_cancel_that_was_accepted_is_obeyed_after_whichever_step_it_comes(company: Lifecycle, view: str) -> None:
    """Also in the rest between the last step of filling and the switch."""
    before, accepted, after = rows(company, view), True, 0
    while accepted:
        after += 1
        company.builder.begin(Wanted(view, "dana", share=5))
        for _ in range(after):
            company.builder.step()
        accepted = company.builder.cancel(view)
        assert finish(company.builder, view).outcome == ("cancelled" if accepted else "switched"), f"after {after} steps"
        assert company.builder.job(view)[1].generation == (0 if accepted else 1)
        assert rows(company, view) == before
    assert after > 5


def test_a_record_that_cannot_be_folded_makes_no_lists(company: Lifecycle) -> None:
    before = rows(company, "customers")
    table = f"shard_{company.store.home('c5'):03d}_events"
    with company.store.ledger.transaction() as cursor:
        cursor.execute(f"UPDATE {table} SET state = ? WHERE originator_id = 'c5' AND topic = 'fact'", (b"broken",))
    company.builder.begin(Wanted("customers", "dana"))
    rebuild = finish(company.builder, "customers")
    assert (rebuild.outcome, "cannot be folded" in rebuild.detail) == ("failed", True), rebuild.detail
    assert rows(company, "customers") == before


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_one_worker_makes_it_while_another_writes(company: Lifecycle) -> None:
    """The one that has the partitions goes on; one that has none makes the view, and both read the new one after the switch."""
    store, loop = company.store, company.loop
    _, _, standby = company.start("lifecycle-2")
    numbers = iter(range(10_000))

    def comes() -> None:
        if (number := next(numbers)) < 10:
            company.publish("crm.lead.updated.v1", LeadUpdated(customer_id=f"c{number % 9}", score=number), DAYS[8])
            drain([loop, standby])

    for view in VIEWS:
        company.builder.begin(Wanted(view, "dana"))
        assert finish(company.builder, view, comes).outcome == "switched"
    assert store.listed(Selection(), limit=99) == company.stores[-1].listed(Selection(), limit=99)
    for view in VIEWS:
        company.builder.begin(Wanted(view, "dana", check=True))
        assert finish(company.builder, view).outcome == "equal"


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_one_that_works_a_hundredth_of_the_time_is_not_taken_for_dead(company: Lifecycle) -> None:
    """Every look at the clock takes a second: after a step it would rest for minutes, and who is silent for so long is dead."""
    passed = 0.0

    def now() -> int:
        nonlocal passed
        passed += 1
        return parse_instant(DAYS[8]) + int(passed * NANOSECONDS)

    def builder() -> Builder:
        store = company.stores[-1]
        views = list(company.builder.views.values())
        return Builder(store.ledger, store.database.read, views, worker=str(len(company.stores)), transient=TRANSIENT, now=now)

    seldom = builder()
    company.start("lifecycle-2")
    another = builder()
    seldom.begin(Wanted("customers", "dana", check=True, share=1))
    rests = []
    while (rest := seldom.step()) is not None:
        rests.append(rest)
        passed += rest
        another.step()
    job, _ = another.job("customers")
    assert job.rebuild is not None
    assert (job.rebuild.outcome, job.rebuild.worker) == ("equal", "1")
    assert max(rests) > STALE_SECONDS / 4, "it did rest"


TEN = Price(amount=Decimal(10), currency="EUR")
FACTS = st.sampled_from(
    (
        ("crm.lead.created.v1", lambda name: LeadCreated(customer_id=name, company=name)),
        ("crm.lead.qualified.v1", lambda name: LeadQualified(customer_id=name)),
        ("crm.lead.updated.v1", lambda name: LeadUpdated(customer_id=name, owner="ann")),
        ("crm.opportunity.created.v1", lambda name: OpportunityCreated(customer_id=name, opportunity_id=f"{name}-1", amount=TEN)),
        ("crm.opportunity.lost.v1", lambda name: OpportunityLost(customer_id=name, opportunity_id=f"{name}-1", reason="x")),
        ("crm.owner.set.v1", lambda name: OwnerSet(customer_id=name, rep_id="bob", actor="dana")),
        ("crm.lead.recycled.v1", lambda name: LeadRecycled(customer_id=name, reason="x", until="2026-09-01")),
        ("crm.lead.recycled.v1", lambda name: LeadRecycled(customer_id=name, reason="x", until="2026-03-05")),
    )
)
ARRIVALS = st.lists(st.tuples(FACTS, st.sampled_from("abc"), st.sampled_from(DAYS), st.integers(0, 4)), min_size=1, max_size=20)


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(ARRIVALS, st.sampled_from(VIEWS), st.booleans())
def test_whatever_comes_in_whatever_order(tmp_path_factory: Any, arrivals: Any, view: str, check: bool) -> None:
    """I6: late facts and any number of steps between any two of them."""
    running = Lifecycle(tmp_path_factory.mktemp("lists") / "lifecycle.sqlite", clock=lambda: parse_instant(DAYS[8]))
    running.builder.begin(Wanted(view, "dana", check=check))
    for (type_, data), name, at, steps in arrivals:
        running.publish(type_, data(name), at)
        for _ in range(steps):
            running.builder.step()
        running.settle()
    assert finish(running.builder, view).outcome == ("equal" if check else "switched")
    running.builder.begin(Wanted(view, "dana", check=True))
    assert finish(running.builder, view).outcome == "equal"
    running.store.close()
