"""From records to records: what lifecycle takes in, sends home, refuses, and publishes."""

from collections.abc import Callable
from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from events.assignments import LeadAssigned
from events.bus.partitioner import crc32, murmur2
from events.codec import Fact, content
from events.facts import (
    ActivityLogged,
    FactRef,
    LeadCreated,
    LeadRecycled,
    OpportunityCreated,
    OpportunityWon,
    OrderPlaced,
    OwnerSet,
    StatusSet,
)
from events.published import DealsChanged, RecordChanged, StatusChanged
from events.record import Message
from events.topics import LEAD, MOVED, VALUE_BYTES_MAX
from events.values import Money, Price, parse_instant
from services.lifecycle import restorations
from services.lifecycle.batch import Batch
from services.lifecycle.domain.limits import DOCUMENTS_MAX
from tests.faults import gathering

DAY_1, DAY_2, DAY_3 = "2026-03-01T09:00:00Z", "2026-03-02T09:00:00Z", "2026-03-03T09:00:00Z"
Eur = Callable[[str], Price]


def opportunity(customer: str, amount: Price, name: str = "o1", owner: str | None = None) -> OpportunityCreated:
    return OpportunityCreated(customer_id=customer, opportunity_id=name, amount=amount, owner=owner)


def test_a_lead_becomes_a_prospect_and_both_are_published(lifecycle: Any, eur: Eur) -> None:
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="acme", company="Acme", country="DE"), DAY_1)
    lifecycle.publish("crm.opportunity.created.v1", opportunity("acme", eur("1000")), DAY_2)
    lifecycle.settle()

    first, second, deals = [fact.data for fact in lifecycle.published()]
    assert isinstance(first, StatusChanged)
    assert first.previous is None
    assert first.current.name == "New"
    assert first.profile.country == "DE"
    assert isinstance(second, StatusChanged)
    assert (second.since, second.current.stage) == (DAY_2, "prospect")
    assert [state.name for state in second.states] == ["Opportunity Identified"]
    assert isinstance(deals, DealsChanged)
    assert deals.deals[0].states[0].image.amounts.likely == Money(amount=eur("1000").amount, currency="EUR")
    assert first.version < second.version < deals.version


def test_the_same_fact_again_changes_nothing_and_publishes_nothing(lifecycle: Any) -> None:
    for _ in range(3):
        lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="acme"), DAY_1, id="same")
        lifecycle.settle()
    assert len(lifecycle.published()) == 1
    assert not lifecycle.letters()


def test_a_late_fact_republishes_the_history_from_where_it_differs(lifecycle: Any, eur: Eur) -> None:
    lifecycle.publish("crm.opportunity.created.v1", opportunity("acme", eur("10")), DAY_3)
    lifecycle.settle()
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="acme"), DAY_1)
    lifecycle.settle()

    late = lifecycle.published()[-1].data
    assert isinstance(late, RecordChanged | StatusChanged)
    statuses = [fact.data for fact in lifecycle.published() if isinstance(fact.data, StatusChanged)]
    assert statuses[-1].since == DAY_1
    assert [(state.effective_at, state.name) for state in statuses[-1].states] == [
        (DAY_1, "New"),
        (DAY_3, "Opportunity Identified"),
    ]
    assert statuses[-1].previous == statuses[-1].current


def test_a_record_in_another_partition_is_sent_home_and_folded_there_once(lifecycle: Any) -> None:
    customer = next(name for name in map(str, range(100)) if murmur2(name.encode(), 4) != crc32(name.encode(), 4))
    message = lifecycle.message("crm.lead.created.v1", LeadCreated(customer_id=customer), DAY_1)
    strayed = lifecycle.bus.append(message, partitioner=crc32)
    lifecycle.settle()

    (moved,) = lifecycle.bus.records(MOVED.name)
    assert moved.partition == murmur2(customer.encode(), 4) != strayed.partition
    assert (moved.key, moved.value, moved.headers, moved.timestamp) == (
        strayed.key,
        strayed.value,
        strayed.headers,
        strayed.timestamp,
    )
    lifecycle.bus.append(message)  # and the same fact at home as well
    lifecycle.settle()
    assert [fact.data.customer_id for fact in lifecycle.published()] == [customer]


@pytest.mark.parametrize("first_is_larger", [False, True])
def test_of_two_assignments_the_refused_one_is_written_with_its_whole_reasoning(lifecycle: Any, first_is_larger: bool) -> None:
    at = parse_instant(DAY_1)
    both = [
        LeadAssigned(customer_id="acme", assignment_id="a1", rep_id="ann", trace={"territories": [{"holds": True, "at": [n, 0.5]}]})
        for n in (1, 2)
    ]
    smaller = min(
        both, key=lambda data: sha256(content(Fact("acme", "crm", "same", "crm.lead.assigned.v1", at, at, data))).digest()
    )
    for data in sorted(both, key=lambda data: data is smaller, reverse=not first_is_larger):
        lifecycle.publish("crm.lead.assigned.v1", data, DAY_1, id="same")
        lifecycle.settle()

    (letter,) = lifecycle.letters()
    (larger,) = (data for data in both if data is not smaller)
    assert msgspec.json.decode(letter.value, type=LeadAssigned) == larger
    (known,) = lifecycle.store.load(murmur2(b"acme", 4), ["acme"], lifecycle.policy)["acme"].known.values()
    assert known.whole.data == smaller


@pytest.mark.parametrize("first_is_larger", [False, True])
def test_of_two_facts_with_one_identity_the_same_one_stands_whichever_came_first(lifecycle: Any, first_is_larger: bool) -> None:
    at = parse_instant(DAY_1)
    facts = [LeadCreated(customer_id="acme", company=name) for name in ("Acme", "Acne")]
    smaller = min(
        facts, key=lambda data: sha256(content(Fact("acme", "crm", "same", "crm.lead.created.v1", at, at, data))).digest()
    )
    for data in sorted(facts, key=lambda data: data is smaller, reverse=not first_is_larger):
        lifecycle.publish("crm.lead.created.v1", data, DAY_1, id="same")
        lifecycle.settle()

    record = lifecycle.store.load(murmur2(b"acme", 4), ["acme"], lifecycle.policy)["acme"]
    standing = record.fold.state.profile.company
    (letter,) = lifecycle.letters()
    headers = dict(letter.headers)
    assert headers["dl_error"] == b"IdentityConflict"
    refused = msgspec.json.decode(letter.value)["company"]
    assert {standing, refused} == {"Acme", "Acne"}
    assert standing == smaller.company
    lifecycle.publish("crm.lead.created.v1", smaller, DAY_1, id="same")
    lifecycle.settle()
    outcomes = {outcome: lifecycle.counted("crm.lead.v1", outcome) for outcome in ("accepted", "repeated", "IdentityConflict")}
    assert outcomes == {"accepted": 1 + first_is_larger, "repeated": 1, "IdentityConflict": 1}
    assert lifecycle.registry.get_sample_value("handoff_events_stored_total", {"kind": "fact"}) == 1 + first_is_larger


def bad(value: bytes, *, key: bytes | None = b"acme", **headers: str) -> Message:
    said = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "crm", "ce_type": "crm.lead.created.v1", "ce_time": DAY_1}
    said |= {f"ce_{name}": text for name, text in headers.items()}
    pairs = tuple((name, text.encode()) for name, text in said.items() if text)
    return Message(LEAD.name, key, value, pairs, partition=0, timestamp=parse_instant(DAY_1) // 10**6)


GOOD = b'{"customer_id": "acme"}'
REFUSED = {
    "not JSON": (bad(b"\xff\xfe"), ""),
    "no value": (bad(b""), "value"),
    "a missing required field": (bad(GOOD, type="crm.lead.disqualified.v1"), "reason"),
    "an unknown type": (bad(GOOD, type="crm.lead.creatd.v1"), "ce_type"),
    "another major version": (bad(GOOD, type="crm.lead.created.v9"), "ce_type"),
    "a naive time": (bad(GOOD, time="2026-03-01T09:00:00"), "ce_time"),
    "a time in the far future": (bad(GOOD, time="2027-03-01T09:00:00Z"), "ce_time"),
    "a negative amount": (bad(b'{"customer_id":"acme","expected_amount":{"amount":"-1","currency":"EUR"}}'), "expected_amount"),
    "NaN": (bad(b'{"customer_id":"acme","expected_amount":{"amount":"NaN","currency":"EUR"}}'), "expected_amount"),
    "too large": (bad(b'{"customer_id":"acme","company":"' + b"x" * VALUE_BYTES_MAX + b'"}'), "value"),
    "a key that is not the customer id": (bad(GOOD, key=b"other"), "key"),
    "no key": (bad(GOOD, key=None), "key"),
    "an empty customer id": (bad(b'{"customer_id": ""}', key=b""), "customer_id"),
    "a status of no table": (bad(b'{"customer_id":"acme","status":"Nope","actor":"bob"}', type="crm.status.set.v1"), "status"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_dead_letter_with_the_original_bytes_and_the_rest_goes_on(lifecycle: Any, case: str) -> None:
    message, path = REFUSED[case]
    if dict(message.headers)["ce_type"].startswith(b"crm.status"):
        message = msgspec.structs.replace(message, topic="crm.command.v1")
    lifecycle.bus.append(message)
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="good"), DAY_1)
    lifecycle.settle()

    (letter,) = lifecycle.letters()
    headers = dict(letter.headers)
    assert (letter.key, letter.value) == (message.key, message.value or None) or letter.value == message.value
    assert headers["dl_error"] == b"Undecodable"
    assert headers["dl_reason"]
    assert path in headers["dl_path"].decode()
    assert [fact.data.customer_id for fact in lifecycle.published()] == ["good"]
    assert lifecycle.store.ledger.dead_letters() == {"Undecodable": 1}


def test_a_command_without_effect_is_refused_and_becomes_effective_through_a_late_fact(lifecycle: Any) -> None:
    lifecycle.publish("crm.owner.set.v1", OwnerSet(customer_id="acme", rep_id="anna", actor="bob"), DAY_1)
    lifecycle.publish("crm.owner.set.v1", OwnerSet(customer_id="acme", rep_id="anna", actor="bob"), DAY_3)
    lifecycle.settle()
    lifecycle.publish("crm.owner.set.v1", OwnerSet(customer_id="acme", rep_id="carl", actor="bob"), DAY_2)
    lifecycle.settle()

    refused, again = [fact.data for fact in lifecycle.published() if fact.type == "crm.command.refused.v1"]
    assert (refused.effective, refused.rule) == (False, "owner-is-set")
    assert again.effective
    assert again.command == refused.command


def test_a_recycled_lead_comes_back_by_a_tick_once(lifecycle: Any) -> None:
    lifecycle.clock = lambda: parse_instant(DAY_2)
    lifecycle.publish("crm.lead.recycled.v1", LeadRecycled(customer_id="acme", reason="later", until="2026-03-03"), DAY_1, id="r")
    lifecycle.settle()
    assert not lifecycle.bus.records(MOVED.name)

    lifecycle.clock = lambda: parse_instant(DAY_3)
    for _ in range(3):
        lifecycle.crash()
        lifecycle.settle()
        lifecycle.loop.turn()
        lifecycle.settle()
    (tick,) = lifecycle.bus.records(MOVED.name)
    assert dict(tick.headers)["ce_id"] == b"acme/wake/crm/r"
    last = lifecycle.published()[-1].data
    assert isinstance(last, StatusChanged)
    assert (last.current.name, last.since) == ("New", "2026-03-03T00:00:00Z")


def test_a_tick_that_was_due_long_ago_is_recorded_now(lifecycle: Any) -> None:
    """Or the retention of its topic, which goes by the time of recording, would take it before it is read."""
    lifecycle.clock = lambda: parse_instant(DAY_3)
    lifecycle.publish("crm.lead.recycled.v1", LeadRecycled(customer_id="acme", reason="later", until="2025-06-01"), DAY_1, id="r")
    lifecycle.settle()
    lifecycle.loop.turn()
    (tick,) = lifecycle.bus.records(MOVED.name)
    assert tick.timestamp == parse_instant(DAY_3) // 1_000_000
    assert dict(tick.headers)["ce_time"] == DAY_1.encode()  # the later of `until` and the recycling (FOLD.md 20)


def test_an_answer_before_the_time_ends_the_waiting(lifecycle: Any) -> None:
    lifecycle.clock = lambda: parse_instant(DAY_3)
    lifecycle.publish("crm.lead.recycled.v1", LeadRecycled(customer_id="acme", reason="later", until="2026-03-02"), DAY_1, id="r")
    reply = ActivityLogged(customer_id="acme", activity_id="a1", kind="email", direction="inbound")
    lifecycle.publish("crm.activity.logged.v1", reply, "2026-03-01T12:00:00Z")
    while lifecycle.loop.progress().state != "running" or lifecycle.loop.progress().lag:
        lifecycle.loop.turn()
    lifecycle.loop.turn()
    lifecycle.settle()
    record = lifecycle.store.load(murmur2(b"acme", 4), ["acme"], lifecycle.policy)["acme"]
    assert [held.what.name for held in record.fold.statuses] == ["Recycled", "New"]
    assert record.fold.statuses[-1].at == parse_instant("2026-03-01T12:00:00Z")
    assert FactRef(source="crm", id="r") in record.known


def test_a_bug_buries_one_record_and_shows_it(lifecycle: Any, eur: Eur) -> None:
    poison = lifecycle.publish("crm.opportunity.won.v1", OpportunityWon(customer_id="acme", opportunity_id="o1"), DAY_2)
    lifecycle.publish("crm.opportunity.created.v1", opportunity("acme", eur("5")), DAY_1)
    process = lifecycle.worker.process

    def fails_on_poison(records: Any) -> None:
        if any(record.place == poison.place and record.offset == poison.offset for record in records):
            raise ZeroDivisionError("a bug")
        process(records)

    lifecycle.worker.process = fails_on_poison
    lifecycle.settle()
    assert lifecycle.store.ledger.dead_letters() == {"Bug": 1}
    assert lifecycle.loop.progress().degraded
    (letter,) = lifecycle.letters()
    assert (letter.value, dict(letter.headers)["dl_attempts"]) == (poison.value, b"3")
    assert any(fact.type == "crm.deals.changed.v1" for fact in lifecycle.published())


def test_a_status_that_the_table_has_is_no_poison(lifecycle: Any, eur: Eur) -> None:
    lifecycle.publish("crm.opportunity.created.v1", opportunity("acme", eur("5")), DAY_1)
    lifecycle.settle()
    lifecycle.publish("crm.status.set.v1", StatusSet(customer_id="acme", status="In Discussion", actor="bob"), DAY_2)
    lifecycle.settle()
    assert lifecycle.published()[-1].data.current.name == "In Discussion"


def test_what_is_too_much_for_a_record_is_a_dead_letter_and_the_rest_goes_on(lifecycle: Any, eur: Eur) -> None:
    lifecycle.crash(records_max=DOCUMENTS_MAX)  # or the deal is told anew, with all its documents, after every seventh
    for number in range(DOCUMENTS_MAX + 2):
        order = OrderPlaced(
            customer_id="acme", order_id=f"p{number}", opportunity_id="none", amount=Money(amount=Decimal(1), currency="EUR")
        )
        lifecycle.publish("crm.order.placed.v1", order, DAY_1)
    lifecycle.publish("crm.opportunity.created.v1", opportunity("acme", eur("1000"), "another"), DAY_2)
    lifecycle.settle()
    letters = [dict(letter.headers) for letter in lifecycle.letters()]
    assert [letter["dl_error"] for letter in letters] == [b"LimitExceeded"] * 2
    assert letters[0]["dl_reason"].startswith(b"the deal 'opportunity:none' of 'acme' would have more than 500 documents")
    assert lifecycle.counted("crm.order.v1", "accepted") == DOCUMENTS_MAX
    assert lifecycle.counted("crm.order.v1", "LimitExceeded") == 2
    record = lifecycle.store.load(murmur2(b"acme", 4), ["acme"], lifecycle.policy)["acme"]
    assert set(record.fold.images) == {"opportunity:none", "opportunity:another"}


def test_what_is_withheld_is_passed_over_and_stays_where_it_is(lifecycle: Any) -> None:
    worker, store, shard = lifecycle.worker, lifecycle.store, lifecycle.store.home("acme")
    lifecycle.loop.turn()
    for day in (DAY_1, DAY_2, DAY_3):
        data = LeadCreated(customer_id="acme", company=day)
        worker.process([lifecycle.publish("crm.lead.created.v1", data, day)])
    _, second, *_, last = store.outgoing(shard, 0, 500)
    with store.database.begin() as cursor:
        restorations.surveyed(cursor, shard, {}, {}, [second.number])
        restorations.surveyed(cursor, shard, {}, {}, [second.number])  # and said again
    assert store.withheld(shard, 0, last.number) == {second.number}
    assert store.withheld(shard, second.number, last.number) == set()
    entries = worker.outgoing(f"lifecycle[{shard}]", 0, 500)
    assert [entry.number for entry in entries if not entry.messages] == [second.number], "numbered, so that it is acknowledged"
    lifecycle.settle()
    published = lifecycle.published()
    assert len(published) == len(entries) - 1
    assert gathering.withheld(store) == list(second.messages)
    assert worker.pending() == 0


@pytest.mark.parametrize("transactions", [1, 2], ids=["asked after each transaction", "asked after two"])
def test_what_goes_out_from_memory_is_what_is_stored(
    lifecycle: Any, eur: Eur, transactions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="acme", company="Acme"), DAY_1)
    lifecycle.settle()
    worker, store, shard = lifecycle.worker, lifecycle.store, lifecycle.store.home("acme")
    stream, stored, looked = f"lifecycle[{shard}]", store.outgoing, []
    monkeypatch.setattr(store, "outgoing", lambda *asked: looked.append(asked) or stored(*asked))
    sent = store.last_number(shard)
    for day, amount in ((DAY_2, "1000"), (DAY_3, "3000")):
        for transaction in range(transactions):
            deal = opportunity("acme", eur(amount), name=f"o{day[:10]}{transaction}", owner="anna")
            worker.process([lifecycle.publish("crm.opportunity.created.v1", deal, day)])
        entries = worker.outgoing(stream, sent, 500)
        assert sum(len(entry.messages) for entry in entries) >= transactions
        assert [entry for entry in entries if entry.messages] == stored(shard, sent, 500)
        assert len(looked) == (0 if transactions == 1 else 1), "the database is asked only where more was written than the last"
        assert worker.outgoing(stream, sent, 500) == entries, "asked again, as after a failure of the bus"
        assert worker.outgoing(stream, sent, 1) == entries[:1], "a part of it"
        sent = store.last_number(shard)
        looked.clear()
        assert worker.outgoing(stream, sent, 500) == []


def test_what_this_worker_does_not_know_of_goes_out_too(lifecycle: Any, eur: Eur) -> None:
    """A commit that was under way when its connection was lost may take effect after the database was asked for the last number."""
    lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id="acme", company="Acme"), DAY_1)
    lifecycle.settle()
    worker, store, shard = lifecycle.worker, lifecycle.store, lifecycle.store.home("acme")
    same = next(name for name in map(str, range(99)) if store.home(name) == shard)
    stream, sent = f"lifecycle[{shard}]", store.last_number(shard)
    assert worker.outgoing(stream, sent, 500) == []
    batch = Batch(store, lifecycle.tables, {})
    batch.take_in([lifecycle.publish("crm.opportunity.created.v1", opportunity("acme", eur("1")), DAY_2)])
    store.commit([], batch.work)
    worker.process([lifecycle.publish("crm.lead.created.v1", LeadCreated(customer_id=same, company="Same"), DAY_2)])
    entries = worker.outgoing(stream, sent, 500)
    assert {message.key for entry in entries for message in entry.messages} == {b"acme", same.encode()}
    assert [entry for entry in entries if entry.messages] == store.outgoing(shard, sent, 500)
