"""What Prometheus is told: records and decisions as they are committed, and the state of the service when it asks."""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from events.bus.letters import DeadLetter
from events.bus.progress import Progress
from events.record import Record


class Counters(Struct):
    """What is counted of the batches that were committed."""

    records: Counter
    decisions: Counter

    @classmethod
    def on(cls, registry: CollectorRegistry) -> "Counters":
        """The counters, registered."""
        return cls(
            Counter("handoff_events_consumed", "Input records by outcome", ["topic", "outcome"], registry=registry),
            Counter("handoff_routing_decisions", "Events in the desk's log by kind", ["kind"], registry=registry),
        )

    def took(self, records: Sequence[Record], letters: Sequence[DeadLetter]) -> None:
        """Count records of one topic that were taken in, and those of them that became dead letters."""
        buried = Tally(letter.error for letter in letters)
        for outcome, count in {**buried, "accepted": len(records) - len(letters)}.items():
            self.records.labels(records[0].topic, outcome).inc(count)


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
        yield GaugeMetricFamily("handoff_consumer_lag_records", "Records not yet reflected, in both hops", value=progress.lag)
        yield GaugeMetricFamily("handoff_consumer_lag_seconds", "Age of what is not yet reflected", value=progress.lag_seconds)
        depth = GaugeMetricFamily("handoff_dlq_depth", "Dead letters that wait for somebody, by error", labels=["error"])
        for error, count in self._dead_letters().items():
            depth.add_metric([error], count)
        yield depth
