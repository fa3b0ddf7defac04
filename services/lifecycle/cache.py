"""The records in memory, each with its shard: those used last, within two bounds.

How many records there are bounds what short ones take, how many facts they have together what long ones take. A record is
valid here only while this worker owns its shard (DESIGN 4).
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, MutableMapping

from services.lifecycle.domain.record import Record

Entry = tuple[int, Record]
"""A record and its shard."""


class Cache(MutableMapping[str, Entry]):
    """By customer id. ``records_max`` and ``facts_max`` may be exceeded until the next :meth:`trim`. Belongs to one thread."""

    def __init__(self, *, records_max: int, facts_max: int) -> None:
        self._records_max = records_max
        self._facts_max = facts_max
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._facts = 0

    def __getitem__(self, customer: str) -> Entry:
        return self._entries[customer]

    def __contains__(self, customer: object) -> bool:
        return customer in self._entries

    def __setitem__(self, customer: str, entry: Entry) -> None:
        before = self._entries.get(customer)
        self._facts += _facts(entry) - (_facts(before) if before is not None else 0)
        self._entries[customer] = entry

    def __delitem__(self, customer: str) -> None:
        self._facts -= _facts(self._entries.pop(customer))

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def used(self, customers: Iterable[str]) -> None:
        """These were needed just now: they stay longest."""
        for customer in customers:
            if customer in self._entries:
                self._entries.move_to_end(customer)

    def trim(self) -> None:
        """Let go of what was used longest ago, until the bounds are kept."""
        while self._entries and (len(self._entries) > self._records_max or self._facts > self._facts_max):
            _, entry = self._entries.popitem(last=False)
            self._facts -= _facts(entry)

    def forget(self, shards: Collection[int]) -> None:
        """These shards may be another worker's."""
        for customer in [customer for customer, (shard, _) in self._entries.items() if shard in shards]:
            del self[customer]


def _facts(entry: Entry) -> int:
    return len(entry[1].known)
