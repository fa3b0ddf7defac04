"""``GET /v1/timeline/{customer_id}``: every fact of a record in fold order, what it changed there, and what late ones corrected.

Pages are cut at facts (keyset), so that a fact that comes in meanwhile moves nothing. Only the facts of a page are folded again.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, Final, Literal

import msgspec

from events.codec import Fact
from events.facts import FactRef
from events.values import NANOSECONDS, format_instant
from events.web import cursors
from events.web.spreadsheet import csv_of, safe
from services.lifecycle.domain.arrivals import Arrival, arrivals, ref_of
from services.lifecycle.domain.fold import steps
from services.lifecycle.domain.order import Key, key_of
from services.lifecycle.effects import at_arrival, at_its_place
from services.lifecycle.reading import Reading, head, plain
from services.lifecycle.store import Store

Order = Literal["desc", "asc"]
CSV_PAGE: Final = 500
COLUMNS: Final = (
    *("occurred_at", "recorded_at", "late", "delay_seconds", "corrected_since", "type", "source", "id"),
    *("stage_from", "stage_to", "status_from", "status_to", "owner_from", "owner_to"),
    *("deals", "handoffs", "effective", "rule", "data"),
)
"""The columns of CSV: what a fact changed is the status and the owner before and after, deals and hand-offs in words."""


def place_of(cursor: str) -> Key:
    """The fact after which a page begins. Raises ``ValueError``."""
    at, rank, source, name = cursors.place_of(cursor, tuple[cursors.Whole, cursors.Whole, str, str])
    return at, rank, source.encode(), name.encode()


def cursor_of(key: Key) -> str:
    """A place as an opaque cursor."""
    at, rank, source, name = key
    return cursors.cursor_of(at, rank, source.decode(), name.decode())


def timeline_view(store: Store, reading: Reading, *, order: Order, after: Key | None, limit: int) -> dict[str, Any]:
    """A page of the timeline."""
    facts = _facts(reading, order, after)
    page = facts[:limit]
    entries = _entries(store, reading, _came(reading), page)
    return {
        **head(reading),
        "version": reading.record.version,
        "facts": len(reading.record.fold.facts),
        "timeline": entries,
        "next": cursor_of(key_of(page[-1])) if len(facts) > limit else None,
    }


def timeline_csv(store: Store, reading: Reading, *, order: Order, after: Key | None) -> Iterator[str]:
    """The whole timeline, or what is left of it after a fact."""
    facts = _facts(reading, order, after)
    came = _came(reading)
    yield csv_of(COLUMNS, [])
    for begin in range(0, len(facts), CSV_PAGE):
        yield csv_of(None, map(_row, _entries(store, reading, came, facts[begin : begin + CSV_PAGE])))


def _facts(reading: Reading, order: Order, after: Key | None) -> Sequence[Fact]:
    facts = [fact for key, fact in reading.record.fold.facts if after is None or (key < after if order == "desc" else key > after)]
    return facts if order == "desc" else facts[::-1]


# ------------------------------------------------------------------------------------------- entries


def _came(reading: Reading) -> Mapping[FactRef, Arrival]:
    """How each fact that stands came in."""
    return {ref_of(arrival.fact): arrival for arrival in arrivals(reading.accepted) if not arrival.replaced}


def _entries(store: Store, reading: Reading, came: Mapping[FactRef, Arrival], page: Sequence[Fact]) -> list[dict[str, Any]]:
    if not page:
        return []
    places = [key_of(fact) for fact in page]
    first, last = min(places), max(places)
    taken = takewhile(lambda step: key_of(step.fact) <= last, steps(reading.record.fold, first, reading.policy))
    changed = {ref_of(step.fact): at_its_place(step) for step in taken}
    corrected = _corrected(store, reading, [came[ref_of(fact)] for fact in page])
    return [_entry(came[ref], changed[ref], corrected.get(ref)) for ref in map(ref_of, page)]


def _entry(arrival: Arrival, changed: dict[str, Any], corrected: dict[str, Any] | None) -> dict[str, Any]:
    fact = arrival.fact  # as it came: the record's own is what its fold reads
    data = msgspec.to_builtins(fact.data)
    del data["customer_id"]
    entry: dict[str, Any] = plain(
        {
            "type": fact.type,
            "source": fact.source,
            "id": fact.id,
            "occurred_at": format_instant(fact.occurred_at),
            "recorded_at": format_instant(fact.recorded_at),
            "version": arrival.version,
            "data": data,
            "changed": changed,
            "late": arrival.late,
            "delay_seconds": round((fact.recorded_at - fact.occurred_at) / NANOSECONDS, 3),
            "corrected": corrected,
        }
    )
    return entry


def _corrected(store: Store, reading: Reading, page: Sequence[Arrival]) -> Mapping[FactRef, dict[str, Any]]:
    """What the late ones among some arrivals corrected; those that came in together share it."""
    shard, found, told = store.home(reading.record.customer_id), {}, {}
    for arrival in page:
        if not arrival.late:
            continue
        until = reading.record.version if arrival.changes_until is None else arrival.changes_until
        if arrival.changes_after not in told:
            events = store.events_of(shard, reading.record.customer_id, after=arrival.changes_after, until=until)
            told[arrival.changes_after] = at_arrival(event for _, event in events)
        found[ref_of(arrival.fact)] = {"together_with": arrival.together, **told[arrival.changes_after]}
    return found


# ----------------------------------------------------------------------------------------------- CSV


def _row(entry: Mapping[str, Any]) -> list[Any]:
    changed = entry["changed"]
    status, owner, command = (changed.get(name) or {} for name in ("status", "owner", "command"))
    before, after = status.get("from") or {}, status.get("to") or {}
    return [
        entry["occurred_at"],
        entry["recorded_at"],
        entry["late"],
        entry["delay_seconds"],
        (entry["corrected"] or {}).get("since"),
        entry["type"],
        safe(entry["source"]),
        safe(entry["id"]),
        before.get("stage"),
        after.get("stage"),
        safe(before.get("status")),
        safe(after.get("status")),
        safe(owner.get("from")),
        safe(owner.get("to")),
        safe("; ".join(map(_deal_in_words, changed.get("deals", ())))),
        safe("; ".join(f"{each['rep_id']} {each['progress']}" for each in changed.get("handoffs", ()))),
        command.get("effective"),
        command.get("rule"),
        msgspec.json.encode(entry["data"]).decode(),
    ]


def _deal_in_words(deal: Mapping[str, Any]) -> str:
    changes = [f"{field} {_word(change['from'])} -> {_word(change['to'])}" for field, change in deal.items() if field != "deal_id"]
    return f"{deal['deal_id']}: {', '.join(changes)}"


def _word(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{value['amount']} {value['currency']}"
    return "none" if value is None else str(value)
