"""A position that was lost, as ``docs/how-to/recover.md`` says: the topic is read once more; nothing counts twice or is lost."""

import re
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from events.bus import PositionLost
from events.bus.letters.selection import letters_of
from events.facts import LeadCreated
from events.record import Message
from services.lifecycle.customers import Selection
from tests.lifecycle.harness import SHARDS, Lifecycle

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
