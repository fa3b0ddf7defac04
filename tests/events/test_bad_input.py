"""Every way in which a record can be wrong has a reason that a producer can act upon, and the place."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from events.codec import Undecodable, decode
from events.record import Record
from events.topics import VALUE_BYTES_MAX

from .records import LEAD, binary, structured


def refused(record: Record) -> tuple[str, str]:
    answer = decode(record)
    assert isinstance(answer, Undecodable), answer
    return answer.path, answer.reason


def lead(**fields: Any) -> Record:
    return binary({**LEAD, **fields})


def euros(amount: object) -> dict[str, object]:
    return {"amount": amount, "currency": "EUR"}


CASES = [
    # what was sent                                        where                       why, and the way out
    (replace(binary(), value=None), "value", "is missing: a fact is not deleted, another one corrects it"),
    (binary(b""), "value", "is missing"),
    (binary(b" " * (VALUE_BYTES_MAX + 1)), "value", "has 262145 bytes, at most 262144 are taken in"),
    (binary(key=None), "key", "is missing: the key of a record is its customer_id, here 'C-1042', in UTF-8"),
    (binary(key=b""), "key", "is '': the key of a record is its customer_id"),
    (binary(key=b"C-1043"), "key", "is 'C-1043': the key of a record is its customer_id, here 'C-1042'"),
    (binary(key=b"\xff"), "key", r"is '\\xff'"),
    (replace(binary(), timestamp=-1), "timestamp", "is no time: the log must stamp the record"),
    (replace(binary(), timestamp=2**62), "timestamp", "is no time"),
    # the envelope, binary mode
    (replace(binary(), headers=()), "header ce_specversion", "send a CloudEvents 1.0 event"),
    (binary(ce_specversion=None), "header ce_specversion", "is missing"),
    (binary(ce_specversion=b"0.3"), "header ce_specversion", "is '0.3': only CloudEvents 1.0 is understood"),
    (binary(ce_id=None), "header ce_id", "is missing"),
    (binary(ce_source=None), "header ce_source", "is missing"),
    (binary(ce_type=None), "header ce_type", "is missing"),
    (binary(ce_time=None), "header ce_time", "is missing"),
    (binary(ce_id=b""), "header ce_id", "is empty"),
    (binary(ce_source=b""), "header ce_source", "is empty"),
    (binary(ce_type=b""), "header ce_type", "is empty"),
    (binary(ce_time=b""), "header ce_time", "is empty"),
    (binary(ce_id=b"\xff"), "header ce_id", "is not UTF-8: invalid start byte at byte 0"),
    (binary(ce_source=b"a\xc3"), "header ce_source", "is not UTF-8"),
    (binary(ce_id=b"a\x00b"), "header ce_id", r"'a\x00b' has a control character"),
    (binary(ce_id=b"a\n"), "header ce_id", "has a control character"),
    (binary(ce_source="\x85".encode()), "header ce_source", "has a control character"),
    (binary(ce_id=b"i" * 201), "header ce_id", "has 201 characters, at most 200 are allowed"),
    (binary(ce_source=b"s" * 201), "header ce_source", "has 201 characters"),
    (binary(CE_ID=b"7f1c"), "header ce_id", "occurs more than once"),
    (replace(binary(), headers=(*binary().headers, ("ce_id", b"7f1c"))), "header ce_id", "send it once"),
    (
        replace(binary(), headers=(*binary().headers, ("ce_subject", b"a"), ("ce_subject", b"b"))),
        "header ce_subject",
        "more than once",
    ),
    (replace(binary(), headers=(*binary().headers, ("Content-Type", b"text/plain"))), "header content-type", "more than once"),
    (binary(content_type=b"text/plain"), "header content-type", "'text/plain' is not understood: send application/json"),
    (binary(content_type=b"application/cloudevents-batch+json"), "header content-type", "one event per record"),
    (binary(content_type=b"application/cloudevents+avro"), "header content-type", "is not understood"),
    (
        binary(content_type=b"application/json; charset=latin1"),
        "header content-type",
        "the charset 'latin1' is not understood: send UTF-8",
    ),
    # the envelope, structured mode
    (structured(specversion=...), "$.specversion", "is missing"),
    (structured(specversion="2.0"), "$.specversion", "is '2.0': only CloudEvents 1.0"),
    (structured(specversion=1.0), "$.specversion", "Expected `str | null`, got `float`"),
    (structured(id=...), "$.id", "is missing"),
    (structured(id=None), "$.id", "is missing"),
    (structured(source=""), "$.source", "is empty"),
    (structured(type=...), "$.type", "is missing"),
    (structured(time=...), "$.time", "is missing"),
    (structured(time="2026-03-02T11:15:00"), "$.time", "has no offset"),
    (structured(id="a\tb"), "$.id", r"'a\tb' has a control character"),
    (structured(type="crm.lead.made.v1"), "$.type", "did you mean"),
    (structured(data=...), "$.data", "is missing"),
    (structured(data=None), "$.data", "Expected `object`, got `null`"),
    (structured(data_base64="e30="), "$.data_base64", "data and data_base64 exclude each other"),
    (structured(data=..., data_base64="e3=0="), "$.data_base64", "is not base64"),
    (structured(data=..., data_base64="e30="), "$.data_base64.customer_id", "is missing"),
    (
        structured(data={**LEAD, "expected_amount": {"amount": "1", "currency": "eur"}}),
        "$.data.expected_amount.currency",
        "'eur' is no currency",
    ),
    (structured(datacontenttype="application/xml"), "$.datacontenttype", "'application/xml' is not understood"),
    (structured(datacontenttype="application/cloudevents+json"), "$.datacontenttype", "an event inside an event"),
    (replace(structured(), value=b"[]"), "$", "Expected `object`, got `array`"),
    (structured(b"application/cloudevents+json; charset=utf-16"), "header content-type", "send UTF-8"),
    # the type
    (
        binary(ce_type=b"crm.lead.creatd.v1"),
        "header ce_type",
        "'crm.lead.creatd.v1' is not known: did you mean crm.lead.created.v1?",
    ),
    (binary(ce_type=b"crm.lead.created.v2"), "header ce_type", "is a version that is not known here, only crm.lead.created.v1"),
    (binary(ce_type=b"crm.quote.sent.v1"), "header ce_type", "crm.quote.sent.v1 belongs on crm.quote.v1, this is crm.lead.v1"),
    (
        binary(ce_type=b"lifecycle.tick.v1"),
        "header ce_type",
        "lifecycle.tick.v1 belongs on lifecycle.moved.v1, this is crm.lead.v1",
    ),
    (binary(ce_type=b"?"), "header ce_type", "'?' is not known; crm.lead.v1 carries crm.lead.created.v1, crm.lead.updated.v1"),
    (binary(ce_type=b"\xff"), "header ce_type", "is not UTF-8"),
    (binary(topic="crm.directory.v1"), "header ce_type", "crm.lead.created.v1 belongs on crm.lead.v1, this is crm.directory.v1"),
    (binary(topic="nowhere", ce_type=b"a.b.v1"), "header ce_type", "nowhere carries no facts"),
    # the time
    (binary(ce_time=b"2026-03-02T11:15:00"), "header ce_time", "'2026-03-02T11:15:00' has no offset: add Z or +01:00, for example"),
    (binary(ce_time=b"yesterday"), "header ce_time", "'yesterday' is not an RFC 3339 time such as 2026-01-31T09:00:00Z"),
    (
        binary(ce_time=b"2026-02-30T11:15:00Z"),
        "header ce_time",
        "'2026-02-30T11:15:00Z' is not a time: day is out of range for month",
    ),
    (
        binary(ce_time=b"2026-03-02T12:15:01.251+01:00"),
        "header ce_time",
        "2026-03-02T11:15:01.251Z is more than 60 minutes after the record",
    ),
    (binary(ce_time=b"2036-03-02T11:15:00Z"), "header ce_time", "check the sender's clock and offset"),
    (binary(ce_time=b"0000-01-01T00:00:00Z"), "header ce_time", "is not a time: year 0 is out of range"),
    (
        binary(ce_time=b"0001-01-01T00:00:00+23:59"),
        "header ce_time",
        "is out of range: a time lies between the years 1678 and 2261",
    ),
    (binary(ce_time=b"9999-12-31T23:59:59-23:59"), "header ce_time", "is out of range"),
    # the data
    (binary(b"{"), "$", "Input data was truncated"),
    (binary(b"company=Acme"), "$", "JSON is malformed: invalid character (byte 0), near 'company=Acme'"),
    (binary(json.dumps(LEAD).encode() + b"{}"), "$", "trailing characters"),
    (binary(b'{"customer_id":"C-1042","score":NaN}'), "$", '(byte 32), near \'d":"C-1042","score":NaN}\''),
    (binary(b'{"customer_id":"C-1042","score":Infinity}'), "$", "JSON is malformed"),
    (binary(b'{"customer_id":"C-\xff"}'), "$", "is not UTF-8"),
    (binary(b'{"customer_id":"C-1042","unknown":"\xff"}'), "$", "is not UTF-8, as JSON is: invalid start byte at byte 35"),
    (binary(b'{"customer_id":"C-1042","\xff":1}'), "$", "is not UTF-8, as JSON is"),
    (binary(b'{"customer_id":"C-1042","company":"\\u0000"}'), "$", "has a NUL character (\\u0000)"),
    (binary(b'{"customer_id":"C-1042","company":"\\ud800"}'), "$", "truncated"),
    (binary(b'{"x":' * 50_000), "$", "nested too deeply"),
    (binary(b"[]"), "$", "Expected `object`, got `array`"),
    (binary(b"null"), "$", "Expected `object`, got `null`"),
    (binary(b'"text"'), "$", "Expected `object`, got `str`"),
    (binary({"company": "Acme"}), "$.customer_id", "is missing"),
    (lead(customer_id=""), "$.customer_id", "Expected `str` of length >= 1"),
    (lead(customer_id=None), "$.customer_id", "Expected `str`, got `null`"),
    (lead(customer_id=7), "$.customer_id", "Expected `str`, got `int`"),
    (lead(customer_id="C" * 201), "$.customer_id", "Expected `str` of length <= 200"),
    (lead(customer_id="C\n"), "$.customer_id", "matching regex"),
    (lead(lead_id="L\n"), "$.lead_id", "matching regex"),
    (lead(company="A" * 2001), "$.company", "Expected `str` of length <= 2000"),
    (lead(country="Germany"), "$.country", "Expected `str` of length <= 2"),
    (lead(country="de"), "$.country", "'de' is no country: two upper-case letters of ISO 3166 such as DE"),
    (lead(country="D1"), "$.country", "is no country"),
    (lead(employees=-1), "$.employees", "Expected `int` >= 0"),
    (lead(employees=2**31), "$.employees", "Expected `int` <= 2147483647"),
    (lead(score=101), "$.score", "Expected `int` <= 100"),
    (lead(score=1.5), "$.score", "Expected `int | null`, got `float`"),
    (lead(source_kind="market"), "$.source_kind", "Invalid enum value 'market', it is one of marketing, sales, partner, other"),
    (lead(contact="Ada"), "$.contact", "Expected `object | null`, got `str`"),
    (lead(contact={"name": 1}), "$.contact.name", "got `int`"),
    (lead(product_interest=["a", 1]), "$.product_interest[1]", "got `int`"),
    (lead(attributes={"a": 1.5}), "$.attributes[...]", "Expected `bool | int | str | null`, got `float`"),
    (lead(attributes={"a": 2**53}), "$.attributes[...]", "Expected `int` <= 9007199254740991"),
    (lead(attributes={"a": [1]}), "$.attributes[...]", "got `array`"),
    (lead(attributes={"": 1}), "$.attributes", "a name: Expected `str` of length >= 1"),
    # money
    (
        lead(expected_amount=euros("-0.01")),
        "$.expected_amount.amount",
        "-0.01 is negative: that is allowed on orders only (a credit)",
    ),
    (lead(expected_amount=euros("NaN")), "$.expected_amount.amount", "NaN is not a number"),
    (lead(expected_amount=euros("-Infinity")), "$.expected_amount.amount", "-Infinity is not a number"),
    (lead(expected_amount=euros("sNaN")), "$.expected_amount.amount", "is not a number"),
    (lead(expected_amount=euros("1.005")), "$.expected_amount.amount", "EUR has 2 decimals, 1.005 has more"),
    (lead(expected_amount=euros(1.005)), "$.expected_amount.amount", "EUR has 2 decimals"),
    (
        lead(expected_amount=euros("10000000000000")),
        "$.expected_amount.amount",
        "is out of range: it must be smaller than 10000000000000",
    ),
    (lead(expected_amount=euros("1e999999999")), "$.expected_amount.amount", "is out of range"),
    (lead(expected_amount=euros("1,50")), "$.expected_amount.amount", "Invalid decimal string"),
    (lead(expected_amount=euros(None)), "$.expected_amount.amount", "Expected `decimal`, got `null`"),
    (lead(expected_amount=euros(True)), "$.expected_amount.amount", "got `bool`"),
    (lead(expected_amount={"amount": "1"}), "$.expected_amount.currency", "is missing"),
    (lead(expected_amount={"amount": "1.5", "currency": "JPY"}), "$.expected_amount.amount", "JPY has 0 decimals, 1.5 has more"),
    (lead(expected_amount={"amount": "1", "currency": "eur"}), "$.expected_amount.currency", "such as EUR"),
    (lead(expected_amount={"amount": "1", "currency": "EUR\n"}), "$.expected_amount.currency", "of length <= 3"),
    (lead(expected_amount={"amount": "1", "currency": "ÉUR"}), "$.expected_amount.currency", "is no currency"),
    (lead(expected_amount="12 EUR"), "$.expected_amount", "Expected `object | null`, got `str`"),
]


@pytest.mark.parametrize(("record", "path", "reason"), CASES, ids=[f"{number}-{case[1]}" for number, case in enumerate(CASES)])
def test_bad_input_is_refused_with_place_and_reason(record: Record, path: str, reason: str) -> None:
    told = refused(record)
    assert told[0] == path
    assert reason in told[1]


def other(type: str, topic: str, **fields: Any) -> Record:
    return binary({"customer_id": "C-1042", **fields}, type=type, topic=topic)


def progressed(type: str, topic: str, **fields: object) -> Record:
    """What Handoff says of a hand-off, to itself."""
    said = {"version": 1, "recorded_at": "2026-03-02T10:15:01Z", "cause": {"source": "s", "id": "i", "type": "t"}}
    what = {"assignment_id": "C-1042/1/1", "rep_id": "ann", "progress": "accepted", "at": "2026-03-02T10:15:00Z"}
    return other(type, topic, **{**said, **what, **fields})


@pytest.mark.parametrize(
    ("record", "path"),
    [
        (other("crm.lead.disqualified.v1", "crm.lead.v1"), "$.reason"),
        (other("crm.lead.disqualified.v1", "crm.lead.v1", reason=""), "$.reason"),
        (other("crm.lead.recycled.v1", "crm.lead.v1", reason="x", until="2026-13-01"), "$.until"),
        (other("crm.lead.recycled.v1", "crm.lead.v1", reason="x", until="2026-W01-1"), "$.until"),
        (other("crm.lead.recycled.v1", "crm.lead.v1", reason="x", until="9999-01-01"), "$.until"),
        (other("crm.lead.recycled.v1", "crm.lead.v1", reason="x", until="2026-09-01T00:00:00"), "$.until"),
        (other("crm.opportunity.created.v1", "crm.opportunity.v1", opportunity_id="O"), "$.amount"),
        (other("crm.opportunity.created.v1", "crm.opportunity.v1", opportunity_id="O", amount=None), "$.amount"),
        (other("crm.opportunity.updated.v1", "crm.opportunity.v1"), "$.opportunity_id"),
        (other("crm.opportunity.updated.v1", "crm.opportunity.v1", opportunity_id="O", amount=euros(-1)), "$.amount.amount"),
        (other("crm.opportunity.updated.v1", "crm.opportunity.v1", opportunity_id="O", close_date="2026-02-30"), "$.close_date"),
        (
            other("crm.opportunity.updated.v1", "crm.opportunity.v1", opportunity_id="O", splits=[{"rep_id": "a", "percent": 101}]),
            "$.splits[0].percent",
        ),
        (other("crm.opportunity.won.v1", "crm.opportunity.v1", opportunity_id="O", amount=euros("-1")), "$.amount.amount"),
        (other("crm.quote.created.v1", "crm.quote.v1", quote_id="Q", amount=euros("-1")), "$.amount.amount"),
        (
            other("crm.quote.created.v1", "crm.quote.v1", quote_id="Q", amount=euros("1"), amount_low=euros("-1")),
            "$.amount_low.amount",
        ),
        (other("crm.order.placed.v1", "crm.order.v1", order_id="S"), "$.amount"),
        (other("crm.activity.logged.v1", "crm.activity.v1"), "$.activity_id"),
        (other("crm.handoff.rejected.v1", "crm.activity.v1", rep_id="a", assignment_id="x"), "$.reason"),
        (other("crm.status.set.v1", "crm.command.v1", status="", actor="dana"), "$.status"),
        (other("crm.status.reverted.v1", "crm.command.v1", stage="customer", actor="dana"), "$.stage"),
        (other("crm.owner.set.v1", "crm.command.v1", rep_id="bob"), "$.actor"),
        (other("lifecycle.tick.v1", "lifecycle.moved.v1", recycled={"source": "s"}), "$.recycled.id"),
        (progressed("crm.handoff.progressed.v1", "crm.lifecycle.v1", recorded_at=""), "$.recorded_at"),
        (progressed("crm.handoff.progressed.v1", "crm.lifecycle.v1", recorded_at="1969-12-31T23:59:59Z"), "$.recorded_at"),
        (progressed("crm.handoff.progressed.v1", "crm.lifecycle.v1", at="2026-03-02"), "$.at"),
        (progressed("routing.progress.reported.v1", "routing.request.v1", recorded_at="now"), "$.recorded_at"),
        (progressed("routing.progress.reported.v1", "routing.request.v1", at=""), "$.at"),
    ],
)
def test_every_type_guards_its_own_fields(record: Record, path: str) -> None:
    assert refused(record)[0] == path


def test_a_negative_amount_is_a_credit_on_orders_only() -> None:
    assert not isinstance(decode(other("crm.order.placed.v1", "crm.order.v1", order_id="S", amount=euros("-1"))), Undecodable)


@pytest.mark.parametrize("company", ["\\u0000", "\\\\\\u0000", "a\\\\\\\\\\u0000"])
def test_a_nul_character_is_refused_however_many_backslashes_precede_it(company: str) -> None:
    assert "NUL" in refused(binary(b'{"customer_id":"C-1042","company":"%s"}' % company.encode()))[1]


@pytest.mark.parametrize("company", ["\\\\u0000", "u0000", "\\\\\\\\u0000", "\\u0001"])
def test_what_only_looks_like_a_nul_character_is_not_refused(company: str) -> None:
    assert not isinstance(decode(binary(b'{"customer_id":"C-1042","company":"%s"}' % company.encode())), Undecodable)


def test_messages_of_handoff_itself_may_be_larger_than_facts_from_outside() -> None:
    data = {"customer_id": "C-1042", "reason": "x", "trace": {"territories": ["t" * VALUE_BYTES_MAX]}}
    assert not isinstance(decode(other("crm.lead.unassigned.v1", "crm.assignment.v1", **data)), Undecodable)
