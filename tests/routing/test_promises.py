"""Routing together with lifecycle, whatever is repeated, delayed, refused or killed: I3, I5, I7 and I8 of the design.

Lifecycle is the real one: assignments come back to the desk by way of the record, late, and while other things happen to it.
"""

import itertools
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from events.assignments import LeadAssigned, LeadUnassigned
from events.bus.memory import drain
from events.codec import Fact, decode, encode
from events.facts import Data, HandoffRejected, LeadCreated, LeadUpdated, OpportunityCreated, OwnerSet
from events.published import RecordChanged, StatusChanged
from events.requests import RecordMatched, Request
from events.topics import ASSIGNMENT, LIFECYCLE, REQUEST
from events.values import Price
from services.routing.domain.decide import decide
from services.routing.domain.match import ROUTED_STAGES
from services.routing.domain.story import Assigned, Decision, Event, NotAssigned, State
from tests.lifecycle.harness import HOME, Lifecycle
from tests.routing.harness import Routing
from tests.routing.words import NOON, SECOND

CUSTOMERS = ["acme", "bolt", "cargo"]


class Both:
    """Lifecycle and routing on one bus."""

    def __init__(self, folder: Path) -> None:
        self.lifecycle = Lifecycle(folder / "lifecycle.sqlite")
        self.routing = Routing(folder, bus=self.lifecycle.bus)
        self._ids = itertools.count(1)
        self._now = NOON

    def happens(self, type_: str, data: Data, seconds_late: int = 0) -> None:
        """A fact arrives, so many seconds after it happened."""
        self._now += SECOND
        occurred_at = self._now - seconds_late * SECOND
        name = f"fact-{next(self._ids)}"
        self.lifecycle.bus.append(
            encode(HOME[type_].name, type_, data, source="crm", id=name, occurred_at=occurred_at, recorded_at=self._now)
        )

    def reject(self, customer: str) -> None:
        """Whoever has the record by the last assignment that was published gives it back."""
        given = [data for data in self.routing.said(customer) if isinstance(data, LeadAssigned)]
        if given:
            last = given[-1]
            data = HandoffRejected(customer_id=customer, rep_id=last.rep_id, assignment_id=last.assignment_id, reason="no")
            self.happens("crm.handoff.rejected.v1", data)

    def turn(self, which: int) -> None:
        (self.lifecycle.loop, *self.routing.loops)[which].turn()

    def settle(self) -> None:
        drain([self.lifecycle.loop, *self.routing.loops])

    def close(self) -> None:
        self.routing.close()
        for store in self.lifecycle.stores:
            store.close()

    def records(self) -> Mapping[str, StatusChanged | RecordChanged]:
        """The last thing that lifecycle says about each record."""
        last: dict[str, StatusChanged | RecordChanged] = {}
        for record in self.lifecycle.bus.records(LIFECYCLE.name):
            fact = decode(record)
            if isinstance(fact, Fact) and isinstance(fact.data, StatusChanged | RecordChanged):
                known = last.get(fact.customer_id)
                if known is None or fact.data.version > known.version:
                    last[fact.customer_id] = fact.data
        return last


reps = st.sampled_from(["anna", "zoe"])
customers = st.sampled_from(CUSTOMERS)
EUR = Price(amount=Decimal(1), currency="EUR")
facts = st.one_of(
    st.tuples(st.just("crm.lead.created.v1"), st.builds(LeadCreated, customer_id=customers, country=st.sampled_from(["DE", "FR"]))),
    st.tuples(st.just("crm.lead.created.v1"), st.builds(LeadCreated, customer_id=customers, owner=reps)),
    st.tuples(
        st.just("crm.lead.updated.v1"),
        st.builds(LeadUpdated, customer_id=customers, owner=st.none() | reps, employees=st.integers(1, 9)),
    ),
    st.tuples(st.just("crm.owner.set.v1"), st.builds(OwnerSet, customer_id=customers, rep_id=reps, actor=st.just("boss"))),
    st.tuples(
        st.just("crm.opportunity.created.v1"),
        st.builds(
            OpportunityCreated, customer_id=customers, opportunity_id=st.just("o"), amount=st.just(EUR), owner=st.none() | reps
        ),
    ),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("fact"), facts, st.sampled_from([0, 0, 0, 2, 5, 30])),
        st.tuples(st.just("reject"), customers),
        st.tuples(st.just("turn"), st.integers(0, 2)),
        st.tuples(st.just("turn"), st.integers(0, 2)),
        st.tuples(st.just("settle")),
        st.tuples(st.just("crash"), st.booleans()),
        st.tuples(st.just("fault"), st.sampled_from(["refused", "unanswered"])),
        st.tuples(st.just("rules"), st.sampled_from(["[anna, ben]", "[ben]", "[carol, anna, {rep: ben, weight: 2}]"])),
    ),
    min_size=25,
    max_size=60,
)


def run(both: Both, steps: list[tuple]) -> None:
    for step in steps:
        match step:
            case ("fact", (type_, data), late):
                both.happens(type_, data, late)
            case ("reject", customer):
                both.reject(customer)
            case ("turn", which):
                both.turn(which)
            case ("settle",):
                both.settle()
            case ("crash", True):
                both.routing.crash()
            case ("crash", False):
                both.lifecycle.crash()
            case ("fault", fault):
                faults = iter([fault])
                both.lifecycle.bus.fault = lambda message, faults=faults: next(faults, None)
            case ("rules", pool):
                both.lifecycle.bus.fault = None
                both.routing.rules_file.write_text(
                    f"pools: {{p: {pool}}}\nterritories: []\ndefault: {{pool: p}}\nroute_again: [prospect]\n"
                )
                both.routing.reference.refresh()
    both.settle()


def test_an_assignment_that_is_overtaken_before_it_comes_back_ends(tmp_path: Path) -> None:
    """The owner whom it was taken from is named again meanwhile: the record shows the same owner as before, and no change."""
    both = Both(tmp_path)
    mine = {"customer_id": "bolt"}
    run(
        both,
        [
            ("fact", ("crm.owner.set.v1", OwnerSet(**mine, rep_id="zoe", actor="boss")), 0),
            ("settle",),
            ("fact", ("crm.opportunity.created.v1", OpportunityCreated(**mine, opportunity_id="o", amount=EUR)), 0),
            ("fact", ("crm.lead.created.v1", LeadCreated(**mine, owner="zoe")), 0),
        ],
    )
    check(both)
    assigned, ended = both.routing.said("bolt")
    assert isinstance(ended, LeadUnassigned)
    assert (ended.reason, ended.assignment_id) == ("superseded", assigned.assignment_id)
    both.close()


@settings(max_examples=60)
@given(steps)
def test_one_rep_at_most_and_the_record_agrees(steps: list[tuple]) -> None:
    with TemporaryDirectory() as folder:
        both = Both(Path(folder))
        try:
            run(both, steps)
            check(both)
        finally:
            both.close()


def check(both: Both) -> None:
    state = State()
    log = both.routing.log()
    for event in log:
        state.apply(event)
    last_decision = {event.customer_id: event for event in log if isinstance(event, Decision)}
    records = both.records()
    for customer, record in records.items():
        known = state.customers.get(customer)
        held = known.assignment.assignment_id if known and known.assignment and known.assignment.active else None
        assert record.assignment_id == held, f"{customer}: the record shows {record.assignment_id}, the desk has {held}"
        said = both.routing.said(customer)
        if said and isinstance(said[-1], LeadAssigned):
            assert said[-1].assignment_id == record.assignment_id, f"{customer}: {said[-1].rep_id} was not told that it is over"
        stage = record.current.stage if isinstance(record, StatusChanged) else record.status.stage
        if record.owner is None and stage in ROUTED_STAGES:
            assert isinstance(last_decision[customer], NotAssigned), f"{customer} was forgotten"
    assignments = [fact.data for fact in both.routing.facts() if isinstance(fact.data, LeadAssigned)]
    assert len({data.assignment_id for data in assignments}) == len(assignments)
    assert both.routing.letters() == []
    repeats_are_identical(both)
    same_again(log, both)
    what_is_kept_is_what_the_log_says(state, both)


def what_is_kept_is_what_the_log_says(state: State, both: Both) -> None:
    """Whoever takes over, with a snapshot and the customers that are asked about, knows what all of the log says (I7)."""
    found, _ = both.routing.store.state(both.routing.store.customers(state.customers))
    assert found == state


def repeats_are_identical(both: Both) -> None:
    """What is published twice is the same, byte for byte (I5)."""
    seen: dict[bytes, tuple] = {}
    for record in both.routing.bus.records(ASSIGNMENT.name):
        name = dict(record.headers)["ce_id"]
        content = (record.key, record.value, record.headers, record.timestamp)
        assert seen.setdefault(name, content) == content


def same_again(log: list[Event], both: Both) -> None:
    """The log decided anew, from the requests and nothing else, is the log: reps and traces (I7)."""
    requests: dict[tuple[str, int], Request] = {}
    for record in both.routing.bus.records(REQUEST.name):
        fact = decode(record)
        assert isinstance(fact, Fact)
        assert isinstance(fact.data, Request)
        requests.setdefault((fact.customer_id, fact.data.version), fact.data)
    state = State()
    decided: set[tuple[str, int]] = set()
    for event in log:
        if isinstance(event, Decision):
            request = requests[event.customer_id, event.version]
            assert decide(state, request) == event
            assert (event.customer_id, event.version) not in decided, "decided twice"
            decided.add((event.customer_id, event.version))
            if isinstance(event, Assigned):
                only_one(state, event, request)
        state.apply(event)


def only_one(state: State, event: Assigned, request: Request) -> None:
    """Nobody is given a record that another rep holds, unless it came to a stage that is routed again (I3)."""
    known = state.customers.get(event.customer_id)
    held = known is not None and known.assignment is not None and known.assignment.active
    assert isinstance(request, RecordMatched)
    assert not held or request.again
