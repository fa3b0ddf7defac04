"""The table of topics keeps its own rules: names, one writer, one home per type, sizes."""

import re
from collections import Counter

from msgspec.structs import fields

from events import assignments, facts, published
from events.facts import Data
from events.topics import (
    ASSIGNMENT,
    DAYS_30,
    INPUT_BYTES_MAX,
    LIFECYCLE,
    LIFECYCLE_INPUTS,
    MOVED,
    PARTITIONS,
    RECORD_BYTES_MAX,
    REQUEST,
    TOPICS,
    VALUE_BYTES_MAX,
)

NAME = re.compile(r"[a-z]+\.[a-z]+(-[a-z]+)*\.v[1-9]\d*")
TYPE = re.compile(r"[a-z]+\.[a-z]+(\.[a-z]+)?\.v[1-9]\d*")

CONCRETE = {data for topic in TOPICS for data in topic.types.values()}


def test_every_topic_is_domain_entity_and_major_version() -> None:
    assert [topic.name for topic in TOPICS if NAME.fullmatch(topic.name) is None] == []


def test_every_type_is_domain_entity_what_happened_and_major_version() -> None:
    assert [name for topic in TOPICS for name in topic.types if TYPE.fullmatch(name) is None] == []


def test_a_topic_is_named_once() -> None:
    assert [name for name, count in Counter(topic.name for topic in TOPICS).items() if count > 1] == []


def test_a_type_has_one_home_and_so_one_writer() -> None:
    homes = Counter(name for topic in TOPICS if topic is not MOVED for name in topic.types)
    assert [name for name, count in homes.items() if count > 1] == []


def test_a_type_has_data_of_its_own() -> None:
    homes = Counter(data for topic in TOPICS if topic is not MOVED for data in topic.types.values())
    assert [data for data, count in homes.items() if count > 1] == []


def test_every_type_is_about_a_customer_and_says_what_it_is() -> None:
    for data in CONCRETE:
        assert issubclass(data, Data)
        assert "customer_id" in {field.name for field in fields(data) if field.required}
        assert data.__doc__


def test_every_struct_of_a_fact_travels_somewhere() -> None:
    """A type that was written and forgotten in the table would be refused for ever."""

    def leaves(data: type[Data]) -> set[type[Data]]:
        below = data.__subclasses__()
        return set().union(*(leaves(each) for each in below)) if below else {data}

    written = {data for data in leaves(Data) if data.__module__ in {facts.__name__, published.__name__, assignments.__name__}}
    assert written - CONCRETE == set()


def test_moved_carries_every_input_under_the_same_type_and_the_tick() -> None:
    inputs = {name: data for topic in LIFECYCLE_INPUTS if topic is not MOVED for name, data in topic.types.items()}
    assert dict(MOVED.types) == {**inputs, "lifecycle.tick.v1": facts.LifecycleTick}


def test_inputs_are_stamped_by_the_log_and_kept_for_thirty_days() -> None:
    for topic in TOPICS:
        outside = topic.writer in ("producers", "people")
        assert topic.log_time is outside
        assert (topic.retention == DAYS_30) is (outside or topic is MOVED or topic.name.endswith(".dead-letter.v1"))


def test_what_a_rebuild_needs_is_kept_for_ever() -> None:
    kept = {topic.name for topic in TOPICS if topic.retention is None}
    reference = {"crm.directory.v1", "routing.rules.v1", "lifecycle.status-table.v1", "forecast.plan.v1"}
    assert kept == {LIFECYCLE.name, ASSIGNMENT.name, REQUEST.name, *reference}


def test_customers_are_sharded_alike_everywhere() -> None:
    assert {topic.partitions(7) for topic in TOPICS if topic.keyed} == {7}
    assert {topic.partitions(7) for topic in TOPICS if not topic.keyed} == {1}
    assert all(topic.keyed for topic in (*LIFECYCLE_INPUTS, LIFECYCLE))
    assert PARTITIONS == 12


def test_what_is_taken_in_fits_a_record_and_its_dead_letter_fits_too() -> None:
    assert VALUE_BYTES_MAX < INPUT_BYTES_MAX < RECORD_BYTES_MAX
    for topic in TOPICS:
        assert topic.value_max <= topic.bytes_max <= RECORD_BYTES_MAX
        assert topic.bytes_max == (INPUT_BYTES_MAX if topic.writer in ("producers", "people") else RECORD_BYTES_MAX)
