"""A version of the status table that comes late, in the running service: every record concerned follows once, whatever happens."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from events.bus import PositionLost
from events.bus.ledger import Fenced
from events.bus.memory import drain
from events.bus.partitioner import murmur2
from events.facts import LeadCreated, LeadQualified, LeadRecycled, StatusSet
from events.published import StatusChanged
from events.record import Message
from events.topics import STATUS_TABLE
from events.values import parse_instant
from services.lifecycle.api import create_app
from services.lifecycle.customers import Selection
from services.lifecycle.domain.events import TablesApplied
from tests.lifecycle.harness import SHARDS, Lifecycle, process_of
from tests.lifecycle.reference_facts import DEFAULT

DAY_1, DAY_2, DAY_3 = "2026-03-01T09:00:00Z", "2026-03-02T09:00:00Z", "2026-03-03T09:00:00Z"
COUNT = 40
CUSTOMERS = [f"c{number:02d}" for number in range(COUNT)]


def calling(qualified: str, *, more: tuple[str, str, int] | None = None) -> Any:
    """The default process with another name for qualified leads, and perhaps one more status."""
    rows = [(qualified if name == "Qualified" else name, stage, percent) for name, stage, percent in DEFAULT.rows]
    rows[:0] = [more] if more else []
    return process_of(DEFAULT._replace(rows=rows, triggers={**DEFAULT.triggers, "qualified": qualified}))


def qualify_all(lifecycle: Lifecycle, at: str = DAY_3) -> None:
    for customer in CUSTOMERS:
        lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id=customer), DAY_1)
        lifecycle.publish("crm.lead.qualified.v1", LeadQualified(customer_id=customer), at)
    lifecycle.settle()


def applied(lifecycle: Lifecycle) -> Counter[str]:
    """How often each customer's record followed versions that came late."""
    return Counter(
        customer
        for customer in CUSTOMERS
        for _, event in lifecycle.store.events_of(murmur2(customer.encode(), SHARDS), customer)
        if isinstance(event, TablesApplied)
    )


def names(lifecycle: Lifecycle) -> Counter[str]:
    """What consumers hold: the status of each customer, counted."""
    now = {fact.customer_id: fact.data.current.name for fact in lifecycle.published() if isinstance(fact.data, StatusChanged)}
    return Counter(now.values())


def test_records_that_nothing_touches_follow_once_and_it_is_published(lifecycle: Lifecycle) -> None:
    qualify_all(lifecycle)
    before = len(lifecycle.published())
    lifecycle.publish_table(calling("Hot"), DAY_2, version=1)
    lifecycle.settle()
    assert names(lifecycle) == {"Hot": COUNT}
    causes = Counter((fact.data.cause.source, fact.data.cause.id) for fact in lifecycle.published())
    assert causes["operations", "lifecycle.status-table.v1/1"] == COUNT
    assert len(lifecycle.published()) == before + COUNT
    assert applied(lifecycle) == dict.fromkeys(CUSTOMERS, 1)
    (line,) = lifecycle.store.listed(Selection(customer_id=["c00"]), limit=2)
    assert line.summary.status == "Hot"

    lifecycle.crash()
    lifecycle.settle()
    assert len(lifecycle.published()) == before + COUNT


def test_a_version_in_force_from_now_on_touches_no_record_and_the_facts_after_it_go_by_it(lifecycle: Lifecycle) -> None:
    qualify_all(lifecycle, DAY_2)
    before = len(lifecycle.published())
    lifecycle.publish_table(calling("Hot"), DAY_3, version=1)
    lifecycle.settle()
    assert (len(lifecycle.published()), applied(lifecycle)) == (before, {})
    lifecycle.publish("crm.lead.qualified.v1", LeadQualified(customer_id="c00"), "2026-03-04T09:00:00Z")
    lifecycle.settle()
    assert names(lifecycle) == {"Qualified": COUNT - 1, "Hot": 1}


def test_a_worker_that_is_killed_again_and_again_says_nothing_twice(lifecycle: Lifecycle) -> None:
    qualify_all(lifecycle)
    before = len(lifecycle.published())
    lifecycle.publish_table(calling("Hot"), DAY_2, version=1)
    kills = 0
    while True:
        lifecycle.crash()
        lifecycle.worker.sweep.records_a_step = 1 + kills // 8
        for _ in range(2 + kills // 4):  # joins, and comes a little further each time
            lifecycle.loop.turn()
        kills += 1
        if not lifecycle.worker.pending():
            break
    lifecycle.settle()
    assert kills > 5
    assert applied(lifecycle) == dict.fromkeys(CUSTOMERS, 1)
    distinct = {(fact.customer_id, fact.data.version) for fact in lifecycle.published()}
    assert len(distinct) == before + COUNT, "what is repeated is the same, byte for byte"


def test_progress_is_told_and_the_lag_is_not_0_before_all_have_followed(lifecycle: Lifecycle) -> None:
    qualify_all(lifecycle)
    http = client(lifecycle)
    lifecycle.worker.sweep.records_a_step = 3
    lifecycle.publish_table(calling("Hot"), DAY_2, version=7)
    lifecycle.tables.look()
    lifecycle.loop.turn()
    status = http.get("/v1/status").json()
    assert status["status_table"]["known"] == 7
    assert status["status_table"]["sweep"] == {"shards": SHARDS, "records": 3, "refolded": 3, "failed": 0}
    assert lifecycle.loop.progress().lag >= SHARDS
    lifecycle.settle()
    status = http.get("/v1/status").json()
    assert (status["lag"], status["status_table"]["sweep"]) == (0, {"shards": 0, "records": COUNT, "refolded": COUNT, "failed": 0})


def test_facts_do_not_wait_for_a_sweep(lifecycle: Lifecycle) -> None:
    qualify_all(lifecycle)
    lifecycle.worker.sweep.records_a_step = 1
    lifecycle.publish_table(calling("Hot"), DAY_2, version=1)
    lifecycle.tables.look()
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="new", company="New"), DAY_3)
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id=CUSTOMERS[-1], company="Last"), DAY_3)
    lifecycle.loop.turn()
    lifecycle.loop.turn()
    record = lifecycle.store.load(murmur2(CUSTOMERS[-1].encode(), SHARDS), [CUSTOMERS[-1]], lifecycle.policy)[CUSTOMERS[-1]]
    assert record.fold.state is not None
    assert (record.fold.state.profile.company, record.fold.state.status) == ("Last", "Hot")
    assert lifecycle.worker.sweep.pending() == SHARDS
    lifecycle.settle()
    assert applied(lifecycle) == dict.fromkeys(CUSTOMERS, 1)


def test_a_version_that_comes_in_the_middle_of_a_sweep_is_followed_too(lifecycle: Lifecycle) -> None:
    qualify_all(lifecycle)
    lifecycle.worker.sweep.records_a_step = 4
    lifecycle.publish_table(calling("Warm"), DAY_2, version=1)
    lifecycle.tables.look()
    for _ in range(5):
        lifecycle.loop.turn()
    assert names(lifecycle)["Warm"] > 4
    lifecycle.publish_table(calling("Hot"), DAY_3, version=2)
    lifecycle.settle()
    assert names(lifecycle) == {"Hot": COUNT}
    assert set(applied(lifecycle).values()) == {1, 2}, "who had not followed the first one follows both at once"


def test_two_workers_follow_each_with_its_own_records(lifecycle: Lifecycle) -> None:
    qualify_all(lifecycle)
    first, tables = lifecycle.loop, lifecycle.tables
    _, _, second = lifecycle.start("lifecycle-2")
    drain([first, second])
    lifecycle.publish_table(calling("Hot"), DAY_2, version=1)
    tables.look()
    drain([first, second])
    assert 0 < applied(lifecycle).total() < COUNT, "the other worker has not looked yet"
    lifecycle.tables.look()
    drain([first, second])
    assert applied(lifecycle) == dict.fromkeys(CUSTOMERS, 1)
    first.close()
    second.close()


def test_shards_that_change_hands_in_the_middle_of_a_sweep(lifecycle: Lifecycle) -> None:
    qualify_all(lifecycle)
    first = lifecycle.loop
    lifecycle.worker.sweep.records_a_step = 2
    lifecycle.publish_table(calling("Hot"), DAY_2, version=1)
    lifecycle.tables.look()
    for _ in range(4):
        first.turn()
    _, _, second = lifecycle.start("lifecycle-2")
    drain([first, second])
    first.close()
    drain([second])
    assert applied(lifecycle) == dict.fromkeys(CUSTOMERS, 1)
    second.close()


def test_a_frozen_worker_that_comes_back_in_the_middle_of_a_sweep_writes_nothing(lifecycle: Lifecycle) -> None:
    qualify_all(lifecycle)
    lifecycle.publish_table(calling("Hot"), DAY_2, version=1)
    lifecycle.tables.look()
    frozen, frozen_worker = lifecycle.loop, lifecycle.worker
    lifecycle.crash()
    lifecycle.loop.turn()  # joins, and claims
    with pytest.raises(Fenced):
        frozen_worker.beside({})
    lifecycle.settle()
    assert applied(lifecycle) == dict.fromkeys(CUSTOMERS, 1)
    frozen.close()


def test_a_frozen_worker_is_not_told_to_restore_the_topic_whose_new_version_it_has_not_seen(lifecycle: Lifecycle) -> None:
    qualify_all(lifecycle)
    frozen, frozen_worker = lifecycle.loop, lifecycle.worker
    frozen_worker.release(frozen.progress().positions)  # what it has in memory it would not read
    frozen_worker.claim(frozen.progress().positions)
    lifecycle.crash()
    lifecycle.publish_table(calling("Hot"), DAY_2, version=1)
    lifecycle.settle()
    late = lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id=CUSTOMERS[0], company="Acme"), DAY_3)
    with pytest.raises(Fenced, match="folded by another worker"):
        frozen_worker.process([late])
    frozen.close()


def test_when_a_recycled_lead_comes_back_follows_too(lifecycle: Lifecycle) -> None:
    lifecycle.clock = lambda: parse_instant(DAY_2)
    lifecycle.publish_table(calling("Hot", more=("Parked", "lead", 0)), "2026-03-01T10:00:00Z", version=1)
    lifecycle.publish("crm.lead.recycled.v1", LeadRecycled(customer_id="acme", reason="later", until="2026-03-03"), DAY_1, id="r")
    lifecycle.settle()
    lifecycle.publish("crm.status.set.v1", StatusSet(customer_id="acme", status="Parked", actor="eva"), "2026-03-01T12:00:00Z")
    lifecycle.settle()
    assert not lifecycle.store.due(range(SHARDS), parse_instant("2027-01-01T00:00:00Z")), "set by hand, it waits no more"
    lifecycle.publish_table(calling("Hot"), "2026-03-01T11:00:00Z", version=2)  # the command has no effect then
    lifecycle.settle()
    ((_, wake),) = lifecycle.store.due(range(SHARDS), parse_instant("2027-01-01T00:00:00Z"))
    assert (wake.customer_id, wake.at) == ("acme", parse_instant("2026-03-03T00:00:00Z"))


# ------------------------------------------------------------------------------------------ what can be wrong


def client(lifecycle: Lifecycle) -> TestClient:
    return TestClient(
        create_app(lifecycle.store, lifecycle.tables, lifecycle.loop.progress, lifecycle.registry, sweep=lifecycle.worker.sweep)
    )


def status_table(lifecycle: Lifecycle) -> tuple[int, str]:
    """What /readyz answers, and what it tells of the status table."""
    answer = client(lifecycle).get("/readyz")
    (check,) = [check for check in answer.json()["checks"] if check["name"] == "status table"]
    return answer.status_code, check["detail"]


def test_a_record_that_cannot_follow_is_told_and_the_others_go_on(lifecycle: Lifecycle, caplog: pytest.LogCaptureFixture) -> None:
    qualify_all(lifecycle)
    lifecycle.crash()  # and nothing is cached
    state = broken(lifecycle, "c07", b"{")
    lifecycle.publish_table(calling("Hot"), DAY_2, version=1)
    lifecycle.settle()
    assert names(lifecycle) == {"Hot": COUNT - 1, "Qualified": 1}
    swept = client(lifecycle).get("/v1/status").json()["status_table"]["sweep"]
    assert swept == {"shards": 0, "records": COUNT, "refolded": COUNT - 1, "failed": 1}
    ready, told = status_table(lifecycle)
    assert (ready, "1 records cannot follow it" in told) == (503, True)
    assert "the record of 'c07' cannot follow the status table" in caplog.text

    broken(lifecycle, "c07", state)  # mended: the next start tries again
    lifecycle.crash()
    lifecycle.settle()
    assert names(lifecycle) == {"Hot": COUNT}
    assert applied(lifecycle) == dict.fromkeys(CUSTOMERS, 1)
    assert status_table(lifecycle)[0] == 200


def test_a_record_that_could_not_follow_one_version_is_tried_again_with_the_next(lifecycle: Lifecycle) -> None:
    qualify_all(lifecycle)
    lifecycle.crash()
    state = broken(lifecycle, "c07", b"{")
    lifecycle.publish_table(calling("Hot"), DAY_2, version=1)
    lifecycle.settle()
    broken(lifecycle, "c07", state)
    lifecycle.publish_table(calling("Hot", more=("Parked", "lead", 0)), "2027-01-01T00:00:00Z", version=2)  # concerns no record
    lifecycle.settle()
    assert names(lifecycle) == {"Hot": COUNT}


def broken(lifecycle: Lifecycle, customer: str, state: bytes) -> bytes:
    """Let the first stored fact of a customer be something else; answers with what it was."""
    place = f"shard_{murmur2(customer.encode(), SHARDS):03d}_events WHERE originator_id = ? AND originator_version = 1"
    with lifecycle.store.database.begin() as cursor:
        cursor.execute(f"SELECT state FROM {place}", (customer,))
        (before,) = cursor.fetchone()
        cursor.execute(f"UPDATE {place.replace(' WHERE', ' SET state = ? WHERE')}", (state, customer))
    return bytes(before)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (b"", "is not a valid version"),
        (b"\xff\x00", "is not a valid version"),
        (b"[" * 5000, "is not a valid version"),
        (b'{"version": 1, "effective_from": "2026-03-01T00:00:00Z", "author": "x", "content": {}}', "missing required field"),
        (
            b'{"version": 1, "effective_from": "2026-03-01T00:00:00Z", "author": "x", "content":'
            b' {"statuses": [{"name": "New", "stage": "lead", "probability": 0}], "triggers": {"new": "New"}}}',
            "triggers: 'quote' is missing",
        ),
    ],
)
def test_a_record_that_is_no_table_changes_nothing_and_is_told(lifecycle: Lifecycle, value: bytes, told: str) -> None:
    qualify_all(lifecycle)
    before = len(lifecycle.published())
    lifecycle.bus.append(Message(STATUS_TABLE.name, None, value))
    lifecycle.settle()
    code, detail = status_table(lifecycle)
    assert code == 200
    assert f"{STATUS_TABLE.name} at 0" in detail
    assert told in detail
    assert len(lifecycle.published()) == before
    lifecycle.crash()
    lifecycle.publish_table(calling("Hot"), DAY_2, version=1)
    lifecycle.settle()
    assert status_table(lifecycle) == (200, "versions up to 1")
    assert names(lifecycle) == {"Hot": COUNT}


def test_a_number_that_is_taken_is_told_once_in_the_log(lifecycle: Lifecycle, caplog: pytest.LogCaptureFixture) -> None:
    qualify_all(lifecycle)
    lifecycle.publish_table(calling("Hot"), DAY_2, version=1)
    lifecycle.publish_table(calling("Cold"), DAY_2, version=1)
    for _ in range(3):
        lifecycle.settle()
    assert names(lifecycle) == {"Hot": COUNT}
    assert [record.levelname for record in caplog.records if "has version 1 again" in record.message] == ["ERROR"]
    assert "has version 1 again" in client(lifecycle).get("/v1/status").json()["status_table"]["problems"][0]


def test_while_the_topic_cannot_be_read_facts_go_on(lifecycle: Lifecycle, caplog: pytest.LogCaptureFixture) -> None:
    qualify_all(lifecycle)
    lifecycle.bus.away = True
    for _ in range(3):
        lifecycle.tables.look()
    assert [record.levelname for record in caplog.records if "not looked at" in record.message] == ["WARNING"]
    assert "not looked at" in status_table(lifecycle)[1]
    lifecycle.bus.away = False
    lifecycle.tables.look()
    assert status_table(lifecycle)[1] == "versions up to 0"


def test_the_topic_is_read_before_the_first_fact_is_taken_in(lifecycle: Lifecycle) -> None:
    lifecycle.publish_table(calling("Hot"), DAY_2, version=1)
    lifecycle.publish("crm.lead.qualified.v1", LeadQualified(customer_id="c00"), DAY_3)
    drain([lifecycle.loop])
    assert names(lifecycle) == {"Hot": 1}
    assert applied(lifecycle) == {}


def test_without_the_topic_nothing_is_taken_in(lifecycle: Lifecycle) -> None:
    lifecycle.publish("crm.lead.qualified.v1", LeadQualified(customer_id="c00"), DAY_3)
    lifecycle.bus.delete(STATUS_TABLE.name)
    with pytest.raises(LookupError, match="handoff topics create"):
        drain([lifecycle.loop])
    assert not lifecycle.store.customers()


def test_a_topic_that_was_made_again_stops_the_service_and_says_what_to_do(lifecycle: Lifecycle) -> None:
    qualify_all(lifecycle)
    lifecycle.publish_table(calling("Hot"), DAY_2, version=1)
    lifecycle.settle()
    lifecycle.bus.delete(STATUS_TABLE.name)
    lifecycle.bus.create(STATUS_TABLE.name, 1)
    lifecycle.crash()
    with pytest.raises(PositionLost, match="restore the topic, for the versions are nowhere else"):
        lifecycle.settle()


def test_a_record_that_knows_a_version_which_is_gone_is_not_touched(lifecycle: Lifecycle) -> None:
    """As after a crash in the first sweep, when no shard was through yet."""
    qualify_all(lifecycle)
    lifecycle.worker.sweep.records_a_step = 1
    lifecycle.publish_table(calling("Hot"), DAY_2, version=1)
    lifecycle.tables.look()
    lifecycle.loop.turn()
    ((customer, _),) = applied(lifecycle).items()
    lifecycle.bus.delete(STATUS_TABLE.name)
    lifecycle.bus.create(STATUS_TABLE.name, 1)
    lifecycle.crash()
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id=customer, company="Acme"), DAY_3)
    with pytest.raises(PositionLost, match="restore the topic"):
        lifecycle.settle()


def test_a_status_of_no_version_is_poison_and_one_of_a_version_that_was_read_is_not(lifecycle: Lifecycle) -> None:
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="acme"), DAY_1)
    lifecycle.publish("crm.status.set.v1", StatusSet(customer_id="acme", status="Hot", actor="eva"), DAY_3)
    lifecycle.settle()
    assert len(lifecycle.letters()) == 1
    lifecycle.publish_table(calling("Hot"), DAY_2, version=1)
    lifecycle.settle()
    lifecycle.publish("crm.status.set.v1", StatusSet(customer_id="acme", status="Hot", actor="eva"), DAY_3)
    lifecycle.settle()
    assert len(lifecycle.letters()) == 1
    assert names(lifecycle) == {"Hot": 1}


def test_a_database_from_before_there_were_tables_follows_whole(tmp_path: Path) -> None:
    """Facts that were stored without a word of tables are folded with the built-in one."""
    lifecycle = Lifecycle(tmp_path / "lifecycle.sqlite")
    qualify_all(lifecycle)
    with lifecycle.store.ledger.transaction() as cursor:
        cursor.execute("DROP TABLE followed")
    lifecycle.crash()
    lifecycle.publish_table(calling("Hot"), DAY_2, version=1)
    lifecycle.settle()
    assert applied(lifecycle) == dict.fromkeys(CUSTOMERS, 1)
    for store in lifecycle.stores:
        store.close()
