"""The JSON Schemas say what the types say, and refuse what the codec refuses. What of them may change: test_schema_gate.py."""

import json
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given, settings

from events import schema
from events.codec import Fact, Undecodable, decode

from .records import binary
from .strategies import TYPES, facts_of
from .test_golden import FILES, load

NAMES = sorted(schema.types())


def validator(name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(json.loads(schema.path(name).read_text(encoding="utf-8")), validate_formats=True)


# ------------------------------------------------------------------------------------------ written


@pytest.mark.parametrize("name", NAMES)
def test_the_file_of_a_schema_is_what_the_types_say(name: str) -> None:
    hint = "run `python -m events.schema`; tests/events/test_schema_gate.py judges the change"
    assert schema.path(name).read_text(encoding="utf-8") == schema.text(name), hint


def test_every_type_has_a_schema_and_no_schema_is_left_over() -> None:
    assert {file.name for file in schema.FOLDER.glob("*.json")} == {schema.path(name).name for name in TYPES}


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_json_schema_2020_12(name: str) -> None:
    made = schema.schema(name)
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(made)


# ---------------------------------------------------------------------------------------- documented


def structs(name: str) -> dict[str, Any]:
    found: dict[str, Any] = schema.schema(name)["$defs"]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_struct_and_every_field_says_what_it_means(name: str) -> None:
    silent = [each for each, struct in structs(name).items() if not struct.get("description")]
    silent += [
        f"{each}.{field}"
        for each, struct in structs(name).items()
        for field, says in struct["properties"].items()
        if not says.get("description")
    ]
    assert silent == []


@pytest.mark.parametrize("name", NAMES)
def test_every_plain_field_has_an_example_and_every_example_is_valid(name: str) -> None:
    definitions = structs(name)
    for each, struct in definitions.items():
        for field, says in struct["properties"].items():
            assert "examples" in says or "$ref" in json.dumps(says) or is_open(says), f"{each}.{field} has no example"
            rules = {"$ref": f"#/$defs/{each}/properties/{field}", "$defs": definitions}
            check = jsonschema_rs.Draft202012Validator(rules, validate_formats=True)
            for example in says.get("examples", ()):
                check.validate(example)


def is_open(says: dict[str, Any]) -> bool:
    """Whether a field takes any JSON."""
    return not says.keys() - {"description", "default"}


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_of_a_type_make_a_fact(name: str) -> None:
    """A producer may copy them."""
    definitions = structs(name)

    def example(definition: str) -> dict[str, Any]:
        made = {}
        for field, says in definitions[definition]["properties"].items():
            if "examples" in says:
                made[field] = says["examples"][0]
            elif "$ref" in says:
                made[field] = example(says["$ref"].rpartition("/")[2])
            elif field in definitions[definition]["required"]:
                made[field] = [example(says["items"]["$ref"].rpartition("/")[2])]
        return made

    data = example(schema.types()[name].__name__)
    validator(name).validate(data)
    record = binary(data, type=name, topic=TYPES[name], key=data["customer_id"].encode())
    assert isinstance(decode(record), Fact), decode(record)


# --------------------------------------------------------------------------------- schema and codec


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_valid(name: str) -> None:
    check = validator(name)

    @settings(max_examples=10)
    @given(facts_of(name))
    def holds(fact: Fact) -> None:
        check.validate(json.loads(msgspec.json.encode(fact.data)))

    holds()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_golden_data_is_valid(file: Any) -> None:
    record, fact = load(file)
    value = json.loads(record.value or b"")
    validator(fact["type"]).validate(value.get("data", value) if "data_base64" not in value else fact["data"])


EUR_1 = {"amount": "1.00", "currency": "EUR"}
LEAD = {"customer_id": "C-1042"}
OPPORTUNITY = {**LEAD, "opportunity_id": "O-17", "amount": EUR_1}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("crm.lead.created.v1", {}),
        ("crm.lead.created.v1", []),
        ("crm.lead.created.v1", {"customer_id": ""}),
        ("crm.lead.created.v1", {"customer_id": "C" * 201}),
        ("crm.lead.created.v1", {"customer_id": "C\n"}),
        ("crm.lead.created.v1", {"customer_id": "C\u0085"}),
        ("crm.lead.created.v1", {**LEAD, "company": 7}),
        ("crm.lead.created.v1", {**LEAD, "country": "de"}),
        ("crm.lead.created.v1", {**LEAD, "country": "DEU"}),
        ("crm.lead.created.v1", {**LEAD, "score": 101}),
        ("crm.lead.created.v1", {**LEAD, "score": 1.5}),
        ("crm.lead.created.v1", {**LEAD, "source_kind": "market"}),
        ("crm.lead.created.v1", {**LEAD, "attributes": {"a": 1.5}}),
        ("crm.lead.created.v1", {**LEAD, "attributes": {"": 1}}),
        ("crm.lead.created.v1", {**LEAD, "expected_amount": {"amount": "1.00"}}),
        ("crm.lead.created.v1", {**LEAD, "expected_amount": {"amount": "1.00", "currency": "eur"}}),
        ("crm.lead.created.v1", {**LEAD, "expected_amount": {"amount": "one", "currency": "EUR"}}),
        ("crm.lead.created.v1", {**LEAD, "expected_amount": {"amount": "NaN", "currency": "EUR"}}),
        ("crm.lead.created.v1", {**LEAD, "expected_amount": {"amount": "-1.00", "currency": "EUR"}}),
        ("crm.lead.created.v1", {**LEAD, "expected_amount": {"amount": -1, "currency": "EUR"}}),
        ("crm.lead.created.v1", {**LEAD, "expected_amount": {"amount": 10**13, "currency": "EUR"}}),
        ("crm.lead.disqualified.v1", LEAD),
        ("crm.lead.disqualified.v1", {**LEAD, "reason": ""}),
        ("crm.opportunity.created.v1", {**LEAD, "opportunity_id": "O-17"}),
        ("crm.opportunity.created.v1", {**OPPORTUNITY, "amount": None}),
        ("crm.opportunity.created.v1", {**OPPORTUNITY, "close_date": "2026-02-30"}),
        ("crm.opportunity.created.v1", {**OPPORTUNITY, "category": "best"}),
        ("crm.opportunity.created.v1", {**OPPORTUNITY, "splits": [{"rep_id": "ann"}]}),
        ("crm.order.placed.v1", {**LEAD, "order_id": "S-9", "amount": {"amount": "-1.123456", "currency": "EUR"}}),
        ("crm.status.reverted.v1", {**LEAD, "stage": "customer", "actor": "dana"}),
        ("lifecycle.tick.v1", {**LEAD, "recycled": {"source": "s"}}),
    ],
)
def test_what_the_codec_refuses_the_schema_refuses_too(name: str, data: Any) -> None:
    key = data["customer_id"].encode() if isinstance(data, dict) and "customer_id" in data else b""
    assert isinstance(decode(binary(data, type=name, topic=TYPES[name], key=key)), Undecodable)
    assert not validator(name).is_valid(data)


@pytest.mark.parametrize("amount", ["-350.12", -350.12, "0", 0, "9999999999999.9999"])
def test_an_amount_may_be_a_string_or_a_number_and_of_an_order_negative(amount: object) -> None:
    currency = "CLF" if amount == "9999999999999.9999" else "EUR"
    data = {**LEAD, "order_id": "S-9", "amount": {"amount": amount, "currency": currency}}
    validator("crm.order.placed.v1").validate(data)
    assert isinstance(decode(binary(data, type="crm.order.placed.v1", topic="crm.order.v1")), Fact)


def test_unknown_fields_are_valid() -> None:
    validator("crm.lead.created.v1").validate({**LEAD, "shoe_size": 46.5})
