"""A position that was lost, as ``docs/how-to/recover.md`` says: the topic is read once more; nothing counts twice or is lost."""

import re
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from events.assignments import LeadAssigned
from events.bus import PositionLost
from events.bus.letters.selection import letters_of
from events.facts import LeadCreated
from events.record import Message, TopicPartition
from events.topics import ASSIGNMENT, LIFECYCLE, STATUS_TABLE
from services.lifecycle.customers import Selection
from tests.lifecycle.harness import SHARDS, Lifecycle
from tests.lifecycle.test_late_tables import DAY_2, DAY_3, calling
from tests.restored_topics import forget, made_anew

PAGE: Final = (Path(__file__).parents[2] / "docs" / "how-to" / "recover.md").read_text(encoding="utf-8")
LEADS: Final = "crm.lead.v1"
CREATED: Final = "crm.lead.created.v1"
DAY: Final = "2026-03-01T09:00:00Z"


def created(customer: str, company: str = "x") -> LeadCreated:
    return LeadCreated(customer_id=customer, company=company)


def tell(lifecycle: Lifecycle) -> None:
    """A lead, one in a wrong partition, one that cannot be read, and four facts of one identity, of which one is the fact."""
    lifecycle.publish(CREATED, created("acme"), DAY)
    astray = lifecycle.message(CREATED, created("beta"), DAY, id="astray")
    lifecycle.bus.append(replace(astray, partition=(lifecycle.store.home("beta") + 1) % SHARDS))
    lifecycle.bus.append(Message(LEADS, b"acme", b"poison", timestamp=0))
    for company in ("one", "two", "three", "four"):
        lifecycle.publish(CREATED, created("gamma", company), DAY, id="same")
    lifecycle.settle()


def begin_anew(lifecycle: Lifecycle) -> None:
    """What the page says is done while the service is stopped."""
    (statement,) = re.findall(r'^ *sqlite3 \S+ "(DELETE FROM position [^"]+)"$', PAGE, re.MULTILINE)
    with lifecycle.store.database.begin() as cursor:
        cursor.execute(statement)
        assert cursor.rowcount == SHARDS
    lifecycle.crash()


def known(lifecycle: Lifecycle) -> object:
    with lifecycle.store.database.read() as cursor:
        cursor.execute("SELECT topic, part, record_offset, value, error FROM dead_letter ORDER BY number")
        letters = [(*row[:3], bytes(row[3]), row[4]) for row in cursor.fetchall()]
    events = [list(lifecycle.store.stream(shard, ("fact", "forwarded"))) for shard in range(SHARDS)]
    return letters, events, lifecycle.store.ledger.dead_letters()


def test_a_topic_that_is_read_once_more_changes_nothing(lifecycle: Lifecycle) -> None:
    tell(lifecycle)
    before = known(lifecycle)
    for _ in range(2):
        begin_anew(lifecycle)
        lifecycle.settle()
        assert known(lifecycle) == before


def test_records_of_a_topic_that_was_made_again_are_taken_in_where_others_were(lifecycle: Lifecycle) -> None:
    tell(lifecycle)
    (poisoned,) = (record for record in lifecycle.bus.records(LEADS) if record.value == b"poison")
    lifecycle.bus.delete(LEADS)
    lifecycle.bus.create(LEADS, SHARDS)
    lifecycle.crash()
    with pytest.raises(PositionLost, match=r'recover.md says under "A topic, or the cluster, was made again"'):
        lifecycle.settle()
    assert "## A topic, or the cluster, was made again\n" in PAGE
    assert "## A position behind the log's start\n" in PAGE

    begin_anew(lifecycle)
    lifecycle.publish(CREATED, created("acme", "another"), DAY, id="now")
    while (record := lifecycle.bus.append(Message(LEADS, b"acme", b"venom", timestamp=0))).offset < poisoned.offset:
        pass
    astray = lifecycle.message(CREATED, created("delta"), DAY, id="astray")
    for partition in range(SHARDS):
        lifecycle.bus.append(replace(astray, partition=partition))
    lifecycle.settle()
    with lifecycle.store.database.read() as cursor:
        letters = letters_of(cursor, record.place, record.offset)
    assert len(letters) == 2
    assert {line.customer_id for line in lifecycle.store.listed(Selection(), limit=9)} == {"acme", "beta", "gamma", "delta"}


def truncate(lifecycle: Lifecycle, topic: str) -> None:
    """All that a topic has is gone."""
    for shard in range(SHARDS):
        log = lifecycle.bus.log(TopicPartition(topic, shard))
        log.truncate(log.end)


def test_what_came_and_expired_in_a_log_that_had_nothing_is_lost_and_told(lifecycle: Lifecycle) -> None:
    lifecycle.settle()
    lifecycle.crash()
    lifecycle.publish(CREATED, created("acme"), DAY)
    truncate(lifecycle, LEADS)
    for _ in range(2):
        with pytest.raises(PositionLost, match=r"crm.lead.v1\[\d\] was read up to 0, but begins at 1 now: 1 offsets were deleted"):
            lifecycle.settle()
        lifecycle.crash()
    begin_anew(lifecycle)
    lifecycle.publish(CREATED, created("beta"), DAY)
    for _ in range(2):
        lifecycle.settle()
        lifecycle.crash()
    assert {line.customer_id for line in lifecycle.store.listed(Selection(), limit=9)} == {"beta"}


@pytest.mark.parametrize("topic", ["crm.assignment.v1", "crm.lifecycle.v1"])
def test_of_a_topic_that_is_kept_for_ever_a_new_database_needs_all(lifecycle: Lifecycle, topic: str) -> None:
    given = LeadAssigned(customer_id="acme", assignment_id="a", rep_id="ann")
    message = lifecycle.message("crm.lead.assigned.v1", given, DAY)
    lifecycle.bus.append(replace(message, topic=topic))
    truncate(lifecycle, topic)
    with pytest.raises(PositionLost, match=rf"{topic}\[\d\] was read up to 0, but begins at 1 now"):
        lifecycle.settle()


def made_again(lifecycle: Lifecycle) -> None:
    """The topic of leads is another one now, and read from its beginning."""
    lifecycle.bus.delete(LEADS)
    lifecycle.bus.create(LEADS, SHARDS)
    begin_anew(lifecycle)


def letters(lifecycle: Lifecycle) -> list[tuple[str, bytes]]:
    with lifecycle.store.database.read() as cursor:
        cursor.execute("SELECT error, value FROM dead_letter ORDER BY number")
        return [(error, bytes(value)) for error, value in cursor.fetchall()]


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_facts_of_one_identity_at_one_place_the_one_that_is_not_the_fact_is_buried(lifecycle: Lifecycle, first: int) -> None:
    """One is the fact of the old topic, the other that of the new one, at the same partition and offset."""
    companies = ("one", "two")
    records = []
    for company in (companies[first], companies[1 - first]):
        records.append(lifecycle.publish(CREATED, created("gamma", company), DAY, id="same"))
        lifecycle.settle()
        made_again(lifecycle)
    assert (records[0].place, records[0].offset) == (records[1].place, records[1].offset)
    ((error, buried),) = letters(lifecycle)
    (stands,) = lifecycle.store.load(records[0].partition, ["gamma"], lifecycle.policy)["gamma"].known.values()
    assert isinstance(stands.fact.data, LeadCreated)
    loser = next(company for company in companies if company != stands.fact.data.company)
    assert (error, f'"{loser}"'.encode() in buried) == ("IdentityConflict", True)


def test_a_record_of_the_same_name_and_place_and_other_bytes_is_another_letter(lifecycle: Lifecycle) -> None:
    """Its sender has sent it again, and it is still wrong."""
    wrong = [replace(lifecycle.message(CREATED, created("gamma"), DAY, id="wrong"), value=value) for value in (b"{", b"[]")]
    lifecycle.bus.append(wrong[0])
    lifecycle.settle()
    made_again(lifecycle)
    for each in (wrong[1], wrong[1]):
        lifecycle.bus.append(each)
    lifecycle.settle()
    made_again(lifecycle)
    lifecycle.bus.append(wrong[1])
    lifecycle.settle()
    assert letters(lifecycle) == [("Undecodable", b"{"), ("Undecodable", b"[]"), ("Undecodable", b"[]")], "and the last is known"


def test_letters_at_one_place_are_found_by_their_names(lifecycle: Lifecycle) -> None:
    for name in ("first", "second"):
        lifecycle.bus.append(replace(lifecycle.message(CREATED, created("gamma"), DAY, id=name), value=name.encode()))
        lifecycle.settle()
        made_again(lifecycle)
    for name in ("first", "second"):
        assert [letter.id for letter in lifecycle.store.traces.letters(("crm", name))] == [name]


def test_an_event_that_could_not_be_read_is_taken_in_when_it_comes_corrected_with_the_same_id(lifecycle: Lifecycle) -> None:
    right = lifecycle.message(CREATED, created("acme"), DAY, id="corrected")
    lifecycle.bus.append(replace(right, value=b"{"))
    lifecycle.settle()
    assert lifecycle.store.ledger.dead_letters() == {"Undecodable": 1}
    lifecycle.bus.append(right)
    lifecycle.settle()
    assert lifecycle.store.ledger.dead_letters() == {"Undecodable": 1}
    assert {line.customer_id for line in lifecycle.store.listed(Selection(), limit=9)} == {"acme"}


@pytest.mark.parametrize("copied", [True, False])
def test_topics_that_are_kept_for_ever_are_restored_or_done_without(lifecycle: Lifecycle, *, copied: bool) -> None:
    tell(lifecycle)
    before, said = known(lifecycle), len(lifecycle.bus.records(LIFECYCLE.name))
    assert "## Restore a topic\n" in PAGE
    for topic in (LIFECYCLE.name, ASSIGNMENT.name):
        made_anew(lifecycle.bus, topic, copied=copied)
    lifecycle.crash()
    with pytest.raises(PositionLost, match="made again"):
        lifecycle.settle()
    forget(lifecycle.store.database.begin, LIFECYCLE.name, ASSIGNMENT.name)
    lifecycle.crash()
    lifecycle.settle()
    assert known(lifecycle) == before
    assert len(lifecycle.bus.records(LIFECYCLE.name)) == (said if copied else 0)
    lifecycle.publish(CREATED, created("new"), DAY)
    lifecycle.settle()
    assert len(lifecycle.bus.records(LIFECYCLE.name)) > (said if copied else 0)


@pytest.mark.parametrize("copied", [True, False])
def test_a_status_table_that_is_restored_or_published_again(lifecycle: Lifecycle, *, copied: bool) -> None:
    versions = ((calling("Hot"), DAY_2), (calling("Hotter"), DAY_3))
    tell(lifecycle)
    for number, (process, since) in enumerate(versions, 1):
        lifecycle.publish_table(process, since, version=number)
    lifecycle.settle()
    before, said = known(lifecycle), lifecycle.bus.records(LIFECYCLE.name)
    made_anew(lifecycle.bus, STATUS_TABLE.name, copied=copied)
    lifecycle.crash()
    with pytest.raises(PositionLost, match="restore the topic"):
        lifecycle.settle()
    (statement,) = re.findall(r"`(DELETE FROM followed)`", PAGE)
    with lifecycle.store.database.begin() as cursor:
        cursor.execute(statement)
    for number, (process, since) in enumerate(() if copied else versions, 1):
        lifecycle.publish_table(process, since, version=number)
    lifecycle.crash()
    lifecycle.settle()
    assert known(lifecycle) == before
    assert lifecycle.bus.records(LIFECYCLE.name) == said
    lifecycle.publish(CREATED, created("new"), "2026-03-05T09:00:00Z")
    lifecycle.settle()
    assert len(lifecycle.bus.records(LIFECYCLE.name)) > len(said)
