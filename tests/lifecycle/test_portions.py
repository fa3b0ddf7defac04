"""Long records are read a portion at a time: memory and the time of a transaction are bounded, and what comes out is the same."""

from collections import Counter

import pytest
from msgspec import DecodeError

from events.bus.partitioner import murmur2
from events.facts import LeadCreated, LeadUpdated
from events.values import format_instant, parse_instant
from services.lifecycle.domain.record import Record
from services.lifecycle.portions import portions
from services.lifecycle.rebuilding import fill_lists
from tests.lifecycle.harness import SHARDS, Lifecycle
from tests.lifecycle.test_late_tables import DAY_2, broken, calling, names, qualify_all

DAY_1 = "2026-03-01T09:00:00Z"


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ("", []),
        ("a", ["a"]),
        ("aaa", ["aaa"]),  # one key is read once, and whatever it takes
        ("abc", ["ab", "c"]),
        ("abab", ["abab"]),
        ("cab", ["c", "ab"]),
        ("acb", ["a", "c", "b"]),
        ("abcabc", ["ab", "c", "ab", "c"]),
    ],
)
def test_portions(items: str, expected: list[str]) -> None:
    sizes = {"a": 4, "b": 6, "c": 99}
    assert ["".join(each) for each in portions(items, str, lambda key: sizes[key], 10)] == expected


def test_a_size_is_asked_for_when_it_is_due() -> None:
    cached: set[str] = set()

    def unread(key: str) -> int:
        return 0 if key in cached else 8

    taken = []
    for portion in portions("aba", str, unread, 10):
        taken.append("".join(portion))
        cached.update(portion)
    assert taken == ["a", "ba"], "what was read with the first portion is in memory"


@pytest.fixture
def long(lifecycle: Lifecycle) -> Lifecycle:
    """Six customers with ten facts each, in the store and not in memory; no more than two of them are read at once."""
    for customer in "abcdef":
        for number in range(10):
            at = format_instant(parse_instant(DAY_1) + number)
            lifecycle.publish("crm.lead.updated.v1", LeadUpdated(customer_id=customer, score=number), at)
    lifecycle.settle()
    lifecycle.crash()
    sizes = [lifecycle.store.sizes(home(customer), [customer])[customer] for customer in "abcdef"]
    lifecycle.store.read_max = 2 * max(sizes)
    lifecycle.loop.turn()  # joins
    return lifecycle


def home(customer: str) -> int:
    return murmur2(customer.encode(), SHARDS)


def records(lifecycle: Lifecycle) -> dict[str, Record]:
    return {name: lifecycle.store.load(home(name), [name], lifecycle.policy)[name] for name in "abcdef"}


def test_a_poll_is_taken_in_in_several_transactions_where_much_has_to_be_read(long: Lifecycle) -> None:
    for customer in "abcdef":
        long.publish("crm.lead.created.v1", LeadCreated(customer_id=customer, company=customer.upper()), DAY_2)
    before, done = long.store.ledger.committed, long.worker.done()
    long.loop.turn()
    assert long.store.ledger.committed == before + 3
    assert long.worker.done() != done, "and the watchdog sees it"
    assert {name: record.fold.state and record.fold.state.profile.company for name, record in records(long).items()} == {
        customer: customer.upper() for customer in "abcdef"
    }


def test_what_has_to_be_read_for_a_poll_is_one_transaction_where_it_is_little(long: Lifecycle) -> None:
    long.store.read_max = 1000
    for customer in "abcdef":
        long.publish("crm.lead.created.v1", LeadCreated(customer_id=customer), DAY_2)
    before = long.store.ledger.committed
    long.loop.turn()
    assert long.store.ledger.committed == before + 1


def test_an_end_between_two_portions_loses_nothing_and_repeats_nothing(long: Lifecycle) -> None:
    sent = [long.publish("crm.lead.created.v1", LeadCreated(customer_id=customer), DAY_2) for customer in "abcdef"]
    state = broken(long, "f", b"{")
    with pytest.raises(DecodeError):
        long.worker.process(sent)
    broken(long, "f", state)
    assert Counter(len(record.known) for record in records(long).values()) == {11: 4, 10: 2}
    long.crash()
    long.settle()
    assert Counter(len(record.known) for record in records(long).values()) == {11: 6}
    assert long.counted("crm.lead.v1", "repeated") == 0


def test_a_sweep_reads_long_records_a_portion_at_a_time(lifecycle: Lifecycle) -> None:
    qualify_all(lifecycle)
    lifecycle.crash()
    lifecycle.store.read_max = 1
    lifecycle.publish_table(calling("Hot"), DAY_2, version=1)
    lifecycle.tables.look()
    lifecycle.loop.turn()
    assert lifecycle.worker.sweep.progress.records == 1
    lifecycle.settle()
    assert names(lifecycle) == {"Hot": 40}


def test_lists_are_filled_a_portion_at_a_time(long: Lifecycle) -> None:
    with long.store.database.begin() as cursor:
        cursor.execute("DELETE FROM view")
    long.store.read_max = 1
    assert list(fill_lists(long.store, lambda: long.policy)) == [1, 2, 3, 4, 5, 6]
