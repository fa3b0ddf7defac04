"""The page of metrics: what each service tells Prometheus."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from docs.generator.dead_letters import ERRORS
from docs.generator.markdown import code, table
from events.bus.progress import Progress
from services.forecast.metrics import Metrics
from services.forecast.metrics import StateCollector as ForecastState
from services.forecast.store import Store
from services.forecast.taking import Outcome
from services.lifecycle.metrics import Counters as LifecycleCounters
from services.lifecycle.metrics import StateCollector as LifecycleState
from services.lifecycle.metrics import intake_counter
from services.routing.metrics import Counters as RoutingCounters
from services.routing.metrics import StateCollector as RoutingState

_LETTERS: Final = dict.fromkeys(ERRORS, 1)


class Told(NamedTuple):
    """A metric as Prometheus sees it."""

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...]


def page() -> str:
    """The page."""
    sections = []
    for service, told in metrics().items():
        rows = [(code(each.name), each.kind, ", ".join(map(code, each.labels)), each.meaning) for each in told]
        sections.append(f"## {service}\n\n{table(('metric', 'kind', 'labels', 'meaning'), rows)}")
    return "\n".join([_introduction(), *sections])


def metrics() -> Mapping[str, list[Told]]:
    """What each service tells, by service."""
    return {"lifecycle": list(_told(_lifecycle())), "routing": list(_told(_routing())), "forecast": _forecast()}


def _introduction() -> str:
    return f"""# Metrics

Every service answers `/metrics` in Prometheus' text format. What to alert on is said in
[run in production](../how-to/run-in-production.md#what-to-watch). Counters begin at 0 when a process starts; gauges are read when they
are asked for.

- `outcome` of lifecycle and routing is `accepted`, the error of a [dead letter](dead-letters.md), and in lifecycle also `repeated` (known
  already) and `moved` (sent home to its customer's partition); of forecast it is {", ".join(map(code, get_args(Outcome)))}. Of
  events sent over HTTP it is `accepted`, `refused`, and `unwritten` where Kafka did not acknowledge.
- `error` is that of a [dead letter](dead-letters.md).
- `kind` is that of a stored event.
"""


def _progress() -> Progress:
    return Progress(state="running", lag=0, lag_seconds=0.0, positions={}, pending=0, error="", degraded=False, rejected=0)


def _lifecycle() -> CollectorRegistry:
    registry = CollectorRegistry()
    LifecycleCounters.on(registry)
    intake_counter(registry)
    registry.register(LifecycleState(_progress, lambda: _LETTERS))
    return registry


def _routing() -> CollectorRegistry:
    registry = CollectorRegistry()
    RoutingCounters.on(registry)
    registry.register(RoutingState(_progress, lambda: _LETTERS))
    return registry


def _forecast() -> list[Told]:
    registry = CollectorRegistry()
    Metrics(registry)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder, "forecast.sqlite"))
        registry.register(ForecastState(store, _progress, "0"))
        try:
            return list(_told(registry))
        finally:
            store.close()


def _told(registry: CollectorRegistry) -> Iterator[Told]:
    for collector in registry._collector_to_names:
        for metric in collector.collect():
            labels: Any = getattr(metric, "_labelnames", None) or getattr(collector, "_labelnames", ())
            yield Told(_name(metric), metric.type, metric.documentation, tuple(labels))


def _name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name
