"""What is written is read as it was, equal facts are equal bytes, and no bytes whatever bring the reader down."""

import hashlib
import json
import time
from decimal import Decimal
from itertools import permutations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import to_builtins
from msgspec.structs import asdict, replace

from events.codec import SKEW, Fact, Undecodable, content, decode, encode, types_of
from events.facts import ActivityLogged, Contact, LeadCreated, LeadRecycled, OrderPlaced, QuoteSent
from events.published import Amounts, DealImage
from events.record import Message, Record
from events.topics import LEAD, MOVED
from events.values import Money, Price, parse_instant

from .records import RECORDED_MS, binary, stored, structured
from .strategies import TYPES, facts, facts_of


def written(fact: Fact) -> Message:
    return encode(
        TYPES[fact.type],
        fact.type,
        fact.data,
        source=fact.source,
        id=fact.id,
        occurred_at=fact.occurred_at,
        recorded_at=fact.recorded_at,
    )


def read(record: Record) -> Fact:
    fact = decode(record)
    assert isinstance(fact, Fact), fact
    return fact


# ------------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("type", sorted(TYPES))
def test_what_is_written_is_read_as_it_was(type: str) -> None:
    @settings(max_examples=15)
    @given(facts_of(type))
    def holds(fact: Fact) -> None:
        assert decode(stored(written(fact))) == fact

    holds()


@given(facts())
def test_equal_facts_are_written_as_equal_bytes(fact: Fact) -> None:
    """Also those that were not made alike: one was read, the other built."""
    message = written(fact)
    assert written(read(stored(message))) == message


def test_the_order_in_which_attributes_were_learnt_makes_no_other_bytes() -> None:
    def lead(names: str) -> Fact:
        data = LeadCreated(customer_id="C-1", attributes=dict.fromkeys(names, 1))
        return Fact("C-1", "/crm", "7", "crm.lead.created.v1", 0, 0, data)

    assert written(lead("abc")) == written(lead("cab"))


def test_a_default_that_was_given_and_one_that_was_not_make_no_other_bytes() -> None:
    image = DealImage(status="New", probability=0, state="open", category="likely")
    given_ = DealImage(status="New", probability=0, state="open", category="likely", amounts=Amounts(), splits=(), documents=())
    assert msgspec.json.encode(image) == msgspec.json.encode(given_)


def test_a_written_message_looks_as_the_contract_says() -> None:
    occurred_at = parse_instant("2026-03-02T11:15:00.250+01:00")
    message = encode(
        "crm.quote.v1",
        "crm.quote.sent.v1",
        QuoteSent(customer_id="Käse", quote_id="Q-1"),
        source="/crm",
        id="7",
        occurred_at=occurred_at,
        recorded_at=occurred_at + 999_999,
    )
    assert message == Message(
        topic="crm.quote.v1",
        key="Käse".encode(),
        value='{"customer_id":"Käse","quote_id":"Q-1"}'.encode(),
        headers=(
            ("ce_specversion", b"1.0"),
            ("ce_id", b"7"),
            ("ce_source", b"/crm"),
            ("ce_type", b"crm.quote.sent.v1"),
            ("ce_time", b"2026-03-02T10:15:00.25Z"),
            ("ce_subject", "Käse".encode()),
            ("content-type", b"application/json"),
        ),
        timestamp=1_772_446_500_250,
    )


def test_a_message_without_recorded_at_is_stamped_by_the_log() -> None:
    data = QuoteSent(customer_id="C-1", quote_id="Q-1")
    assert encode("crm.quote.v1", "crm.quote.sent.v1", data, source="/crm", id="7", occurred_at=0).timestamp is None


@pytest.mark.parametrize(
    ("topic", "type", "message"),
    [
        ("crm.order.v1", "crm.quote.sent.v1", "crm.quote.sent.v1 is not carried by crm.order.v1"),
        ("crm.quote.v1", "crm.quote.accepted.v1", "crm.quote.accepted.v1 has QuoteAccepted, not QuoteSent, on crm.quote.v1"),
        ("nowhere.v1", "crm.quote.sent.v1", "crm.quote.sent.v1 is not carried by nowhere.v1"),
    ],
)
def test_a_writer_that_breaks_the_table_of_topics_is_told_so(topic: str, type: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode(topic, type, QuoteSent(customer_id="C-1", quote_id="Q-1"), source="/crm", id="7", occurred_at=0)


# ---------------------------------------------------------------------------------------- two modes


def test_both_modes_are_read_alike() -> None:
    fact = read(binary())
    assert fact == Fact(
        customer_id="C-1042",
        source="/marketing",
        id="7f1c",
        type="crm.lead.created.v1",
        occurred_at=1_772_446_500_000_000_000,
        recorded_at=RECORDED_MS * 1_000_000,
        data=LeadCreated(customer_id="C-1042", lead_id="L-7", company="Acme GmbH"),
    )
    assert decode(structured()) == fact
    assert decode(structured(datacontenttype="application/json; charset=utf-8")) == fact
    assert (
        decode(
            structured(data=..., data_base64="eyJjdXN0b21lcl9pZCI6IkMtMTA0MiIsImxlYWRfaWQiOiJMLTciLCJjb21wYW55IjoiQWNtZSBHbWJIIn0=")
        )
        == fact
    )


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        b"application/json",
        b"application/json; charset=utf-8",
        b'Application/JSON;charset="UTF-8"',
        b"text/json",
        b"application/vnd.acme+json",
    ],
)
def test_every_json_content_type_means_binary_mode(content_type: bytes | None) -> None:
    assert decode(binary(content_type=content_type)) == decode(binary())


@pytest.mark.parametrize("content_type", [b"application/cloudevents+json; charset=UTF-8", b"Application/CloudEvents+JSON"])
def test_structured_mode_is_known_by_its_content_type(content_type: bytes) -> None:
    assert decode(structured(content_type)) == decode(binary())


@pytest.mark.parametrize("spelling", [str.upper, str.title])
def test_header_names_are_read_in_any_case(spelling: object) -> None:
    assert callable(spelling)
    record = binary()
    assert decode(replace(record, headers=tuple((spelling(name), value) for name, value in record.headers))) == decode(record)


def test_headers_that_are_not_the_envelope_may_repeat() -> None:
    record = binary()
    assert decode(replace(record, headers=(*record.headers, ("trace", b"1"), ("trace", b"2")))) == decode(record)


def test_a_caller_may_understand_fewer_or_other_types() -> None:
    assert isinstance(decode(binary(), {"crm.lead.created.v1": LeadCreated}), Fact)
    reason = "crm.lead.created.v1 is not understood by this reader, only crm.lead.updated.v1"
    assert decode(binary(), {"crm.lead.updated.v1": LeadCreated}) == Undecodable(reason, "header ce_type")
    assert isinstance(decode(binary(topic="elsewhere"), {"crm.lead.created.v1": LeadCreated}), Fact)


def test_the_table_of_topics_says_what_a_topic_carries() -> None:
    assert types_of("crm.lead.v1") == LEAD.types
    assert types_of("nowhere") == {}
    assert types_of("lifecycle.moved.v1") == MOVED.types


# ------------------------------------------------------------------------------------------- meaning


def test_absent_and_null_are_the_same() -> None:
    assert decode(binary({"customer_id": "C-1042", "score": None, "attributes": {"a": None}, "contact": {"name": None}})) == decode(
        binary({"customer_id": "C-1042", "attributes": {}, "contact": {}})
    )
    logged = {"customer_id": "C-1042", "activity_id": "A"}
    record = binary({**logged, "automatic": None}, type="crm.activity.logged.v1", topic="crm.activity.v1")
    assert read(record).data == ActivityLogged(customer_id="C-1042", activity_id="A", automatic=False)


def test_unknown_fields_are_ignored_and_of_a_repeated_field_the_last_one_counts() -> None:
    record = binary(b'{"customer_id":"C-1042","x":{"y":[1.5,null]},"company":"old","company":"new"}')
    assert read(record).data == LeadCreated(customer_id="C-1042", company="new")


@pytest.mark.parametrize("amount", ["100", "100.0", "100.00", "1e2", 100, 100.0])
def test_an_amount_is_the_same_however_it_is_spelt(amount: object) -> None:
    record = binary({"customer_id": "C-1042", "expected_amount": {"amount": amount, "currency": "EUR"}})
    assert read(record).data == LeadCreated(customer_id="C-1042", expected_amount=Price(amount=Decimal("100.00"), currency="EUR"))


def test_a_json_number_is_read_exactly() -> None:
    value = b'{"customer_id":"C-1042","order_id":"S","amount":{"amount":-9999999999999.99,"currency":"EUR"}}'
    data = read(binary(value, type="crm.order.placed.v1", topic="crm.order.v1")).data
    assert isinstance(data, OrderPlaced)
    assert data.amount == Money(amount=Decimal("-9999999999999.99"), currency="EUR")
    assert data.amount.minor == -999_999_999_999_999


@pytest.mark.parametrize("until", ["2026-09-01T00:00:00+02:00", "2026-08-31T22:00:00Z", "2026-08-31t22:00:00.000z"])
def test_an_instant_is_the_same_however_it_is_spelt(until: str) -> None:
    record = binary({"customer_id": "C-1042", "reason": "later", "until": until}, type="crm.lead.recycled.v1")
    assert read(record).data == LeadRecycled(customer_id="C-1042", reason="later", until="2026-08-31T22:00:00Z")


def test_a_fact_may_be_dated_as_late_as_the_skew_allows() -> None:
    assert read(binary(ce_time=b"2026-03-02T12:15:01.25+01:00")).occurred_at == RECORDED_MS * 1_000_000 + SKEW
    assert isinstance(decode(binary(ce_time=b"2026-03-02T12:15:01.250000001+01:00")), Undecodable)


# ------------------------------------------------------------------------------------------- content


def test_content_does_not_depend_on_spelling_order_or_place() -> None:
    fields = {
        "customer_id": "C-1042",
        "score": None,
        "expected_amount": {"amount": "5", "currency": "EUR"},
        "attributes": {"b": 1, "a": True, "c": None},
    }
    spelt = {
        "attributes": {"a": True, "b": 1},
        "expected_amount": {"currency": "EUR", "amount": 5.0},
        "customer_id": "C-1042",
        "new": 1,
    }
    assert len({content(read(binary(dict(order)))) for order in permutations(fields.items())} | {content(read(binary(spelt)))}) == 1
    fact = read(binary())
    assert content(replace(fact, recorded_at=0, source="other", id="other")) == content(fact)


@given(facts(), st.data())
def test_content_is_equal_where_and_only_where_type_time_and_data_are(fact: Fact, data: st.DataObject) -> None:
    other = data.draw(facts_of(fact.type, customers=st.just(fact.customer_id), times=st.just(fact.occurred_at)) | facts())
    alike = (fact.type, fact.occurred_at, said(fact)) == (other.type, other.occurred_at, said(other))
    assert (content(fact) == content(other)) == alike


def said(fact: Fact) -> str:
    """The data as JSON with sorted names: for Python ``True == 1``, for JSON they differ."""
    return json.dumps(to_builtins(fact.data), sort_keys=True)


def test_content_tells_types_times_and_values_apart() -> None:
    fact = read(binary())
    others = [
        replace(fact, type="crm.lead.updated.v1"),
        replace(fact, occurred_at=fact.occurred_at + 1),
        replace(fact, data=replace(fact.data, company="Acme Ltd")),
        replace(fact, data=replace(fact.data, attributes={"a": 1})),
        replace(fact, data=replace(fact.data, attributes={"a": True})),
        replace(fact, data=replace(fact.data, attributes={"a": "1"})),
        replace(fact, data=replace(fact.data, contact=Contact(name="Ada"))),
    ]
    assert len({hashlib.sha256(content(each)).digest() for each in [fact, *others]}) == 1 + len(others)


# ------------------------------------------------------------------------------------------ any bytes


def decodes_or_says_why(record: Record) -> None:
    answer = decode(record)
    if isinstance(answer, Undecodable):
        assert answer.reason
        assert answer.path
        assert len(answer.reason) < 3000
        answer.reason.encode()  # it travels as a header
    else:
        assert answer.customer_id.encode() == record.key
        assert asdict(answer)
        hashlib.sha256(content(answer))  # whatever was accepted can be told apart, and written again
        assert decode(replace(stored(written(answer)), topic=record.topic)) == answer


bytes_or_none = st.none() | st.binary(max_size=60)
topic_names = st.sampled_from(sorted({*TYPES.values(), "lifecycle.moved.v1", "crm.directory.v1", "nowhere"}))


@given(
    st.builds(
        Record,
        topic_names,
        st.just(0),
        st.just(0),
        st.integers(-(2**63), 2**63 - 1),
        bytes_or_none,
        bytes_or_none,
        st.lists(st.tuples(st.text(max_size=12), st.binary(max_size=30))).map(tuple),
    )
)
def test_any_bytes_are_a_fact_or_a_reason(record: Record) -> None:
    decodes_or_says_why(record)


@st.composite
def mutated(draw: st.DrawFn, bytes_: bytes) -> bytes:
    """The same bytes with something cut out, put in or put in place of it."""
    start = draw(st.integers(0, len(bytes_)))
    end = draw(st.integers(start, min(len(bytes_), start + draw(st.sampled_from([0, 1, 2, 8, 1000])))))
    pieces = [
        b"",
        b"\x00",
        b"\xff",
        b"\\",
        b"\\u0000",
        b"\\ud800",
        b'"',
        b"{",
        b"[",
        b"null",
        b"NaN",
        b"-1e999999999",
        b"1e-9999",
        b"9" * 400,
    ]
    return bytes_[:start] + draw(st.sampled_from(pieces) | st.binary(max_size=4)) + bytes_[end:]


@given(facts(), st.data())
def test_what_was_a_fact_and_is_broken_is_a_fact_or_a_reason(fact: Fact, data: st.DataObject) -> None:
    record = stored(written(fact))
    if data.draw(st.booleans(), "structured"):
        headers = {name.removeprefix("ce_"): value.decode() for name, value in record.headers[:-1]}
        event = {**headers, "data": json.loads(record.value or b"")}
        record = replace(record, value=json.dumps(event).encode(), headers=(("content-type", b"application/cloudevents+json"),))
    where = data.draw(st.sampled_from(["value", "value", "value", "key", "header", "name", "order", "topic", "timestamp"]))
    match where:
        case "value":
            record = replace(record, value=data.draw(mutated(record.value or b"")))
        case "key":
            record = replace(record, key=data.draw(mutated(record.key or b"")))
        case "header" | "name":
            spot = data.draw(st.integers(0, len(record.headers) - 1))
            name, value = record.headers[spot]
            if where == "header":
                value = data.draw(mutated(value))
            else:
                name = data.draw(mutated(name.encode())).decode(errors="ignore")
            record = replace(record, headers=(*record.headers[:spot], (name, value), *record.headers[spot + 1 :]))
        case "order":
            headers_ = data.draw(st.lists(st.sampled_from(record.headers)))
            record = replace(record, headers=tuple(headers_))
        case "topic":
            record = replace(record, topic=data.draw(topic_names))
        case "timestamp":
            record = replace(record, timestamp=data.draw(st.integers(-(2**63), 2**63 - 1)))
    decodes_or_says_why(record)


SIZE = 250_000
AMOUNT = b'{"customer_id":"C-1042","expected_amount":{"currency":"EUR","amount":%s}}'


@pytest.mark.parametrize(
    "record",
    [
        binary(b"[" * SIZE),
        binary(b'{"x":' * (SIZE // 5)),
        binary(b'{"customer_id":"' + b"\\" * SIZE + b'"}'),
        binary(b'{"customer_id":"C-1042","x":"' + b"\\\\" * (SIZE // 2) + b'\\u0000"}'),
        binary(b'{"customer_id":"' + b"C" * SIZE + b'"}'),
        binary(b'{"customer_id":"C-1042","source_kind":"' + b" - at `$" * (SIZE // 8) + b'"}'),
        binary(b'{"customer_id":"C-1042","score":' + b"9" * SIZE + b"}"),
        binary(AMOUNT % (b"9" * SIZE)),
        binary(AMOUNT % (b"0." + b"9" * SIZE)),
        binary(AMOUNT % (b'"' + b"9" * SIZE + b'"')),
        binary(AMOUNT % (b'"0.' + b"0" * SIZE + b'1"')),
        binary(AMOUNT % b'"1e999999999999999999"'),
        binary(AMOUNT % b'"1e999999999"'),
        binary(AMOUNT % b'"-1e-999999999"'),
        binary(AMOUNT % (b'"sNaN' + b"1" * SIZE + b'"')),
        binary(b'{"customer_id":"C-1042","attributes":{' + b",".join(b'"a%d":1' % n for n in range(20_000)) + b"}, }"),
        binary(ce_time=b"2026-03-02T11:15:00." + b"1" * SIZE),
        binary(ce_time=b" " * SIZE),
        binary(ce_id=b"i" * SIZE),
        binary(ce_type=b"crm.lead.created.v" + b"1" * SIZE),
        binary(ce_type=b"crm.lead.created." * (SIZE // 17)),
        binary(content_type=b"application/" + b"+" * SIZE),
        binary(content_type=b"application/json;" + b" charset" * (SIZE // 8) + b"=latin1"),
        replace(binary(), key=b"C" * SIZE),
        structured(data=..., data_base64="A" * SIZE),
        structured(data="x" * SIZE),
    ],
)
def test_large_and_deep_input_is_answered_at_once(record: Record) -> None:
    started = time.perf_counter()
    answer = decode(record)
    assert time.perf_counter() - started < 1
    assert isinstance(answer, Undecodable)
    assert len(answer.reason) < 3000
