"""A record of any topic as a line for people, and as an object for programs. Pure.

What cannot be read is shown too, with the reason: a look at a topic must not hide what is wrong there.
"""

import json
from typing import Any, Final

import msgspec

from events.assignments import HandoffBreached, HandoffCompleted, LeadAssigned, LeadUnassigned
from events.codec import Undecodable, decode
from events.facts import Data
from events.published import CommandRefused, DealChange, DealsChanged, HandoffProgressed, RecordChanged, Status, StatusChanged
from events.record import Record
from events.topics import TOPICS
from events.values import format_instant

MILLISECOND: Final = 1_000_000
DEALS_SHOWN: Final = 3

_REASON: Final = "dl_reason"
_WITHOUT_TYPES: Final = frozenset(topic.name for topic in TOPICS if not topic.types)


def line(record: Record) -> str:
    """One line: when it came into the log, what it is, about whom, and the gist of it."""
    stamp = format_instant(record.timestamp * MILLISECOND).replace("T", " ").partition(".")[0].removesuffix("Z")
    return f"{stamp}  {_told(record)}"


def as_object(record: Record) -> dict[str, Any]:
    """Everything about a record that JSON can hold."""
    headers = {name: value.decode(errors="replace") for name, value in record.headers}
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "recorded_at": format_instant(record.timestamp * MILLISECOND),
        "key": None if record.key is None else record.key.decode(errors="replace"),
        "headers": headers,
        "data": _json(record.value),
    }


def _told(record: Record) -> str:
    headers = dict(record.headers)
    if record.topic in _WITHOUT_TYPES:
        if _REASON in headers:
            origin = f"{headers['dl_topic'].decode()}[{headers['dl_partition'].decode()}] at {headers['dl_offset'].decode()}"
            place = headers.get("dl_path", b"").decode()
            reason = f"{place} {headers[_REASON].decode()}".lstrip()
            return f"{record.topic}  {headers['dl_error'].decode()} of {origin}: {reason}"
        return f"{record.topic}  {_version(_json(record.value))}"
    fact = decode(record)
    if isinstance(fact, Undecodable):
        return f"{record.topic}[{record.partition}] at {record.offset} cannot be read: {fact.path} {fact.reason}"
    return f"{fact.type}  {fact.customer_id}  {gist(fact.data)}"


def gist(data: Data) -> str:
    """What an event says, in a few words."""
    match data:
        case StatusChanged():
            before = f"{_status(data.previous)} -> " if data.previous and data.previous != data.current else ""
            return f"{before}{_status(data.current)}, owner {data.owner or 'nobody'}"
        case RecordChanged():
            return f"{' and '.join(data.changed)}: owner {data.owner or 'nobody'}"
        case DealsChanged():
            more = f" and {len(data.deals) - DEALS_SHOWN} more" if len(data.deals) > DEALS_SHOWN else ""
            return "; ".join(map(_deal, data.deals[:DEALS_SHOWN])) + more
        case HandoffProgressed():
            return f"{'not ' if data.withdrawn else ''}{data.progress} by {data.rep_id}{' after all' if data.withdrawn else ''}"
        case CommandRefused():
            return f"{data.command.type} {data.command.id}: {'has effect now' if data.effective else data.explanation or data.rule}"
        case LeadAssigned():
            return f"{data.rep_id}, territory {data.territory}, {data.strategy}"
        case LeadUnassigned():
            return f"nobody: {data.reason}"
        case HandoffBreached() | HandoffCompleted():
            return data.rep_id
        case _:
            said = msgspec.json.decode(msgspec.json.encode(data))
            del said["customer_id"]
            return ", ".join(f"{name} {_value(value)}" for name, value in said.items())


def _status(status: Status) -> str:
    return f"{status.stage}, {status.name}"


def _deal(deal: DealChange) -> str:
    if not deal.states:
        return f"{deal.deal_id} is no deal of its own"
    image = deal.states[-1].image
    amount = image.amounts.amount
    return f"{deal.deal_id} {image.state} {image.status}" + (f" {amount.amount} {amount.currency}" if amount else "")


def _value(value: Any) -> str:
    if isinstance(value, dict) and value.keys() == {"amount", "currency"}:
        return f"{value['amount']} {value['currency']}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _version(value: Any) -> str:
    if not isinstance(value, dict):
        return "is no version"
    return f"version {value.get('version')} by {value.get('author')}, in force from {value.get('effective_from')}"


def _json(value: bytes | None) -> Any:
    """The value as JSON, or as the text that it is."""
    if value is None:
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value.decode(errors="replace")
