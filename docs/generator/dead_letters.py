"""The page of dead letters: the classes of errors, and what the codec says of records that are wrong in usual ways."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from docs.generator.markdown import code, table
from events.codec import Undecodable, decode
from events.record import Headers, Record
from events.topics import OPPORTUNITY, dead_letters

ERRORS: Final[Mapping[str, tuple[str, str]]] = {
    "Undecodable": (
        "the record says nothing that could be taken in: not CloudEvents, not JSON, an unknown type, a field that breaks a rule",
        "the sender corrects it and sends it again, with the same id: the first one was never taken in",
    ),
    "IdentityConflict": (
        "two events of a customer have the same source and id, and other content; one of them is the fact, this is the other",
        "a correction is a new event with an id of its own",
    ),
    "LimitExceeded": (
        "a customer's record, a deal of it or its attributes would become larger than Handoff keeps (lifecycle only)",
        "most often the sender says the same customer or opportunity where it knows none; the reason names the limit",
    ),
    "IncompleteMessage": (
        "parts of a long message of lifecycle came without the others (forecast only)",
        "no sender is to blame: report it, for lifecycle publishes all parts of a message, in order",
    ),
    "Bug": (
        "the code could not deal with the record, three times; the service is not ready (`/readyz`) as long as one waits",
        "report it with the letter, which holds everything that is needed; replay it with a release in which it is mended",
    ),
}
"""The closed list: what it means, and the way out."""

_HEADERS: Final = {
    "dl_number": "the number of the letter: `handoff dead-letters show SERVICE/NUMBER`",
    "dl_topic": "the topic that the record lay on",
    "dl_partition": "its partition",
    "dl_offset": "its offset",
    "dl_error": "the class, one of those above",
    "dl_reason": "what is wrong, in words",
    "dl_path": "where: a JSON path (`$.amount.currency`), `header ce_time`, `key`, `value`",
    "dl_attempts": "how often it was tried",
    "dl_code_version": "the version of Handoff that gave it up",
}

_RIGHT: Final[Mapping[str, Any]] = {
    "customer_id": "acme",
    "opportunity_id": "O-17",
    "amount": {"amount": "12000.00", "currency": "EUR"},
}
_TYPE: Final = "crm.opportunity.created.v1"
_NOW_MS: Final = 1_767_607_200_000
"""2026-01-05T10:00:00Z."""


def page() -> str:
    """The page."""
    classes = table(("error", "what it means", "the way out"), ((code(name), *words) for name, words in ERRORS.items()))
    headers = table(("header", "meaning"), ((code(name), meaning) for name, meaning in _HEADERS.items()))
    usual = table(("what is wrong", "path", "reason"), usual_reasons())
    topics = ", ".join(code(dead_letters(service).name) for service in ("lifecycle", "routing", "forecast"))
    return f"""# Dead letters

A record that cannot be taken in becomes one dead letter, in the same transaction that moves the position past it; nothing else waits for
it. It is kept in the service's database and published on the service's topic: {topics}.

{classes}
The record on the topic has the original key, value, headers and timestamp, and besides:

{headers}
`handoff dead-letters list` shows what waits, `handoff dead-letters show` one of them with its bytes, and `handoff status` counts them; over
HTTP it is [the same](http.md#dead-letters). What to do about them is in [recover](../how-to/recover.md#dead-letters).

## States

| state | what it means |
| --- | --- |
| `waiting` | nobody has done anything about it; it is kept until somebody has |
| `replayed` | it is published once more, where it came from: the original key, value and headers, in the original partition, and a header `dl_replay` with the service, the number of the letter and that of the act. If it is refused again, that is a new letter which names the first one |
| `dropped` | somebody has said that nothing is to be done, and why; it can be replayed all the same |

A letter that was replayed or dropped is forgotten after `HANDOFF_DEAD_LETTER_DAYS` days. Before a replay the service is asked what would
become of the record now, by the code that would take it in: only what would be accepted, or is known already, is replayed unless it is
forced. Besides the errors above it may say:

| error | what it means |
| --- | --- |
| `Overtaken` | what came after it about the customer was taken in, and it cannot be added any more: routing decides by the next change of the record, forecast needs its view [made again](../how-to/recover.md#a-view-that-is-wrong); then drop the letter. It is not replayed even if it is forced, for it would be passed over |
| `TooLarge` | with the header it would be larger than its topic takes; it is not replayed even if it is forced |

## Reasons

What the codec says of records that are wrong in usual ways; each line was made by giving it such a record.

{usual}"""


def usual_reasons() -> Iterator[tuple[str, str, str]]:
    """Wrong records and what is said of them. Raises ``AssertionError`` where one is accepted."""
    for what, record in _wrong():
        said = decode(record)
        assert isinstance(said, Undecodable), what
        yield what, code(said.path), said.reason


def _wrong() -> Iterator[tuple[str, Record]]:
    yield "no CloudEvents headers", _record(headers=())
    yield "no id", _record(ce_id=None)
    yield "a time without an offset", _record(ce_time="2026-01-05T09:00:00")
    yield "a time in the future", _record(ce_time="2026-01-05T12:00:00Z")
    yield "a misspelt type", _record(ce_type="crm.oportunity.created.v1")
    yield "a type on another topic", _record(ce_type="crm.lead.created.v1")
    yield "an unknown major version", _record(ce_type="crm.opportunity.created.v2")
    yield "the key is not the customer id", _record(key=b"O-17")
    yield "no key", _record(key=None)
    yield "not JSON", _record(value=b"{'customer_id': 'acme'}")
    yield "an empty value", _record(value=None)
    yield "a required field is missing", _record(_without("amount"))
    yield "an amount that is no decimal", _record({**_RIGHT, "amount": {"amount": "12,000", "currency": "EUR"}})
    yield "an amount with too many decimals", _record({**_RIGHT, "amount": {"amount": "1.005", "currency": "EUR"}})
    yield "no currency", _record({**_RIGHT, "amount": {"amount": "12000"}})
    yield "a currency by its name", _record({**_RIGHT, "amount": {"amount": "12000", "currency": "Euro"}})
    yield "a negative amount", _record({**_RIGHT, "amount": {"amount": "-1", "currency": "EUR"}})
    yield "a probability beyond 100", _record({**_RIGHT, "probability": 120})
    yield "a date in another spelling", _record({**_RIGHT, "close_date": "30.06.2026"})
    yield "a word that is not in the list", _record({**_RIGHT, "category": "commit"})


def _without(field: str) -> dict[str, Any]:
    return {name: value for name, value in _RIGHT.items() if name != field}


def _record(
    data: Mapping[str, Any] = _RIGHT,
    *,
    key: bytes | None = b"acme",
    value: bytes | None = b"",
    headers: Headers | None = None,
    **changed: str | None,
) -> Record:
    """A record that is right but for what is changed; a header that is None is left out, an empty ``value`` is the data."""
    said = {"ce_specversion": "1.0", "ce_id": "crm-17", "ce_source": "crm", "ce_type": _TYPE, "ce_time": "2026-01-05T09:00:00Z"}
    said["content-type"] = "application/json"
    given = tuple((name, text.encode()) for name, text in {**said, **changed}.items() if text is not None)
    body = json.dumps(data).encode() if value == b"" else value
    return Record(OPPORTUNITY.name, 0, 0, _NOW_MS, key, body, given if headers is None else headers)
