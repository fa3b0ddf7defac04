"""Publishing status tables: the next number, once for the same content, and what happens when two do it at once."""

import pytest

from events.bus import BusError
from events.bus.memory import MemoryBus
from events.topics import STATUS_TABLE
from events.values import parse_instant
from services.lifecycle.domain.process import SalesProcess
from services.lifecycle.publication import Publication, publish
from services.lifecycle.statuses import BUILT_IN, read_statuses
from services.lifecycle.tables import StatusTables
from tests.lifecycle.domain.story import UTC
from tests.lifecycle.harness import process_of
from tests.lifecycle.reference_facts import DEFAULT

NOW = parse_instant("2026-03-01T09:00:00Z")
ONE = process_of(DEFAULT)
OTHER = process_of(DEFAULT._replace(opportunities_enabled=False))


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus({STATUS_TABLE.name: 1})


def published(
    bus: MemoryBus, process: SalesProcess, since: str | None = None, *, author: str = "eva", now: int = NOW
) -> Publication:
    begin = None if since is None else parse_instant(since)
    return publish(bus, process, effective_from=begin, author=author, now=now)


def test_versions_are_numbered_and_hold_from_now_or_from_when_is_said(bus: MemoryBus) -> None:
    first = published(bus, ONE)
    assert (first.outcome, first.table.version, first.table.effective_from, first.late) == ("published", 1, NOW, False)
    assert (first.table.author, first.holds_until) == ("eva", None)
    second = published(bus, OTHER, "2026-02-01T00:00:00Z")
    assert (second.outcome, second.table.version, second.late) == ("published", 2, True)
    assert second.holds_until == NOW, "version 1 takes over again"
    third = published(bus, ONE, "2026-07-01T00:00:00Z")
    assert (third.table.version, third.late, third.holds_until) == (3, False, None)


def test_the_same_again_is_not_published(bus: MemoryBus) -> None:
    published(bus, ONE)
    assert published(bus, ONE, now=NOW + 1).outcome == "unchanged"
    assert published(bus, ONE, "2026-03-01T09:00:00Z").outcome == "unchanged"
    assert len(bus.records(STATUS_TABLE.name)) == 1
    assert published(bus, ONE, "2026-02-01T00:00:00Z").outcome == "published", "from another instant it is another version"


def test_what_was_before_can_be_published_again(bus: MemoryBus) -> None:
    published(bus, ONE)
    published(bus, OTHER)
    assert published(bus, ONE).table.version == 3


def test_the_built_in_table_holds_already(bus: MemoryBus) -> None:
    built_in = read_statuses(BUILT_IN.read_bytes()).content
    found = published(bus, built_in)
    assert (found.outcome, found.table.version) == ("unchanged", 0)
    assert not bus.records(STATUS_TABLE.name)


def test_of_two_at_once_the_second_is_told_that_it_has_published_nothing(bus: MemoryBus) -> None:
    class Overtaken(MemoryBus):
        """A bus on which somebody else is quicker."""

        def producer(self, *args: object) -> object:  # type: ignore[override]
            if not bus.records(STATUS_TABLE.name):
                published(bus, OTHER, author="ann")
            return bus.producer()

        def read(self, topic: str, offset: int = 0) -> object:  # type: ignore[override]
            return bus.read(topic, offset)

    slow = Overtaken({STATUS_TABLE.name: 1})
    found = published(slow, ONE)
    assert (found.outcome, found.table.version, found.table.author) == ("overtaken", 1, "ann")
    tables = StatusTables(bus, UTC)
    tables.refresh()
    assert [(table.version, table.opportunities_enabled) for table in tables.policy.tables.versions] == [(0, True), (1, False)]
    assert tables.problems() == [f"{STATUS_TABLE.name} at 1 has version 1 again: ignored, give it a new number"]
    assert published(slow, ONE).outcome == "published"
    tables.refresh()
    assert (tables.problems(), tables.policy.tables.newest.version) == ([], 2)


def test_an_answer_that_was_lost_leads_to_no_second_version(bus: MemoryBus) -> None:
    faults = iter(["unanswered"])
    bus.fault = lambda message: next(faults, None)  # type: ignore[assignment, return-value]
    with pytest.raises(BusError):
        published(bus, ONE)
    assert published(bus, ONE).outcome == "unchanged"
    assert len(bus.records(STATUS_TABLE.name)) == 1


def test_without_the_topic_it_says_how_to_make_it() -> None:
    with pytest.raises(LookupError, match="handoff topics create"):
        published(MemoryBus({}), ONE)
