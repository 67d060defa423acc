"""A snapshot for Prometheus: as text without other packages, and for a registry.

`render` is what ``/metrics`` answers with. Who has a registry of prometheus_client already
registers a `Collector` (``pip install 'xyfast[prometheus]'``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from xyfast.instrumentation.histogram import Latency
from xyfast.instrumentation.metrics import Metrics
from xyfast.instrumentation.snapshot import Snapshot
from xyfast.instrumentation.table import TABLE, Metric

if TYPE_CHECKING:
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

__all__ = ["CONTENT_TYPE", "Collector", "render"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of what `render` returns."""


def render(snapshot: Snapshot, /) -> str:
    """Return a snapshot in Prometheus' text format."""
    return "".join(line + "\n" for metric in TABLE for line in _lines(metric, snapshot))


def _lines(metric: Metric, snapshot: Snapshot) -> Iterator[str]:
    yield f"# HELP {metric.name} {_plain(metric.help)}"
    yield f"# TYPE {metric.name} {metric.kind}"
    for values, value in metric.read(snapshot):
        labels = [
            f'{label}="{_escaped(text)}"' for label, text in zip(metric.labels, values, strict=True)
        ]
        if isinstance(value, Latency):
            for bound, count in _buckets(value):
                inside = ",".join([*labels, f'le="{bound}"'])
                yield f"{metric.name}_bucket{{{inside}}} {count}"
            shown = f"{{{','.join(labels)}}}" if labels else ""
            yield f"{metric.name}_sum{shown} {value.total!r}"
            yield f"{metric.name}_count{shown} {value.count}"
        else:
            shown = f"{{{','.join(labels)}}}" if labels else ""
            yield f"{metric.name}{shown} {value!r}"


def _buckets(latency: Latency) -> list[tuple[str, int]]:
    return [(repr(bound), count) for bound, count in latency.buckets] + [("+Inf", latency.count)]


def _plain(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _escaped(text: str) -> str:
    return _plain(text).replace('"', '\\"')


class Collector:
    """Gives the metrics to a registry of prometheus_client, whenever that is asked.

    ``REGISTRY.register(Collector(metrics))``. Raises `ImportError` where prometheus_client
    is not installed.
    """

    def __init__(self, metrics: Metrics, /) -> None:
        import prometheus_client.core  # noqa: F401

        self._metrics = metrics

    def describe(self) -> Iterable[Family]:
        """What `collect` gives, so that a registry need not ask for it to find out."""
        return [_family(metric) for metric in TABLE]

    def collect(self) -> Iterable[Family]:
        """Read a snapshot."""
        snapshot = self._metrics.snapshot()
        for metric in TABLE:
            family = _family(metric)
            for values, value in metric.read(snapshot):
                family.add_metric(values, **_value(value))
            yield family


def _value(value: float | Latency) -> dict[str, Any]:
    if isinstance(value, Latency):
        return {"buckets": _buckets(value), "sum_value": value.total}
    return {"value": value}


def _family(metric: Metric) -> Family:
    from prometheus_client import core

    make: type[Family]
    match metric.kind:
        case "counter":
            make = core.CounterMetricFamily
        case "gauge":
            make = core.GaugeMetricFamily
        case "histogram":
            make = core.HistogramMetricFamily
    return make(metric.name, metric.help, labels=metric.labels)
