"""A topic on the memory bus that was lost, and what recover.md says under "Restore a topic" done about it."""

from events.bus.cursor import Opens
from events.bus.memory import MemoryBus
from events.record import Message


def made_anew(bus: MemoryBus, topic: str, *, copied: bool) -> None:
    """Another topic of the same name; where it is copied, with the same records."""
    records = bus.records(topic)
    partitions = bus.partitions(topic)
    bus.delete(topic)
    bus.create(topic, partitions)
    for record in records if copied else ():
        bus.append(Message(topic, record.key, record.value, record.headers, record.partition, record.timestamp))


def forget(begin: Opens, *topics: str) -> None:
    """Delete a service's position rows of these topics."""
    with begin() as cursor:
        for topic in topics:
            cursor.execute("DELETE FROM position WHERE topic = ?", (topic,))
            assert cursor.rowcount > 0
