"""Records that went two ways: their database has still to send what another one has published otherwise, or passed over.

That happens where a database was copied while messages of it were on their way and never arrived, another one published in its
place, and then the copy is put back. To send them now would be a repeat that is not the same, or news to those who have
heard something else. So of such a record nothing is sent that was not heard (it is *withheld*), and it is said anew as a whole.

In go the entries that the log has not acknowledged, and what is published of the shard, record by record; out come the customers,
and the entries that are withheld.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from events.record import Message
from events.record import Record as KafkaRecord
from events.topics import LIFECYCLE
from services.lifecycle.outbound import messages_of, name_of
from services.lifecycle.store import PUBLISHED, Store

ENTRIES_A_READ: Final = 1_000
"""How many entries of the stream are read at once."""

Said = tuple[KafkaRecord, str, int]
"""A published record, with the customer and the version that it says."""


class Parting:
    """What is published of a shard, held against what its database has. ``after``: up to where its stream is acknowledged."""

    def __init__(self, store: Store, shard: int, after: int) -> None:
        self._store = store
        self._shard = shard
        self._unheard = _entries(store, shard, after)
        self._overtaken: set[str] = set()
        self._gone_on: set[str] = set()

    def look(self, said: Sequence[Said]) -> None:
        """Some more records of the log."""
        by_customer: defaultdict[str, list[tuple[int, KafkaRecord]]] = defaultdict(list)
        for record, customer, version in said:
            by_customer[customer].append((version, record))
        sizes = self._store.sizes(self._shard, by_customer.keys())
        for customer, records in by_customer.items():
            self._compare(customer, sizes.get(customer, 0), records)

    def _compare(self, customer: str, size: int, records: Sequence[tuple[int, KafkaRecord]]) -> None:
        stored = self._stored(customer, [version for version, _ in records if version <= size])
        for version, record in records:
            if _is_same(stored.get(version), record):
                self._unheard[customer].pop(version, None)
            elif version <= size:
                self._overtaken.add(customer)
            else:
                self._gone_on.add(customer)

    def _stored(self, customer: str, versions: Collection[int]) -> Mapping[int, Message]:
        """What these versions publish, and those in between."""
        if not versions:
            return {}
        first, last = min(versions), max(versions)
        events = self._store.events_of(self._shard, customer, after=first - 1, until=last, topics=PUBLISHED)
        return {version: message for version, event in events for message in messages_of(customer, version, event)}

    def customers(self) -> set[str]:
        """Of whom something else was published than the database has, under a number of its own or before it was heard itself."""
        return self._overtaken | {customer for customer in self._gone_on if self._unheard[customer]}

    def withheld(self, customers: Collection[str]) -> list[int]:
        """The entries of these customers that must not be sent: to be asked when all that lies on the log was looked at."""
        return [number for customer in customers for number in self._unheard[customer].values()]


def _entries(store: Store, shard: int, after: int) -> defaultdict[str, dict[int, int]]:
    """The entries that wait to be published: by customer their versions, each with its number."""
    found: defaultdict[str, dict[int, int]] = defaultdict(dict)
    while entries := store.outgoing(shard, after, ENTRIES_A_READ):
        after = entries[-1].number
        for number, message in [(entry.number, message) for entry in entries for message in entry.messages]:
            if message.topic == LIFECYCLE.name and (name := name_of(message)) is not None:
                customer, version = name
                found[customer][version] = number
    return found


def _is_same(message: Message | None, record: KafkaRecord) -> bool:
    return message is not None and (message.value, message.headers) == (record.value, record.headers)
