"""An older database beside a newer log: noticed before anything new is numbered, and made good where it is meant."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from eventsourcing.persistence import OperationalError
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json

from events.assignments import LeadAssigned
from events.bus import PositionLost
from events.bus.memory import drain
from events.codec import Fact, decode
from events.facts import (
    Data,
    LeadCreated,
    LeadUpdated,
    OpportunityCreated,
    OpportunityUpdated,
    OpportunityWon,
    OrderPlaced,
    OwnerSet,
    QuoteCreated,
    StatusReverted,
)
from events.published import CommandRefused, RecordChanged, StatusChanged
from events.record import Message, TopicPartition
from events.topics import LIFECYCLE, LIFECYCLE_INPUTS
from events.values import Money, Price
from services.lifecycle import catching_up, restorations
from services.lifecycle.domain.known import Known
from services.lifecycle.domain.record import Accepted, Record
from services.lifecycle.domain.restated import Heard, heard_after, heard_of, restated
from services.lifecycle.reading import NOW, read
from services.lifecycle.shards import table_of
from tests import sqlite_files
from tests.faults import gathering
from tests.lifecycle.harness import SHARDS, Lifecycle
from tests.lifecycle.test_exactly_once import CUSTOMERS, as_consumed, as_folded, check, play, steps, story
from tests.postgres import PostgresServer


def backup(lifecycle: Lifecycle, folder: Path) -> Path:
    """A copy of the database as it is, while the worker runs."""
    copy = folder / "copy.sqlite"
    sqlite_files.back_up(lifecycle.path, copy)
    return copy


def restore(lifecycle: Lifecycle, copy: Path | None, *, records_max: int = 7) -> None:
    """As after a disaster: the worker is gone, and its database is the copy, or empty. What was on its way never arrives."""
    for store in lifecycle.stores:
        store.close()
    lifecycle.stores.clear()
    if copy is None:
        sqlite_files.remove(lifecycle.path)
    else:
        sqlite_files.put_back(copy, lifecycle.path)
    lifecycle.bus.slow = False
    lifecycle.crash(records_max=records_max)


def declare(lifecycle: Lifecycle, *, without_the_past: bool = False) -> None:
    """The operator says that the database is meant."""
    with lifecycle.store.database.begin() as cursor:
        restorations.declare(cursor, range(SHARDS), without_the_past=without_the_past)


def take_in_unheard(lifecycle: Lifecycle) -> None:
    """Take in what there is, while nothing that is sent reaches the log."""
    lifecycle.bus.slow = True
    for _ in range(20):
        lifecycle.loop.turn()


def check_repeats(lifecycle: Lifecycle) -> None:
    """What is published again is the same, byte for byte."""
    said: dict[bytes, Any] = {}
    for record in lifecycle.bus.records(LIFECYCLE.name):
        name = dict(record.headers)["ce_id"]
        assert said.setdefault(name, (record.value, record.headers)) == (record.value, record.headers), name


def created(lifecycle: Lifecycle, customer: str, minute: int = 0, **more: Any) -> Message:
    data = LeadCreated(customer_id=customer, **more)
    return published(lifecycle, "crm.lead.created.v1", data, f"2026-03-01T09:{minute:02d}:00Z")


def published(lifecycle: Lifecycle, type_: str, data: Data, at: str) -> Message:
    message = lifecycle.message(type_, data, at)
    lifecycle.bus.append(message)
    return message


@pytest.fixture
def lifecycle(tmp_path: Path) -> Any:
    running = Lifecycle(tmp_path / "lifecycle.sqlite")
    yield running
    for store in running.stores:
        store.close()


def test_an_older_database_is_refused_before_it_numbers_anything(lifecycle: Lifecycle, tmp_path: Path) -> None:
    created(lifecycle, "acme")
    lifecycle.settle()
    copy = backup(lifecycle, tmp_path)
    data = LeadUpdated(customer_id="acme", company="Acme GmbH")
    lifecycle.publish("crm.lead.updated.v1", data, "2026-03-01T10:00:00Z")
    lifecycle.settle()
    published = len(lifecycle.published())
    restore(lifecycle, copy)
    place = TopicPartition(LIFECYCLE.name, lifecycle.store.home("acme"))
    last = lifecycle.bus.log(place).end - 1
    expected = (
        rf"crm.lifecycle.v1\[{place.partition}\] at {last} has version 4 of 'acme', and lifecycle's database has 2: it is older .*"
        "run `handoff restored lifecycle` and start again"
    )
    for _ in range(2):  # and refused again, however often it is tried
        with pytest.raises(PositionLost, match=expected):
            lifecycle.loop.turn()
        lifecycle.crash()
    assert len(lifecycle.published()) == published


def test_an_empty_database_beside_a_log_that_is_not_is_refused_too(lifecycle: Lifecycle, tmp_path: Path) -> None:
    copy = backup(lifecycle, tmp_path)
    created(lifecycle, "acme")
    lifecycle.settle()
    restore(lifecycle, copy)
    with pytest.raises(PositionLost, match="lifecycle's database has nothing of it"):
        lifecycle.loop.turn()


def test_a_restored_database_says_once_what_it_came_to_under_new_numbers(lifecycle: Lifecycle, tmp_path: Path) -> None:
    created(lifecycle, "acme", owner="anna")
    created(lifecycle, "calm")
    lifecycle.settle()
    copy = backup(lifecycle, tmp_path)
    for minute in range(10, 40):
        data = LeadUpdated(customer_id="acme", company=f"Acme {minute}")
        lifecycle.publish("crm.lead.updated.v1", data, f"2026-03-01T09:{minute}:00Z")
    order = OrderPlaced(customer_id="acme", order_id="O-1", amount=Money(amount=Decimal(700), currency="EUR"))
    lifecycle.publish("crm.order.placed.v1", order, "2026-03-01T09:50:00Z")
    created(lifecycle, "new", 55)
    lifecycle.settle()
    seen = {fact.customer_id: fact.data.version for fact in lifecycle.published()}
    restore(lifecycle, copy)
    declare(lifecycle)
    lifecycle.settle()
    anew = [fact for fact in lifecycle.published() if fact.data.version > seen[fact.customer_id]]
    assert {fact.customer_id for fact in anew} == {"acme", "new"}
    statuses = [fact.data for fact in anew if isinstance(fact.data, StatusChanged)]
    assert len(statuses) == 2, "one whole history each, not one step per fact"
    assert all(said.previous == said.current for said in statuses), "what is the same now starts nothing"
    owners = {fact.customer_id: fact.data.owner for fact in anew if isinstance(fact.data, RecordChanged)}
    assert owners == {"acme": "anna"}, "of a record without an owner routing is not asked again"
    # It is over: the next fact is said as any other, and the next start looks at little.
    created(lifecycle, "acme", 58)
    lifecycle.settle()
    lifecycle.crash()
    lifecycle.settle()
    with lifecycle.store.database.read() as cursor:
        assert restorations.of(cursor, range(SHARDS)) == ({}, {})


def test_what_never_comes_again_keeps_its_numbers_for_when_it_does(lifecycle: Lifecycle, tmp_path: Path) -> None:
    copy = backup(lifecycle, tmp_path)
    created(lifecycle, "lost")
    lifecycle.settle()
    place = TopicPartition("crm.lead.v1", lifecycle.store.home("lost"))
    lifecycle.bus.log(place).truncate(lifecycle.bus.log(place).end)
    restore(lifecycle, copy)
    declare(lifecycle, without_the_past=True)
    lifecycle.settle()
    assert len(lifecycle.published()) == 1
    lifecycle.crash()
    lifecycle.settle()
    created(lifecycle, "lost", 30)
    lifecycle.settle()
    first, anew = lifecycle.published()
    assert anew.data.version > first.data.version
    assert [state.effective_at for state in anew.data.states] == ["2026-03-01T09:30:00Z"]
    assert anew.data.since == first.data.since, "what was told of the time before is taken back"


def test_what_consumers_heard_of_facts_that_are_gone_is_taken_back(lifecycle: Lifecycle, tmp_path: Path) -> None:
    copy = backup(lifecycle, tmp_path)
    created(lifecycle, "acme")
    price = Price(amount=Decimal(5), currency="EUR")
    for minute, name in ((10, "gone"), (20, "kept")):
        data = OpportunityCreated(customer_id="acme", opportunity_id=name, amount=price)
        lifecycle.publish("crm.opportunity.created.v1", data, f"2026-03-01T09:{minute}:00Z")
    update = OpportunityUpdated(customer_id="acme", opportunity_id="kept", probability=70)
    kept = lifecycle.publish("crm.opportunity.updated.v1", update, "2026-03-01T09:30:00Z")
    lifecycle.settle()
    assert set(as_consumed(lifecycle, "acme")[1]) == {"opportunity:gone", "opportunity:kept"}
    lifecycle.bus.log(kept.place).truncate(kept.offset)
    restore(lifecycle, copy)
    declare(lifecycle, without_the_past=True)
    lifecycle.settle()
    fold = lifecycle.store.load(lifecycle.store.home("acme"), ["acme"], lifecycle.policy)["acme"].fold
    assert as_consumed(lifecycle, "acme") == as_folded(fold)
    assert set(fold.images) == {"opportunity:kept"}


def expire(lifecycle: Lifecycle) -> None:
    """Nobody was there for longer than inputs are kept."""
    for topic in LIFECYCLE_INPUTS:
        for shard in range(SHARDS):
            log = lifecycle.bus.log(TopicPartition(topic.name, shard))
            if topic.retention is not None:
                log.truncate(log.end)


def forget_positions(lifecycle: Lifecycle) -> None:
    """As the page says of a position behind the log's start."""
    with lifecycle.store.database.begin() as cursor:
        cursor.execute("DELETE FROM position")


def sell(lifecycle: Lifecycle) -> None:
    """A customer who was a lead, was given to Anna, and has bought."""
    created(lifecycle, "acme")
    data = OpportunityCreated(customer_id="acme", opportunity_id="o", amount=Price(amount=Decimal(5), currency="EUR"))
    lifecycle.publish("crm.opportunity.created.v1", data, "2026-03-01T09:10:00Z")
    given = LeadAssigned(customer_id="acme", assignment_id="acme/1/1", rep_id="anna")
    lifecycle.publish("crm.lead.assigned.v1", given, "2026-03-01T09:20:00Z")
    won = OpportunityWon(customer_id="acme", opportunity_id="o")
    lifecycle.publish("crm.opportunity.won.v1", won, "2026-03-01T09:30:00Z")
    lifecycle.settle()


def test_an_empty_database_takes_nothing_back_from_consumers_unless_that_is_said(lifecycle: Lifecycle, tmp_path: Path) -> None:
    copy = backup(lifecycle, tmp_path)
    sell(lifecycle)
    known = as_consumed(lifecycle, "acme")
    assert known[0][-1].name == "Closed Won"
    expire(lifecycle)
    restore(lifecycle, copy)
    published = len(lifecycle.published())
    expected = r"was empty when it was declared .*crm\.lead\.v1\[\d\] begins at 1.*\(1 customers\).*was lost without a backup"
    for again in (declare, forget_positions, declare):  # whatever is tried, and however often
        declare(lifecycle)
        again(lifecycle)
        with pytest.raises(PositionLost, match=expected):
            lifecycle.settle()
        lifecycle.crash()
    assert len(lifecycle.published()) == published

    declare(lifecycle, without_the_past=True)
    lifecycle.settle()
    statuses, deals = as_consumed(lifecycle, "acme")
    assert ([state.name for state in statuses], deals) == (["New"], {})
    for _ in range(SHARDS):
        lifecycle.loop.turn()
    with lifecycle.store.database.read() as cursor:
        assert restorations.of(cursor, range(SHARDS)) == ({}, {})
        cursor.execute("SELECT count(*) FROM restored_empty")
        assert tuple(cursor.fetchone()) == (0,)


def test_an_empty_database_is_declared_in_vain_also_where_another_shard_has_caught_up(lifecycle: Lifecycle, tmp_path: Path) -> None:
    """The shard of `acme` has lost its inputs, that of another customer has not: a worker of its own takes that one in."""
    copy = backup(lifecycle, tmp_path)
    sell(lifecycle)
    home = lifecycle.store.home("acme")
    other = next(name for name in map(str, range(9)) if lifecycle.store.home(name) != home)
    restore(lifecycle, copy)
    declare(lifecycle)
    for topic in LIFECYCLE_INPUTS[:2]:
        lifecycle.bus.log(TopicPartition(topic.name, home)).truncate(1)
    with lifecycle.store.database.begin() as cursor:
        data = LeadCreated(customer_id=other)
        cursor.execute(
            f"INSERT INTO {table_of(lifecycle.store.home(other))} (originator_id, originator_version, topic, state)"
            " VALUES (?, 1, 'fact', ?)",
            (other, json.encode(data)),
        )
    declare(lifecycle)
    with pytest.raises(PositionLost, match="was empty when it was declared"):
        lifecycle.settle()


def test_a_backup_whose_inputs_have_lost_what_it_has_is_as_good_as_any(lifecycle: Lifecycle, tmp_path: Path) -> None:
    sell(lifecycle)
    known = as_consumed(lifecycle, "acme")
    copy = backup(lifecycle, tmp_path)
    expire(lifecycle)
    for number in range(20):  # of every shard: those that had nothing when the backup was made, too
        created(lifecycle, f"c{number}")
    lifecycle.settle()
    published = {fact.customer_id: fact.data.version for fact in lifecycle.published()}
    for step in (None, forget_positions):
        restore(lifecycle, copy)
        declare(lifecycle)
        if step is not None:
            step(lifecycle)
        lifecycle.settle()
        anew = {fact.customer_id for fact in lifecycle.published() if fact.data.version > published[fact.customer_id]}
        assert anew >= {f"c{number}" for number in range(20)}
        assert as_consumed(lifecycle, "acme")[1] == known[1]
        assert as_consumed(lifecycle, "acme")[0][-1].name == "Closed Won"


def test_a_new_installation_begins_with_whatever_the_inputs_have(lifecycle: Lifecycle) -> None:
    created(lifecycle, "before")
    expire(lifecycle)
    for number in range(3):  # and starts again, also where nothing has come since
        lifecycle.settle()
        lifecycle.crash()
        created(lifecycle, f"c{number}")
    lifecycle.settle()
    assert {fact.customer_id for fact in lifecycle.published()} == {"c0", "c1", "c2"}


def test_it_goes_on_where_it_was_when_it_is_killed_while_it_catches_up(lifecycle: Lifecycle, tmp_path: Path) -> None:
    created(lifecycle, "c0")
    lifecycle.settle()
    copy = backup(lifecycle, tmp_path)
    sent = [lifecycle.message("crm.lead.created.v1", LeadCreated(customer_id="c0"), "2026-03-01T09:00:00Z", id="fact-1")]
    for number in range(30):
        data = LeadCreated(customer_id=f"c{number}", owner="anna")
        sent.append(lifecycle.message("crm.lead.created.v1", data, "2026-03-01T09:30:00Z"))
        lifecycle.bus.append(sent[-1])
    sent.append(
        lifecycle.message("crm.owner.set.v1", OwnerSet(customer_id="c3", rep_id="carl", actor="bob"), "2026-03-01T09:40:00Z")
    )
    revert = StatusReverted(customer_id="c4", stage="lead", actor="bob")  # without effect: refused, and that is told
    sent.append(lifecycle.message("crm.status.reverted.v1", revert, "2026-03-01T09:41:00Z"))
    for message in sent[-2:]:
        lifecycle.bus.append(message)
    lifecycle.settle()
    restore(lifecycle, copy)
    declare(lifecycle)
    for _ in range(12):
        lifecycle.loop.turn()
        lifecycle.crash()
    lifecycle.settle()
    check(lifecycle, sent)
    assert [fact.data.effective for fact in lifecycle.published() if isinstance(fact.data, CommandRefused)] == [False]


def test_what_was_said_anew_is_not_said_again_where_the_commit_was_not_answered(
    lifecycle: Lifecycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what comes right after it is told as of anybody else."""
    sent = [created(lifecycle, "acme")]
    lifecycle.settle()
    copy = backup(lifecycle, tmp_path)
    sent.append(
        published(lifecycle, "crm.lead.updated.v1", LeadUpdated(customer_id="acme", company="Acme"), "2026-03-01T10:00:00Z")
    )
    lifecycle.settle()
    restore(lifecycle, copy)
    declare(lifecycle)
    ledger, said = lifecycle.store.ledger, list[str]()
    begin = ledger._begin

    def saying(record: Record, heard: Heard) -> Accepted:
        said.append("anew")
        return restated(record, heard)

    @contextmanager
    def begins() -> Iterator[Any]:
        with begin() as cursor:
            yield cursor
        if said == ["anew"]:
            said.append("not answered")
            more = LeadUpdated(customer_id="acme", company="Acme GmbH")
            sent.append(published(lifecycle, "crm.lead.updated.v1", more, "2026-03-01T11:00:00Z"))
            raise OperationalError("it went away")

    monkeypatch.setattr(catching_up, "restated", saying)
    monkeypatch.setattr(ledger, "_begin", begins)
    for _ in range(100):
        lifecycle.loop.turn()
    assert said == ["anew", "not answered"]
    check(lifecycle, sent)
    told = [(fact.id, fact.data) for fact in lifecycle.published() if isinstance(fact.data, StatusChanged | RecordChanged)]
    assert [type(data) for _, data in told] == [StatusChanged, RecordChanged, StatusChanged, RecordChanged]
    assert told[-1][1].profile.company == "Acme GmbH"


def test_a_record_that_cannot_be_said_anew_is_told_and_the_others_are(
    lifecycle: Lifecycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    copy = backup(lifecycle, tmp_path)
    names = [f"c{number}" for number in range(30)]
    for name in names:
        created(lifecycle, name)
    lifecycle.settle()
    said = {fact.customer_id: fact.data.version for fact in lifecycle.published()}

    def with_a_bug(record: Record, heard: Heard) -> Accepted:
        if record.customer_id == "c7":
            raise ZeroDivisionError
        return restated(record, heard)

    restore(lifecycle, copy)
    declare(lifecycle)
    with monkeypatch.context() as patched:
        patched.setattr(catching_up, "restated", with_a_bug)
        lifecycle.settle()
    assert {f.customer_id for f in lifecycle.published() if f.data.version > said[f.customer_id]} == {*names} - {"c7"}
    assert "the record of 'c7' cannot be said anew" in caplog.text
    created(lifecycle, "new")
    lifecycle.settle()
    assert as_consumed(lifecycle, "new")[0], "it goes on"

    lifecycle.crash()  # mended: the next start tries again
    lifecycle.settle()
    assert {f.customer_id for f in lifecycle.published() if f.data.version > said.get(f.customer_id, 0)} == {*names, "new"}
    with lifecycle.store.database.read() as cursor:
        assert restorations.of(cursor, range(SHARDS)) == ({}, {})


def test_a_backup_of_a_database_that_is_catching_up_can_be_restored_too(lifecycle: Lifecycle, tmp_path: Path) -> None:
    copy = backup(lifecycle, tmp_path)
    for number in range(30):
        created(lifecycle, f"c{number}")
    lifecycle.settle()
    restore(lifecycle, copy)
    declare(lifecycle)
    lifecycle.loop.turn()  # it has surveyed, and not taken in everything
    second = backup(lifecycle, tmp_path)
    lifecycle.settle()
    restore(lifecycle, second)
    with pytest.raises(PositionLost, match="handoff restored lifecycle"):
        lifecycle.settle()
    lifecycle.crash()
    declare(lifecycle)
    lifecycle.settle()
    for number in range(30):
        statuses, _ = as_consumed(lifecycle, f"c{number}")
        assert [state.name for state in statuses] == ["New"]


def ordered(lifecycle: Lifecycle) -> Message:
    """One that comes alone becomes a customer in one step."""
    order = OrderPlaced(customer_id="acme", order_id="O-1", amount=Money(amount=Decimal(700), currency="EUR"))
    return published(lifecycle, "crm.order.placed.v1", order, "2026-03-01T09:30:00Z")


def quoted(lifecycle: Lifecycle) -> Message:
    """An earlier one: who takes in both at once tells of the prospect first, under the same numbers."""
    quote = QuoteCreated(customer_id="acme", quote_id="Q-1", amount=Price(amount=Decimal(5), currency="EUR"))
    return published(lifecycle, "crm.quote.created.v1", quote, "2026-03-01T09:10:00Z")


def withheld(lifecycle: Lifecycle) -> list[bytes]:
    """What is stored and never published."""
    return [dict(message.headers)["ce_id"] for message in gathering.withheld(lifecycle.store)]


@pytest.mark.parametrize("killed", [False, True])
def test_a_copy_does_not_send_what_another_database_has_published_otherwise(
    lifecycle: Lifecycle, tmp_path: Path, caplog: pytest.LogCaptureFixture, killed: bool
) -> None:
    """Not either where it is killed after it has looked, and before it says the record anew."""
    sent = [ordered(lifecycle), created(lifecycle, "calm")]
    take_in_unheard(lifecycle)
    copy = backup(lifecycle, tmp_path)
    restore(lifecycle, None)
    declare(lifecycle)
    sent.append(quoted(lifecycle))
    lifecycle.settle()
    assert [fact.data.version for fact in lifecycle.published() if fact.customer_id == "acme"] == [2, 3, 5, 6]
    restore(lifecycle, copy)
    declare(lifecycle)
    if killed:
        lifecycle.bus.slow = True
        lifecycle.worker.claim([TopicPartition("crm.order.v1", shard) for shard in range(SHARDS)])
        restore(lifecycle, backup(lifecycle, tmp_path))
    lifecycle.settle()
    check_repeats(lifecycle)
    check(lifecycle, sent)
    assert withheld(lifecycle) == [b"acme/0000000002", b"acme/0000000003"]
    assert "2 messages of 1 of them are not sent" in caplog.text
    lifecycle.crash()
    lifecycle.settle()
    check_repeats(lifecycle)


def test_a_copy_made_while_kafka_was_away_does_not_send_what_an_older_one_has_published_otherwise(
    lifecycle: Lifecycle, tmp_path: Path
) -> None:
    sent = [created(lifecycle, "acme")]
    lifecycle.settle()
    older = backup(lifecycle, tmp_path).rename(tmp_path / "older.sqlite")
    sent.append(ordered(lifecycle))
    take_in_unheard(lifecycle)
    newer = backup(lifecycle, tmp_path)
    restore(lifecycle, older)
    declare(lifecycle)
    sent.append(quoted(lifecycle))
    lifecycle.settle()
    restore(lifecycle, newer)
    declare(lifecycle)
    lifecycle.settle()
    check_repeats(lifecycle)
    check(lifecycle, sent)
    assert withheld(lifecycle) == [b"acme/0000000004", b"acme/0000000005"]


def test_a_history_that_nobody_has_heard_is_revised_with_the_one_that_was(lifecycle: Lifecycle, tmp_path: Path) -> None:
    """Of two contents of the lead the later one is the fact, and comes when the earlier one was taken in and not published."""

    def lead(company: str, minute: int) -> Message:
        at = f"2026-03-01T09:{minute}:00Z"
        return lifecycle.message("crm.lead.created.v1", LeadCreated(customer_id="acme", company=company), at, id="lead")

    def digest(message: Message) -> bytes:
        fact = decode(message)
        assert isinstance(fact, Fact)
        return Known.of(fact, ("", 0, 0)).digest

    early = lead("early", 10)
    late = next(each for number in range(1000) if digest(each := lead(f"late {number}", 40)) < digest(early))
    log = lifecycle.bus.log(lifecycle.bus.append(early).place)
    ordered(lifecycle)
    take_in_unheard(lifecycle)
    copy = backup(lifecycle, tmp_path)
    log.truncate(log.end)
    restore(lifecycle, None)
    declare(lifecycle)
    lifecycle.settle()
    restore(lifecycle, copy)
    declare(lifecycle)
    lifecycle.bus.append(late)
    lifecycle.settle()
    reading = read(lifecycle.store, "acme", NOW, lifecycle.policy)
    assert tuple(held for held, _ in reading.statuses) == tuple(reading.record.fold.statuses)
    assert as_consumed(lifecycle, "acme") == as_folded(reading.record.fold)
    assert len(reading.accepted) == 3, "the order, and both contents of the lead"


def test_what_was_on_its_way_and_arrived_is_no_other_way(lifecycle: Lifecycle, tmp_path: Path) -> None:
    sent = [created(lifecycle, "acme")]
    take_in_unheard(lifecycle)
    copy = backup(lifecycle, tmp_path)
    lifecycle.bus.slow = False
    data = LeadUpdated(customer_id="acme", company="Acme GmbH")
    sent.append(published(lifecycle, "crm.lead.updated.v1", data, "2026-03-01T10:00:00Z"))
    lifecycle.settle()
    restore(lifecycle, copy)
    declare(lifecycle)
    check(lifecycle, sent)
    check_repeats(lifecycle)
    assert withheld(lifecycle) == []


def test_what_is_sure_is_noted_as_it_goes(lifecycle: Lifecycle) -> None:
    for number in range(catching_up.ENTRIES_UNSURE_MAX // 2 + 50):  # two entries each
        created(lifecycle, f"c{number}")
    lifecycle.crash(records_max=2_000)
    lifecycle.settle()
    with lifecycle.store.database.read() as cursor:
        cursor.execute("SELECT sum(next) FROM position WHERE topic = ?", (LIFECYCLE.name,))
        assert cursor.fetchone()[0] > 0
    lifecycle.crash()
    lifecycle.loop.turn()
    assert lifecycle.worker.done()[2] < 2_000  # type: ignore[index] - what the next claim had to look at


def restored_in_between(lifecycle: Lifecycle, before: list[Any], after: list[Any], folder: Path) -> None:
    """Play, back up, play on, put the backup back, and catch up."""
    sent = play(lifecycle, before)
    copy = backup(lifecycle, folder)
    after = [step for step in after if step[0] != "table"]  # their numbers would be given twice
    sent += play(lifecycle, after)
    restore(lifecycle, copy)
    declare(lifecycle)
    drain([lifecycle.loop])
    check(lifecycle, sent)


@settings(max_examples=100)
@given(before=steps, after=steps, seed=st.integers(0, 1000))
def test_records_and_consumers_are_right_wherever_the_backup_was_made(before: list[Any], after: list[Any], seed: int) -> None:
    with TemporaryDirectory() as folder:
        lifecycle = Lifecycle(Path(folder) / "lifecycle.sqlite", seed=seed)
        try:
            restored_in_between(lifecycle, before, after, Path(folder))
        finally:
            for store in lifecycle.stores:
                store.close()


few = st.lists(
    st.one_of(
        st.tuples(st.just("fact"), st.sampled_from(CUSTOMERS[:2]).flatmap(story), st.integers(0, 40), st.just(False)),
        st.tuples(st.just("turn"), st.just(1)),
    ),
    max_size=8,
)


def restored_twice(lifecycle: Lifecycle, scripts: Sequence[list[Any]], folder: Path, *, older: bool, killed: int) -> None:
    """A database takes in more than is heard of it; it is copied, another one goes on, and then the copy is put back."""
    before, unheard, meanwhile, after = scripts
    sent = play(lifecycle, before)
    first = backup(lifecycle, folder).rename(folder / "older.sqlite") if older else None
    lifecycle.bus.slow = True
    sent += play(lifecycle, unheard, turns=5)
    copy = backup(lifecycle, folder)
    restore(lifecycle, first, records_max=2)
    declare(lifecycle)
    sent += play(lifecycle, meanwhile)
    restore(lifecycle, copy)
    declare(lifecycle)
    for _ in range(killed):
        lifecycle.loop.turn()
        lifecycle.crash()
    sent += play(lifecycle, after)
    check(lifecycle, sent)
    check_repeats(lifecycle)
    for customer in {fact.customer_id for fact in lifecycle.published()}:
        record = lifecycle.store.load(lifecycle.store.home(customer), [customer], lifecycle.policy)[customer]
        known = heard_after(Record(customer), [fact.data for fact in lifecycle.published() if fact.customer_id == customer])
        wanted = heard_of(record)
        assert (known.owner, known.profile, set(known.refused)) == (wanted.owner, wanted.profile, set(wanted.refused))


@settings(max_examples=60)
@given(scripts=st.tuples(few, few, few, few), older=st.booleans(), killed=st.integers(0, 2), seed=st.integers(0, 1000))
def test_records_and_consumers_are_right_whatever_was_put_back_in_between(
    scripts: Sequence[list[Any]], older: bool, killed: int, seed: int
) -> None:
    with TemporaryDirectory() as folder:
        lifecycle = Lifecycle(Path(folder) / "lifecycle.sqlite", seed=seed)
        try:
            restored_twice(lifecycle, scripts, Path(folder), older=older, killed=killed)
        finally:
            for store in lifecycle.stores:
                store.close()


@pytest.mark.postgres
def test_the_same_on_postgresql(postgres: PostgresServer, tmp_path: Path) -> None:
    lifecycle = Lifecycle(tmp_path / "unused", database=postgres.database())
    created(lifecycle, "acme", owner="anna")
    lifecycle.settle()
    for store in lifecycle.stores:
        store.close()
    lifecycle.stores.clear()
    live = lifecycle.database
    copy = postgres.database()
    postgres.drop(copy)
    postgres.sql("postgres", f'CREATE DATABASE "{copy.rpartition("/")[2]}" TEMPLATE "{live.rpartition("/")[2]}"')
    lifecycle.crash()
    sent = [lifecycle.message("crm.lead.updated.v1", LeadUpdated(customer_id="acme", company="A"), "2026-03-01T10:00:00Z")]
    sent += [lifecycle.message("crm.lead.created.v1", LeadCreated(customer_id="new"), "2026-03-01T10:00:00Z")]
    for message in sent:
        lifecycle.bus.append(message)
    lifecycle.settle()
    before = lifecycle.published()
    lifecycle.database = copy
    lifecycle.crash()
    with pytest.raises(PositionLost, match="handoff restored lifecycle"):
        lifecycle.loop.turn()
    lifecycle.crash()
    declare(lifecycle)
    lifecycle.settle()
    anew = lifecycle.published()[len(before) :]
    assert {fact.customer_id for fact in anew} == {"acme", "new"}
    for store in lifecycle.stores:
        store.close()
    postgres.drop(copy)
    postgres.drop(live)
