"""DESIGN 3 and FOLD 24: a version of the status table that comes late folds the records concerned again, and no others."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given as each
from hypothesis import strategies as st
from msgspec.structs import replace

from events.codec import Fact
from services.lifecycle.domain.events import (
    AnyEvent,
    CommandJudged,
    DealsRevised,
    FactAccepted,
    RecordRevised,
    StatusRevised,
    TablesApplied,
)
from services.lifecycle.domain.fold import fold_of
from services.lifecycle.domain.process import SalesProcess
from services.lifecycle.domain.record import Record, accept_all, evolve, restore
from services.lifecycle.domain.refold import brought_up
from services.lifecycle.domain.state import Policy
from services.lifecycle.domain.table import DEFAULT, StatusTable, Tables
from tests.lifecycle.domain.consumer import Consumer
from tests.lifecycle.domain.histories import TABLES, History, domain_table, histories
from tests.lifecycle.domain.speech import CUSTOMER, lead_created, lead_qualified, on, opportunity_created, quote_sent, status_set
from tests.lifecycle.domain.story import UTC
from tests.lifecycle.domain.test_properties import assert_holds, assert_same
from tests.lifecycle.domain.test_table import version
from tests.lifecycle.reference_facts import in_order


class Played:
    """A record to which facts and versions come, each at its time, and a consumer who hears everything."""

    def __init__(self, first: StatusTable = DEFAULT, zone: Any = UTC) -> None:
        self.first = first
        self.zone = zone
        self.published: list[StatusTable] = []
        self.record = Record(CUSTOMER)
        self.stored: list[AnyEvent] = []
        self.consumer = Consumer()

    @property
    def policy(self) -> Policy:
        return Policy(Tables.of(self.first, self.published), self.zone)

    def learn(self, table: StatusTable, number: int | None = None) -> None:
        """A version is published; that alone changes nothing."""
        place = len(self.published)
        self.published.append(replace(table, version=number or place + 1, offset=place, recorded_at=on(10 + place)))

    def follow(self) -> Sequence[AnyEvent]:
        """The sweep comes to the record."""
        return self._hear(brought_up(self.record, self.policy))

    def hear(self, *facts: Fact) -> Sequence[AnyEvent]:
        """Facts come in, together."""
        followed = self.follow()
        return [*followed, *self._hear(accept_all(self.record, [(fact, ("topic", 0, 0)) for fact in facts], self.policy))]

    def _hear(self, accepted: Any) -> Sequence[AnyEvent]:
        self.record = accepted.record
        self.stored += accepted.events
        for event in accepted.events:
            self.consumer.hear(event)
        return accepted.events


@pytest.fixture
def played() -> Played:
    return Played()


def test_a_version_that_is_not_late_touches_nothing(played: Played) -> None:
    played.hear(lead_created(day=1), quote_sent("q1", day=2))
    played.learn(version(3, {"Proposal": 45}, quote="Offer"))
    assert not played.follow()
    assert played.record.tables == 1


def test_a_version_that_is_late_says_what_it_changed_and_names_itself(played: Played) -> None:
    played.hear(lead_created(day=1), quote_sent("q1", day=3))
    played.learn(version(2, quote="Offer"))
    applied, status, deals = played.follow()
    assert applied == TablesApplied(recorded_at=on(10), tables=1, version=1)
    assert isinstance(status, StatusRevised)
    assert isinstance(deals, DealsRevised)
    assert (status.since, status.current.name, status.recorded_at) == (on(3), "Offer", on(10))
    assert {(event.cause.source, event.cause.id, event.cause.type) for event in (status, deals)} == {
        ("operations", "lifecycle.status-table.v1/1", "lifecycle.status-table.v1")
    }
    assert not played.follow(), "it is said once"


def test_what_was_before_its_date_stays(played: Played) -> None:
    played.hear(lead_created(day=1), lead_qualified(day=3))
    played.learn(version(2, new="Fresh", qualified="Hot"))
    played.follow()
    assert [(held.at, held.what.name) for held in played.consumer.statuses] == [(on(1), "New"), (on(3), "Hot")]


def test_a_fact_that_comes_before_the_sweep_follows_first(played: Played) -> None:
    played.hear(lead_created(day=1), quote_sent("q1", day=3))
    played.learn(version(2, quote="Offer"))
    kinds = [type(event) for event in played.hear(opportunity_created("o1", 5, day=4, probability=80))]
    assert kinds == [TablesApplied, StatusRevised, DealsRevised, FactAccepted, StatusRevised, DealsRevised]
    assert not played.follow()


def test_two_late_versions_are_told_together(played: Played) -> None:
    played.hear(lead_created(day=1), lead_qualified(day=3), quote_sent("q1", day=5))
    played.learn(version(4, quote="Offer"))
    played.learn(version(2, qualified="Hot"))
    applied, *told = played.follow()
    assert isinstance(applied, TablesApplied)
    assert (applied.tables, applied.version) == (2, 2)
    assert [held.what.name for held in played.consumer.statuses] == ["New", "Hot", "Offer"]
    assert len(told) == 2


def test_a_version_whose_time_another_one_has_taken_is_not_late(played: Played) -> None:
    played.learn(version(2, qualified="Hot"))
    played.hear(lead_created(day=1), lead_qualified(day=3))
    played.learn(version(1.5, qualified="Warm"))
    assert not played.follow()


def test_of_two_versions_of_one_date_the_higher_number_holds_whichever_came_first() -> None:
    for numbers in ((1, 2), (2, 1)):
        played = Played()
        played.hear(lead_created(day=1), lead_qualified(day=3))
        for number in numbers:
            played.learn(version(2, qualified={1: "Warm", 2: "Hot"}[number]), number)
            played.follow()
        assert played.consumer.current is not None
        assert played.consumer.current.name == "Hot"


def test_a_version_of_other_texts_only_is_no_news(played: Played) -> None:
    played.hear(lead_created(day=1), lead_qualified(day=3))
    rows = tuple(replace(row, definition=f"what {row.name} means") for row in DEFAULT.rows)
    played.learn(replace(version(2), rows=rows))
    assert not played.follow()


def test_a_command_may_come_to_have_effect(played: Played) -> None:
    played.learn(version(5, qualified="Hot"))
    played.hear(lead_created(day=1), status_set("Hot", day=3))
    played.learn(version(2, qualified="Hot"))
    _, status, verdict = played.follow()
    assert isinstance(status, StatusRevised)
    assert isinstance(verdict, CommandJudged)
    assert (status.current.name, verdict.effective) == ("Hot", True)


def test_owner_and_profile_are_not_told_where_they_stay(played: Played) -> None:
    played.hear(lead_created(day=1, owner="ann"), quote_sent("q1", day=3))
    played.learn(version(2, quote="Offer"))
    assert not any(isinstance(event, RecordRevised) for event in played.follow())


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_of_the_histories_are_right(name: str) -> None:
    table = domain_table(TABLES[name], 1)
    SalesProcess(statuses=table.rows, triggers=dict(table.triggers), opportunities_enabled=table.opportunities_enabled)


@st.composite
def stories(draw: Any) -> tuple[History, list[Any]]:
    """A history, and its facts and its versions but the first in any order; between them the sweep comes by (None), or does not."""
    history = draw(histories(size_max=10, versions_min=2))
    late = range(1, len(history.versions))
    coming = draw(st.just([*history.facts, *late]) | st.permutations([*history.facts, *late]))
    by = draw(st.sets(st.integers(0, len(coming))))
    return history, [step for place, told in enumerate(coming) for step in ([None, told] if place in by else [told])]


@each(stories())
def test_the_order_in_which_facts_and_versions_come_does_not_matter(story: tuple[History, list[Any]]) -> None:
    history, steps = story
    first, *others = [domain_table(table, number) for number, table in enumerate(history.versions)]
    played = Played(first, history.zone)
    for step in steps:
        if step is None:
            played.follow()
        elif isinstance(step, int):
            played.learn(others[step - 1], step)
        else:
            played.hear(step)
            assert_holds(played.consumer, played.record.fold)
    played.follow()
    assert_same(played.record.fold, fold_of(in_order(history.facts), history.policy))
    assert_holds(played.consumer, played.record.fold)
    assert not played.follow()
    assert_restored(played)


def assert_restored(played: Played) -> None:
    """What is stored gives the same record again, told by event and read at once; a sweep after that has nothing to say."""
    evolved = Record(CUSTOMER)
    for event in played.stored:
        evolved = evolve(evolved, event, played.policy)
    kept = [event for event in played.stored if isinstance(event, FactAccepted | TablesApplied)]
    recorded_at = max(event.recorded_at for event in kept)
    restored = restore(CUSTOMER, kept, len(played.stored), recorded_at, played.policy)
    assert (restored.known, restored.version, restored.recorded_at) == (
        played.record.known,
        played.record.version,
        played.record.recorded_at,
    )
    for record in (evolved, restored):
        followed = brought_up(record, played.policy)
        assert followed.events == ()
        assert_same(followed.record.fold, played.record.fold)
