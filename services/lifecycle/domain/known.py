"""The facts of a record by their identity, and where each came from."""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from rpds import HashTrieMap

from events.assignments import LeadAssigned, LeadUnassigned
from events.codec import Fact, content
from events.facts import FactRef

Origin = tuple[str, int, int]
"""The record that a fact came in: topic, partition, offset."""


class Known(Struct, frozen=True, gc=False):
    """A fact of the set: the digest that tells it from another of the same identity, and the record it came in.

    ``fact`` is what the fold reads: without the trace of an assignment. That is kept beside it as JSON, because as Python's objects
    the traces would be most of what lifecycle holds in memory, and most of what a garbage collection looks at.
    """

    digest: bytes
    fact: Fact
    origin: Origin
    trace: bytes | None = None

    @classmethod
    def of(cls, fact: Fact, origin: Origin) -> Known:
        """A fact, and the record it came in."""
        digest = hashlib.sha256(content(fact)).digest()
        if not isinstance(fact.data, LeadAssigned | LeadUnassigned) or fact.data.trace is None:
            return cls(digest, fact, origin)
        return cls(digest, _traced(fact, None), origin, msgspec.json.encode(fact.data.trace))

    @property
    def whole(self) -> Fact:
        """The fact as it came in."""
        return self.fact if self.trace is None else _traced(self.fact, msgspec.json.decode(self.trace))


def _traced(fact: Fact, trace: dict[str, Any] | None) -> Fact:
    return replace(fact, data=replace(fact.data, trace=trace))


FactsByRef: TypeAlias = "HashTrieMap[FactRef, Known]"
"""The facts of a set by their identity."""
