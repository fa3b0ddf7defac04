"""Mass change: seen beforehand, applied, found by one id, taken back."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from fastapi.testclient import TestClient
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from events.bus import BusError
from events.codec import Fact, decode
from events.facts import LeadCreated, LeadQualified, OpportunityCreated, OwnerSet, StatusSet
from events.record import Message
from events.values import Price, parse_instant
from services.lifecycle import restorations
from services.lifecycle.api import create_app
from services.lifecycle.mass.api import KEPT_MAX, Resources
from services.lifecycle.mass.batches import Batches
from services.lifecycle.mass.runner import PAUSE_SECONDS_MAX, SOURCE, Behind, Restored, Runner, pause_seconds
from tests.lifecycle.domain.histories import TABLES
from tests.lifecycle.harness import Lifecycle, process_of
from tests.lifecycle.test_late_tables import broken

DAY_1, DAY_2, DAY_9 = "2026-03-01T09:00:00Z", "2026-03-02T09:00:00Z", "2026-03-09T09:00:00Z"
JSON = dict[str, Any]


class Desk:
    """Lifecycle with mass changes whose steps are done by hand.

    ``failing``: so many times nothing is written, or (``unanswered``) it is written and the answer is lost.
    """

    def __init__(self, lifecycle: Lifecycle) -> None:
        self.lifecycle = lifecycle
        self.now = parse_instant(DAY_9)
        self.failing = self.unanswered = 0
        self.step_records = 200
        self.written: list[Message] = []
        self.restart()

    def restart(self) -> None:
        """As after kill -9: another process on the same database."""
        lifecycle = self.lifecycle
        self.batches = batches = Batches(lifecycle.store.database)
        self.runner = Runner(
            batches, lifecycle.store, lambda: lifecycle.policy, self.publish, lambda: self.now, step_records=self.step_records
        )
        mass = Resources(lifecycle.store, batches, self.runner, lambda: lifecycle.policy, lambda: self.now)
        app = create_app(
            lifecycle.store, lifecycle.tables, lifecycle.loop.progress, CollectorRegistry(), mass=mass, clock=lambda: self.now
        )
        self.http = TestClient(app)

    def publish(self, messages: Sequence[Message]) -> None:
        if self.failing:
            self.failing -= 1
            raise BusError("Kafka does not answer")
        for message in messages:
            self.lifecycle.bus.append(replace(message, timestamp=self.now // 1_000_000))
        self.written += messages
        if self.unanswered:
            self.unanswered -= 1
            raise BusError("Kafka has not answered")

    def work(self) -> None:
        """All that is to be done, and let lifecycle take it in."""
        while self.runner.step():
            pass
        self.lifecycle.settle()
        self.now += 1_000_000_000

    def preview(self, change: JSON, filter: JSON | None = None, **more: Any) -> JSON:
        asked = {"filter": filter or {"stage": ["lead"]}, "change": change, "actor": "dana", **more}
        answer = self.http.post("/v1/mass-changes", json=asked)
        assert answer.status_code == 202, answer.text
        assert answer.headers["location"] == f"/v1/mass-changes/{answer.json()['id']}"
        self.work()
        return self.get(answer.json()["id"])

    def apply(self, id: str) -> JSON:
        answer = self.http.post(f"/v1/mass-changes/{id}/apply")
        assert answer.status_code == 202, answer.text
        self.work()
        return self.get(id)

    def revert(self, id: str) -> JSON:
        answer = self.http.post(f"/v1/mass-changes/{id}/revert", json={"actor": "dana"})
        assert answer.status_code == 202, answer.text
        self.work()
        return self.apply(answer.json()["id"])

    def get(self, id: str) -> JSON:
        body: JSON = self.http.get(f"/v1/mass-changes/{id}").json()
        return body

    def records(self, id: str, **asked: Any) -> dict[str, JSON]:
        body = self.http.get(f"/v1/mass-changes/{id}/records", params=asked).json()
        return {each["customer_id"]: each for each in body["records"]}

    def standing(self) -> dict[str, tuple[str, str | None]]:
        """Status and owner of every customer."""
        found = self.http.get("/v1/customers").json()["customers"]
        return {each["customer_id"]: (each["status"], each["owner"]) for each in found}


@pytest.fixture
def desk(lifecycle: Lifecycle, eur: Callable[[str], Price]) -> Desk:
    """Three leads, one of them qualified and one of Ann's, and a prospect."""
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="a", country="DE"), DAY_1)
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="b", country="US", owner="ann"), DAY_1)
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="c", country="DE"), DAY_1)
    lifecycle.publish("crm.lead.qualified.v1", LeadQualified(customer_id="c"), DAY_2)
    lifecycle.publish("crm.opportunity.created.v1", OpportunityCreated(customer_id="p", opportunity_id="o", amount=eur("5")), DAY_1)
    lifecycle.settle()
    return Desk(lifecycle)


def test_a_preview_says_what_would_happen_and_changes_nothing(desk: Desk) -> None:
    before = desk.standing()
    batch = desk.preview({"command": "set-status", "status": "Qualified"}, {"stage": ["lead", "prospect"]}, reason="fair")
    assert (batch["state"], batch["selected"], batch["changing"], batch["staying"]) == ("previewed", 4, 3, 1)
    assert batch["staying_by_rule"] == {"status-is-set": 1}
    records = desk.records(batch["id"])
    assert records["a"]["outcome"] == "would-change"
    assert records["a"]["before"] == {"stage": "lead", "status": "New", "owner": None}
    assert records["a"]["after"] == {"stage": "lead", "status": "Qualified", "owner": None}
    assert (records["c"]["outcome"], records["c"]["rule"]) == ("would-not", "status-is-set")
    assert records["c"]["explanation"] == "the record is Qualified already: any other status can be set"
    assert records["p"]["after"]["stage"] == "lead", "a status of a lower stage is a revert"
    assert list(desk.records(batch["id"], effective=False)) == ["c"]
    assert desk.standing() == before
    assert not desk.written


def test_applied_it_writes_one_command_for_each_record_that_changes(desk: Desk) -> None:
    batch = desk.preview({"command": "set-owner", "rep_id": "bob"}, {"country": ["DE"]}, reason="territories")
    done = desk.apply(batch["id"])
    assert (done["state"], done["decided"], done["written"], done["applied_at"]) == ("applied", 2, 2, DAY_9.replace("00Z", "01Z"))
    assert desk.standing() == {
        "a": ("New", "bob"),
        "b": ("New", "ann"),
        "c": ("Qualified", "bob"),
        "p": ("Opportunity Identified", None),
    }
    facts = [decode(record) for record in desk.lifecycle.bus.records("crm.command.v1")]
    assert {(fact.source, fact.id, fact.occurred_at) for fact in facts if isinstance(fact, Fact)} == {
        (SOURCE, batch["id"], parse_instant(DAY_9) + 1_000_000_000)
    }
    assert next(fact.data for fact in facts if isinstance(fact, Fact)) == OwnerSet(
        customer_id="a", rep_id="bob", actor="dana", reason="territories"
    )
    assert {record["outcome"] for record in desk.records(batch["id"]).values()} == {"effective"}


@pytest.mark.parametrize(
    ("change", "filter", "after"),
    [
        ({"command": "set-status", "status": "Dead"}, {"customer_id": ["a"]}, ("Dead", None)),
        ({"command": "convert"}, {"customer_id": ["c"]}, ("Opportunity Identified", None)),
        ({"command": "recycle", "until": "2027-01-01"}, {"customer_id": ["b"]}, ("Recycled", "ann")),
        ({"command": "revert", "stage": "lead"}, {"customer_id": ["p"]}, ("New", None)),
    ],
)
def test_every_change_can_be_taken_back(desk: Desk, change: JSON, filter: JSON, after: tuple[str, str | None]) -> None:
    before = desk.standing()
    (customer,) = filter["customer_id"]
    batch = desk.apply(desk.preview(change, filter, reason="test")["id"])
    assert desk.standing() == {**before, customer: after}
    reverting = desk.revert(batch["id"])
    assert (reverting["reverts"], reverting["state"], reverting["written"]) == (batch["id"], "applied", 1)
    assert desk.standing() == before
    assert desk.get(batch["id"])["reverted_by"] == reverting["id"]


def test_taken_back_is_only_what_still_stands_as_the_change_left_it(desk: Desk) -> None:
    batch = desk.apply(desk.preview({"command": "set-owner", "rep_id": "bob"})["id"])
    desk.lifecycle.publish("crm.owner.set.v1", OwnerSet(customer_id="b", rep_id="carl", actor="eve"), "2026-03-09T09:00:02Z")
    desk.lifecycle.settle()
    reverting = desk.revert(batch["id"])
    assert reverting["staying_by_rule"] == {"changed-since": 1, "no-owner-before": 2}
    assert desk.records(reverting["id"])["b"]["explanation"] == "carl owns the record now, not bob as the change left it"
    assert desk.standing()["b"] == ("New", "carl")
    assert (reverting["state"], reverting["written"]) == ("applied", 0)


def test_a_reversal_is_a_mass_change_and_can_be_taken_back_too_but_each_only_once(desk: Desk) -> None:
    batch = desk.apply(desk.preview({"command": "set-status", "status": "Unqualified"})["id"])
    reverting = desk.revert(batch["id"])
    answer = desk.http.post(f"/v1/mass-changes/{batch['id']}/revert", json={"actor": "dana"})
    assert answer.status_code == 409
    assert answer.json()["detail"] == f"{batch['id']} is taken back already, by {reverting['id']}, which is applied"
    again = desk.revert(reverting["id"])
    assert again["written"] == 3
    assert {status for status, _ in desk.standing().values()} == {"Unqualified", "Opportunity Identified"}


def test_what_changed_since_the_preview_stays(desk: Desk) -> None:
    batch = desk.preview({"command": "set-status", "status": "Dead"})
    desk.lifecycle.publish("crm.lead.qualified.v1", LeadQualified(customer_id="a"), DAY_9)
    desk.lifecycle.settle()
    done = desk.apply(batch["id"])
    assert (done["written"], done["staying_by_rule"]) == (2, {"changed-since": 1})
    record = desk.records(batch["id"])["a"]
    assert (record["outcome"], record["rule"]) == ("stayed", "changed-since")
    assert record["explanation"] == (
        "since the preview the record has changed from lead, New, owned by nobody to lead, Qualified, owned by nobody"
    )
    assert desk.standing()["a"] == ("Qualified", None)


def test_a_late_fact_may_take_the_effect_and_the_batch_says_so(desk: Desk) -> None:
    batch = desk.apply(desk.preview({"command": "set-status", "status": "Dead"}, {"customer_id": ["a"]})["id"])
    desk.lifecycle.publish("crm.status.set.v1", StatusSet(customer_id="a", status="Dead", actor="eve"), DAY_2)
    desk.lifecycle.settle()
    record = desk.records(batch["id"])["a"]
    assert (record["outcome"], record["rule"]) == ("no-effect", "status-is-set")


def test_a_status_table_that_came_late_counts_before_the_sweep_has_come_by(desk: Desk) -> None:
    table = TABLES["renamed"]
    desk.lifecycle.publish_table(process_of(table), "2026-01-01T00:00:00Z", version=1)
    desk.lifecycle.tables.look()
    batch = desk.preview({"command": "set-status", "status": "Gone"}, {"customer_id": ["a"]})
    assert desk.records(batch["id"])["a"]["before"] == {"stage": "lead", "status": "Fresh", "owner": None}
    desk.apply(batch["id"])
    assert desk.standing()["a"] == ("Gone", None)


def test_a_filter_that_means_nobody(desk: Desk) -> None:
    batch = desk.preview({"command": "convert"}, {"country": ["FR"]})
    assert (batch["state"], batch["selected"], batch["previewed"]) == ("previewed", 0, 0)
    done = desk.apply(batch["id"])
    assert (done["state"], done["written"]) == ("applied", 0)
    answer = desk.http.post(f"/v1/mass-changes/{batch['id']}/revert", json={"actor": "dana"})
    assert (answer.status_code, answer.json()["detail"]) == (409, "there is nothing to take back: no command of it was written")


def test_given_up_it_writes_nothing_more_and_what_was_written_can_be_taken_back(desk: Desk) -> None:
    batch = desk.preview({"command": "set-status", "status": "Dead"})
    assert desk.http.post(f"/v1/mass-changes/{batch['id']}/cancel").json()["state"] == "cancelled"
    assert desk.http.post(f"/v1/mass-changes/{batch['id']}/cancel").json()["state"] == "cancelled", "twice is once"
    answer = desk.http.post(f"/v1/mass-changes/{batch['id']}/apply")
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "the mass change is cancelled: only a finished preview can be applied",
    )
    desk.work()
    assert not desk.written


def test_the_same_key_is_the_same_batch(desk: Desk) -> None:
    asked = {"filter": {"stage": ["lead"]}, "change": {"command": "convert"}, "actor": "dana"}
    first = desk.http.post("/v1/mass-changes", json=asked, headers={"Idempotency-Key": "spring-1"})
    desk.work()
    again = desk.http.post("/v1/mass-changes", json=asked, headers={"Idempotency-Key": "spring-1"})
    assert (first.json()["id"], again.json()["id"], again.json()["state"]) == ("spring-1", "spring-1", "previewed")
    other = desk.http.post("/v1/mass-changes", json={**asked, "actor": "eve"}, headers={"Idempotency-Key": "spring-1"})
    assert other.status_code == 409
    listed = desk.http.get("/v1/mass-changes").json()
    assert [each["id"] for each in listed["mass_changes"]] == ["spring-1"]


@pytest.mark.parametrize("steps", range(1, 8))
@pytest.mark.parametrize("fault", ["failing", "unanswered"])
def test_a_crash_at_any_step_does_nothing_twice_and_leaves_nothing_out(desk: Desk, steps: int, fault: str) -> None:
    desk.step_records = 1
    desk.restart()
    batch = desk.preview({"command": "set-status", "status": "Dead"})
    desk.http.post(f"/v1/mass-changes/{batch['id']}/apply")
    for step in range(steps):
        setattr(desk, fault, step % 2)  # every other step fails once
        try:
            desk.runner.step()
        except BusError:
            assert desk.get(batch["id"])["state"] == "applying"
    desk.failing = desk.unanswered = 0
    desk.lifecycle.crash()
    desk.now += 1_000_000_000
    desk.restart()
    desk.work()
    done = desk.get(batch["id"])
    assert (done["state"], done["written"]) == ("applied", 3)
    assert {status for status, _ in desk.standing().values()} == {"Dead", "Opportunity Identified"}
    assert {record["outcome"] for record in desk.records(batch["id"]).values()} == {"effective"}
    assert len(desk.lifecycle.letters()) == 0, "the same command again is the same fact"


def test_a_command_that_is_taken_in_and_was_not_noted_is_noted(desk: Desk) -> None:
    batch = desk.preview({"command": "set-owner", "rep_id": "bob"}, {"customer_id": ["a"]})
    desk.http.post(f"/v1/mass-changes/{batch['id']}/apply")
    desk.unanswered = 1
    with pytest.raises(BusError):
        desk.runner.step()
    desk.lifecycle.settle()
    desk.restart()
    desk.work()
    assert (desk.get(batch["id"])["written"], len(desk.written)) == (1, 1)
    assert desk.records(batch["id"])["a"]["outcome"] == "effective"


def test_a_conversion_taken_back_gives_the_status_that_was_set_by_hand(desk: Desk) -> None:
    """A revert alone would give the one that lead facts say."""
    desk.apply(desk.preview({"command": "set-status", "status": "Unqualified"}, {"customer_id": ["c"]})["id"])
    batch = desk.apply(desk.preview({"command": "convert"}, {"customer_id": ["c"]})["id"])
    assert desk.standing()["c"] == ("Opportunity Identified", None)
    desk.revert(batch["id"])
    assert desk.standing()["c"] == ("Unqualified", None)


def test_what_may_have_been_written_when_it_was_given_up_can_be_taken_back(desk: Desk) -> None:
    """Kafka does not answer, so somebody gives it up; but it was written."""
    before = desk.standing()
    batch = desk.preview({"command": "set-status", "status": "Dead"})
    desk.http.post(f"/v1/mass-changes/{batch['id']}/apply")
    desk.unanswered = 1
    with pytest.raises(BusError):
        desk.runner.step()
    desk.http.post(f"/v1/mass-changes/{batch['id']}/cancel")
    desk.lifecycle.settle()
    assert {outcome["outcome"] for outcome in desk.records(batch["id"]).values()} == {"effective"}
    assert desk.revert(batch["id"])["written"] == 3
    assert desk.standing() == before


def test_what_was_never_written_when_it_was_given_up_is_left_alone(desk: Desk) -> None:
    before = desk.standing()
    batch = desk.preview({"command": "set-status", "status": "Dead"})
    desk.http.post(f"/v1/mass-changes/{batch['id']}/apply")
    desk.failing = 1
    with pytest.raises(BusError):
        desk.runner.step()
    desk.http.post(f"/v1/mass-changes/{batch['id']}/cancel")
    reverting = desk.revert(batch["id"])
    assert (reverting["written"], reverting["staying_by_rule"]) == (0, {"changed-since": 3})
    assert (desk.standing(), desk.written) == (before, [])


def test_what_one_worker_has_written_another_that_is_slow_does_not_unsay(desk: Desk) -> None:
    batch = desk.preview({"command": "set-status", "status": "Dead"}, {"customer_id": ["a"]})
    desk.http.post(f"/v1/mass-changes/{batch['id']}/apply")
    (seen,) = desk.batches.entries(batch["id"], limit=1)
    desk.work()
    desk.batches.foresee(batch["id"], [seen])  # it was still previewing,
    desk.batches.decide(batch["id"], [replace(seen, written=False)])  # or has found that the record had changed
    assert desk.records(batch["id"])["a"]["outcome"] == "effective"
    assert desk.get(batch["id"])["written"] == 1


def test_a_mass_change_that_meets_a_bug_says_so_and_holds_up_no_other(desk: Desk) -> None:
    state = broken(desk.lifecycle, "b", b"{")
    first = desk.preview({"command": "convert"}, {"customer_id": ["b"]})
    second = desk.apply(desk.preview({"command": "convert"}, {"customer_id": ["a"]})["id"])
    assert (second["state"], second["written"], second["trouble"]) == ("applied", 1, None)
    first = desk.get(first["id"])
    assert (first["state"], first["trouble"].partition(":")[0]) == ("previewing", "DecodeError")
    broken(desk.lifecycle, "b", state)
    desk.runner.try_again()
    desk.work()
    first = desk.get(first["id"])
    assert (first["state"], first["changing"], first["trouble"]) == ("previewed", 1, None)


def test_records_that_follow_a_table_which_is_not_read_yet_are_waited_for(desk: Desk) -> None:
    """At a start, before the topic is read: that is no bug."""
    lifecycle = desk.lifecycle
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="c1"), DAY_1)
    lifecycle.publish_table(process_of(TABLES["short"]), "2026-01-01T00:00:00Z", version=1)
    lifecycle.settle()
    lifecycle.crash()
    desk.restart()
    change = {"command": "set-owner", "rep_id": "bob"}
    desk.http.post("/v1/mass-changes", json={"filter": {"stage": ["lead"]}, "change": change, "actor": "dana"})
    with pytest.raises(Behind, match="not read here yet"):
        desk.runner.step()
    lifecycle.tables.look()
    desk.work()
    (batch,) = desk.http.get("/v1/mass-changes").json()["mass_changes"]
    assert (batch["state"], batch["trouble"]) == ("previewed", None)


def test_a_batch_waits_until_a_restored_database_has_caught_up(desk: Desk) -> None:
    batch = desk.preview({"command": "set-owner", "rep_id": "bob"})
    desk.http.post(f"/v1/mass-changes/{batch['id']}/apply")
    lifecycle = desk.lifecycle
    with lifecycle.store.database.begin() as cursor:
        restorations.declare(cursor, range(lifecycle.store.shards))
    with pytest.raises(Restored, match="has not caught up yet"):
        desk.runner.step()
    assert desk.written == []
    lifecycle.crash()
    lifecycle.settle()
    for _ in range(lifecycle.store.shards):
        lifecycle.loop.turn()
    desk.restart()
    desk.work()
    assert desk.get(batch["id"])["state"] == "applied"
    assert len(desk.written) == 3


def test_a_preview_that_nobody_applies_is_not_kept_for_ever(desk: Desk) -> None:
    applied = desk.apply(desk.preview({"command": "set-owner", "rep_id": "bob"}, {"customer_id": ["a"]})["id"])
    began = desk.now
    batch = desk.preview({"command": "convert"})
    desk.now = began + KEPT_MAX
    desk.preview({"command": "convert"})
    assert desk.get(batch["id"])["state"] == "previewed"
    desk.now = began + KEPT_MAX + 1
    desk.preview({"command": "convert"})
    assert (desk.get(batch["id"])["state"], desk.records(batch["id"])) == ("cancelled", {})
    assert desk.http.post(f"/v1/mass-changes/{batch['id']}/apply").status_code == 409
    assert list(desk.records(applied["id"])) == ["a"], "what was applied is kept"


def test_records_are_read_a_portion_at_a_time(desk: Desk) -> None:
    desk.lifecycle.store.read_max = 1
    batch = desk.apply(desk.preview({"command": "set-status", "status": "Dead"})["id"])
    assert (batch["written"], {each["outcome"] for each in desk.records(batch["id"]).values()}) == (3, {"effective"})


@pytest.mark.parametrize(
    ("asked", "parameter", "detail"),
    [
        ({"filter": {}}, "filter", "it is empty, so all records are meant: say so with `all`, or narrow it down"),
        ({"change": {"command": "set-status", "status": "Qualifed"}}, "change.status", "(did you mean 'Qualified'?)"),
        ({"filter": {"status": ["Nw"]}}, "status", "(did you mean 'New'?)"),
        ({"change": {"command": "recycle"}}, "reason", "is missing"),
        ({"change": {"command": "recycle", "until": "tomorrow"}, "reason": "x"}, "change.recycle.until", "is not an RFC 3339 time"),
        ({"change": {"command": "explode"}}, "change", "expected tags"),
        ({"change": {"command": "revert", "stage": "customer"}}, "change.revert.stage", "must be one of lead, prospect"),
        ({"filter": {"sources": ["red"]}}, "filter.sources", "is not a field of this object (did you mean source?)"),
        ({"filter": {"stage": ["lead"], "created_from": "2026-02-30"}}, "filter.created_from", "is not a time"),
        ({"filter": {"score_min": 5, "score_max": 4}}, "score_max", "4 is below score_min, 5"),
        ({"actor": ""}, "actor", "at least 1 character"),
        ({"actor": "a\u0000b"}, "actor", "match pattern"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_stands(desk: Desk, asked: JSON, parameter: str, detail: str) -> None:
    whole = {"filter": {"stage": ["lead"]}, "change": {"command": "convert"}, "actor": "dana", **asked}
    answer = desk.http.post("/v1/mass-changes", json=whole)
    assert answer.status_code == 422, answer.text
    errors = answer.json()["errors"]
    assert [each["parameter"] for each in errors] == [parameter]
    assert detail in errors[0]["detail"]
    assert desk.http.get("/v1/mass-changes").json()["mass_changes"] == []


def test_what_is_not_there(desk: Desk) -> None:
    for path in ("", "/records"):
        assert desk.http.get(f"/v1/mass-changes/nothing{path}").status_code == 404
    for path in ("apply", "cancel"):
        assert desk.http.post(f"/v1/mass-changes/nothing/{path}").status_code == 404
    assert desk.http.get("/v1/mass-changes/nothing", params={"x": 1}).status_code == 422


def test_the_records_as_csv(desk: Desk) -> None:
    batch = desk.preview({"command": "set-owner", "rep_id": "=bob"}, {"country": ["DE"]})
    answer = desk.http.get(f"/v1/mass-changes/{batch['id']}/records", headers={"Accept": "text/csv"})
    assert answer.text.splitlines() == [
        "customer_id,before_stage,before_status,before_owner,after_stage,after_status,after_owner,outcome,rule,explanation",
        "a,lead,New,,lead,New,'=bob,would-change,,",
        "c,lead,Qualified,,lead,Qualified,'=bob,would-change,,",
    ]


def test_the_pause_grows_to_its_limit_however_long_kafka_is_away() -> None:
    pauses = [pause_seconds(failures) for failures in (1, 2, 5, 100, 100_000)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.2, PAUSE_SECONDS_MAX)
