"""Metrics, and spans of handlers, for OpenTelemetry (``pip install 'xyfast[otel]'``).

>>> from xyfast.instrumentation.otel import OpenTelemetry
>>> client = Client(hooks=[OpenTelemetry(Metrics())])
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from opentelemetry.metrics import (
    CallbackOptions,
    Histogram,
    MeterProvider,
    Observation,
    get_meter_provider,
)
from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider, get_tracer_provider

from xyfast.instrumentation import Fact, HandlerRan
from xyfast.instrumentation.histogram import SHOWN, Latency
from xyfast.instrumentation.metrics import Metrics, latencies
from xyfast.instrumentation.snapshot import Snapshot
from xyfast.instrumentation.table import TABLE, Metric

__all__ = ["OpenTelemetry"]

_FRESH = 0.5  # seconds for which one snapshot serves all instruments


class OpenTelemetry:
    """A hook in the place of `Metrics`, which it feeds: the same numbers for OpenTelemetry.

    An instrument has the name of `xyfast.instrumentation.table`, without ``_total`` and
    ``_seconds`` (that is its unit) and with a dot behind ``xyfast``. The providers are the
    process's unless others are given; set them up first. With ``spans`` every run of a
    message's handlers is a span, from when the message was in its lane to the handlers' end;
    what handlers do themselves is not inside it.
    """

    def __init__(
        self,
        metrics: Metrics,
        /,
        *,
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
        spans: bool = False,
    ) -> None:
        self.metrics = metrics
        """What it feeds; the status page shows that too."""
        self._snapshot: Snapshot | None = None
        self._taken = 0.0
        meter = (meter_provider or get_meter_provider()).get_meter("xyfast")
        self._histograms: dict[str, Histogram] = {}
        for metric in TABLE:
            name, unit = _named(metric)
            if metric.kind == "histogram":
                self._histograms[metric.name] = meter.create_histogram(
                    name, unit, metric.help, explicit_bucket_boundaries_advisory=SHOWN
                )
            elif metric.kind == "counter":
                meter.create_observable_counter(name, [self._observe(metric)], unit, metric.help)
            else:
                meter.create_observable_gauge(name, [self._observe(metric)], unit, metric.help)
        tracers = tracer_provider or get_tracer_provider()
        self._tracer = tracers.get_tracer("xyfast") if spans else None

    def __call__(self, fact: Fact, /) -> None:
        """Count a fact."""
        self.metrics(fact)
        for hop, seconds in latencies(fact):
            if hop == "heartbeat":
                self._histograms["xyfast_heartbeat_seconds"].record(seconds)
            else:
                self._histograms["xyfast_hop_seconds"].record(seconds, {"hop": hop})
        if isinstance(fact, HandlerRan) and self._tracer is not None:
            self._trace(fact)

    def _trace(self, fact: HandlerRan) -> None:
        assert self._tracer is not None
        end = time.time_ns()
        handled = end - int(fact.seconds * 1e9)
        span = self._tracer.start_span(
            "xyfast.message",
            kind=SpanKind.CONSUMER,
            start_time=handled - int((fact.waited or 0.0) * 1e9),
            attributes={"xyfast.account": fact.account_id, "xyfast.key": fact.key or ""},
        )
        span.add_event("handlers started", timestamp=handled)
        if not fact.ok:
            span.set_status(Status(StatusCode.ERROR, "a handler failed"))
        span.end(end)

    def _observe(self, metric: Metric) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(options: CallbackOptions) -> Iterable[Observation]:
            return [
                Observation(value, dict(zip(metric.labels, values, strict=True)))
                for values, value in metric.read(self._read())
                if not isinstance(value, Latency)
            ]

        return observe

    def _read(self) -> Snapshot:
        now = time.monotonic()
        if self._snapshot is None or now - self._taken > _FRESH:
            self._snapshot, self._taken = self.metrics.snapshot(), now
        return self._snapshot


def _named(metric: Metric) -> tuple[str, str]:
    """The name and unit that OpenTelemetry's conventions ask for."""
    name = metric.name.replace("_", ".", 1).removesuffix("_total")
    for suffix, unit in (("_seconds", "s"), ("_bytes", "By")):
        if name.endswith(suffix):
            return name.removesuffix(suffix), unit
    return name, "1"
