"""What Prometheus is told: records and events as they are committed, and the state of the service when it asks."""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from events.bus.progress import Progress


class Counters(Struct):
    """What is counted of the batches that were committed."""

    records: Counter
    events: Counter

    @classmethod
    def on(cls, registry: CollectorRegistry) -> "Counters":
        """The counters, registered."""
        return cls(
            Counter("handoff_events_consumed", "Input records by outcome", ["outcome"], registry=registry),
            Counter("handoff_events_stored", "Stored events by kind", ["kind"], registry=registry),
        )


class StateCollector(Collector):
    """Reads lag and dead letters at every scrape."""

    def __init__(self, progress: Callable[[], Progress], dead_letters: Callable[[], Mapping[str, int]]) -> None:
        self._progress = progress
        self._dead_letters = dead_letters

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
