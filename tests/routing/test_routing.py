"""Both hops on the memory bus: what lifecycle says in, assignments out."""

import logging
from pathlib import Path

import msgspec
import pytest

from events.assignments import LeadAssigned, LeadUnassigned
from events.bus.ledger import Fenced
from events.codec import decode
from events.published import Profile
from events.record import Message
from events.topics import ASSIGNMENT, LIFECYCLE, REQUEST
from events.values import format_instant
from tests.routing.harness import Routing, lifecycle_message
from tests.routing.words import CAUSE, CONTACT, NEW, NOON, PROSPECT, SECOND, progressed, record_changed, status_changed

GERMAN = Profile(country="DE", employees=20)


def test_a_status_that_is_told_in_parts_is_routed_once_and_with_the_last(routing: Routing) -> None:
    for part in (1, 2, 3):
        routing.says(status_changed("acme", part, profile=GERMAN, part=part, parts=3))
    routing.settle()
    assert [fact.id for fact in routing.facts()] == ["acme/0000000003/1"]


def test_a_lead_gets_a_rep_and_everybody_learns_why(routing: Routing) -> None:
    routing.says(status_changed("acme", 1, profile=GERMAN, contact=CONTACT))
    routing.settle()
    (fact,) = routing.facts()
    assert (fact.type, fact.id, fact.source) == ("crm.lead.assigned.v1", "acme/0000000001/1", "handoff/routing")
    assert fact.occurred_at == fact.recorded_at == NOON + SECOND
    assert fact.data == LeadAssigned(
        customer_id="acme",
        assignment_id="acme/0000000001/1",
        rep_id="anna",
        team="Inside",
        territory="North",
        pool="north",
        strategy="weighted_round_robin",
        rule_set_version=1,
        directory_version=1,
        contact=CONTACT,
        recorded_at=format_instant(NOON + SECOND),
        cause=CAUSE,
        trace={
            "territories": [
                {
                    "territory": "North",
                    "holds": True,
                    "condition": {"test": "in", "holds": True, "field": "country", "operand": ["DE", "NO"], "value": "DE"},
                }
            ],
            "territory": "North",
            "strategy": "weighted_round_robin",
            "pool": "north",
            "members": [
                {"rep_id": "anna", "weight": 1, "pointer": "0"},
                {"rep_id": "ben", "weight": 1, "pointer": "0"},
            ],
            "cursor": {"before": {}, "after": {"anna": "1", "ben": "0"}},
        },
    )


def test_the_default_pool_takes_the_rest_and_the_trace_says_what_was_tried(routing: Routing) -> None:
    routing.says(status_changed("acme", 1, profile=Profile(country="FR")))
    routing.settle()
    (data,) = routing.said("acme")
    assert isinstance(data, LeadAssigned)
    assert data.territory == "default"
    assert data.trace is not None
    assert [(each["territory"], each["holds"]) for each in data.trace["territories"]] == [
        ("North", False),
        ("Partners", False),
        ("Tobacco", False),
    ]


def test_one_fact_that_brings_two_messages_brings_one_assignment(routing: Routing) -> None:
    routing.says(status_changed("acme", 1), record_changed("acme", 2, changed=("profile",)))
    routing.settle()
    assert [type(data) for data in routing.said("acme")] == [LeadAssigned]


def test_its_own_assignment_comes_back_and_nothing_happens(routing: Routing) -> None:
    routing.says(status_changed("acme", 1))
    routing.settle()
    routing.says(record_changed("acme", 2, owner="anna", assignment_id="acme/0000000001/1"))
    routing.settle()
    assert len(routing.facts()) == 1


def test_a_person_gives_the_record_to_somebody_else(routing: Routing) -> None:
    routing.says(status_changed("acme", 1), record_changed("acme", 2, owner="anna", assignment_id="acme/0000000001/1"))
    routing.says(record_changed("acme", 3, owner="zoe"))
    routing.settle()
    assigned, unassigned = routing.said("acme")
    assert isinstance(unassigned, LeadUnassigned)
    assert isinstance(assigned, LeadAssigned)
    assert (unassigned.assignment_id, unassigned.rep_id, unassigned.reason) == (assigned.assignment_id, "anna", "superseded")


def test_an_imported_owner_that_came_too_late_changes_nothing(routing: Routing) -> None:
    routing.says(status_changed("acme", 1), record_changed("acme", 2, owner="zoe"))
    routing.says(record_changed("acme", 3, owner="anna", assignment_id="acme/0000000001/1"))
    routing.settle()
    assert [type(data) for data in routing.said("acme")] == [LeadAssigned]


def test_a_rejected_lead_is_free_and_then_goes_to_another(routing: Routing) -> None:
    routing.says(status_changed("acme", 1), record_changed("acme", 2, owner="anna", assignment_id="acme/0000000001/1"))
    routing.says(progressed("acme", 3, "acme/0000000001/1", "anna", "rejected", reason="on holiday"))
    routing.says(record_changed("acme", 4, owner=None))
    routing.settle()
    first, freed, second = routing.said("acme")
    assert isinstance(freed, LeadUnassigned)
    assert (freed.assignment_id, freed.reason) == ("acme/0000000001/1", "rejected")
    assert freed.trace == {"explanation": "anna gave it back: on holiday"}
    assert isinstance(first, LeadAssigned)
    assert isinstance(second, LeadAssigned)
    assert (first.rep_id, second.rep_id) == ("anna", "ben")


def test_an_answer_that_is_taken_back_is_no_answer(routing: Routing) -> None:
    """A late fact shows that a rejection never counted: it frees nobody."""
    routing.says(status_changed("acme", 1), record_changed("acme", 2, owner="anna", assignment_id="acme/0000000001/1"))
    routing.says(progressed("acme", 3, "acme/0000000001/1", "anna", "rejected", reason="on holiday", withdrawn=True))
    routing.settle()
    assert [type(data) for data in routing.said("acme")] == [LeadAssigned]


def test_rules_that_give_a_record_to_nobody_say_so(routing: Routing) -> None:
    routing.says(status_changed("acme", 1, profile=Profile(industry="Tobacco")))
    routing.settle()
    (data,) = routing.said("acme")
    assert isinstance(data, LeadUnassigned)
    assert (data.assignment_id, data.reason) == (None, "unassigned")
    assert data.trace is not None
    assert data.trace["explanation"] == "territory 'Tobacco' gives records to nobody"


def test_a_stage_that_is_routed_again(routing: Routing) -> None:
    routing.says(status_changed("acme", 1), record_changed("acme", 2, owner="anna", assignment_id="acme/0000000001/1"))
    partner = Profile(source_kind="partner")
    routing.says(
        status_changed("acme", 3, previous=NEW, current=PROSPECT, owner="anna", assignment_id="acme/0000000001/1", profile=partner)
    )
    routing.settle()
    data = routing.said("acme")[-1]
    assert isinstance(data, LeadAssigned)
    assert (data.rep_id, data.previous_rep, data.strategy) == ("carol", "anna", "fixed_rep")


def test_repeats_of_lifecycle_bring_nothing(routing: Routing) -> None:
    messages = [status_changed("acme", 1), record_changed("acme", 2, owner="anna", assignment_id="acme/0000000001/1")]
    routing.says(*messages, *messages)
    routing.settle()
    routing.says(*messages)
    routing.settle()
    assert len(routing.facts()) == 1


def test_a_restart_changes_nothing_and_the_turns_go_on(routing: Routing) -> None:
    routing.says(status_changed("a", 1))
    routing.settle()
    routing.crash()
    routing.says(status_changed("b", 1), status_changed("c", 1))
    routing.settle()
    assert [data.rep_id for customer in "abc" for data in routing.said(customer)] == ["anna", "ben", "anna"]


def test_who_takes_over_reads_the_log_from_a_snapshot_on_and_no_customer(routing: Routing) -> None:
    for number in range(23):
        routing.says(status_changed(f"c-{number}", 1, profile=GERMAN))
        routing.settle()
    state, snapshot = routing.store.state({})
    assert (snapshot, state.customers) == (25, {}), "with two versions there are 25 entries, and the last five were the fifth"
    assert state.cursors == {"north": {"anna": "12", "ben": "11"}}


def test_a_customer_who_is_no_longer_in_memory_is_known_all_the_same(routing: Routing) -> None:
    for number in range(9):
        routing.says(status_changed(f"c-{number}", 1, profile=GERMAN))
        routing.settle()
    routing.says(status_changed("c-0", 1, profile=GERMAN), progressed("c-0", 2, "c-0/0000000001/1", "anna", "rejected"))
    routing.settle()
    assert [fact.id for fact in routing.facts() if fact.customer_id == "c-0"] == ["c-0/0000000001/1", "c-0/0000000002/unassigned"]


def test_messages_that_do_not_concern_routing_are_passed_over(routing: Routing) -> None:
    routing.bus.append(Message(LIFECYCLE.name, b"acme", b"{}", headers=(("ce_type", b"crm.deals.changed.v1"),)))
    routing.settle()
    assert routing.facts() == []
    assert routing.letters() == []


def test_poison_on_either_hop_is_one_dead_letter_and_delays_nobody(routing: Routing) -> None:
    routing.bus.append(Message(LIFECYCLE.name, b"acme", b"not json"))
    routing.bus.append(Message(REQUEST.name, b"acme", b"\xff"))
    forged = lifecycle_message(status_changed("bolt", 1))
    routing.bus.append(msgspec.structs.replace(forged, key=b"other"))
    routing.says(status_changed("acme", 1))
    routing.settle()
    assert len(routing.letters()) == 3
    assert routing.store.ledger.dead_letters() == {"Undecodable": 3}
    assert len(routing.said("acme")) == 1


def test_a_request_for_rules_that_do_not_exist_is_a_dead_letter(routing: Routing) -> None:
    routing.says(status_changed("acme", 1))
    routing.settle()
    (record,) = routing.bus.records(REQUEST.name)
    assert record.value is not None
    changed = record.value.replace(b'"rule_set_version":1', b'"rule_set_version":9').replace(b'"version":1', b'"version":2')
    routing.bus.append(Message(REQUEST.name, record.key, changed, record.headers, timestamp=record.timestamp))
    routing.settle()
    (letter,) = routing.letters()
    assert dict(letter.headers)["dl_path"] == b"$.rule_set_version"
    assert dict(letter.headers)["dl_reason"] == b"version 9 is not on routing.rules.v1"


def test_new_rules_take_effect_at_a_place_among_the_decisions(routing: Routing) -> None:
    routing.says(status_changed("a", 1, profile=GERMAN))
    routing.settle()
    routing.rules_file.write_text("territories: []\ndefault: {rep: carol}\n")
    routing.reference.refresh()
    routing.says(status_changed("b", 1, profile=GERMAN))
    routing.settle()
    ((a,), (b,)) = routing.said("a"), routing.said("b")
    assert isinstance(a, LeadAssigned)
    assert isinstance(b, LeadAssigned)
    assert [(a.rep_id, a.rule_set_version), (b.rep_id, b.rule_set_version)] == [("anna", 1), ("carol", 2)]
    assert [type(event).__name__ for event in routing.log()] == [
        "DirectoryApplied",
        "RulesApplied",
        "Assigned",
        "RulesApplied",
        "Assigned",
    ]


def test_the_desk_uses_the_pools_of_the_rules_that_matched(routing: Routing) -> None:
    """Requests that were matched before the rules changed are decided by the old rules, though the desk knows the new ones."""
    match, desk = routing.loops
    routing.says(status_changed("a", 1, profile=GERMAN))
    for _ in range(3):
        match.turn()
    routing.rules_file.write_text("pools: {north: [carol]}\nterritories: []\ndefault: {pool: north}\n")
    routing.reference.refresh()
    routing.says(status_changed("b", 1, profile=GERMAN))
    routing.settle()
    assert [data.rep_id for customer in "ab" for data in routing.said(customer)] == ["anna", "carol"]
    assert desk.progress().lag == 0


def test_a_rep_who_becomes_inactive_gets_nothing_new(routing: Routing) -> None:
    routing.says(status_changed("a", 1))
    routing.settle()
    routing.directory_file.write_text(
        "reps: [{rep_id: anna}, {rep_id: ben, active: false}, {rep_id: carol}]\n",
    )
    routing.reference.refresh()
    routing.says(*(status_changed(customer, 1) for customer in "bcd"))
    routing.settle()
    assert [data.rep_id for customer in "abcd" for data in routing.said(customer)] == ["anna"] * 4


def test_a_frozen_desk_is_refused_when_it_wakes(routing: Routing) -> None:
    routing.says(status_changed("a", 1))
    routing.settle()
    zombie = routing.loops[1]
    routing.crash()
    routing.settle()
    before = len(routing.bus.records(REQUEST.name))
    routing.says(status_changed("b", 1))
    for _ in range(3):
        routing.loops[0].turn()
    fresh = routing.bus.records(REQUEST.name)[before:]
    assert fresh
    with pytest.raises(Fenced):
        zombie._worker.process(fresh)
    routing.settle()
    assert [data.rep_id for customer in "ab" for data in routing.said(customer)] == ["anna", "ben"]


def test_a_frozen_match_is_refused_when_it_wakes_and_what_it_sent_brings_nothing(routing: Routing) -> None:
    routing.settle()
    zombie = routing.match
    routing.crash()
    routing.says(status_changed("a", 1))
    routing.settle()
    with pytest.raises(Fenced):
        zombie.process(routing.bus.records(LIFECYCLE.name))
    routing.settle()
    assert len(routing.requests()) == 2
    assert len(routing.bus.records(ASSIGNMENT.name)) == 1


def test_without_rules_nothing_is_decided_and_nothing_is_lost(tmp_path: Path) -> None:
    routing = Routing(tmp_path)
    routing.bus.delete("routing.rules.v1")
    routing.bus.create("routing.rules.v1", 1)
    routing.rules_file.write_text("territories: [\n")
    routing.crash()
    routing.says(status_changed("a", 1))
    for _ in range(5):
        for loop in routing.loops:
            loop.turn()
    assert routing.loops[0].progress().state == "retrying"
    assert "there is no valid version on routing.rules.v1 yet" in routing.loops[0].progress().error
    routing.rules_file.write_text("territories: []\ndefault: {rep: carol}\n")
    routing.reference.refresh()
    routing.settle()
    assert [data.rep_id for data in routing.said("a")] == ["carol"]
    routing.close()


def test_a_wrong_file_is_reported_once_and_the_last_good_version_stays(routing: Routing, caplog: pytest.LogCaptureFixture) -> None:
    routing.rules_file.write_text("territories: []\ndefault: {rep: karol}\n")
    with caplog.at_level(logging.ERROR):
        routing.reference.refresh()
        routing.rules_file.touch()
        routing.reference.refresh()
        routing.reference.refresh()
    assert len(caplog.records) == 1
    assert "rules.yaml:2:16 default.rep: 'karol' is not in directory v1 (did you mean 'carol'?)" in caplog.text
    assert routing.reference.problems() == ["rules.yaml:2:16 default.rep: 'karol' is not in directory v1 (did you mean 'carol'?)"]
    routing.says(status_changed("a", 1))
    routing.settle()
    assert [data.rep_id for data in routing.said("a")] == ["anna"]
    routing.rules_file.write_text("territories: []\ndefault: {rep: carol}\n")
    routing.reference.refresh()
    assert routing.reference.problems() == []


def test_lag_counts_both_hops_and_what_is_not_published(routing: Routing) -> None:
    routing.settle()
    match, desk = routing.loops
    routing.says(status_changed("a", 1), status_changed("b", 1))
    assert match.progress().lag == 2
    while match.progress().lag:
        match.turn()
    assert desk.progress().lag == 2
    routing.settle()
    assert (match.progress().lag, desk.progress().lag) == (0, 0)


def test_what_is_published_decodes_as_lifecycle_will_decode_it(routing: Routing) -> None:
    routing.says(status_changed("acme", 1, profile=GERMAN))
    routing.settle()
    (record,) = routing.bus.records(ASSIGNMENT.name)
    again = decode(record)
    assert not isinstance(again, str)
    assert record.key == b"acme"
    assert record.timestamp == (NOON + SECOND) // 1_000_000
