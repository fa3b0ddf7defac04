"""The facts of a record by their identity, and where each came from."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct
from rpds import HashTrieMap

from events.codec import Fact
from events.facts import FactRef

Origin = tuple[str, int, int]
"""The record that a fact came in: topic, partition, offset."""


class Known(Struct, frozen=True, gc=False):
    """A fact of the set: the digest that tells it from another of the same identity, and the record it came in."""

    digest: bytes
    fact: Fact
    origin: Origin


FactsByRef: TypeAlias = "HashTrieMap[FactRef, Known]"
"""The facts of a set by their identity."""
