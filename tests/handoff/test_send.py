"""An event that somebody typed: what is wrong with it, all at once, or the message."""

import json
from typing import Any

import pytest

from events.codec import Fact, decode
from events.facts import LeadCreated
from events.record import Record
from events.values import parse_instant
from handoff.draft import Draft, draft
from handoff.errors import USAGE, CommandError

NOW = parse_instant("2026-03-02T10:15:00.5Z")
CREATED = "crm.lead.created.v1"


def drafted(data: dict[str, Any] | str, type_: str = CREATED, time: str | None = None, **envelope: str) -> Draft:
    text = data if isinstance(data, str) else json.dumps(data)
    return draft(type_, text, **{"source": "test", "id": "e-1", **envelope}, time=time, now=NOW)


def complaint(data: dict[str, Any] | str, **arguments: Any) -> list[str]:
    with pytest.raises(CommandError) as caught:
        drafted(data, **arguments)
    assert caught.value.code == USAGE
    return str(caught.value).splitlines()


def test_what_is_right_becomes_the_message_that_lifecycle_reads() -> None:
    found = drafted({"customer_id": "C-1", "company": "Büro GmbH", "expected_amount": {"amount": 12.5, "currency": "EUR"}})
    message = found.message
    assert (message.topic, message.key, found.customer_id, found.notes) == ("crm.lead.v1", b"C-1", "C-1", ())
    fact = decode(Record(message.topic, 0, 0, NOW // 1_000_000, message.key, message.value, message.headers))
    assert isinstance(fact, Fact)
    assert (fact.type, fact.source, fact.id, fact.occurred_at) == (CREATED, "test", "e-1", NOW)
    assert isinstance(fact.data, LeadCreated)
    assert fact.data.company == "Büro GmbH"


def test_the_time_is_told_or_it_is_now() -> None:
    headers = dict(drafted({"customer_id": "C-1"}, time="2026-03-02T11:00:00+01:00").message.headers)
    assert headers["ce_time"] == b"2026-03-02T10:00:00Z"
    assert dict(drafted({"customer_id": "C-1"}).message.headers)["ce_time"] == b"2026-03-02T10:15:00.5Z"


def test_everything_that_is_wrong_is_said_at_once() -> None:
    amount = {"amount": "x", "currency": "EUR"}
    wrong = {"score": 101, "country": "de", "employees": "many", "expected_amount": amount, "source_kind": "friends"}
    found = complaint(wrong, time="2026-03-02T10:00:00")
    assert len(found) == 7
    for start in (
        "--time: '2026-03-02T10:00:00' has no offset",
        "$.customer_id: is missing",
        "$.score: Expected `int` <= 100",
        "$.employees: Expected `int | null`, got `str`",
        "$.expected_amount.amount: Invalid decimal string",
        "$.country: 'de' is no country",
        "$.source_kind: Invalid enum value 'friends', it is one of marketing, sales, partner, other",
    ):
        assert any(line.startswith(start) for line in found), (start, found)


@pytest.mark.parametrize(
    ("data", "arguments", "start"),
    [
        ("{", {}, "the data: Input data was truncated"),
        ("", {}, "the data: is missing"),
        ("[]", {}, "the data: Expected `object`, got `array`"),
        ({"customer_id": ""}, {}, "$.customer_id: Expected `str` of length >= 1"),
        ({"customer_id": 5}, {}, "$.customer_id: Expected `str`, got `int`"),
        ({"customer_id": "C", "country": "de"}, {}, "$.country: 'de' is no country"),  # a rule that only the whole event has
        (
            {"customer_id": "C"},
            {"time": "2026-03-02T12:00:00Z"},
            "--time: 2026-03-02T12:00:00Z is more than 60 minutes after",
        ),
        ({"customer_id": "C"}, {"id": ""}, "--id: is empty"),
        ({"customer_id": "C", "company": "x" * 300_000}, {}, "the data: has 300035 bytes, at most 262144 are taken in"),
        ({"customer_id": "C", "company": "x" * 3000}, {}, "$.company: Expected `str` of length <= 2000"),
    ],
)
def test_what_is_wrong(data: dict[str, Any] | str, arguments: dict[str, str], start: str) -> None:
    (line,) = complaint(data, **arguments)
    assert line.startswith(start)


def test_a_field_that_is_ignored_is_told() -> None:
    found = drafted({"customer_id": "C-1", "campain": "spring", "zzz": 1})
    assert found.notes == (
        "$.campain is not a field of this type and is ignored: did you mean campaign?",
        "$.zzz is not a field of this type and is ignored",
    )


@pytest.mark.parametrize(
    ("type_", "line"),
    [
        ("crm.lead.create.v1", "TYPE: there is no type 'crm.lead.create.v1': did you mean crm.lead.created.v1?"),
        ("crm.lead.assigned.v1", "TYPE: crm.lead.assigned.v1 is written by routing alone"),
        ("lifecycle.tick.v1", "TYPE: lifecycle.tick.v1 is written by lifecycle alone"),
        ("crm.status.changed.v1", "TYPE: crm.status.changed.v1 is written by lifecycle alone"),
    ],
)
def test_types_that_nobody_outside_may_send(type_: str, line: str) -> None:
    assert complaint({"customer_id": "C"}, type_=type_) == [line]
