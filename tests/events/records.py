"""Records as a producer may send them, written by hand: the raw material of the tests of reading."""

import json
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from events.record import Message, Record

SENT_AT = "2026-03-02T11:15:00+01:00"
RECORDED_MS = 1_772_446_501_250
LEAD: Mapping[str, Any] = {"customer_id": "C-1042", "lead_id": "L-7", "company": "Acme GmbH"}


def binary(
    data: Mapping[str, Any] | bytes = LEAD,
    *,
    type: str = "crm.lead.created.v1",
    topic: str = "crm.lead.v1",
    key: bytes | None = b"C-1042",
    **headers: bytes | None,
) -> Record:
    """A record in binary mode. ``ce_time=b"..."`` replaces a header, ``None`` leaves it out; ``_`` stands for ``-``."""
    given: dict[str, bytes | None] = {
        "ce_specversion": b"1.0",
        "ce_id": b"7f1c",
        "ce_source": b"/marketing",
        "ce_type": type.encode(),
        "ce_time": SENT_AT.encode(),
        "content-type": b"application/json",
    }
    given.update({"content-type" if name == "content_type" else name: value for name, value in headers.items()})
    value = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Record(topic, 0, 0, RECORDED_MS, key, value, tuple((name, text) for name, text in given.items() if text is not None))


def structured(content_type: bytes = b"application/cloudevents+json", **attributes: Any) -> Record:
    """A record in structured mode. An attribute replaces the one that is there; ``...`` leaves it out."""
    event = {
        "specversion": "1.0",
        "id": "7f1c",
        "source": "/marketing",
        "type": "crm.lead.created.v1",
        "time": SENT_AT,
        "data": LEAD,
        **attributes,
    }
    value = json.dumps({name: value for name, value in event.items() if value is not ...}).encode()
    return replace(binary(), value=value, headers=(("content-type", content_type),))


def stored(message: Message) -> Record:
    """The record that a message becomes in a log that keeps the sender's timestamp."""
    return Record(message.topic, 0, 0, message.timestamp or 0, message.key, message.value, message.headers)
