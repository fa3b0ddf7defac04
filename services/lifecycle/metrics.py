"""What Prometheus is told: records and events as they are committed, and the state of the service when it asks."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from events.bus.progress import Progress

SOURCES_MAX: Final = 50
"""How many sources are counted by name: whatever producers call themselves, there is an end to it."""
OTHERS: Final = "(others)"


class Senders:
    """How many records of each source lay in another partition than their customer's and were sent home, since the start."""

    def __init__(self) -> None:
        self.counts: Mapping[str, int] = {}
        """Replaced as a whole, so that other threads may read it."""

    def count(self, moved: Mapping[str, int]) -> None:
        """So many records more, by ``ce_source``; sources beyond the first 50 are one."""
        counts = dict(self.counts)
        for source, number in moved.items():
            name = source if source in counts or len(counts) < SOURCES_MAX else OTHERS
            counts[name] = counts.get(name, 0) + number
        self.counts = counts


class Counters(Struct):
    """What is counted of the batches that were committed."""

    records: Counter
    events: Counter
    moved: Senders

    @classmethod
    def on(cls, registry: CollectorRegistry) -> "Counters":
        """The counters, registered."""
        return cls(
            Counter("handoff_events_consumed", "Input records by outcome", ["topic", "outcome"], registry=registry),
            Counter("handoff_events_stored", "Stored events by kind", ["kind"], registry=registry),
            Senders(),
        )


def intake_counter(registry: CollectorRegistry) -> Counter:
    """Events that came over HTTP, registered."""
    return Counter("handoff_intake_events", "Events sent over HTTP, by what became of them", ["type", "outcome"], registry=registry)


class StateCollector(Collector):
    """Reads lag and dead letters at every scrape."""

    def __init__(
        self, progress: Callable[[], Progress], dead_letters: Callable[[], Mapping[str, int]], senders: Senders | None = None
    ) -> None:
        self._progress = progress
        self._dead_letters = dead_letters
        self._senders = senders or Senders()

    def describe(self) -> Iterable[Metric]:
        """Nothing: what is collected is known when it is collected."""
        return ()

    def collect(self) -> Iterable[Metric]:
        progress = self._progress()
        yield GaugeMetricFamily("handoff_consumer_lag_records", "Records not yet reflected or relayed", value=progress.lag)
        yield GaugeMetricFamily("handoff_consumer_lag_seconds", "Age of what is not yet reflected", value=progress.lag_seconds)
        yield GaugeMetricFamily("handoff_outbox_pending", "Stored events not yet acknowledged by Kafka", value=progress.pending)
        depth = GaugeMetricFamily("handoff_dlq_depth", "Dead letters that wait for somebody, by error", labels=["error"])
        for error, count in self._dead_letters().items():
            depth.add_metric([error], count)
        yield depth
        moved = CounterMetricFamily(
            "handoff_records_moved", "Records that lay in another partition than their customer's, by source", labels=["source"]
        )
        for source, count in self._senders.counts.items():
            moved.add_metric([source], count)
        yield moved
