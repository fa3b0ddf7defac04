"""What is told of dead letters: the line of a list, a letter with its bytes, a group, what would become of one."""

from base64 import b64encode
from typing import Any, Final

from events.bus.letters.office import Verdict
from events.bus.letters.selection import DAY_MS, By, Done, Group, Line
from events.record import Record
from events.values import INSTANT_MAX, format_instant

COLUMNS: Final = (
    *("letter", "number", "state", "changed_at", "error", "path", "reason", "topic", "partition", "offset", "recorded_at"),
    *("customer_id", "source", "id", "type", "bytes", "attempts", "code_version", "replay_of"),
)
"""What is said of a letter, in this order."""
TEXTS: Final = ("error", "path", "reason", "customer_id", "source", "id", "type")
"""Those of them that come from outside."""
_KEYS: Final[dict[str, tuple[str, ...]]] = {"reason": ("error", "path", "reason")}
_MILLISECOND: Final = 1_000_000


def line(service: str, each: Line) -> dict[str, Any]:
    """A letter without its bytes."""
    return {
        "letter": name(service, each.number),
        "number": each.number,
        "state": each.state,
        "changed_at": format_instant(each.changed_at) if each.changed_at else None,
        "error": each.error,
        "path": each.path,
        "reason": each.reason,
        "topic": each.topic,
        "partition": each.partition,
        "offset": each.offset,
        "recorded_at": at(each.timestamp),
        "customer_id": each.customer_id,
        "source": each.source,
        "id": each.id,
        "type": each.type,
        "bytes": each.size,
        "attempts": each.attempts,
        "code_version": each.code_version,
        "replay_of": None if each.replay_of is None else name(service, each.replay_of),
    }


def letter(service: str, each: Line, record: Record, done: list[Done], became: list[int], judged: Verdict | None) -> dict[str, Any]:
    """A letter with its bytes, and what came of it."""
    return {
        **line(service, each),
        "key": _bytes(record.key),
        "value": _bytes(record.value),
        "headers": [{"name": header, **(_bytes(value) or {})} for header, value in record.headers],
        "done": [
            {"act": act.act, "at": format_instant(act.at), "actor": act.actor, "reason": act.why, "published": act.published}
            for act in done
        ],
        "became": [name(service, number) for number in became],
        "verdict": None if judged is None else verdict(judged),
    }


def group(by: By, each: Group) -> dict[str, Any]:
    """How many letters there are of a kind."""
    key = (at(each.key[0] * DAY_MS) or "")[:10] if by == "day" else each.key[0]
    said: dict[str, Any] = dict(zip(_KEYS[by], each.key, strict=True)) if by in _KEYS else {str(by): key}
    return {**said, "count": each.count, "first": at(each.first), "last": at(each.last), "newest": each.newest}


def verdict(judged: Verdict) -> dict[str, str | None]:
    """What would become of a letter."""
    said = {"error": judged.error, "reason": judged.reason, "path": judged.path}
    return {"outcome": judged.outcome, **{each: text or None for each, text in said.items()}}


def name(service: str, number: int) -> str:
    """What a letter is called among those of all services."""
    return f"{service}/{number}"


def at(timestamp: int) -> str | None:
    """A time of the log (milliseconds); none where it is no time."""
    instant = timestamp * _MILLISECOND
    return format_instant(instant) if 0 <= instant <= INSTANT_MAX else None


def _bytes(value: bytes | None) -> dict[str, str | None] | None:
    """Bytes as text, where they are text, and in base64, which is always right."""
    if value is None:
        return None
    try:
        text: str | None = value.decode()
    except UnicodeDecodeError:
        text = None
    return {"text": text, "base64": b64encode(value).decode()}
