"""Prometheus metrics without PHI: control totals counted from the store, latencies counted here.

Labels are names from the integration folder, route templates, methods and status codes. Nothing else can get in.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from hilum.app.api.health import Health

__all__ = ["CONTENT_TYPE", "HttpMetrics", "render"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class HttpMetrics:
    """Latency of requests by route template, method and status."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "hilum_http_request_seconds",
            "Time from the head of a request to the last byte of its answer.",
            ("route", "method", "status"),
            registry=self._registry,
            buckets=BUCKETS,
        )
        self._children: dict[tuple[str, str, int], Histogram] = {}

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        key = (route, method, status)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._seconds.labels(route, method, str(status))
        child.observe(seconds)

    def render(self) -> bytes:
        """The latencies in the text format of Prometheus."""
        return generate_latest(self._registry)


def render(health: Health) -> bytes:
    """The numbers of the store in the text format of Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(health))
    return generate_latest(registry)


class _Collector:
    def __init__(self, health: Health) -> None:
        self._health = health

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        yield from _totals(self._health)
        yield _deliveries(self._health)
        yield from _arrivals(self._health)
        ready = GaugeMetricFamily("hilum_ready", "1 when the check passes, by check.", labels=["check"])
        for check in self._health.checks():
            ready.add_metric([check.name], float(check.ok))
        yield ready


def _totals(health: Health) -> Iterable[Metric]:
    totals = health.totals()
    messages = GaugeMetricFamily(
        "hilum_messages",
        "Messages in the store by fate; received = applied + held + rejected + waiting.",
        labels=["state"],
    )
    for state in ("received", "applied", "held", "rejected", "waiting", "duplicates"):
        messages.add_metric([state], getattr(totals, state))
    yield messages
    difference = totals.received - totals.applied - totals.held - totals.rejected - totals.waiting
    yield GaugeMetricFamily(
        "hilum_messages_difference", "Messages without exactly one fate; anything but 0 is an alarm.", difference
    )


def _deliveries(health: Health) -> Metric:
    family = GaugeMetricFamily(
        "hilum_deliveries", "Outgoing records in the store by destination and state.", labels=["destination", "state"]
    )
    for item in health.deliveries():
        family.add_metric([item.destination, item.state], item.count)
    return family


def _arrivals(health: Health) -> Iterable[Metric]:
    count = CounterMetricFamily("hilum_arrivals", "Messages journaled, by source.", labels=["source"])
    last = GaugeMetricFamily(
        "hilum_last_arrival_timestamp_seconds",
        "When the last message of a source came; 0 for never.",
        labels=["source"],
    )
    for item in health.arrivals():
        count.add_metric([item.source], item.count)
        last.add_metric([item.source], item.last_at / 1_000_000)
    yield count
    yield last
