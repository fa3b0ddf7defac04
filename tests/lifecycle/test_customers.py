"""The table of customers: a line for each record, as it is now, in the transaction that changed it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from events.bus.cursor import Cursor
from events.facts import (
    ActivityLogged,
    LeadCreated,
    LeadQualified,
    LeadUpdated,
    OpportunityCreated,
    OpportunityLost,
    OwnerSet,
    StatusSet,
)
from events.values import Price, parse_instant
from services.lifecycle import customers
from services.lifecycle.customers import Line, Reached, Selection
from services.lifecycle.domain.summary import summary_of
from services.lifecycle.rebuilding import fill_lists
from tests.lifecycle.harness import Lifecycle

DAY_1, DAY_2, DAY_3, DAY_4 = (f"2026-03-0{day}T09:00:00Z" for day in (1, 2, 3, 4))


def only(lifecycle: Lifecycle, **wanted: Any) -> list[str]:
    """The ids of the customers that are meant, by id; counted, too."""
    selection = Selection(**wanted)
    found = [line.customer_id for line in lifecycle.store.listed(selection, limit=100)]
    assert lifecycle.store.customers(selection) == len(found)
    return found


def line_of(lifecycle: Lifecycle, customer: str) -> Line:
    (line,) = lifecycle.store.listed(Selection(customer_id=[customer]), limit=2)
    return line


@pytest.fixture
def company(lifecycle: Lifecycle, eur: Callable[[str], Price]) -> Lifecycle:
    """Four customers: a new lead, a qualified one with an owner, a prospect, and one that lost a deal."""
    lead = LeadCreated(customer_id="a/1", company="Müller 100 % GmbH", country="DE", source="webinar", score=70)
    lifecycle.publish("crm.lead.created.v1", lead, DAY_1)
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="b", company="Bolt\nInc", country="US", owner="ann"), DAY_2)
    lifecycle.publish("crm.lead.qualified.v1", LeadQualified(customer_id="b"), DAY_3)
    opportunity = OpportunityCreated(customer_id="c", opportunity_id="o1", amount=eur("10"), owner="bob")
    lifecycle.publish("crm.opportunity.created.v1", opportunity, DAY_1)
    opportunity = OpportunityCreated(customer_id="d_4", opportunity_id="o2", amount=eur("10"))
    lifecycle.publish("crm.opportunity.created.v1", opportunity, DAY_1)
    lost = OpportunityLost(customer_id="d_4", opportunity_id="o2", reason="price")
    lifecycle.publish("crm.opportunity.lost.v1", lost, DAY_4)
    lifecycle.settle()
    return lifecycle


def test_a_line_says_what_the_record_is(company: Lifecycle) -> None:
    summary = line_of(company, "b").summary
    assert (summary.stage, summary.status, summary.owner, summary.country) == ("lead", "Qualified", "ann", "US")
    assert (summary.began_at, summary.since, summary.active_at) == (
        parse_instant(DAY_2),
        parse_instant(DAY_3),
        parse_instant(DAY_3),
    )
    assert summary.touched_at is None


def test_a_late_fact_corrects_the_line(company: Lifecycle) -> None:
    company.publish("crm.lead.updated.v1", LeadUpdated(customer_id="b", score=5), DAY_1)
    company.settle()
    line = line_of(company, "b")
    assert (line.summary.score, line.summary.began_at) == (5, parse_instant(DAY_1))
    assert (line.summary.since, line.summary.active_at) == (parse_instant(DAY_3), parse_instant(DAY_3))


def test_only_a_person_touches_and_what_handoff_or_a_command_does_is_no_activity(company: Lifecycle) -> None:
    mail = ActivityLogged(customer_id="b", activity_id="1", kind="email", automatic=True)
    company.publish("crm.activity.logged.v1", mail, DAY_4)
    company.publish("crm.owner.set.v1", OwnerSet(customer_id="b", rep_id="carl", actor="dana"), DAY_4)
    company.settle()
    summary = line_of(company, "b").summary
    assert (summary.owner, summary.active_at, summary.touched_at) == ("carl", parse_instant(DAY_3), None)
    call = ActivityLogged(customer_id="b", activity_id="2", kind="call")
    company.publish("crm.activity.logged.v1", call, DAY_4)
    company.settle()
    summary = line_of(company, "b").summary
    assert (summary.active_at, summary.touched_at) == (parse_instant(DAY_4), parse_instant(DAY_4))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, ["a/1", "b", "c", "d_4"]),
        ({"stage": ["lead"]}, ["a/1", "b"]),
        ({"stage": []}, []),
        ({"status": ["New", "Closed Lost"]}, ["a/1", "d_4"]),
        ({"owner": ["ann", "bob"]}, ["b", "c"]),
        ({"owner": [None]}, ["a/1", "d_4"]),
        ({"owner": ["ann", None]}, ["a/1", "b", "d_4"]),
        ({"country": ["DE"], "source": ["webinar"]}, ["a/1"]),
        ({"country": ["DE"], "source": ["fair"]}, []),
        ({"score_min": 70, "score_max": 70}, ["a/1"]),
        ({"score_min": 71}, []),
        ({"began_from": parse_instant(DAY_2)}, ["b"]),
        ({"began_to": parse_instant(DAY_1)}, ["a/1", "c", "d_4"]),
        ({"idle_since": parse_instant(DAY_3)}, ["a/1", "c"]),
        ({"overdue": Reached((("New", parse_instant(DAY_1)), ("Qualified", parse_instant(DAY_2))))}, ["a/1"]),
        ({"overdue": Reached((("New", parse_instant(DAY_1)),), wanted=False)}, ["b", "c", "d_4"]),
        ({"overdue": Reached(())}, []),
        ({"overdue": Reached((), wanted=False)}, ["a/1", "b", "c", "d_4"]),
        ({"follow_up": Reached((("Qualified", parse_instant(DAY_3)),))}, ["b"]),
        ({"text": "müller"}, ["a/1"]),
        ({"text": "100 %"}, ["a/1"]),
        ({"text": "1_0"}, []),
        ({"text": "d_"}, ["d_4"]),
        ({"text": "_"}, []),
        ({"text": "inc"}, ["b"]),
        ({"text": "/1"}, []),
        ({"text": "'; DROP TABLE customer --"}, []),
    ],
)
def test_what_is_said_must_hold(company: Lifecycle, wanted: dict[str, Any], found: list[str]) -> None:
    assert only(company, **wanted) == found


@pytest.mark.parametrize("sort", ["customer_id", "since", "began_at", "active_at"])
@pytest.mark.parametrize("descending", [False, True])
def test_pages_are_the_whole_list_once(company: Lifecycle, sort: customers.Sort, descending: bool) -> None:
    whole = company.store.listed(Selection(), sort=sort, descending=descending, limit=100)
    values = [(getattr(line.summary, sort, ""), line.customer_id) for line in whole]
    assert len(values) == 4
    assert values == sorted(values, reverse=descending)
    paged: list[Line] = []
    while True:
        last = paged[-1] if paged else None
        after = (getattr(last.summary, sort, None), last.customer_id) if last else None
        page = company.store.listed(Selection(), sort=sort, descending=descending, after=after, limit=1)
        if not page:
            break
        paged += page
    assert paged == list(whole)


def test_an_older_line_changes_nothing(company: Lifecycle) -> None:
    line = line_of(company, "b")
    with company.store.ledger.transaction() as cursor:
        customers.write(cursor, "customer", [Line("b", line.shard, line.version - 1, line_of(company, "c").summary)])
    assert line_of(company, "b") == line


@pytest.mark.parametrize(
    ("moved", "written"),
    [
        ((), {"customer"}),
        (("status", "since"), {"customer", "customer_by_status"}),
        (("owner",), {"customer", "customer_owned"}),
        (("status", "since", "owner"), {"customer", "customer_by_status", "customer_owned"}),
    ],
)
def test_an_index_is_written_only_where_what_it_holds_has_changed(moved: tuple[str, ...], written: set[str]) -> None:
    statement, _ = customers.update("customer", moved)
    with closing(sqlite3.connect(":memory:")) as connection:
        for each in customers.TABLES:
            connection.execute(each)
        trees = dict(connection.execute("SELECT rootpage, name FROM sqlite_master").fetchall())
        program = connection.execute(f"EXPLAIN {statement}", [None] * statement.count("?")).fetchall()
    assert {trees[root] for _, operation, _, root, *_ in program if operation == "OpenWrite"} == written


class TooEarly:
    """A cursor that looked before another worker committed: it finds nothing, and writes where there is something."""

    def __init__(self, cursor: Cursor) -> None:
        self.execute, self.executemany = cursor.execute, cursor.executemany

    rowcount = 0

    def fetchall(self) -> list[Any]:
        return []

    def fetchone(self) -> Any:
        return None


def test_a_line_that_another_worker_has_written_meanwhile_is_replaced_whole(company: Lifecycle) -> None:
    before, other = line_of(company, "b"), line_of(company, "c")
    newer = Line("b", before.shard, before.version + 1, other.summary)
    with company.store.ledger.transaction() as cursor:
        customers.write(TooEarly(cursor), "customer", [newer])
    assert line_of(company, "b") == newer
    assert only(company, owner=["bob"]) == ["b", "c"]


def test_lists_by_owner_follow_the_owner(company: Lifecycle) -> None:
    for rep, at in (("carl", DAY_2), ("ann", DAY_3)):
        company.publish("crm.owner.set.v1", OwnerSet(customer_id="a/1", rep_id=rep, actor="dana"), at)
        company.settle()
        assert "a/1" in only(company, owner=[rep])
    assert [only(company, owner=[rep]) for rep in (None, "carl", "ann")] == [["d_4"], [], ["a/1", "b"]]


def test_a_database_with_the_older_index_loses_it(company: Lifecycle) -> None:
    with company.store.ledger.transaction() as cursor:
        cursor.execute("CREATE INDEX customer_by_owner ON customer (owner)")
    company.crash()
    with company.store.ledger.transaction() as cursor:
        cursor.execute("CREATE INDEX customer_by_owner ON customer (owner)")  # the name is free


def test_a_database_without_the_table_fills_it(company: Lifecycle) -> None:
    whole = company.store.listed(Selection(), limit=100)
    with company.store.ledger.transaction() as cursor:
        cursor.execute("DELETE FROM customer")
        cursor.execute("DELETE FROM view")
    assert company.store.customers() == 0
    assert list(fill_lists(company.store, lambda: company.policy))[-1] == 4
    assert company.store.listed(Selection(), limit=100) == whole
    assert list(fill_lists(company.store, lambda: company.policy)) == [], "it is filled once"


def test_a_crash_leaves_lines_and_records_agreeing(company: Lifecycle, tmp_path: Path) -> None:
    company.publish("crm.status.set.v1", StatusSet(customer_id="c", status="Proposal", actor="dana"), DAY_4)
    company.crash()
    company.settle()
    for line in company.store.listed(Selection(), limit=100):
        record = company.store.load(line.shard, [line.customer_id], company.policy)[line.customer_id]
        assert (line.version, line.summary) == (record.version, summary_of(record.fold))
