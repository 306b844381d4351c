"""Prometheus metrics without PHI: control totals counted from the store, latencies counted here.

Labels are names from the integration folder, route templates, methods and status codes. Nothing else can get in.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from itertools import accumulate

from msgspec import Struct
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from hilum.app.api.health import ExportStand, Health, SubscriptionStand

__all__ = ["CONTENT_TYPE", "HttpMetrics", "Services", "render"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class _Times(Struct):
    """Requests by bucket, the last one for those beyond all bounds; and the seconds of all of them."""

    counts: list[int]
    seconds: float = 0.0


class HttpMetrics:
    """Latency of requests by route template, method and status. One thread observes."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, str, int], _Times] = {}

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        key = (route, method, status)
        times = self._times.get(key)
        if times is None:
            times = self._times[key] = _Times([0] * (len(BUCKETS) + 1))
        times.counts[bisect_left(BUCKETS, seconds)] += 1
        times.seconds += seconds

    def describe(self) -> Iterable[Metric]:
        """For the registry."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """For the registry."""
        family = HistogramMetricFamily(
            "hilum_http_request_seconds",
            "Time from the head of a request to the last byte of its answer.",
            labels=["route", "method", "status"],
        )
        bounds = [*map(str, BUCKETS), "+Inf"]
        for (route, method, status), times in self._times.items():
            buckets = list(zip(bounds, accumulate(times.counts), strict=True))
            family.add_metric([route, method, str(status)], buckets, times.seconds)
        yield family

    def render(self) -> bytes:
        """The latencies in the text format of Prometheus."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)


class Services(Struct, frozen=True):
    """What is served beside the engine, asked how it stands; None where it is not served."""

    exports: Callable[[], ExportStand] | None = None
    subscriptions: Callable[[], SubscriptionStand] | None = None


def render(health: Health, services: Services) -> bytes:
    """The numbers of the store in the text format of Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(health, services))
    return generate_latest(registry)


class _Collector:
    def __init__(self, health: Health, services: Services) -> None:
        self._health, self._services = health, services

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        yield from _totals(self._health)
        yield _deliveries(self._health)
        yield from _arrivals(self._health)
        if self._services.exports is not None:
            yield from _exports(self._services.exports())
        if self._services.subscriptions is not None:
            yield from _subscriptions(self._services.subscriptions())
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


def _exports(stand: ExportStand) -> Iterable[Metric]:
    count = GaugeMetricFamily("hilum_exports", "Bulk exports that are kept, by state.", labels=["state"])
    for state in ("open", "done", "failed"):
        count.add_metric([state], stand.counts.get(state, 0))
    yield count
    yield GaugeMetricFamily(
        "hilum_export_oldest_timestamp_seconds",
        "When the oldest export that is not done was asked for; 0 for none.",
        stand.oldest / 1_000_000,
    )


def _subscriptions(stand: SubscriptionStand) -> Iterable[Metric]:
    count = GaugeMetricFamily("hilum_subscriptions", "Subscriptions by status.", labels=["status"])
    for status in ("requested", "active", "error", "off"):
        count.add_metric([status], stand.counts.get(status, 0))
    yield count
    yield GaugeMetricFamily(
        "hilum_subscription_commits_behind", "Commits that no event was looked for in yet.", stand.behind
    )
    waiting = GaugeMetricFamily(
        "hilum_subscription_events_waiting", "Events that a subscriber has not taken.", labels=["subscriber"]
    )
    oldest = GaugeMetricFamily(
        "hilum_subscription_oldest_timestamp_seconds",
        "When the oldest event happened that a subscriber has not taken; 0 for none.",
        labels=["subscriber"],
    )
    failures = GaugeMetricFamily(
        "hilum_subscription_failures", "Notifications in a row that a subscriber did not take.", labels=["subscriber"]
    )
    for one in stand.subscribers:
        waiting.add_metric([one.subscriber], one.waiting)
        oldest.add_metric([one.subscriber], one.oldest / 1_000_000)
        failures.add_metric([one.subscriber], one.failures)
    yield from (waiting, oldest, failures)
