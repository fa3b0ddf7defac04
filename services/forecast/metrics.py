"""What Prometheus is told: records by outcome as they are taken in, and the state of the service when it asks."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from events.bus.progress import Progress
from events.topics import LIFECYCLE
from services.forecast.figures import Figures
from services.forecast.store import Store


class Metrics:
    """Counters of what was committed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._consumed: Final = Counter(
            "handoff_events_consumed", "Input records by outcome", ["topic", "outcome"], registry=registry
        )

    def took(self, outcomes: Mapping[str, int]) -> None:
        """Records were taken in, and this became of them."""
        for outcome, count in outcomes.items():
            self._consumed.labels(LIFECYCLE.name, outcome).inc(count)


class StateCollector(Collector):
    """Reads position, lag and dead letters at every scrape."""

    def __init__(self, store: Store, progress: Callable[[], Progress], code_version: str) -> None:
        self._store = store
        self._progress = progress
        self._code_version = code_version

    def describe(self) -> Iterable[Metric]:
        """Nothing: what is collected is known when it is collected."""
        return ()

    def collect(self) -> Iterable[Metric]:
        progress = self._progress()
        with self._store.snapshot() as cursor:
            figures = Figures(cursor)
            position, letters = figures.position(), figures.dead_letters()
        yield GaugeMetricFamily("handoff_projection_position", "Sum of the next offsets", value=position)
        yield GaugeMetricFamily("handoff_consumer_lag_records", "Records not yet reflected", value=progress.lag)
        yield GaugeMetricFamily("handoff_consumer_lag_seconds", "Age of what is not yet reflected", value=progress.lag_seconds)
        depth = GaugeMetricFamily("handoff_dlq_depth", "Dead letters that wait for somebody, by error", labels=["error"])
        for error, count in letters.items():
            depth.add_metric([error], count)
        yield depth
        build = GaugeMetricFamily("handoff_build_info", "The version that runs", labels=["service", "version"])
        build.add_metric(["forecast", self._code_version], 1)
        yield build
