"""An event from outside: accepted where the codec accepts it, else everything that is wrong with it is told at once."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.codec import Fact, Undecodable, decode, encode
from events.diagnosis import IGNORED_MAX, REFUSALS_MAX, refusals
from events.facts import LeadCreated, OpportunityCreated
from events.record import Headers, Record
from events.submission import OPEN, Refused, Submission, examine
from events.values import format_instant
from tests.events.records import LEAD, RECORDED_MS, binary, structured
from tests.events.strategies import facts_of

NOW = RECORDED_MS * 1_000_000
STRUCTURED: Headers = (("content-type", b"application/cloudevents+json"),)
open_facts = st.sampled_from(sorted(OPEN)).flatmap(facts_of)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)


def event_of(fact: Fact) -> dict[str, Any]:
    """The fact as a CloudEvent in structured mode."""
    return {
        "specversion": "1.0",
        "id": fact.id,
        "source": fact.source,
        "type": fact.type,
        "time": format_instant(fact.occurred_at),
        "data": json.loads(msgspec.json.encode(fact.data)),
    }


def places(record: Record) -> list[str]:
    found = examine(record.headers, record.value or b"", NOW)
    assert isinstance(found, Refused), found
    return [reason.path for reason in found.reasons]


@given(open_facts)
def test_what_the_codec_writes_is_accepted_in_both_modes(fact: Fact) -> None:
    message = encode(OPEN[fact.type].name, fact.type, fact.data, source=fact.source, id=fact.id, occurred_at=fact.occurred_at)
    value = json.dumps(event_of(fact)).encode()
    for headers, body in ((message.headers, message.value or b""), (STRUCTURED, value)):
        found = examine(headers, body, fact.recorded_at)
        assert isinstance(found, Submission), found
        assert (found.fact, found.ignored) == (fact, ())
        assert (found.message.topic, found.message.key) == (OPEN[fact.type].name, fact.customer_id.encode())
        assert (found.message.headers, found.message.value) == (headers, body)


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[Fact, dict[str, Any]]:
    """A fact, and its event with up to four places of it replaced by anything, or left out."""
    fact = draw(open_facts)
    event = event_of(fact)
    for _ in range(draw(st.integers(1, 4))):
        at: Any = event
        while True:
            inner = [key for key, value in at.items() if isinstance(value, dict) and value]
            if not inner or draw(st.booleans()):
                break
            at = at[draw(st.sampled_from(sorted(inner)))]
        names = sorted(at)
        if isinstance(at, dict) and "customer_id" in at:
            names += sorted(set(LeadCreated.__struct_fields__) - set(at))
        if names:
            name = draw(st.sampled_from(names))
            at[name] = draw(anything)
            if draw(st.booleans()):
                del at[name]
    return fact, event


@given(spoiled())
def test_it_accepts_what_the_codec_accepts_and_tells_what_the_codec_tells(case: tuple[Fact, dict[str, Any]]) -> None:
    fact, event = case
    value = json.dumps(event).encode()
    found = examine(STRUCTURED, value, fact.recorded_at)
    type_ = event.get("type")
    topic = OPEN[type_].name if isinstance(type_, str) and type_ in OPEN else "crm.lead.v1"
    data = event.get("data")
    customer = data.get("customer_id") if isinstance(data, dict) else None
    key = customer.encode(errors="replace") if isinstance(customer, str) else b""
    told = decode(Record(topic, 0, 0, fact.recorded_at // 1_000_000, key, value, STRUCTURED))
    if isinstance(found, Submission):
        assert told == found.fact
        return
    assert isinstance(told, Undecodable)
    place = told.path.removesuffix("[...]")  # the codec does not name members of objects
    assert any(reason.path.startswith(place) for reason in found.reasons), (told, found)
    assert all(reason.reason for reason in found.reasons)


WRONG: dict[str, Any] = {
    "lead_id": "",
    "company": 7,
    "contact": {"name": 1, "email": "a@b", "phone": []},
    "country": "de",
    "employees": -1,
    "annual_revenue": {"amount": "1.005", "currency": "EUR"},
    "source_kind": "friends",
    "product_interest": ["a", 1, None],
    "expected_amount": {"amount": "much", "currency": "eur"},
    "score": 101,
    "attributes": {"ok": 1, "a": 1.5, "b c": [1], "": 2},
}


def test_everything_that_is_wrong_with_an_event_is_told_at_once() -> None:
    value = structured(id=None, source="", time="yesterday", datacontenttype="text/xml", data=WRONG)
    assert sorted(places(value)) == sorted(
        [
            "$.datacontenttype",
            "$.id",
            "$.source",
            "$.time",
            "$.data.lead_id",
            "$.data.company",
            "$.data.contact.name",
            "$.data.contact.phone",
            "$.data.employees",
            "$.data.annual_revenue.amount",
            "$.data.source_kind",
            "$.data.product_interest[1]",
            "$.data.product_interest[2]",
            "$.data.expected_amount.amount",
            "$.data.expected_amount.currency",
            "$.data.score",
            "$.data.attributes",
            "$.data.attributes.a",
            "$.data.attributes['b c']",
            "$.data.customer_id",
            "$.data.country",
        ]
    )


@pytest.mark.parametrize(
    ("record", "where"),
    [
        (
            binary(ce_id=None, ce_source=b"\xff", ce_time=b"2036-01-01T00:00:00Z"),
            ["header ce_id", "header ce_source", "header ce_time"],
        ),
        (binary(ce_specversion=None, ce_type=b"crm.lead.creatd.v1"), ["header ce_specversion", "header ce_type"]),
        (binary({"score": -1}, ce_time=None), ["header ce_time", "$.customer_id", "$.score"]),
        (binary(b"[1]", ce_id=b""), ["header ce_id", "$"]),
        (binary(b""), ["value"]),
        (binary(b'{"x":' * 50_000), ["$"]),
        (binary(content_type=b"text/plain", ce_id=None), ["header content-type", "header ce_id"]),
        (structured(specversion="0.3", type="crm.lead.assigned.v1"), ["$.specversion", "$.type"]),
        (structured(data=..., data_base64="e30=", time=...), ["$.time", "$.data_base64.customer_id"]),
        (structured(data_base64="e30=", id=...), ["$.id", "$.data_base64"]),
        (structured(data=...), ["$.data"]),
        (structured(data={**LEAD, "company": "a\0b"}, id=""), ["$.id", "$.data"]),
    ],
)
def test_where_an_event_is_wrong(record: Record, where: list[str]) -> None:
    assert places(record) == where


@pytest.mark.parametrize(
    ("type_", "reason"),
    [
        ("crm.lead.create.v1", "there is no type 'crm.lead.create.v1': did you mean crm.lead.created.v1?"),
        ("crm.lead.created.v2", "did you mean crm.lead.created.v1?"),
        ("crm.lead.assigned.v1", "crm.lead.assigned.v1 is written by routing alone"),
        ("crm.status.changed.v1", "crm.status.changed.v1 is written by lifecycle alone"),
        ("lifecycle.tick.v1", "lifecycle.tick.v1 is written by lifecycle alone"),
        ("?", "there is no type '?': use one of crm.lead.created.v1, crm.lead.updated.v1"),
    ],
)
def test_types_that_nobody_outside_may_send(type_: str, reason: str) -> None:
    found = examine(STRUCTURED, structured(type=type_).value or b"", NOW)
    assert isinstance(found, Refused)
    assert [each.path for each in found.reasons] == ["$.type"]
    assert reason in found.reasons[0].reason
    assert (found.id, found.source, found.type) == ("7f1c", "/marketing", type_)


def test_fields_that_are_ignored_are_told_and_there_is_an_end_to_it() -> None:
    found = examine(STRUCTURED, structured(data={**LEAD, "campain": "spring", "x-y": 1}).value or b"", NOW)
    assert isinstance(found, Submission)
    assert found.ignored == (
        "$.data.campain is not a field of this type and is ignored: did you mean campaign?",
        "$.data['x-y'] is not a field of this type and is ignored",
    )
    many = {f"field_{number}": number for number in range(1000)}
    found = examine(STRUCTURED, structured(data={**LEAD, **many}).value or b"", NOW)
    assert isinstance(found, Submission)
    assert len(found.ignored) == IGNORED_MAX


def test_there_is_an_end_to_what_is_told() -> None:
    assert (
        len(
            refusals(
                LeadCreated, json.dumps({"product_interest": [1] * 10_000, "attributes": {str(n): [] for n in range(99)}}).encode()
            )
        )
        == REFUSALS_MAX
    )


def test_what_is_too_large_is_not_looked_into() -> None:
    record = structured(id=None, data={**LEAD, "company": "x" * 300_000})
    assert places(record) == ["value"]


def test_the_own_rules_of_data_are_told_beside_what_else_is_missing() -> None:
    found = refusals(OpportunityCreated, b'{"amount_low": {"amount": "-1", "currency": "EUR"}, "splits": [{"percent": 101}, {}]}')
    assert [each.path for each in found] == [
        "$.customer_id",
        "$.opportunity_id",
        "$.amount",
        "$.amount_low.amount",
        "$.splits[0].rep_id",
        "$.splits[0].percent",
        "$.splits[1].rep_id",
        "$.splits[1].percent",
    ]


@pytest.mark.parametrize("rest", [b"", b", ", b', "data": {', b"]", b', "x": ' + b"[" * 100_000])
def test_what_is_wrong_before_the_place_where_the_json_breaks_is_told_with_it(rest: bytes) -> None:
    found = examine(STRUCTURED, b'{"specversion": "1.0", "time": 2' + rest, NOW)
    assert isinstance(found, Refused)
    assert [reason.path for reason in found.reasons] == ["$.time", "$"]


@pytest.mark.parametrize("unknown", [b'"\xff": 1', b'"x": "\xff"', b'"x": {"\xc3": []}'])
@pytest.mark.parametrize("wrong", [b"", b'"lead_id": 7, '], ids=["else right", "wrong besides"])
def test_bytes_that_are_no_text_are_refused_also_where_they_would_be_ignored(unknown: bytes, wrong: bytes) -> None:
    assert places(binary(b'{"customer_id": "C-1042", ' + wrong + unknown + b"}")) == (["$.lead_id", "$"] if wrong else ["$"])
    event = structured()
    assert event.value is not None
    value = event.value[:-1] + b", " + wrong.replace(b"lead_id", b"time") + unknown + b"}"
    assert places(replace(event, value=value))[0] == ("$.time" if wrong else "value")
