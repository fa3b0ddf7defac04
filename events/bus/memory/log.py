"""One log in memory: records with their offsets, and the offsets that no reader sees."""

from collections.abc import Sequence
from typing import Final

from events.record import Message, Record, TopicPartition


class Log:
    """A partition. Offsets are given in order; markers and aborted records take one and stay invisible."""

    def __init__(self, place: TopicPartition) -> None:
        self.place: Final = place
        self.begin = 0
        self._records: list[Record | None] = []
        self._open: dict[int, int] = {}

    @property
    def end(self) -> int:
        """The offset after the last one, whoever sees it."""
        return self.begin + len(self._records)

    @property
    def stable(self) -> int:
        """Where committed readers must stop: the end, or the begin of the oldest open transaction."""
        return min(self._open.values(), default=self.end)

    def append(self, message: Message, timestamp: int, transaction: int | None = None) -> Record:
        """Write a message, as part of a transaction if one is named."""
        if transaction is not None:
            self._open.setdefault(transaction, self.end)
        record = Record(
            topic=self.place.topic,
            partition=self.place.partition,
            offset=self.end,
            timestamp=timestamp,
            key=message.key,
            value=message.value,
            headers=message.headers,
        )
        self._records.append(record)
        return record

    def gap(self, offsets: int = 1) -> None:
        """Use up offsets, as transaction markers and compaction do."""
        self._records.extend([None] * offsets)

    def conclude(self, transaction: int, written: Sequence[int], *, abort: bool) -> None:
        """End a transaction that wrote at these offsets: its records appear, or never do; the marker takes an offset."""
        if abort:
            for offset in written:
                self._records[offset - self.begin] = None
        self._open.pop(transaction, None)
        self.gap()

    def truncate(self, begin: int) -> None:
        """Delete what lies before an offset (retention)."""
        del self._records[: max(0, begin - self.begin)]
        self.begin = max(self.begin, begin)

    def cut(self, end: int) -> None:
        """Lose everything from an offset on (a restored backup)."""
        del self._records[max(0, end - self.begin) :]

    def read(self, offset: int, limit: int) -> tuple[list[Record], int]:
        """Up to ``limit`` visible records from an offset on, and the next offset, past everything invisible that follows."""
        found: list[Record] = []
        stable = self.stable
        while offset < stable:
            record = self._records[offset - self.begin]
            if record is not None:
                if len(found) == limit:
                    break
                found.append(record)
            offset += 1
        return found, offset
