"""What Prometheus and OpenTelemetry get, judged by their own libraries."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import metrics_page
from world import ME, OTHER, running
from xyfast import ChatMessage
from xyfast.instrumentation import Committed, HandlerRan, Recovered
from xyfast.instrumentation.histogram import SHOWN, Latency
from xyfast.instrumentation.metrics import Metrics
from xyfast.instrumentation.otel import OpenTelemetry
from xyfast.instrumentation.prometheus import Collector, render
from xyfast.instrumentation.table import TABLE
from xyfast.testing import FakeServer

ROOT = Path(__file__).parent.parent
MONITORING = ROOT / "examples" / "monitoring"
LABELS = {"account", "cause", "class", "hop", "outcome", "state", "trouble", "version"}
METRICS = {metric.name: metric for metric in TABLE}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@asynccontextmanager
async def working(server: FakeServer, hook: Any) -> AsyncIterator[None]:
    """A client with an observer that has received, failed, answered and lost a link.

    Nothing of it changes before the next ``await``.
    """
    caught_up: list[Recovered] = []

    def note(fact: Any) -> None:
        if isinstance(fact, Recovered):
            caught_up.append(fact)

    settings = {"measure_every": 0.05, "heartbeat": 0.05, "handler_retries": 0}
    async with running(server, hooks=[hook, note], settings=settings) as world:

        @world.client.on(ChatMessage)
        async def answer(message: ChatMessage) -> None:
            if message.text == "bad":
                raise ValueError
            await message.reply("在的")

        await world.connect(ME, OTHER)
        await world.until(lambda: len(caught_up) == 2)
        server.push_text(ME, "good")
        server.push_text(OTHER, "bad")
        server.reset(OTHER)
        metrics = hook if isinstance(hook, Metrics) else hook.metrics

        def done() -> bool:
            me, other = (metrics.snapshot().accounts[each] for each in (ME, OTHER))
            return bool(
                me.sends and me.good and other.dead and other.dead_letters
                and other.registered == 2 and metrics.snapshot().client
            )  # fmt: skip

        await world.until(done)
        yield


def parsed(text: str) -> Samples:
    """Every sample that Prometheus' own parser finds, but when something was made."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def expected(metrics: Metrics) -> Samples:
    """The same, straight from a snapshot."""
    found: Samples = {}
    snapshot = metrics.snapshot()
    for metric in TABLE:
        for values, value in metric.read(snapshot):
            labels = set(zip(metric.labels, values, strict=True))
            if isinstance(value, Latency):
                for bound, count in (*value.buckets, (float("inf"), value.count)):
                    le = "+Inf" if bound == float("inf") else str(bound)
                    found[f"{metric.name}_bucket", frozenset({*labels, ("le", le)})] = count
                found[f"{metric.name}_sum", frozenset(labels)] = value.total
                found[f"{metric.name}_count", frozenset(labels)] = value.count
            else:
                found[metric.name, frozenset(labels)] = value
    return found


# --- the table ------------------------------------------------------------------------


def test_names_and_kinds_are_as_prometheus_wants_them() -> None:
    for metric in TABLE:
        assert re.fullmatch(r"xyfast(_[a-z]+)+", metric.name), metric.name
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        if metric.kind == "histogram":
            assert metric.name.endswith("_seconds")
        assert metric.help.endswith("."), metric.name
        assert set(metric.labels) <= LABELS
        assert "account" in metric.labels[:1] or "account" not in metric.labels
    # A registry takes the name of a counter without its end.
    families = [metric.name.removesuffix("_total") for metric in TABLE]
    assert len(set(families)) == len(families)


def test_the_page_is_made_of_the_table() -> None:
    """Else run ``python tests/metrics_page.py``."""
    assert metrics_page.PAGE.read_text("utf-8") == metrics_page.page()
    assert metrics_page.CHINESE.read_text("utf-8") == metrics_page.chinese_page()


async def test_a_client_at_work_fills_every_metric(server: FakeServer) -> None:
    metrics = Metrics()
    async with working(server, metrics):
        told = {name for name, _ in parsed(render(metrics.snapshot()))}
        histograms = {name for name, metric in METRICS.items() if metric.kind == "histogram"}
        named = set(METRICS) - histograms | {f"{name}_count" for name in histograms}
        assert told >= named


# --- Prometheus -----------------------------------------------------------------------


async def test_prometheus_reads_what_was_counted(server: FakeServer) -> None:
    metrics = Metrics()
    async with working(server, metrics):
        text = render(metrics.snapshot())
        assert parsed(text) == expected(metrics)
        kinds = {family.name: family.type for family in text_string_to_metric_families(text)}
        assert kinds == {metric.name.removesuffix("_total"): metric.kind for metric in TABLE}
        sent = "xyfast_sends_total", frozenset({("account", ME), ("outcome", "sent")})
        assert parsed(text)[sent] == 1


async def test_a_registry_gives_the_same_as_our_own_text(server: FakeServer) -> None:
    metrics = Metrics()
    async with working(server, metrics):
        registry = CollectorRegistry()
        registry.register(Collector(metrics))
        assert parsed(generate_latest(registry).decode()) == parsed(render(metrics.snapshot()))


def test_odd_names_of_accounts_come_through_whole() -> None:
    odd = 'a"b\\c\nd\\n 在{},='
    metrics = Metrics()
    metrics(Committed(odd, 2, 0, 0))
    samples = parsed(render(metrics.snapshot()))
    assert samples["xyfast_messages_received_total", frozenset({("account", odd)})] == 2


def test_an_empty_snapshot_is_a_text_too() -> None:
    samples = parsed(render(Metrics().snapshot()))
    assert samples["xyfast_accounts", frozenset({("state", "connected")})] == 0
    assert samples["xyfast_hop_seconds_count", frozenset({("hop", "acked")})] == 0


WITHOUT = """
import sys
sys.modules["prometheus_client"] = sys.modules["opentelemetry"] = None
from xyfast import Client
from xyfast.instrumentation.metrics import Metrics
from xyfast.instrumentation.prometheus import Collector, render
metrics = Metrics()
Client(hooks=[metrics])
assert "xyfast_info" in render(metrics.snapshot())
try:
    Collector(metrics)
except ImportError:
    print("as expected")
"""


def test_the_text_needs_no_other_package() -> None:
    ran = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert (ran.stdout, ran.stderr) == ("as expected\n", "")


# --- OpenTelemetry --------------------------------------------------------------------


def instruments(reader: InMemoryMetricReader) -> dict[str, Any]:
    data = reader.get_metrics_data()
    assert data is not None
    [resource] = data.resource_metrics
    [scope] = resource.scope_metrics
    assert scope.scope.name == "xyfast"
    return {metric.name: metric for metric in scope.metrics}


async def test_opentelemetry_gets_the_same_numbers(server: FakeServer) -> None:
    reader, metrics = InMemoryMetricReader(), Metrics()
    hook = OpenTelemetry(metrics, meter_provider=MeterProvider([reader]))
    async with working(server, hook):
        hook._snapshot = None
        found = instruments(reader)
        units = {metric.name: metric.unit for metric in found.values()}
        assert units["xyfast.hop"] == units["xyfast.heartbeat"] == "s"
        assert units["xyfast.uncommitted"] == "By"
        ours, theirs = expected(metrics), {}
        for name, metric in METRICS.items():
            short = name.replace("_", ".", 1).removesuffix("_total")
            instrument = found.get(short.removesuffix("_seconds").removesuffix("_bytes"))
            for point in () if instrument is None else instrument.data.data_points:
                labels = frozenset(point.attributes.items())
                if metric.kind == "histogram":
                    assert list(point.explicit_bounds) == SHOWN
                    theirs[f"{name}_count", labels] = point.count
                    theirs[f"{name}_sum", labels] = pytest.approx(point.sum)
                    below = 0
                    for bound, count in zip(SHOWN, point.bucket_counts, strict=False):
                        below += count
                        theirs[f"{name}_bucket", labels | {("le", str(bound))}] = below
                    theirs[f"{name}_bucket", labels | {("le", "+Inf")}] = point.count
                else:
                    theirs[name, labels] = point.value
        assert theirs == {key: value for key, value in ours.items() if key in theirs}
        # A histogram without durations has no points there.
        assert all(value == 0 for key, value in ours.items() if key not in theirs)


def test_runs_of_handlers_are_spans_if_wanted() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    hook = OpenTelemetry(Metrics(), tracer_provider=provider, spans=True)
    silent = OpenTelemetry(Metrics(), tracer_provider=provider)
    for observer in (hook, silent):
        observer(HandlerRan(ME, "1.PNM", 0.25, 0.5, ok=True))
    hook(HandlerRan(ME, None, None, 0.5, ok=False))
    good, bad = exporter.get_finished_spans()
    assert good.attributes == {"xyfast.account": ME, "xyfast.key": "1.PNM"}
    assert good.end_time - good.start_time == 750_000_000
    assert good.events[0].timestamp - good.start_time == 250_000_000
    assert good.status.status_code is StatusCode.UNSET
    assert bad.status.status_code is StatusCode.ERROR
    assert bad.end_time - bad.start_time == 500_000_000


def test_one_snapshot_serves_all_instruments() -> None:
    class Counting(Metrics):
        taken = 0

        def snapshot(self) -> Any:
            self.taken += 1
            return super().snapshot()

    reader, metrics = InMemoryMetricReader(), Counting()
    OpenTelemetry(metrics, meter_provider=MeterProvider([reader]))
    assert "xyfast.accounts" in instruments(reader)
    assert metrics.taken == 1


# --- what is drawn and alerted on -----------------------------------------------------


def expressions() -> Iterator[tuple[str, str]]:
    for panel in json.loads((MONITORING / "dashboard.json").read_text("utf-8"))["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for group in yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["summary"]
            assert rule["labels"]["severity"] in ("warning", "critical")
            yield rule["alert"], rule["expr"]


EXPRESSIONS = list(expressions())


@pytest.mark.parametrize(("where", "expression"), EXPRESSIONS)
def test_what_is_drawn_and_alerted_on_exists(where: str, expression: str) -> None:
    named = re.findall(r"\b(xyfast_\w+)(?:\{([^}]*)\})?", expression)
    assert named, where
    for name, matchers in named:
        histogram = METRICS.get(re.sub("_(bucket|sum|count)$", "", name))
        if histogram is None or histogram.kind != "histogram":
            assert name in METRICS, name
        labels = set(re.findall(r"(\w+)(?:=~|!~|!=|=)", matchers))
        metric = METRICS.get(name, histogram)
        assert metric is not None
        assert labels <= set(metric.labels)


def test_dashboard_and_alerts_show_most_of_it() -> None:
    shown = " ".join(expression for _, expression in EXPRESSIONS)
    left = {name for name in METRICS if name not in shown}
    assert left <= {
        "xyfast_counting_since_timestamp_seconds",
        "xyfast_gaps_open",
        "xyfast_heartbeat_round_trip_seconds",
        "xyfast_links_registered_total",
        "xyfast_loop_blocks_total",
        "xyfast_machine_sleeps_total",
        "xyfast_machine_slept_seconds_total",
        "xyfast_outcomes_unrecorded",
        "xyfast_uncommitted_bytes",
    }
