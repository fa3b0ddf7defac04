"""A record as a line: whatever lies on a topic is shown, also what cannot be read."""

from decimal import Decimal

import pytest

from events.assignments import LeadAssigned
from events.codec import encode
from events.facts import Data, OpportunityCreated
from events.published import Cause, CommandRefused, HandoffProgressed, Status, StatusChanged
from events.record import Message, Record
from events.topics import ASSIGNMENT, LIFECYCLE, OPPORTUNITY
from events.values import Price, parse_instant
from handoff.summary import as_object, line

AT = parse_instant("2026-03-02T10:15:01.75Z")
CAUSE = Cause(source="/crm", id="1", type="crm.lead.created.v1")
NEW = Status(stage="lead", name="New", probability=0)
OPEN = Status(stage="prospect", name="In Discussion", probability=20)


def record(message: Message) -> Record:
    return Record(message.topic, 3, 17, AT // 1_000_000, message.key, message.value, message.headers)


def event(topic: str, type_: str, data: Data) -> Record:
    return record(encode(topic, type_, data, source="/crm", id="e-1", occurred_at=AT))


CREATED = event(
    OPPORTUNITY.name,
    "crm.opportunity.created.v1",
    OpportunityCreated(
        customer_id="C-1", opportunity_id="O-1", amount=Price(amount=Decimal(12000), currency="EUR"), stage="In Discussion"
    ),
)


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (CREATED, "crm.opportunity.created.v1  C-1  opportunity_id O-1, amount 12000.00 EUR, stage In Discussion"),
        (
            event(
                LIFECYCLE.name,
                "crm.status.changed.v1",
                StatusChanged(
                    customer_id="C-1",
                    version=2,
                    recorded_at="2026-03-02T10:15:01Z",
                    cause=CAUSE,
                    since="2026-03-02T10:15:01Z",
                    states=(),
                    previous=NEW,
                    current=OPEN,
                    owner="ann",
                ),
            ),
            "crm.status.changed.v1  C-1  lead, New -> prospect, In Discussion, owner ann",
        ),
        (
            event(
                LIFECYCLE.name,
                "crm.handoff.progressed.v1",
                HandoffProgressed(
                    customer_id="C-1",
                    version=3,
                    recorded_at="2026-03-02T10:15:01Z",
                    cause=CAUSE,
                    assignment_id="C-1/0000000001/1",
                    rep_id="ann",
                    progress="touched",
                    at="2026-03-02T10:15:01Z",
                    withdrawn=True,
                ),
            ),
            "crm.handoff.progressed.v1  C-1  not touched by ann after all",
        ),
        (
            event(
                LIFECYCLE.name,
                "crm.command.refused.v1",
                CommandRefused(
                    customer_id="C-1",
                    version=3,
                    recorded_at="2026-03-02T10:15:01Z",
                    cause=CAUSE,
                    command=Cause(source="/ui", id="7", type="crm.status.reverted.v1"),
                    effective=False,
                    explanation="the record is a lead already",
                ),
            ),
            "crm.command.refused.v1  C-1  crm.status.reverted.v1 7: the record is a lead already",
        ),
        (
            event(
                ASSIGNMENT.name,
                "crm.lead.assigned.v1",
                LeadAssigned(customer_id="C-1", assignment_id="C-1/2/1", rep_id="ann", territory="EMEA", strategy="fixed_rep"),
            ),
            "crm.lead.assigned.v1  C-1  ann, territory EMEA, fixed_rep",
        ),
        (
            record(Message("crm.lead.v1", b"C-1", b"{", ())),
            "crm.lead.v1[3] at 17 cannot be read: header ce_specversion is missing: send a CloudEvents 1.0 event, "
            "in binary mode (ce_ headers) or as application/cloudevents+json",
        ),
        (
            record(Message("crm.directory.v1", None, b'{"version":2,"author":"file","effective_from":"2016-01-01T00:00:00Z"}')),
            "crm.directory.v1  version 2 by file, in force from 2016-01-01T00:00:00Z",
        ),
        (record(Message("crm.directory.v1", None, b"\xff")), "crm.directory.v1  is no version"),
        (
            record(
                Message(
                    "lifecycle.dead-letter.v1",
                    b"C-1",
                    b"{",
                    tuple(
                        (f"dl_{name}", value)
                        for name, value in {
                            "topic": b"crm.lead.v1",
                            "partition": b"3",
                            "offset": b"17",
                            "error": b"Undecodable",
                            "reason": b"it is no JSON",
                            "path": b"value",
                        }.items()
                    ),
                )
            ),
            "lifecycle.dead-letter.v1  Undecodable of crm.lead.v1[3] at 17: value it is no JSON",
        ),
    ],
)
def test_a_line(shown: Record, text: str) -> None:
    assert line(shown) == f"2026-03-02 10:15:01  {text}"


def test_an_object_has_everything() -> None:
    found = as_object(CREATED)
    assert {name: found[name] for name in ("topic", "partition", "offset", "recorded_at", "key")} == {
        "topic": "crm.opportunity.v1",
        "partition": 3,
        "offset": 17,
        "recorded_at": "2026-03-02T10:15:01.75Z",
        "key": "C-1",
    }
    assert found["headers"]["ce_id"] == "e-1"
    assert found["data"]["amount"] == {"amount": "12000.00", "currency": "EUR"}


@pytest.mark.parametrize(("value", "data"), [(None, None), (b"\xff\xfe", "\ufffd\ufffd"), (b"no json", "no json")])
def test_an_object_of_what_is_no_json(value: bytes | None, data: object) -> None:
    assert as_object(record(Message("crm.lead.v1", None, value)))["data"] == data
