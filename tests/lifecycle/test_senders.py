"""Who uses another partitioner: counted by source when records are sent home, told by status and metrics, within bounds."""

from typing import Any

from fastapi.testclient import TestClient
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from events.bus.partitioner import murmur2
from events.codec import encode
from events.facts import LeadCreated
from events.record import Message
from events.topics import LEAD
from events.values import parse_instant
from services.lifecycle.api import create_app
from services.lifecycle.metrics import OTHERS, SOURCES_MAX, Senders, StateCollector
from tests.lifecycle.harness import SHARDS

DAY = parse_instant("2026-03-01T09:00:00Z")


def lead(source: str, id: str, *, astray: bool) -> Message:
    """A lead of acme's, in its home partition or in another one."""
    data = LeadCreated(customer_id="acme")
    message = encode(LEAD.name, "crm.lead.created.v1", data, source=source, id=id, occurred_at=DAY, recorded_at=DAY)
    return replace(message, partition=(murmur2(b"acme", SHARDS) + astray) % SHARDS)


def test_records_sent_home_are_counted_by_source(lifecycle: Any) -> None:
    registry, senders = CollectorRegistry(), lifecycle.counters.moved
    registry.register(StateCollector(lifecycle.loop.progress, lifecycle.store.ledger.dead_letters, senders))
    http = TestClient(create_app(lifecycle.store, lifecycle.tables, lifecycle.loop.progress, registry, senders))
    producer = lifecycle.bus.producer()
    producer.send([lead("web", "1", astray=True), lead("web", "2", astray=True), lead("crm", "3", astray=False)]).wait(5)
    lifecycle.settle()
    assert http.get("/v1/status").json()["moved"] == {"web": 2}
    assert 'handoff_records_moved_total{source="web"} 2.0' in http.get("/metrics").text


def test_there_is_an_end_to_the_sources_that_are_counted_by_name() -> None:
    senders = Senders()
    for number in range(SOURCES_MAX + 10):
        senders.count({f"source-{number}": 1})
    senders.count({"source-0": 5})
    assert len(senders.counts) == SOURCES_MAX + 1
    assert (senders.counts["source-0"], senders.counts[OTHERS]) == (6, 10)
