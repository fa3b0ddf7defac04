"""What a service gives the bus: a worker that takes records in, and an outbox of what they brought about.

All calls come from the loop's thread. Nothing here is kept by the bus: positions, dead letters and relay numbers are rows in the
worker's own database (:mod:`events.bus.ledger`), written in the same transaction as what they are about.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from events.bus.ledger import Outgoing
from events.record import Record, TopicPartition


class Outbox(Protocol):
    """The worker's side: numbered streams whose entries are committed and never change."""

    def streams(self) -> Mapping[str, int]:
        """The outgoing streams that this worker owns now, with the number up to which each is acknowledged."""

    def outgoing(self, stream: str, after: int, limit: int) -> Sequence[Outgoing]:
        """Up to ``limit`` entries of a stream with greater numbers than ``after``, in order; empty when there are none."""

    def acknowledged(self, stream: str, number: int) -> None:
        """The log has everything of a stream up to ``number``."""


class Worker(Outbox, Protocol):
    """What a service gives the loop. All calls come from the loop's thread."""

    def claim(self, places: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Take over logs that were assigned: the next offset of each (``Ledger.claim``)."""

    def release(self, places: Collection[TopicPartition]) -> None:
        """Logs are no longer this worker's: drop caches, and let go (``Ledger.release``)."""

    def process(self, records: Sequence[Record]) -> None:
        """Decode, decide, and commit in one ``Ledger.transaction``; what cannot be decoded is buried in it."""

    def reject(self, record: Record, error: BaseException, attempts: int) -> None:
        """Commit one record's position, and a dead letter with error ``Bug``."""

    def settle(self) -> None:
        """Save acknowledged relay positions now, if there are any (``Ledger.settle``)."""

    def pending(self) -> int:
        """How many entries of all owned streams are not acknowledged."""
