"""The official CloudEvents SDK and the codec understand each other: what one writes the other reads, in both modes."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings import kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import to_builtins
from msgspec.structs import replace

from events.codec import Fact, decode, encode
from events.facts import LeadCreated
from events.record import Message, Record
from events.values import NANOSECONDS, format_instant

from .strategies import TYPES, facts, facts_of

MODES = {"binary": kafka.to_binary, "structured": kafka.to_structured}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# The SDK keeps time as a datetime: microseconds.
microseconds = st.datetimes(datetime(1678, 1, 1), datetime(2261, 12, 31)).map(
    lambda moment: (moment.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) * 1000
)


def record_of(message: kafka.KafkaMessage, topic: str, recorded_at: int) -> Record:
    key = message.key.encode() if isinstance(message.key, str) else message.key
    return Record(topic, 0, 0, recorded_at // 1_000_000, key, message.value, tuple(message.headers.items()))


def sdk_message(message: Message) -> kafka.KafkaMessage:
    return kafka.KafkaMessage(headers=dict(message.headers), key=message.key, value=message.value or b"")


def sdk_event(fact: Fact, **attributes: Any) -> CloudEvent:
    when = EPOCH + timedelta(microseconds=fact.occurred_at // 1000)
    return CloudEvent(
        attributes={
            "id": fact.id,
            "source": fact.source,
            "type": fact.type,
            "time": when,
            "partitionkey": fact.customer_id,
            **attributes,
        },
        data=to_builtins(fact.data),
    )


def written(fact: Fact) -> Message:
    return encode(TYPES[fact.type], fact.type, fact.data, source=fact.source, id=fact.id, occurred_at=fact.occurred_at)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("type", sorted(TYPES))
def test_what_the_sdk_writes_is_read(type: str, mode: str) -> None:
    @settings(max_examples=5)
    @given(facts_of(type, times=microseconds))
    def holds(fact: Fact) -> None:
        message = MODES[mode](sdk_event(fact), JSONFormat())
        assert decode(record_of(message, TYPES[type], fact.recorded_at)) == fact

    holds()


@given(facts())
def test_what_is_written_the_sdk_reads(fact: Fact) -> None:
    event = kafka.from_kafka(sdk_message(written(fact)), JSONFormat())
    assert isinstance(event, CloudEvent)
    assert (event.get_id(), event.get_source(), event.get_type()) == (fact.id, fact.source, fact.type)
    assert event.get_specversion() == "1.0"
    assert event.get_subject() == fact.customer_id
    assert event.get_datacontenttype() == "application/json"
    assert event.get_extension("partitionkey") == fact.customer_id
    assert event.get_time() == EPOCH + timedelta(microseconds=fact.occurred_at // 1000)
    assert event.get_data() == json.loads(json.dumps(to_builtins(fact.data)))


@pytest.mark.parametrize("mode", MODES)
def test_what_passes_through_the_sdk_stays_the_same(mode: str) -> None:
    """Written by us, read by the SDK, written by the SDK in either mode, read by us."""

    @given(facts().flatmap(lambda fact: microseconds.map(lambda when: replace(fact, occurred_at=when, recorded_at=max(0, when)))))
    def holds(fact: Fact) -> None:
        event: BaseCloudEvent = kafka.from_kafka(sdk_message(written(fact)), JSONFormat())
        again = record_of(MODES[mode](event, JSONFormat()), TYPES[fact.type], fact.recorded_at)
        assert decode(again) == replace(fact, recorded_at=fact.recorded_at // 1_000_000 * 1_000_000)

    holds()


@pytest.mark.parametrize("mode", MODES)
def test_an_offset_other_than_utc_is_read(mode: str) -> None:
    fact = decode_one(mode, time=datetime(2026, 3, 2, 11, 15, tzinfo=timezone(timedelta(hours=1))))
    assert format_instant(fact.occurred_at) == "2026-03-02T10:15:00Z"


@pytest.mark.parametrize("mode", MODES)
def test_optional_attributes_and_extensions_do_no_harm(mode: str) -> None:
    more: dict[str, Any] = {
        "subject": "anything",
        "dataschema": "https://acme.example/lead.json",
        "datacontenttype": "application/json",
    }
    assert decode_one(mode, **more, traceparent="00-1-2-01").id == "7f1c"


@pytest.mark.parametrize("mode", MODES)
def test_data_that_the_sdk_was_given_as_bytes_is_read(mode: str) -> None:
    assert decode_one(mode, b'{"customer_id": "C-1", "score": 5}').data == LeadCreated(customer_id="C-1", score=5)


def decode_one(mode: str, data: bytes | dict[str, Any] | None = None, **attributes: Any) -> Fact:
    known = {"id": "7f1c", "source": "/crm", "type": "crm.lead.created.v1", "time": datetime(2026, 3, 2, 10, 15, tzinfo=UTC)}
    event = CloudEvent({**known, "partitionkey": "C-1", **attributes}, data or {"customer_id": "C-1"})
    fact = decode(record_of(MODES[mode](event, JSONFormat()), "crm.lead.v1", 1_772_446_501 * NANOSECONDS))
    assert isinstance(fact, Fact), fact
    return fact
