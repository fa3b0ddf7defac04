"""Records of every type that were accepted once, and what was understood: they are read the same for ever.

A golden record is never changed. When a type gets a new optional field, another record may be added beside the old one.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events.codec import Fact, content, decode
from events.record import Record

from .strategies import TYPES

FILES = sorted((Path(__file__).parent / "golden").glob("*.json"))


def load(file: Path) -> tuple[Record, Any]:
    golden = json.loads(file.read_text(encoding="utf-8"))
    told = golden["record"]
    headers = tuple((name, value.encode()) for name, value in told["headers"].items())
    return Record(told["topic"], 0, 0, told["timestamp"], told["key"].encode(), told["value"].encode(), headers), golden["fact"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_golden_record_is_read_as_it_always_was(file: Path) -> None:
    record, expected = load(file)
    fact = decode(record)
    assert isinstance(fact, Fact), fact
    assert {
        "customer_id": fact.customer_id,
        "source": fact.source,
        "id": fact.id,
        "type": fact.type,
        "occurred_at": fact.occurred_at,
        "recorded_at": fact.recorded_at,
        "data": json.loads(msgspec.json.encode(fact.data)),
        "content_sha256": hashlib.sha256(content(fact)).hexdigest(),
    } == expected


def test_every_type_has_a_golden_record() -> None:
    assert {load(file)[1]["type"] for file in FILES} == set(TYPES)


def test_golden_records_exist_in_both_modes() -> None:
    types = {dict(load(file)[0].headers).get("content-type", b"").partition(b";")[0] for file in FILES}
    assert types == {b"application/json", b"application/cloudevents+json", b""}
