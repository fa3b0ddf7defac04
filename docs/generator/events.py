"""The page of topics and events: every topic, every type on it, every field of it."""

from collections.abc import Mapping
from typing import Any, Final

from docs.generator.json_schema import words
from docs.generator.markdown import anchor, code, json_code, link, prose, table
from events import schema
from events.codec import SKEW
from events.envelope import NAME_MAX
from events.facts import Data
from events.topics import DIRECTORY, MOVED, PLAN, RULES, STATUS_TABLE, TOPICS, Topic
from events.values import DERIVED_ID_MAX, NANOSECONDS

DAY_MS: Final = 24 * 3600 * 1000
_REFERENCE: Final = {DIRECTORY.name: "read", RULES.name: "read", STATUS_TABLE.name: "read", PLAN.name: "not read yet"}


def page() -> str:
    """The page."""
    parts: dict[str, Mapping[str, Any]] = {}
    sections = [_section(topic, parts) for topic in TOPICS]
    return "\n".join([_introduction(), _topics(), *sections, _parts(parts)])


def _introduction() -> str:
    return f"""# Topics and events

Every record is a [CloudEvents 1.0](https://cloudevents.io) event. In *binary* mode the attributes are Kafka headers and the value is
the data as JSON; *structured* mode (`content-type: application/cloudevents+json`) is accepted too.

| header | meaning |
|---|---|
| `ce_specversion` | `1.0` |
| `ce_id`, `ce_source` | with the customer id the identity of the event, up to {NAME_MAX} characters each (ids that Handoff derives: {DERIVED_ID_MAX}). The same again changes nothing; the same with other content is a dead letter |
| `ce_type` | one of the types below; the suffix is the major version |
| `ce_time` | when it happened: RFC 3339 with an offset, at most {SKEW // NANOSECONDS // 60} minutes later than the record's own timestamp |
| `content-type` | `application/json` |

The **key** of a record is its `customer_id` in UTF-8, and its partition is `murmur2(key) & 0x7fffffff mod partitions`, the rule of
Java's client. A record on another partition is sent home by lifecycle.

A field that is absent or null says nothing; unknown fields are ignored. The JSON Schemas (2020-12) of all types are in
[events/schemas](../../events/schemas).
"""


def _topics() -> str:
    rows = [
        (
            f"[`{topic.name}`](#{anchor(topic.name)})",
            topic.writer,
            "as many as there are shards" if topic.keyed else "1",
            "for ever" if topic.retention is None else f"{topic.retention // DAY_MS} days",
            f"{topic.bytes_max // 1024} KiB",
            topic.purpose,
        )
        for topic in TOPICS
    ]
    return "## Topics\n\n" + table(("topic", "writer", "partitions", "kept", "largest record", "carries"), rows)


def _section(topic: Topic, parts: dict[str, Mapping[str, Any]]) -> str:
    head = f"## {topic.name}\n\nWritten by {topic.writer}: {topic.purpose}.\n"
    if topic is MOVED:
        types = {name: data for name, data in topic.types.items() if name.startswith("lifecycle.")}
        head += "\nCarries every type of lifecycle's inputs, unchanged, and one of its own.\n"
    else:
        types = dict(topic.types)
    if topic.name in _REFERENCE:
        head += (
            "\nReference data: a record is one whole version, JSON with `version`, `effective_from`, `author`, `content` and, where it was"
            f" read from a file, its `digest`. {_REFERENCE[topic.name].capitalize()} by this version of Handoff.\n"
        )
    elif not types:
        head += "\nSee [dead letters](dead-letters.md).\n"
    return "\n".join([head, *(_type(name, data, parts) for name, data in types.items())])


def _type(name: str, data: type[Data], parts: dict[str, Mapping[str, Any]]) -> str:
    made = schema.schema(name)
    definitions = dict(made["$defs"])
    own = definitions.pop(data.__name__)
    parts |= definitions
    return f"### {name}\n\n{_describe(own)}"


def _parts(parts: Mapping[str, Mapping[str, Any]]) -> str:
    sections = [f"### {name}\n\n{_describe(definition)}" for name, definition in sorted(parts.items())]
    return "\n".join(["## What events are made of\n", *sections])


def _describe(definition: Mapping[str, Any]) -> str:
    required = definition.get("required", ())
    rows = [
        (
            code(name),
            words(field, link),
            "yes" if name in required else "",
            prose(field.get("description", "")),
            json_code(field["examples"][0]) if "examples" in field else "",
        )
        for name, field in definition["properties"].items()
    ]
    return f"{prose(definition['description'])}\n\n{table(('field', 'type', 'required', 'meaning', 'example'), rows)}"
