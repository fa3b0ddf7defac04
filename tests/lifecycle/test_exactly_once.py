"""Whatever crashes, repeats, strays or arrives late: every record and every consumer ends where the set of facts says.

The promises I1, I4, I5 and I8 of the design, against a plain fold of what was published to the input topics.
"""

import threading
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.bus.ledger import Fenced
from events.bus.memory import drain
from events.bus.partitioner import crc32, murmur2
from events.codec import Fact, decode
from events.facts import (
    Data,
    LeadCreated,
    LeadQualified,
    LeadUpdated,
    OpportunityCreated,
    OpportunityLost,
    OpportunityUpdated,
    OpportunityWon,
    OrderCancelled,
    OrderPlaced,
    OwnerSet,
    QuoteCreated,
    QuoteReturned,
    StatusReverted,
)
from events.published import DealsChanged, StatusChanged
from events.record import Message
from events.values import Money, Price, format_instant
from services.lifecycle.domain.fold import Fold, fold_of
from services.lifecycle.outbound import deal_image, status_state
from tests.lifecycle.domain.histories import TABLES
from tests.lifecycle.harness import Lifecycle, process_of
from tests.postgres import PostgresServer

CUSTOMERS = [f"customer-{number}" for number in range(6)]


def story(customer: str) -> st.SearchStrategy[tuple[str, Data]]:
    """One thing that can happen to a customer."""
    price, name = st.integers(1, 9).map(lambda n: Price(amount=Decimal(n * 100), currency="EUR")), st.sampled_from(["a", "b"])
    money = st.sampled_from([-50, 100, 700]).map(lambda n: Money(amount=Decimal(n), currency="EUR"))
    rep = st.sampled_from(["anna", "carl"])
    stage = st.sampled_from(["In Discussion", "Closed Lost"])
    mine = {"customer_id": st.just(customer)}
    actor = st.just("bob")
    kinds: dict[str, st.SearchStrategy[Data]] = {
        "crm.lead.created.v1": st.builds(LeadCreated, **mine, owner=rep, company=name),
        "crm.lead.qualified.v1": st.builds(LeadQualified, **mine),
        "crm.opportunity.created.v1": st.builds(OpportunityCreated, **mine, opportunity_id=name, amount=price),
        "crm.opportunity.updated.v1": st.builds(OpportunityUpdated, **mine, opportunity_id=name, stage=stage),
        "crm.opportunity.won.v1": st.builds(OpportunityWon, **mine, opportunity_id=name),
        "crm.opportunity.lost.v1": st.builds(OpportunityLost, **mine, opportunity_id=name, reason=st.just("price")),
        "crm.quote.created.v1": st.builds(
            QuoteCreated, **mine, quote_id=name, amount=price, opportunity_id=st.none() | name, replaces=st.none() | name
        ),
        "crm.quote.returned.v1": st.builds(QuoteReturned, **mine, quote_id=name),
        "crm.order.placed.v1": st.builds(OrderPlaced, **mine, order_id=name, quote_id=st.none() | name, amount=money),
        "crm.order.cancelled.v1": st.builds(OrderCancelled, **mine, order_id=name),
        "crm.owner.set.v1": st.builds(OwnerSet, **mine, rep_id=rep, actor=actor),
        "crm.status.reverted.v1": st.builds(StatusReverted, **mine, stage=st.just("lead"), actor=actor),
    }
    return st.sampled_from(sorted(kinds)).flatmap(lambda type_: st.tuples(st.just(type_), kinds[type_]))


steps = st.lists(
    st.one_of(
        st.tuples(st.just("fact"), st.sampled_from(CUSTOMERS).flatmap(story), st.integers(0, 40), st.booleans()),
        st.tuples(st.just("again"), st.integers(0, 30)),
        st.tuples(st.just("turn"), st.integers(1, 3)),
        st.tuples(st.just("crash")),
        st.tuples(st.just("table"), st.sampled_from(sorted(TABLES)), st.integers(0, 40)),
        st.tuples(st.just("look")),
        st.tuples(st.just("fault"), st.sampled_from(["refused", "unanswered"])),
    ),
    max_size=60,
)


def play(lifecycle: Lifecycle, script: list[Any], *, turns: int | None = None) -> list[Message]:
    """Publish, turn, crash and break as the script says; answers with the facts that were published, repeats left out.

    A table is a version of the status table, which a worker knows once it looks; mostly it comes late. ``turns``: so many at the
    end, and not until all has come to rest.
    """
    sent: list[Message] = []
    tables = 0
    for step in script:
        match step:
            case ("fact", (type_, data), minute, strays):
                message = lifecycle.message(type_, data, f"2026-03-01T09:{minute:02d}:00Z")
                sent.append(message)
                lifecycle.bus.append(message, partitioner=crc32 if strays else murmur2)
            case ("again", number) if sent:
                lifecycle.bus.append(sent[number % len(sent)])
            case ("turn", count):
                for _ in range(count):
                    lifecycle.loop.turn()
            case ("crash",):
                lifecycle.crash()
            case ("table", name, minute):
                tables += 1
                lifecycle.publish_table(process_of(TABLES[name]), f"2026-03-01T09:{minute:02d}:00Z", version=tables)
            case ("look",):
                lifecycle.tables.look()
            case ("fault", fault):
                faults = iter([fault])
                lifecycle.bus.fault = lambda _, faults=faults: next(faults, None)
    if turns is None:
        lifecycle.settle()
    for _ in range(turns or 0):
        lifecycle.loop.turn()
    return sent


def as_consumed(lifecycle: Lifecycle, customer: str) -> tuple[list[Any], dict[str, list[Any]]]:
    """What a consumer holds after folding all that was published of a customer: a version that it has seen is a repeat."""
    seen = 0
    current = None
    statuses: list[Any] = []
    deals: dict[str, list[Any]] = {}
    for fact in lifecycle.published():
        if fact.customer_id != customer or fact.data.version <= seen:
            continue
        seen = fact.data.version
        match fact.data:
            case StatusChanged(since=since, states=states, previous=previous):
                assert previous == current, "what is said to have been before is what was said last"
                current = fact.data.current
                statuses = [state for state in statuses if state.effective_at < since] + list(states)
            case DealsChanged(deals=changes):
                for change in changes:
                    kept = [s for s in deals.pop(change.deal_id, []) if change.since is not None and s[0] < change.since]
                    if change.since is not None:
                        deals[change.deal_id] = kept + [(s.effective_at, s.image) for s in change.states]
    return statuses, deals


def as_folded(fold: Fold) -> tuple[list[Any], dict[str, list[Any]]]:
    """The same, from the fold of the set."""
    deals = {deal: [(format_instant(held.at), deal_image(held.what)) for held in history] for deal, history in fold.images.items()}
    return [status_state(held) for held in fold.statuses], deals


def check(lifecycle: Lifecycle, sent: list[Message]) -> None:
    """Records, consumers and dead letters are what the set of published facts says."""
    facts: dict[str, dict[str, Fact]] = {}
    for message in sent:
        fact = decode(lifecycle.bus.append(message))  # decoded as from the log; the repeat is harmless
        assert isinstance(fact, Fact)
        facts.setdefault(fact.customer_id, {})[fact.id] = fact
    lifecycle.settle()
    for customer, known in facts.items():
        expected = fold_of(known.values(), lifecycle.policy)
        record = lifecycle.store.load(murmur2(customer.encode(), 4), [customer], lifecycle.policy)[customer]
        assert (record.fold.statuses, record.fold.images) == (expected.statuses, expected.images)
        assert as_consumed(lifecycle, customer) == as_folded(expected)
    assert lifecycle.store.customers() == len(facts)
    assert not lifecycle.letters()


def run(script: list[Any], seed: int, database: str) -> None:
    """A script on an empty database."""
    with TemporaryDirectory() as folder:
        lifecycle = Lifecycle(Path(folder) / "lifecycle.sqlite", seed=seed, database=database)
        try:
            check(lifecycle, play(lifecycle, script))
        finally:
            for store in lifecycle.stores:
                store.close()


@settings(max_examples=150)
@given(script=steps, seed=st.integers(0, 1000))
def test_every_fact_counts_exactly_once_whatever_happens(script: list[Any], seed: int) -> None:
    run(script, seed, "sqlite")


@pytest.mark.postgres
@settings(max_examples=25)
@given(script=steps, seed=st.integers(0, 1000))
def test_every_fact_counts_exactly_once_on_postgresql(postgres: PostgresServer, script: list[Any], seed: int) -> None:
    run(script, seed, postgres.database())


@pytest.mark.postgres
def test_a_server_that_crashes_again_and_again_under_load(tmp_path: Path) -> None:
    with PostgresServer() as server:
        lifecycle = Lifecycle(tmp_path / "unused", database=server.database())
        sent: list[Message] = []
        for crash in range(6):
            for number in range(60):
                data = LeadUpdated(customer_id=f"c{number}", company=f"company {crash}")
                message = lifecycle.message("crm.lead.updated.v1", data, f"2026-03-01T09:{crash:02d}:00Z")
                lifecycle.bus.append(message)
                sent.append(message)
            lifecycle.loop.turn()

            def crash_and_come_back() -> None:
                server.crash()
                server.start()

            trouble = threading.Thread(target=crash_and_come_back)
            trouble.start()
            while trouble.is_alive():
                try:
                    lifecycle.loop.turn()
                except Fenced:  # it could not be known in time whether the last commit was one
                    lifecycle.crash()
            trouble.join()
        try:
            check(lifecycle, sent)
        finally:
            for store in lifecycle.stores:
                store.close()


def test_a_frozen_worker_is_refused_as_a_whole_when_it_comes_back(lifecycle: Any) -> None:
    lifecycle.loop.turn()
    for number in range(10):
        lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id=f"c{number}"), "2026-03-01T09:00:00Z")
    frozen, frozen_worker = lifecycle.loop, lifecycle.worker
    batch = lifecycle.bus.records("crm.lead.v1")
    lifecycle.crash()
    lifecycle.settle()
    with pytest.raises(Fenced):
        frozen_worker.process(batch)
    assert lifecycle.store.customers() == 10
    assert len(lifecycle.published()) == 10
    drain([lifecycle.loop])
    frozen.close()
