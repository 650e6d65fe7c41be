"""The operator's series for Prometheus, under the names that controller-runtime has given them everywhere.

Dashboards and alerts for those exist. A registry of our own, so that several operators fit in one test process.
"""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = ["Metrics", "QueueMetrics"]

# Twice the series for a moment that nobody asks for.
disable_created_metrics()
# client-go's, from 10 ns to 1,000 s.
_QUEUE_SECONDS = tuple(10.0 ** (power - 8) for power in range(12))
_RECONCILE_SECONDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
    60,
)


class Working(Protocol):
    """A queue, as far as its work under way goes."""

    def unfinished(self) -> tuple[float, float]: ...


class Metrics:
    """All series of one operator. Parts register their own in `registry`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._queues = _Unfinished()
        self.registry.register(self._queues)
        self._requests = self._counter(
            "rest_client_requests",
            "Requests to the API server, by status, method and host; <error> is no answer.",
            "code",
            "method",
            "host",
        )
        self.leads = Gauge(
            "leader_election_master_status",
            "1 while this replica leads by the Lease of this name, else 0.",
            ["name"],
            registry=self.registry,
        )
        self.relists = self._counter(
            "featward_operator_watch_relists",
            "Lists that were made again because a watch could not be gone on with, by cause.",
            "resource",
            "cause",
        )
        self._make_queue_series()
        self._make_reconcile_series()

    def _make_queue_series(self) -> None:
        self._depth = self._gauge("workqueue_depth", "Keys that wait to be worked on.", "name")
        self._adds = self._counter("workqueue_adds", "Keys that were added.", "name")
        self._retries = self._counter("workqueue_retries", "Keys added after a failure.", "name")
        self._waited = Histogram(
            "workqueue_queue_duration_seconds",
            "How long keys waited to be worked on.",
            ["name"],
            buckets=_QUEUE_SECONDS,
            registry=self.registry,
        )
        self._worked = Histogram(
            "workqueue_work_duration_seconds",
            "How long the work on a key took.",
            ["name"],
            buckets=_QUEUE_SECONDS,
            registry=self.registry,
        )

    def _make_reconcile_series(self) -> None:
        self.reconciles = self._counter(
            "controller_runtime_reconcile",
            "Reconciliations, by what came of them: success, requeue_after, error, terminal_error.",
            "controller",
            "result",
        )
        self.errors = self._counter(
            "controller_runtime_reconcile_errors",
            "Reconciliations that failed, whatever the reason.",
            "controller",
        )
        self.terminal_errors = self._counter(
            "controller_runtime_terminal_reconcile_errors",
            "Reconciliations that the API server would refuse again, and that are not soon tried again.",
            "controller",
        )
        self.panics = self._counter(
            "controller_runtime_reconcile_panics",
            "Reconciliations that ended in an error of the operator's own.",
            "controller",
        )
        self.seconds = Histogram(
            "controller_runtime_reconcile_time_seconds",
            "How long reconciliations took.",
            ["controller"],
            buckets=_RECONCILE_SECONDS,
            registry=self.registry,
        )
        self.workers = self._gauge(
            "controller_runtime_max_concurrent_reconciles",
            "How many keys a controller works on at once at the most.",
            "controller",
        )
        self.active_workers = self._gauge(
            "controller_runtime_active_workers",
            "How many keys a controller is working on.",
            "controller",
        )

    def observe_request(self, code: str, method: str, host: str) -> None:
        """A request of the gateway."""
        self._requests.labels(code, method, host).inc()

    def watch_queue(self, name: str, queue: Working) -> None:
        """Tell how long the work on this queue is under way."""
        self._queues.add(name, queue)

    def queue(self, name: str) -> "QueueMetrics":
        """Who counts for the queue of this name."""
        return QueueMetrics(
            self._depth.labels(name),
            self._adds.labels(name),
            self._retries.labels(name),
            self._waited.labels(name),
            self._worked.labels(name),
        )

    def render(self) -> bytes:
        """All series in the Prometheus text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)


class QueueMetrics:
    """A `QueueWatcher` that counts."""

    def __init__(
        self, depth: Gauge, adds: Counter, retries: Counter, waited: Histogram, worked: Histogram
    ) -> None:
        self._depth = depth
        self._adds = adds
        self._retries = retries
        self._waited = waited
        self._worked = worked

    def added(self, depth: int) -> None:
        self._adds.inc()
        self._depth.set(depth)

    def taken(self, depth: int, waited: float) -> None:
        self._depth.set(depth)
        self._waited.observe(waited)

    def finished(self, took: float) -> None:
        self._worked.observe(took)

    def retried(self) -> None:
        self._retries.inc()


class _Unfinished(Collector):
    """Work under way, as of the moment of asking."""

    def __init__(self) -> None:
        self._queues: dict[str, Working] = {}

    def add(self, name: str, queue: Working) -> None:
        self._queues[name] = queue

    def collect(self) -> Iterator[Metric]:
        """For Prometheus."""
        every = GaugeMetricFamily(
            "workqueue_unfinished_work_seconds",
            "How long all work under way has taken until now, added up.",
            labels=["name"],
        )
        longest = GaugeMetricFamily(
            "workqueue_longest_running_processor_seconds",
            "How long the work that takes longest has taken until now.",
            labels=["name"],
        )
        for name, queue in self._queues.items():
            together, most = queue.unfinished()
            every.add_metric([name], together)
            longest.add_metric([name], most)
        yield every
        yield longest
