"""Databases put back at different moments beside one log that is not: at the end everything is as if nothing had happened.

Each story is told twice, to a company whose databases are put back on the way, and to one whose are not.
"""

from collections.abc import Collection
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.assignments import LeadAssigned
from events.bus import PositionLost
from events.facts import (
    Data,
    HandoffAccepted,
    HandoffRejected,
    LeadCreated,
    LeadDisqualified,
    LeadUpdated,
    OpportunityCreated,
    OpportunityLost,
    OpportunityWon,
    OwnerSet,
    StatusReverted,
)
from events.values import Price
from services.lifecycle import restorations
from tests import sqlite_files
from tests.e2e.test_story import Company
from tests.lifecycle.harness import SHARDS

SERVICES = ("lifecycle", "routing", "forecast")
CUSTOMERS = "abcd"
COLUMNS = {
    "deal_history": "customer_id, deal_id, valid_from, valid_to, state, status, amount, owner, image",
    "status_history": "customer_id, valid_from, valid_to, stage, name, probability",
}


def file_of(folder: Path, service: str) -> Path:
    return folder / f"{service}.sqlite"


def copy_of(folder: Path, service: str) -> Path:
    return folder / f"{service}.copy"


def back_up(folder: Path, service: str) -> None:
    sqlite_files.back_up(file_of(folder, service), copy_of(folder, service))


def put_back(company: Company, folder: Path, service: str) -> None:
    """Kill the service, put its copy back, and start it."""
    running: Any = getattr(company, service)
    for store in running.stores:
        store.close()
    running.stores.clear()
    sqlite_files.put_back(copy_of(folder, service), file_of(folder, service))
    running.crash()
    if service == "routing":
        running.reference.refresh()


def declare(company: Company) -> None:
    with company.lifecycle.store.database.begin() as cursor:
        restorations.declare(cursor, range(SHARDS))


def happens(company: Company, number: int, what: str, customer: str) -> None:
    """One thing that happens to a customer; what answers an assignment answers the last one."""
    said = [each for each in company.routing.said(customer) if isinstance(each, LeadAssigned)]
    last = {"rep_id": said[-1].rep_id, "assignment_id": said[-1].assignment_id} if said else None
    name, amount = f"o{number % 3}", Price(amount=Decimal(number + 1), currency="EUR")
    known: dict[str, Data | None] = {
        "crm.lead.created.v1": LeadCreated(customer_id=customer, country=("DE", "US")[number % 2]),
        "crm.lead.updated.v1": LeadUpdated(customer_id=customer, company=f"company {number}"),
        "crm.lead.disqualified.v1": LeadDisqualified(customer_id=customer, reason="no budget"),
        "crm.opportunity.created.v1": OpportunityCreated(customer_id=customer, opportunity_id=name, amount=amount),
        "crm.opportunity.won.v1": OpportunityWon(customer_id=customer, opportunity_id=name),
        "crm.opportunity.lost.v1": OpportunityLost(customer_id=customer, opportunity_id=name, reason="price"),
        "crm.owner.set.v1": OwnerSet(customer_id=customer, rep_id="carol", actor="boss"),
        "crm.status.reverted.v1": StatusReverted(customer_id=customer, stage="lead", actor="boss"),
        "crm.handoff.accepted.v1": HandoffAccepted(customer_id=customer, **last) if last else None,
        "crm.handoff.rejected.v1": HandoffRejected(customer_id=customer, reason="not mine", **last) if last else None,
    }
    data = known[what]
    if data is not None:
        at = f"2026-03-{1 + number % 28:02d}T{(7 * number) % 24:02d}:{number % 60:02d}:00Z"
        company.lifecycle.publish(what, data, at, id=f"fact-{number}")


def view(company: Company) -> dict[str, Any]:
    """What everybody can see: records, who has them and how it came to that, and the forecast."""
    seen: dict[str, Any] = {}
    for customer in CUSTOMERS:
        if company.lifecycle.store.version_of(company.lifecycle.store.home(customer), customer):
            fold = company.record(customer).fold
            seen[f"record {customer}"] = fold.statuses, dict(fold.images)
        seen[f"reps {customer}"] = [(type(said).__name__, said.rep_id) for said in company.routing.said(customer)]
    for table, columns in COLUMNS.items():
        with company.forecast.store.snapshot() as cursor:
            cursor.execute(f"SELECT * FROM {table} LIMIT 0")
            cursor.execute(f"SELECT {columns} FROM {table} WHERE recorded_to > 9000000000000000000 ORDER BY 1, 2, 3")
            seen[table] = cursor.fetchall()
    for letters in SERVICES:
        seen[f"letters {letters}"] = len(company.lifecycle.bus.records(f"{letters}.dead-letter.v1"))
    return seen


def tell(company: Company, folder: Path, story: list[Any], *, disturbed: bool) -> dict[str, Any]:
    for number, (what, details) in enumerate(story):
        if what == "backup":
            if disturbed:
                for service in details:
                    back_up(folder, service)
        elif what == "restore":
            if disturbed:
                restored = [service for service in sorted(details) if copy_of(folder, service).exists()]
                for service in restored:
                    put_back(company, folder, service)
                if "lifecycle" in restored:
                    declare(company)
        else:
            happens(company, number, what, details)
        company.settle()
    return view(company)


some = st.sets(st.sampled_from(SERVICES), min_size=1)
steps = st.lists(
    st.one_of(
        st.tuples(
            st.sampled_from(
                [
                    "crm.lead.created.v1",
                    "crm.lead.created.v1",
                    "crm.lead.updated.v1",
                    "crm.lead.disqualified.v1",
                    "crm.opportunity.created.v1",
                    "crm.opportunity.won.v1",
                    "crm.opportunity.lost.v1",
                    "crm.owner.set.v1",
                    "crm.status.reverted.v1",
                    "crm.handoff.accepted.v1",
                    "crm.handoff.rejected.v1",
                ]
            ),
            st.sampled_from(CUSTOMERS),
        ),
        st.tuples(st.sampled_from(["backup", "restore"]), some),
    ),
    max_size=20,
)


def both(story: list[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    seen = []
    for disturbed in (True, False):
        with TemporaryDirectory() as folder, closing(Company(Path(folder))) as company:
            seen.append(tell(company, Path(folder), story, disturbed=disturbed))
    return seen[0], seen[1]


@settings(max_examples=25)
@given(steps)
def test_nothing_is_seen_of_databases_that_were_put_back(story: list[Any]) -> None:
    disturbed, undisturbed = both(story)
    assert disturbed == undisturbed


@pytest.mark.parametrize(
    "put",
    [("lifecycle",), ("routing",), ("forecast",), ("lifecycle", "routing"), ("lifecycle", "forecast"), SERVICES],
    ids="+".join,
)
@pytest.mark.parametrize("first", ["lifecycle", "routing"])
def test_every_set_of_databases_of_any_age(put: Collection[str], first: str) -> None:
    """Lifecycle's copy is older than routing's, and the other way round."""
    later = "routing" if first == "lifecycle" else "lifecycle"
    story: list[Any] = [
        ("crm.lead.created.v1", "a"),
        ("crm.lead.created.v1", "b"),
        ("backup", {first}),
        ("crm.handoff.accepted.v1", "a"),
        ("crm.handoff.rejected.v1", "b"),
        ("crm.lead.created.v1", "c"),
        ("backup", {later, "forecast"}),
        ("crm.opportunity.created.v1", "a"),
        ("crm.owner.set.v1", "b"),
        ("crm.lead.created.v1", "d"),
        ("crm.opportunity.won.v1", "a"),
        ("crm.handoff.rejected.v1", "c"),
        ("restore", set(put)),
        ("crm.lead.updated.v1", "a"),
        ("crm.handoff.accepted.v1", "d"),
        ("crm.status.reverted.v1", "a"),
        ("crm.lead.created.v1", "b"),
    ]
    disturbed, undisturbed = both(story)
    assert disturbed == undisturbed
    assert disturbed["deal_history"]


def test_what_was_undeclared_is_refused(tmp_path: Path) -> None:
    with closing(Company(tmp_path)) as company:
        happens(company, 0, "crm.lead.created.v1", "a")
        company.settle()
        back_up(tmp_path, "lifecycle")
        happens(company, 1, "crm.opportunity.created.v1", "a")
        company.settle()
        put_back(company, tmp_path, "lifecycle")
        with pytest.raises(PositionLost, match="of 'a', and lifecycle's database has"):
            company.settle()
