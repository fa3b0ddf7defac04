"""One company's story through all three services on the memory bus: facts in, a record, a rep and a forecast out."""

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.assignments import LeadAssigned, LeadUnassigned
from events.bus.memory import drain
from events.bus.partitioner import murmur2
from events.facts import (
    HandoffAccepted,
    HandoffRejected,
    LeadCreated,
    LeadRecycled,
    OpportunityCreated,
    OrderPlaced,
    OwnerSet,
    QuoteAccepted,
    QuoteCreated,
)
from events.values import Money, Price, parse_instant
from services.lifecycle.domain.record import Record
from tests.forecast.harness import Forecast
from tests.lifecycle.harness import SHARDS, Lifecycle
from tests.routing.harness import Routing


class Company:
    """All three services over one memory bus, each with its own file, or two with their schemas of one PostgreSQL database."""

    def __init__(self, folder: Path, seed: int | None = None, database: str = "sqlite") -> None:
        self.lifecycle = Lifecycle(folder / "lifecycle.sqlite", seed=seed, database=database)
        self.routing = Routing(folder, bus=self.lifecycle.bus, database=database)
        self.forecast = Forecast(folder / "forecast.sqlite")
        self.forecast.bus = self.lifecycle.bus
        self.forecast.now = "2026-12-31T00:00:00Z"
        self.forecast.start()

    def settle(self) -> None:
        drain([self.lifecycle.loop, *self.routing.loops, self.forecast.loop])

    def record(self, customer: str) -> Record:
        shard = murmur2(customer.encode(), SHARDS)
        return self.lifecycle.store.load(shard, [customer], self.lifecycle.policy)[customer]

    def close(self) -> None:
        for store in self.lifecycle.stores:
            store.close()
        self.routing.close()
        self.forecast.close()


@pytest.fixture
def company(tmp_path: Path, database: str) -> Iterator[Company]:
    """A company with nothing yet."""
    running = Company(tmp_path, database=database)
    yield running
    running.close()


def usd(amount: str) -> Price:
    return Price(amount=Decimal(amount), currency="USD")


def test_from_lead_to_order(company: Company) -> None:
    say = company.lifecycle.publish
    say("crm.lead.created.v1", LeadCreated(customer_id="acme", company="Acme", country="DE"), "2026-03-01T09:00:00Z")
    company.settle()
    (assigned,) = company.routing.said("acme")
    assert isinstance(assigned, LeadAssigned)
    assert (assigned.territory, assigned.pool, assigned.rule_set_version) == ("North", "north", 1)
    assert assigned.trace is not None
    assert company.record("acme").fold.state.owner.rep_id == assigned.rep_id  # type: ignore[union-attr]

    accepted = HandoffAccepted(customer_id="acme", rep_id=assigned.rep_id, assignment_id=assigned.assignment_id)
    say("crm.handoff.accepted.v1", accepted, "2026-03-01T10:00:00Z")
    say(
        "crm.opportunity.created.v1",
        OpportunityCreated(customer_id="acme", opportunity_id="o1", amount=usd("1000")),
        "2026-03-02T09:00:00Z",
    )
    say(
        "crm.quote.created.v1",
        QuoteCreated(customer_id="acme", quote_id="q1", opportunity_id="o1", amount=usd("900")),
        "2026-03-03T09:00:00Z",
    )
    say("crm.quote.accepted.v1", QuoteAccepted(customer_id="acme", quote_id="q1"), "2026-03-04T09:00:00Z")
    company.settle()
    totals = company.forecast.http.get("/v1/pipeline").json()["totals"]
    assert totals["open"] == {"count": 1, "amount": "900.00", "weighted": "810.00"}

    sold = Money(amount=Decimal("890"), currency="USD")
    say("crm.order.placed.v1", OrderPlaced(customer_id="acme", order_id="r1", quote_id="q1", amount=sold), "2026-03-05T09:00:00Z")
    company.settle()
    answer = company.forecast.http.get("/v1/pipeline", params={"by": "rep"}).json()
    assert answer["totals"]["won"] == {"count": 1, "amount": "890.00"}
    last = company.routing.said("acme")[-1]  # these rules route a record again when it becomes a prospect
    assert isinstance(last, LeadAssigned)
    assert [group["key"] for group in answer["groups"]] == [last.rep_id]
    then = company.forecast.http.get("/v1/pipeline", params={"as_of": "2026-03-03"}).json()["totals"]
    assert then["open"] == {"count": 1, "amount": "900.00", "weighted": "450.00"}
    assert company.record("acme").fold.statuses[-1].what.stage == "customer"


def test_a_rejected_lead_is_free_and_a_person_decides(company: Company) -> None:
    say = company.lifecycle.publish
    say("crm.lead.created.v1", LeadCreated(customer_id="acme", country="DE"), "2026-03-01T09:00:00Z")
    company.settle()
    (assigned,) = company.routing.said("acme")
    assert isinstance(assigned, LeadAssigned)
    rejected = HandoffRejected(customer_id="acme", rep_id=assigned.rep_id, assignment_id=assigned.assignment_id, reason="not mine")
    say("crm.handoff.rejected.v1", rejected, "2026-03-01T10:00:00Z")
    company.settle()
    assert any(isinstance(said, LeadUnassigned) and said.reason == "rejected" for said in company.routing.said("acme"))
    say("crm.owner.set.v1", OwnerSet(customer_id="acme", rep_id="carol", actor="boss"), "2026-03-02T09:00:00Z")
    company.settle()
    assert company.record("acme").fold.state.owner.rep_id == "carol"  # type: ignore[union-attr]


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 28), st.booleans()), min_size=1, max_size=20),
    st.integers(0, 1000),
)
def test_everybody_has_one_rep_and_the_totals_add_up(leads: list[tuple[str, int, bool]], seed: int) -> None:
    with TemporaryDirectory() as folder, closing(Company(Path(folder), seed=seed)) as company:
        for number, (customer, day, deal) in enumerate(leads):
            at = f"2026-03-{day:02d}T09:00:00Z"
            company.lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id=customer, country="DE"), at)
            if deal:
                created = OpportunityCreated(customer_id=customer, opportunity_id=f"o{number}", amount=usd("10"))
                company.lifecycle.publish("crm.opportunity.created.v1", created, at)
        company.settle()
        for customer in {customer for customer, _, _ in leads}:
            said = company.routing.said(customer)
            current = said[-1]
            assert isinstance(current, LeadAssigned), "the last word is an assignment"
            assert company.record(customer).fold.state.owner.rep_id == current.rep_id  # type: ignore[union-attr]
            given_out = [each.assignment_id for each in said if isinstance(each, LeadAssigned)]
            assert len(given_out) == len(set(given_out))
        deals = sum(deal for _, _, deal in leads)
        totals = company.forecast.http.get("/v1/pipeline").json()["totals"]
        assert (totals["open"]["count"], totals["open"]["amount"]) == (deals, f"{10 * deals}.00")


def test_the_longest_ids_pass_everywhere(company: Company) -> None:
    customer, long = "c" * 200, "i" * 200
    recycled = LeadRecycled(customer_id=customer, reason="later", until="2026-03-02")
    created = LeadCreated(customer_id=customer, country="DE")
    company.lifecycle.publish("crm.lead.created.v1", created, "2026-03-01T09:00:00Z", id=long, source="s" * 200)
    company.lifecycle.publish("crm.lead.recycled.v1", recycled, "2026-03-01T10:00:00Z", id="r" * 200, source="s" * 200)
    company.settle()
    assigned = company.routing.said(customer)[0]
    assert isinstance(assigned, LeadAssigned)
    accepted = HandoffAccepted(customer_id=customer, rep_id=assigned.rep_id, assignment_id=assigned.assignment_id)
    company.lifecycle.publish("crm.handoff.accepted.v1", accepted, "2026-03-01T11:00:00Z")
    company.lifecycle.clock = lambda: parse_instant("2026-03-03T00:00:00Z")
    company.settle()
    company.lifecycle.loop.turn()
    company.settle()
    assert [held.what.name for held in company.record(customer).fold.statuses] == ["New", "Recycled", "New"]
    for letters in ("lifecycle", "routing", "forecast"):
        assert not company.lifecycle.bus.records(f"{letters}.dead-letter.v1")
