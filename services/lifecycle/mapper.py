"""Stored events to bytes and back: JSON under durable names, which are part of the data and never change.

A row of the store is either an event of a customer's record, or (``Forwarded``) a message that lifecycle itself has to send.
"""

from functools import cache
from typing import Final

import msgspec
from msgspec import Raw, Struct

from events.codec import Fact
from events.facts import Data
from events.topics import MOVED
from services.lifecycle.domain.events import EVENTS, AnyEvent, FactAccepted, TablesApplied


class Forwarded(Struct, frozen=True, kw_only=True):
    """A record on its way to the customer's home shard (another partition's, or a tick of the clock): the bytes as they are.

    ``headers`` are pairs of name and bytes; ``timestamp`` in milliseconds.
    """

    partition: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    timestamp: int


FORWARDED: Final = "forwarded"
"""The durable name of :class:`Forwarded`."""


class _StoredFact(Struct, frozen=True, kw_only=True):
    """A fact as it is stored: the type comes before the data, which is decoded by it."""

    customer_id: str
    source: str
    id: str
    type: str
    occurred_at: int
    recorded_at: int
    data: Raw


class _StoredAcceptance(Struct, frozen=True, kw_only=True):
    recorded_at: int
    origin: tuple[str, int, int]
    fact: _StoredFact
    tables: int = 0


def to_bytes(event: AnyEvent | Forwarded) -> bytes:
    """The event as JSON."""
    return msgspec.json.encode(event)


def fact_from_bytes(state: bytes) -> FactAccepted:
    """A stored ``fact``."""
    stored = _acceptances().decode(state)
    fact = stored.fact
    data = _data_decoder(fact.type).decode(fact.data)
    return FactAccepted(
        recorded_at=stored.recorded_at,
        origin=stored.origin,
        tables=stored.tables,
        fact=Fact(fact.customer_id, fact.source, fact.id, fact.type, fact.occurred_at, fact.recorded_at, data),
    )


def kept_from_bytes(topic: str, state: bytes) -> FactAccepted | TablesApplied:
    """A stored event of those that a record is made of."""
    return fact_from_bytes(state) if topic == FactAccepted.TOPIC else _applied().decode(state)


def from_bytes(topic: str, state: bytes) -> AnyEvent | Forwarded:
    """A stored event by its durable name. Raises ``KeyError`` for a name that this version of the code does not know."""
    if topic == FactAccepted.TOPIC:
        return fact_from_bytes(state)
    return _decoders()[topic].decode(state)


@cache
def _acceptances() -> msgspec.json.Decoder[_StoredAcceptance]:
    return msgspec.json.Decoder(_StoredAcceptance)


@cache
def _applied() -> msgspec.json.Decoder[TablesApplied]:
    return msgspec.json.Decoder(TablesApplied)


@cache
def _data_decoder(type_: str) -> msgspec.json.Decoder[Data]:
    return msgspec.json.Decoder(MOVED.types[type_])


@cache
def _decoders() -> dict[str, msgspec.json.Decoder[AnyEvent | Forwarded]]:
    decoders: dict[str, msgspec.json.Decoder[AnyEvent | Forwarded]] = {FORWARDED: msgspec.json.Decoder(Forwarded)}
    decoders.update({event.TOPIC: msgspec.json.Decoder(event) for event in EVENTS})
    return decoders
